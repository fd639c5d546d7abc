"""What a release is called: one version, the same wherever it stands."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs import release

ROOT = Path(__file__).parents[2]
PROJECT = (ROOT / "pyproject.toml").read_text()
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
VERSION = release.version_of(PROJECT)


def tree(
    folder: Path,
    *,
    version: str = "1.2.3",
    unreleased: str = "",
    heading: str = "## [1.2.3] - 2026-11-30",
    text: str = "### Added\n\n- A thing.",
) -> Path:
    """Return a folder with the two files that name a release."""
    (folder / "pyproject.toml").write_text(f'[project]\nname = "x"\nversion = "{version}"\n')
    (folder / "CHANGELOG.md").write_text(
        f"# Changelog\n\n## [Unreleased]\n\n{unreleased}\n\n{heading}\n\n{text}\n\n"
        "## [1.2.2] - 2026-10-01\n\n- An older thing.\n"
    )
    return folder


def test_the_changelog_begins_with_the_version() -> None:
    """The newest version in CHANGELOG is pyproject.toml's, with its date and something to read."""
    newest = next(title for title in release.sections(CHANGELOG) if title != "Unreleased")
    date, text = release.sections(CHANGELOG)[VERSION]

    assert newest == VERSION
    assert date
    assert "\n### " in f"\n{text}"


def test_nothing_names_another_version() -> None:
    """Wherever a version of rotator stands in the docs and packages, it is pyproject.toml's."""
    pages = [
        *(ROOT / name for name in ("README.md", "SECURITY.md", "CONTRIBUTING.md", "Makefile")),
        *ROOT.glob("docs/*.md"),
        *(path for path in ROOT.glob("ops/**/*") if path.is_file()),
    ]
    named = {
        (path.relative_to(ROOT).as_posix(), found)
        for path in pages
        for found in re.findall(r"(?:\b|_)rotator[-_=@: (]+v?(\d+\.\d+\.\d+)", path.read_text())
    }
    bill = json.loads((ROOT / "ops" / "sbom.cdx.json").read_text())

    assert not {each for each in named if each[1] != VERSION}
    assert bill["metadata"]["component"]["version"] == VERSION


def test_a_tag_that_agrees_is_taken(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A tag of pyproject.toml's version, whose section in CHANGELOG is finished, is taken."""
    assert release.main(["check", "v1.2.3"], tree(tmp_path)) == 0
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("tag", "changed", "problem"),
    [
        ("v1.2.4", {}, "the tag is v1.2.4, and pyproject.toml has 1.2.3: expected v1.2.3"),
        ("1.2.3", {}, "the tag is 1.2.3, and pyproject.toml has 1.2.3: expected v1.2.3"),
        ("v1.2.3-rc1", {}, "the tag is v1.2.3-rc1, and"),
        ("v1.2.4", {"version": "1.2.4"}, "has 1.2.3 as its newest version, and"),
        ("v1.2.2", {"version": "1.2.2"}, "has 1.2.3 as its newest version, and"),
        ("v1.2.3", {"heading": "## [1.2.3]"}, "CHANGELOG.md has no date for 1.2.3"),
        ("v1.2.3", {"text": ""}, "CHANGELOG.md has nothing under 1.2.3"),
        ("v1.2.3", {"unreleased": "- More."}, "CHANGELOG.md has entries under Unreleased"),
    ],
)
def test_a_tag_that_disagrees_is_refused(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    tag: str,
    changed: dict[str, str],
    problem: str,
) -> None:
    """A tag is refused if anything that names the release disagrees, with what it is."""
    assert release.main(["check", tag], tree(tmp_path, **changed)) == 1
    assert problem in capfd.readouterr().err


def test_the_notes_are_the_section_of_the_version(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A release's notes are its section of CHANGELOG, without those beside it."""
    assert release.main(["notes"], tree(tmp_path)) == 0
    assert capfd.readouterr().out == "### Added\n\n- A thing.\n"


def test_the_workflow_can_ask_without_any_package() -> None:
    """The module runs with the standard library alone, as the workflow runs it."""
    command = [sys.executable, "-S", "-m", "docs.release", "version"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout == f"{VERSION}\n"
