"""Units of systemd: those that come with rotator, and those that an operator has."""

import difflib
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path

#: The program in the units as they come: that of an installation from a checkout.
PROGRAM = "/opt/rotator/bin/rotator"
#: The last line of a unit that was written, by which it is known whether it was changed since.
_SEAL = "# Written by `rotator install-units`; changes belong in drop-ins. sha256 of the rest: "
#: Directives whose values are shown to nobody.
_PRIVATE = re.compile(r"(?<=^.)((?:Environment|SetCredential\w*)=).*", re.MULTILINE)


def units(program: Path) -> dict[str, str]:
    """Return the text of each unit by its name, so that it runs `program`."""
    texts = (path.read_text(encoding="utf-8").replace(PROGRAM, str(program)) for path in _files())
    return {path.name: _sealed(text) for path, text in zip(_files(), texts, strict=True)}


def is_own(text: str) -> bool:
    """Return whether a unit is as some version of rotator wrote it."""
    return text == _sealed(text.rpartition(_SEAL)[0])


def difference(present: str, wanted: str) -> str:
    """Return the lines in which a unit differs from the wanted one, without private values."""
    old, new = ((each.rpartition(_SEAL)[0] or each).splitlines() for each in (present, wanted))
    lines = difflib.unified_diff(old, new, n=0, lineterm="")
    shown = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
    return _PRIVATE.sub(r"\1…", "\n".join(shown))


def write_units(folder: Path, texts: Mapping[str, str]) -> None:
    """Write units into a folder: each as a whole, and none before all could be written.

    Raises:
        OSError: they cannot be written.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix=".rotator-") as name:
        drafts = [(Path(name, unit), folder / unit, text) for unit, text in texts.items()]
        for draft, _, text in drafts:
            draft.write_text(text, encoding="utf-8")
            draft.chmod(0o644)
        for draft, unit, _ in drafts:
            # A link, such as that of a masked unit, is replaced, not followed.
            draft.replace(unit)


def drop_ins(folder: Path) -> Iterator[str]:
    """Yield the drop-ins that an operator has for these units."""
    for path in sorted(folder.glob("rotator*.d/*.conf")):
        yield os.path.relpath(path, folder)


def _sealed(text: str) -> str:
    return f"{text}{_SEAL}{hashlib.sha256(text.encode()).hexdigest()}\n"


def _files() -> list[Path]:
    """List the units that come with rotator: in an installed wheel, else in the checkout."""
    installed = Path(str(resources.files("rotator"))) / "units"
    if installed.is_dir():
        return sorted(installed.iterdir())
    checkout = Path(__file__).parents[2]
    optional = (checkout / "ops").glob("rotator-*.*")
    return sorted([*(checkout / "systemd").iterdir(), *optional], key=lambda path: path.name)
