"""`install-units`: writes systemd's units for this installation."""

import os
import re
import sysconfig
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from rotator.cli import output, units
from rotator.cli.context import flag
from rotator.errors import ConfigError, Refused, reason_of

UNIT_FOLDER = Path("/etc/systemd/system")
#: Where rotator's own modules are: elsewhere in an editable installation.
PACKAGE = Path(str(resources.files("rotator")))
#: What stands in a unit without quotes and escapes.
_PLAIN = re.compile(r"/[\w./+@:,-]+", re.ASCII)


def install_units(
    to: Annotated[Path, typer.Option(metavar="DIR", help="where to write them")] = UNIT_FOLDER,
    force: Annotated[bool, flag("--force", "overwrite units that were changed by hand")] = False,
) -> None:
    """Write systemd's units, so that they run the program of this installation.

    All are written, or none; none is enabled or started. A unit that was changed by hand is
    refused, and what differs is shown. Drop-ins stay as they are.
    """
    if not to.is_dir():
        hint = "name a folder that is there: `rotator install-units --to DIR`"
        raise ConfigError(f"{to} is not a folder", hint=hint)
    program = _program()
    wanted = units.units(program)
    present = {name: text for name in wanted if (text := _read(to / name)) is not None}
    if not force:
        _refuse_package(to)
        _refuse_changed(to, present, wanted)
    changed = {name: text for name, text in wanted.items() if present.get(name) != text}
    try:
        if changed:
            units.write_units(to, changed)
    except OSError as error:
        hint = "run it as root, or name another folder: `rotator install-units --to DIR`"
        raise ConfigError(f"{to} cannot be written to: {reason_of(error)}", hint=hint) from None
    _report(to, program, present, changed)


def _program() -> Path:
    """Return the program of this installation; raises where the service's user cannot run it."""
    from rotator.doctor.access import HIDING, is_closed, obstacle, programs  # noqa: PLC0415
    from rotator.doctor.systemd import own_program  # noqa: PLC0415  # `--help` needs neither

    program = own_program()
    hint = "install rotator below /opt, readable for everyone: docs/install.md has the commands"
    if not os.access(program, os.X_OK):
        raise ConfigError(f"{program} is not there: units could not run it", hint=hint)
    if not _PLAIN.fullmatch(str(program)):
        raise ConfigError(f"{program} has characters that systemd reads otherwise", hint=hint)
    hidden = [folder for folders in HIDING.values() for folder in folders]
    # The standard library is not beside an interpreter that was copied.
    library = Path(sysconfig.get_path("stdlib"))
    for needed in (*programs(program), library, PACKAGE):
        if found := obstacle(needed, hidden):
            verb = "read" if needed in (library, PACKAGE) else "run"
            why = f"the service could not {verb} {os.path.realpath(needed)}: {found}"
            hint = hint if found.is_hidden else f"`chmod a+rX {found.at}`"
            raise ConfigError(why, hint=hint)
    for package in map(sysconfig.get_path, ("purelib", "platlib")):
        for folder, _, names in os.walk(package):
            for path in (Path(folder), *(Path(folder, name) for name in names)):
                if is_closed(path):
                    hint = f"`chmod -R a+rX {package}`; install with `umask 022`"
                    raise ConfigError(f"{path} is closed to the service's user", hint=hint)
    return program


def _read(path: Path) -> str | None:
    """Return the text of a unit, "" for one that is masked; None where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return "" if path.is_symlink() else None
    except OSError as error:
        hint = "run it as root, or remove what is there"
        raise ConfigError(f"{path} cannot be read: {reason_of(error)}", hint=hint) from None


def _refuse_package(folder: Path) -> None:
    from rotator.doctor.systemd import packaged_unit  # noqa: PLC0415  # likewise

    if folder == UNIT_FOLDER and (packaged := packaged_unit()):
        raise Refused(
            f"a package brought {packaged}, and units in {folder} would hide its own",
            hint="remove the package first; with its units, `systemctl enable --now "
            "rotator.service` is enough",
        )


def _refuse_changed(folder: Path, present: dict[str, str], wanted: dict[str, str]) -> None:
    changed = [
        name
        for name, text in present.items()
        if not units.is_own(text) and units.difference(text, wanted[name])
    ]
    for name in changed:
        shown = units.difference(present[name], wanted[name]) if present[name] else "masked"
        output.write(f"{folder / name}:\n{shown}")
    if changed:
        raise Refused(
            f"changed by hand, or not written by this command: {', '.join(changed)}; nothing was "
            "written",
            hint="put the changes into drop-ins (`systemctl edit UNIT`), which stay; then "
            "`rotator install-units --force`",
        )


def _report(folder: Path, program: Path, present: dict[str, str], changed: dict[str, str]) -> None:
    if not changed:
        output.write(f"the units in {folder} are up to date, and run {program}")
        return
    output.write(f"wrote {len(changed)} units to {folder}, which run {program}")
    if kept := list(units.drop_ins(folder)):
        output.write(f"kept {', '.join(kept)}")
    if folder == UNIT_FOLDER:
        start = "try-restart" if "rotator.service" in present else "enable --now"
        output.write(f"then:\n  systemctl daemon-reload\n  systemctl {start} rotator.service")
