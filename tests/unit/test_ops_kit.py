"""The operations kit: its rules, dashboard, policies, units and image, held against the project."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # pre-commit brings it

from tests.unit.telemetry.test_metrics import made

ROOT = Path(__file__).parents[2]
OPS = ROOT / "ops"
#: What an operator wants to be woken for.
ALERTS = {
    "RotatorAbsent",
    "RotatorDrift",
    "RotatorFailing",
    "RotatorHeldTooLong",
    "RotatorLedgerVerificationFailed",
    "RotatorOverdue",
    "RotatorRefused",
    "RotatorSecretTooOld",
    "RotatorTokenNearExpiry",
    "RotatorTwoSecretsBeyondGrace",
}


def rules() -> list[dict[str, Any]]:
    """Return the alert rules."""
    document = yaml.safe_load((OPS / "alerts.yml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def served() -> tuple[set[str], set[str]]:
    """Return the metrics that `/metrics` serves, and those that the ledger's check leaves."""
    text = made("a").rendered().decode()
    names = {re.split(r"[{ ]", line)[0] for line in text.splitlines() if not line.startswith("#")}
    unit = (OPS / "rotator-ledger-verify.service").read_text()
    return names, set(re.findall(r"rotator_ledger_verify_\w+", unit))


def named(expression: str) -> set[str]:
    """Return the metrics in an expression."""
    return set(re.findall(r"\brotator_\w+", expression))


def test_every_trouble_has_its_alert() -> None:
    """Each has a severity, a summary, and says what to do."""
    found = rules()

    assert {rule["alert"] for rule in found} == ALERTS
    for rule in found:
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert set(rule["annotations"]) == {"summary", "description"}


def test_rules_ask_for_metrics_that_are_served() -> None:
    """A name that nobody serves would never fire."""
    from_daemon, from_check = served()
    asked = {rule["alert"]: named(rule["expr"]) for rule in rules()}

    assert all(asked.values())
    assert set().union(*asked.values()) <= from_daemon | from_check
    assert asked["RotatorLedgerVerificationFailed"] == from_check


def test_the_dashboard_shows_metrics_that_are_served() -> None:
    """Every panel asks for something, and for nothing that is not there."""
    panels = json.loads((OPS / "grafana-dashboard.json").read_text())["panels"]
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]

    assert len(panels) > 10
    assert all(named(expression) for expression in expressions)
    assert set().union(*map(named, expressions)) <= served()[0]


@pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool on PATH")
def test_promtool_accepts_the_rules() -> None:
    """Prometheus itself takes the file."""
    done = subprocess.run(
        ["promtool", "check", "rules", str(OPS / "alerts.yml")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_policy_is_the_one_that_the_readme_shows() -> None:
    """One text in two places: neither grants more than the other."""
    shown = re.findall(
        r"^```hcl\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
    )

    assert (OPS / "vault" / "rotator.hcl").read_text() == shown[0]


def test_the_image_is_pinned_and_runs_without_root() -> None:
    """Packages come from the lock files with their hashes; every file it copies exists."""
    text = (OPS / "Containerfile").read_text()
    installs = re.findall(r"pip install(.*?)(?=\n[A-Z])", text, re.DOTALL)

    assert [re.findall("--require-hashes|--no-deps", each) for each in installs] == [
        ["--require-hashes"],
        ["--no-deps"],
    ]
    assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["python:3.11-slim"] * 2
    assert "\nUSER 10001" in text.rpartition("\nFROM")[2]
    for lock in re.findall(r"requirements[\w-]*\.lock", text):
        assert (ROOT / lock).exists()


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


@pytest.mark.parametrize(("status", "shown"), [("3", 3), ("0", 0), ("KILL", 255), ("", 255)])
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
