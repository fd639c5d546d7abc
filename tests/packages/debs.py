"""The project's Debian package, kept below `build/` until what it is made of changes."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support import wheels
from tests.support.commands import ROOT

_DEBIAN_S = "/usr/bin/python3"
_TOOLS = (_DEBIAN_S, "dpkg-buildpackage", "dh")
_BUILT = ROOT / "build" / "deb"
_SOURCES = (
    *("rotator", "migrations", "ops", "systemd", "docs"),
    *("pyproject.toml", "requirements.lock", "config.example.toml", "README.md", "CHANGELOG.md"),
)
#: Of files and folders that hold what is compiled, and nothing of the project.
_IGNORED = "__pycache__"


def why_not() -> str | None:
    """Return why no package can be built here; None where one can."""
    missing = [each for each in _TOOLS if shutil.which(each) is None]
    return f"needs {', '.join(missing)}" if missing else None


def package() -> Path:
    """Return the released package by $RELEASE, else this checkout's; it is built if need be."""
    if released := os.environ.get("RELEASE"):
        return next(Path(released).glob("rotator_*.deb"))
    _BUILT.mkdir(parents=True, exist_ok=True)
    with wheels.locked(_BUILT / "test.lock"):
        found = [*_BUILT.glob("rotator_*.deb")]
        if not found or max(map(_changed, _sources())) > _changed(found[0]):
            subprocess.run([ROOT / "ops" / "debian" / "build"], env=_environment(), check=True)
    [built] = _BUILT.glob("rotator_*.deb")
    return built


def _environment() -> dict[str, str]:
    # The wheels are those that others here were made from, instead of an index's.
    asking = [_DEBIAN_S, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    version = subprocess.run(asking, capture_output=True, text=True, check=True).stdout.strip()
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels.locked_wheels(version))}
    return {**os.environ, "PYTHON": sys.executable, **offline}


def _sources() -> Iterator[Path]:
    for each in map(ROOT.joinpath, _SOURCES):
        files = each.rglob("*") if each.is_dir() else [each]
        yield from (file for file in files if file.is_file() and _IGNORED not in file.parts)


def _changed(path: Path) -> float:
    return path.stat().st_mtime
