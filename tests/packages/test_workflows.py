"""GitHub's workflows: valid, without known weaknesses, and naming only what exists."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS: dict[str, dict[Any, Any]] = {
    path.stem: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yml"))
}
JOBS: dict[str, dict[str, Any]] = {
    f"{name}/{job}": definition
    for name, workflow in WORKFLOWS.items()
    for job, definition in workflow["jobs"].items()
}
RELEASE: dict[str, dict[str, Any]] = WORKFLOWS["release"]["jobs"]

#: What each job may write, with its reason in the workflow; a job that is not here only reads.
MAY_WRITE = {
    "release/attest": {"id-token", "attestations"},
    "release/index": {"id-token"},
    "release/image": {"packages", "id-token", "attestations"},
    "release/github": {"contents"},
}


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each step of each job, with the job's name."""
    for name, job in JOBS.items():
        for step in job.get("steps", []):
            yield name, step


def scripts() -> Iterator[str]:
    """Yield what the steps run."""
    for _, step in steps():
        if "run" in step:
            yield step["run"]


def before(job: str) -> set[str]:
    """Return the jobs of a release that have to succeed before this one."""
    needs = RELEASE[job].get("needs", [])
    direct = {needs} if isinstance(needs, str) else set(needs)
    return direct.union(*map(before, direct))


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("vendor.github-workflows", sorted(FOLDER.glob("*.yml"))),
        ("vendor.dependabot", [ROOT / ".github" / "dependabot.yml"]),
    ],
)
def test_they_are_valid(schema: str, files: list[Path]) -> None:
    """Each file is valid by the schema that GitHub's editors use."""
    command = [str(BIN / "check-jsonschema"), "--builtin-schema", schema, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_they_have_no_known_weakness() -> None:
    """No audit of zizmor finds anything, at its strictest."""
    command = [str(BIN / "zizmor"), "--offline", "--no-progress", "--persona", "pedantic", "."]
    done = subprocess.run(
        command, cwd=ROOT / ".github", capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_action_is_pinned() -> None:
    """Each action is named by a whole commit, with its version beside it for a reader."""
    lines = [
        line
        for path in FOLDER.glob("*.yml")
        for line in path.read_text().splitlines()
        if "uses:" in line and "uses: ./" not in line
    ]
    pins = [re.fullmatch(r"\s+uses: ([\w./-]+)@([0-9a-f]{40}) # (v[\d.]+)", line) for line in lines]
    versions: dict[str, set[tuple[str, str]]] = {}
    for pin in filter(None, pins):
        versions.setdefault(pin[1], set()).add((pin[2], pin[3]))

    assert lines
    assert all(pins), [line for line, pin in zip(lines, pins, strict=True) if not pin]
    assert all(len(each) == 1 for each in versions.values()), versions


def test_what_they_run_exists() -> None:
    """Each target of make, script, module and workflow that a step names is in the checkout."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    run = "\n".join(scripts())
    made = set(re.findall(r"^\s*make ([a-z-]+)", run, re.MULTILINE))
    files = set(re.findall(r"\bbash (\S+)", run))
    modules = set(re.findall(r"\bpython3 -m (\S+)", run))
    called = {job["uses"] for job in JOBS.values() if "uses" in job}

    assert {"test", "release-check"} <= made <= targets
    assert ".ci/run" in files
    assert modules == {"docs.release"}
    for path in [*files, *called, *(f"{module.replace('.', '/')}.py" for module in modules)]:
        assert (ROOT / path).is_file(), path


def test_no_script_takes_text_from_outside() -> None:
    """What comes from GitHub reaches a script as a variable, never as part of its text."""
    assert not [script for script in scripts() if "${{" in script]


@pytest.mark.parametrize("name", JOBS)
def test_a_job_may_do_no_more_than_it_needs(name: str) -> None:
    """Each job names what it may do; nothing is writable but what it publishes."""
    permissions: dict[str, str] = JOBS[name]["permissions"]
    writable = {scope for scope, access in permissions.items() if access == "write"}

    assert WORKFLOWS[name.partition("/")[0]]["permissions"] == {}
    assert writable == MAY_WRITE.get(name, set())
    assert permissions.keys() - writable <= {"contents"}


def test_no_job_runs_for_long() -> None:
    """Each job that has steps ends by itself within an hour and a half."""
    assert all(job["timeout-minutes"] <= 90 for job in JOBS.values() if "steps" in job)


def test_no_credential_stays_in_a_checkout() -> None:
    """Each checkout forgets the token that it was made with."""
    checkouts = [step for _, step in steps() if step.get("uses", "").startswith("actions/checkout")]

    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_a_release_publishes_what_was_tested() -> None:
    """A release begins with a tag; what it publishes was tested, built once and attested."""
    publishing = {name.partition("/")[2] for name in MAY_WRITE} - {"attest"}

    # YAML 1.1 reads the key `on` as true.
    assert WORKFLOWS["release"][True] == {"push": {"tags": ["v*"]}}
    assert before("build") == before("test") == {"version"}
    assert {"version", "test", "build"} == before("attest")
    for job in publishing:
        assert {"version", "test", "build", "attest"} <= before(job)
    assert before("github") >= {"index", "image"}
    assert all(RELEASE[job].get("environment") for job in ("index", "image"))


def test_a_published_version_is_not_built_again() -> None:
    """A tag that was moved, or a second run, replaces no image that somebody may have pulled."""
    first = "\n".join(step.get("run", "") for step in RELEASE["version"]["steps"])

    assert 'if gh release view "$GITHUB_REF_NAME"; then' in first


def test_every_supported_python_is_tested() -> None:
    """The matrix and Debian's Python are the versions that pyproject.toml names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = {
        each.rpartition(" :: ")[2]
        for each in project["classifiers"]
        if re.search(r":: 3\.\d+$", each)
    }

    assert {*JOBS["test/python"]["strategy"]["matrix"]["python"], "3.11"} == named
