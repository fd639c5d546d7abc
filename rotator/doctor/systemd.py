"""The daemon's unit, on a machine with systemd."""

import re
import shutil
import stat
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from rotator.application import Application
from rotator.doctor.check import CheckResult, bad, doubtful, fine

UNIT = "rotator.service"
_PROPERTIES = (
    "LoadState,ActiveState,SubState,UnitFileState,"
    "DynamicUser,SupplementaryGroups,Environment,ExecStart"
)
_SECONDS = 5.0


def checks(_application: Application, *, expects_daemon: bool) -> Iterator[CheckResult]:
    """Ask systemd for the unit; a machine without systemd or the unit is no failure."""
    found = unit_properties()
    if found is None:
        yield fine("systemd", UNIT, "no systemd answers here")
        return
    yield from _readable(found)
    state = f"{found.get('ActiveState', '?')} ({found.get('SubState', '?')})"
    enabled = found.get("UnitFileState") or "not enabled"
    if found.get("LoadState") == "not-found":
        yield fine("systemd", UNIT, "not installed")
    elif found.get("ActiveState") == "failed":
        hint = f"journalctl -u {UNIT} says why; then systemctl restart {UNIT}"
        yield bad("systemd", UNIT, f"{state}, {enabled}", hint)
    elif found.get("ActiveState") == "active" or not expects_daemon:
        yield fine("systemd", UNIT, f"{state}, {enabled}")
    else:
        yield doubtful("systemd", UNIT, f"{state}, {enabled}", f"systemctl enable --now {UNIT}")


def _readable(found: Mapping[str, str]) -> Iterator[CheckResult]:
    """Check that the unit's user, who owns neither, may read program and configuration."""
    if found.get("DynamicUser") != "yes" or found.get("SupplementaryGroups"):
        return
    programs = re.findall(r"path=(/[^ ;]+)", found.get("ExecStart", ""))
    files = re.findall(r"\bROTATOR_CONFIG=(\S+)", found.get("Environment", ""))
    for path in map(Path, (*programs, *files)):
        closed = next((each for each in (*reversed(path.parents), path) if _is_closed(each)), None)
        if closed:
            # Not recursive for a configuration: its folder also contains the credentials.
            chmod = "chmod -R" if str(path) in programs else "chmod"
            finding = f"{closed} is closed to the service's user"
            yield bad("service", str(path), finding, f"{chmod} a+rX {closed}")
        elif path.exists():
            yield fine("service", str(path), "open to the service's user")


def _is_closed(path: Path) -> bool:
    """Return whether only its owner and group may read a file, or enter a folder."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    needed = stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH
    return not mode & needed


def unit_properties() -> dict[str, str] | None:
    """Return systemd's properties of the unit; None where systemd cannot be asked."""
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
