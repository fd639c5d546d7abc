"""The daemon's unit, on a machine with systemd."""

import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path

from rotator.application import Application
from rotator.doctor.access import HIDING, obstacle, programs
from rotator.doctor.check import CheckResult, bad, doubtful, fine

UNIT = "rotator.service"
#: Where packages put theirs. One of the same name below /etc takes its place.
PACKAGED = (Path("/lib/systemd/system"), Path("/usr/lib/systemd/system"))
_PROPERTIES = (
    "LoadState,ActiveState,SubState,UnitFileState,FragmentPath,NeedDaemonReload,"
    "DynamicUser,SupplementaryGroups,Environment,ExecStart,ProtectHome,PrivateTmp"
)
_SECONDS = 5.0


def checks(_application: Application, *, expects_daemon: bool) -> Iterator[CheckResult]:
    """Ask systemd for the unit; a machine without systemd or the unit is no failure."""
    found = unit_properties()
    if found is None:
        yield fine("systemd", UNIT, "no systemd answers here")
        return
    yield from _readable(found)
    yield from _intended(found)
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


def own_program() -> Path:
    """Return the path of the command `rotator` of this installation, whether or not it is there."""
    return Path(sysconfig.get_path("scripts"), "rotator")


def packaged_unit() -> Path | None:
    """Return the daemon's unit that a package brought; None where there is none."""
    return next((folder / UNIT for folder in PACKAGED if (folder / UNIT).exists()), None)


def _intended(found: Mapping[str, str]) -> Iterator[CheckResult]:
    """Warn of a unit that may not be the one that is thought to run."""
    fragment, packaged, own = found.get("FragmentPath", ""), packaged_unit(), own_program()
    if found.get("NeedDaemonReload") == "yes":
        hint = "systemctl daemon-reload"
        yield doubtful("systemd", UNIT, "it was changed since systemd read it", hint)
    if packaged and fragment.startswith("/etc/"):
        hint = f"`rm {fragment}`, then `systemctl daemon-reload`, unless that is intended"
        yield doubtful("systemd", UNIT, f"{fragment} hides the package's {packaged}", hint)
    for program in _programs(found)[:1]:
        if own.exists() and os.path.realpath(program) != os.path.realpath(own):
            finding = f"it runs {program}, and this is {own}"
            hint = f"`{program} doctor` checks that; `rotator install-units` has it run this one"
            yield doubtful("systemd", UNIT, finding, hint)


def _programs(found: Mapping[str, str]) -> list[str]:
    return re.findall(r"path=(/[^ ;]+)", found.get("ExecStart", ""))


def _readable(found: Mapping[str, str]) -> Iterator[CheckResult]:
    """Check that the unit's user, who owns neither, may read program and configuration."""
    if found.get("DynamicUser") != "yes" or found.get("SupplementaryGroups"):
        return
    hidden = [each for key in HIDING if found.get(key) == "yes" for each in HIDING[key]]
    own = _programs(found)
    files = re.findall(r"\bROTATOR_CONFIG=(\S+)", found.get("Environment", ""))
    for path in map(Path, (*own, *files)):
        is_program = str(path) in own
        needed = programs(path) if is_program else [path]
        found_at = next(filter(None, (obstacle(each, hidden) for each in needed)), None)
        if found_at:
            # Not recursive for a configuration: its folder also contains the credentials.
            chmod = "chmod -R" if is_program else "chmod"
            hint = f"{chmod} a+rX {found_at.at}"
            if found_at.is_hidden:
                hint = "install it below /opt, and run `rotator install-units` there"
                hint = hint if is_program else "move it to /etc/rotator/config.toml"
            yield bad("service", str(path), str(found_at), hint)
        elif path.exists():
            yield fine("service", str(path), "open to the service's user")


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
