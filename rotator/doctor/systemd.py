"""The unit of the daemon, where this machine has systemd."""

import shutil
import subprocess
from collections.abc import Iterator

from rotator.doctor.check import Check, bad, doubtful, fine
from rotator.wiring import Wiring

UNIT = "rotator.service"
_PROPERTIES = "LoadState,ActiveState,SubState,UnitFileState"
_SECONDS = 5.0


def checks(_wiring: Wiring) -> Iterator[Check]:
    """Ask systemd for the unit; where there is no systemd, or no such unit, that is no failure."""
    found = shown()
    if found is None:
        yield fine("systemd", UNIT, "no systemd answers here")
        return
    state = f"{found.get('ActiveState', '?')} ({found.get('SubState', '?')})"
    enabled = found.get("UnitFileState") or "not enabled"
    if found.get("LoadState") == "not-found":
        yield fine("systemd", UNIT, "not installed")
    elif found.get("ActiveState") == "failed":
        cure = f"journalctl -u {UNIT} says why; then systemctl restart {UNIT}"
        yield bad("systemd", UNIT, f"{state}, {enabled}", cure)
    elif found.get("ActiveState") == "active":
        yield fine("systemd", UNIT, f"{state}, {enabled}")
    else:
        yield doubtful("systemd", UNIT, f"{state}, {enabled}", f"systemctl enable --now {UNIT}")


def shown() -> dict[str, str] | None:
    """Give what systemd knows of the unit; None where it cannot be asked."""
    systemctl = shutil.which("systemctl")
    if systemctl is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603  # found on PATH, with arguments of ours
            [systemctl, "show", UNIT, f"--property={_PROPERTIES}"],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    lines = (line.partition("=") for line in done.stdout.splitlines())
    return {key: value for key, _, value in lines}
