"""The operations kit: its policies, units and image, held against the project.

Its alert rules and dashboard are in `test_alerts.py`.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.packages import containers

ROOT = Path(__file__).parents[2]
OPS = ROOT / "ops"


def test_the_policy_is_the_one_that_the_readme_shows() -> None:
    """One text in two places: neither grants more than the other."""
    shown = re.findall(
        r"^```hcl\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )

    assert (OPS / "vault" / "rotator.hcl").read_text() == shown[0]


def test_the_image_is_pinned_and_runs_without_root() -> None:
    """Packages come from the lock files with their hashes; every file it copies is in its context.

    `tests/packages/test_image.py` builds it.
    """
    text = (OPS / "Containerfile").read_text().replace("\\\n", " ")
    installs = re.findall(r"pip [^&\n]*install([^&\n]*)", text)
    context = (ROOT / ".dockerignore").read_text().splitlines()

    assert [re.findall("--require-hashes|--no-index", each) for each in installs] == [
        ["--require-hashes"],
        ["--require-hashes"],
        ["--no-index"],
    ]
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${BASE}"}
    assert re.findall(r"^USER (\S+)", text, re.MULTILINE) == ["10001:10001"]
    assert "*" in context
    for lock in re.findall(r"requirements[\w-]*\.lock", text):
        assert (ROOT / lock).exists()
    for kept in (each.removeprefix("!") for each in context if each.startswith("!")):
        assert list(ROOT.glob(kept)), kept


@pytest.mark.parametrize("builder", ["podman", "buildah", "docker"])
def test_the_image_is_built_by_whichever_builder_works(tmp_path: Path, builder: str) -> None:
    """Only docker, whose own format has the health check, does not know the option for it."""
    for each in ("podman", "buildah", "docker"):
        (tmp_path / each).write_text(f"#!/bin/sh\ntest {each} = {builder}\n")
        (tmp_path / each).chmod(0o755)
    done = subprocess.run(
        ["make", "--dry-run", "--directory", ROOT, "image"],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    text = done.stdout.replace("\\\n", "")
    [build] = re.findall(r"^BUILDAH_ISOLATION=chroot (\w+) build(.*)", text, re.MULTILINE)

    assert build[0] == builder
    assert ("--format=docker" in build[1]) is (builder != "docker")


def test_the_image_is_tried_as_the_documents_run_it() -> None:
    """With a read-only root and no privileges, by podman as by compose."""
    page = (ROOT / "docs" / "install.md").read_text()

    assert [each for each in containers.HARDENED if each not in page] == []


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd")
def test_the_units_are_well_formed(tmp_path: Path) -> None:
    """Systemd finds nothing to say about them."""
    for path in OPS.glob("rotator-*"):
        name = path.name.replace("@", "@sms-gateway")
        text = path.read_text()
        (tmp_path / name).write_text(text.replace("/opt/rotator/bin/rotator", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", *map(str, sorted(tmp_path.iterdir()))],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("status", "shown"), [("1", 1), ("75", 75), ("0", 0), ("KILL", 255), ("", 255)]
)
def test_the_check_of_the_ledger_leaves_its_verdict(
    tmp_path: Path, status: str, shown: int
) -> None:
    """The unit's command, run: the exit code as a metric, and no half-written file."""
    unit = (OPS / "rotator-ledger-verify.service").read_text().replace("\\\n", "")
    [script] = re.findall(r"^ExecStopPost=\+/bin/sh -c '(.*)'$", unit, re.MULTILINE)
    script = script.replace("%%", "%").replace("/var/lib/prometheus/node-exporter", str(tmp_path))
    subprocess.run(["sh", "-c", script], env={**os.environ, "EXIT_STATUS": status}, check=True)
    [file] = tmp_path.iterdir()
    code, at = file.read_text().splitlines()

    assert file.name == "rotator.prom"
    assert file.stat().st_mode & 0o777 == 0o644
    assert code == f"rotator_ledger_verify_exit_code {shown}"
    assert int(at.split()[1]) > 1_700_000_000
