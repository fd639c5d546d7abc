"""Reads what a release is called: `python -m docs.release check v1.2.3` compares all that name it.

`python -m docs.release version` prints the version of pyproject.toml, and `… notes` that version's
section of CHANGELOG.md. Only the standard library is needed.
"""

import argparse
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]

_HEADING = re.compile(r"^## \[(?P<title>[^]]+)\](?: - (?P<date>\d{4}-\d{2}-\d{2}))?$", re.MULTILINE)


def version_of(project: str) -> str:
    """Return the version that a pyproject.toml has."""
    version: str = tomllib.loads(project)["project"]["version"]
    return version


def sections(changelog: str) -> dict[str, tuple[str | None, str]]:
    """Return the date and the text of each section of a changelog, by its title, newest first."""
    headings = [*_HEADING.finditer(changelog)]
    ends = [heading.start() for heading in headings[1:]] + [len(changelog)]
    return {
        heading["title"]: (heading["date"], changelog[heading.end() : end].strip())
        for heading, end in zip(headings, ends, strict=True)
    }


def problems(tag: str, project: str, changelog: str) -> list[str]:
    """Return why this tag cannot be released: what disagrees with it, or is not finished."""
    version = version_of(project)
    found = sections(changelog)
    newest = next((title for title in found if title != "Unreleased"), None)
    date, text = found.get(version, (None, ""))
    rules = {
        f"the tag is {tag}, and pyproject.toml has {version}: expected v{version}": (
            tag != f"v{version}"
        ),
        f"CHANGELOG.md has {newest} as its newest version, and pyproject.toml has {version}": (
            newest != version
        ),
        f"CHANGELOG.md has no date for {version}": date is None,
        f"CHANGELOG.md has nothing under {version}": not text,
        "CHANGELOG.md has entries under Unreleased": bool(found.get("Unreleased", (None, ""))[1]),
    }
    return [message for message, is_broken in rules.items() if is_broken]


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Answer one question about the release; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m docs.release")
    questions = parser.add_subparsers(dest="question", required=True)
    questions.add_parser("check", help="compare all that name the release").add_argument("tag")
    questions.add_parser("notes", help="print the version's section of CHANGELOG.md")
    questions.add_parser("version", help="print the version")
    asked = parser.parse_args(arguments)
    project = (root / "pyproject.toml").read_text()
    changelog = (root / "CHANGELOG.md").read_text()
    version = version_of(project)
    if asked.question == "check":
        found = problems(asked.tag, project, changelog)
        sys.stderr.writelines(f"{problem}\n" for problem in found)
        return 1 if found else 0
    answer = version if asked.question == "version" else sections(changelog)[version][1]
    sys.stdout.write(f"{answer}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
