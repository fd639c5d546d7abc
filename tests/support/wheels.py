"""What is installed: rotator's wheel as it is built, and the wheels that lock files name."""

import fcntl
import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.commands import ROOT

LOCK = ROOT / "requirements.lock"
_DEV_LOCK = ROOT / "requirements-dev.lock"
#: Kept from one run to the next, as a lock file says by hash what they are.
_KEPT = ROOT / "build" / "wheels"


def own_wheel(folder: Path) -> Path:
    """Return rotator's wheel: the released one by $RELEASE, else built in `folder`, once.

    It is built from the source archive, which so is seen to have all that the wheel needs.
    """
    released = os.environ.get("RELEASE")
    place = Path(released) if released else folder / "dist"
    with _locked(folder / "dist.lock"):
        if not released and not place.exists():
            draft = folder / "draft"
            _call("build", "--no-isolation", "--outdir", str(draft), str(ROOT))
            draft.rename(place)
    [wheel] = place.glob("vonage_rotator-*.whl")
    return wheel


def locked_wheels(python: str) -> Path:
    """Return a folder with the wheels of requirements.lock, for that version of Python."""
    return _downloaded("rotator", LOCK.read_text(), python)


def tool_wheels(python: str) -> Path:
    """Return a folder with the wheels of pipx, uv and pip, as the development lock has them."""
    lock = _DEV_LOCK.read_text()
    needed = {"pip", "uv", *_with_dependencies("pipx")}
    blocks = re.findall(r"^([a-z][\w.-]*)(==.*?)(?=^\S|\Z)", lock, re.MULTILINE | re.DOTALL)
    return _downloaded("tools", "".join(a + b for a, b in blocks if a in needed), python)


def _with_dependencies(name: str) -> Iterator[str]:
    yield name
    for line in importlib.metadata.requires(name) or []:
        if ";" not in line:
            yield from _with_dependencies(re.split(r"[^\w.-]", line)[0])


def _downloaded(kind: str, lock: str, python: str) -> Path:
    digest = hashlib.sha256(lock.encode()).hexdigest()[:12]
    place = _KEPT / f"{kind}-{python}-{digest}"
    _KEPT.mkdir(parents=True, exist_ok=True)
    with _locked(_KEPT / "lock"):
        if not place.exists():
            draft = _KEPT / "draft"
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir()
            (draft / "lock").write_text(lock)
            options = ["--require-hashes", "--no-deps", "--only-binary=:all:"]
            options += [f"--python-version={python}", f"--requirement={draft / 'lock'}"]
            _call("pip", "download", "--quiet", *options, f"--dest={draft}")
            (draft / "lock").unlink()
            draft.rename(place)
    return place


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _call(*module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *module], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (module, done.stdout[-2000:], done.stderr[-2000:])
