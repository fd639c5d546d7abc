"""Containers of the project's image, in a storage of their own below `build/`.

The image is built by `make image`, on a base that `make image-base` makes of Debian's packages.
Both are kept, so that a build repeats what has changed alone.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from tests.support import debian, wheels
from tests.support.commands import ROOT

_BUILT = ROOT / "build" / "image"
#: The version of Python in it.
_PYTHON = "3.11"
#: Which run of the tests the image was built in, and when.
_ASKED = _BUILT / "asked"
_RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID") or f"{os.getpid()}-{time.time_ns()}"
_BASE = "debian:bookworm-slim"
#: Containers need no group of their own, nor higher limits than this process has.
_LIMITS = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1000:1000")
#: How docs/install.md runs the image.
HARDENED = (
    *("--read-only", "--tmpfs=/tmp:noexec,nosuid,nodev", "--cap-drop=all"),
    "--security-opt=no-new-privileges",
)
#: How long a command or a build may take on a busy machine, in seconds.
_PATIENCE, _LONG = 120, 800


@cache
def engine() -> list[str] | str:
    """Return podman with the options that it needs here; a text that says why there is none."""
    if missing := [each for each in ("podman", "debootstrap", "make") if not shutil.which(each)]:
        return f"needs {', '.join(missing)} on PATH"
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needs root, to make the image's base"
    _BUILT.mkdir(parents=True, exist_ok=True)
    with _locked():
        for driver in ("overlay", "vfs"):
            place = [f"--root={_BUILT}/{driver}", f"--runroot={_BUILT}/run-{driver}"]
            podman = ["podman", *place, f"--storage-driver={driver}"]
            if not _told([*podman, "info"]):
                continue
            debian.base()
            _made(podman, "image-base")
            for runtime in ([], ["--cgroup-manager=cgroupfs", "--runtime=runc"]):
                if _told(
                    [*podman, *runtime, "run", "--rm", *_LIMITS, "--network=none", _BASE, "id"]
                ):
                    return [*podman, *runtime]
    return "needs to start containers, which root may not do here"


@cache
def image() -> str:
    """Return the name of the image; what is released, where that is to be tried.

    It is built once for all processes of a run, by the first that asks.
    """
    podman = engine()
    assert isinstance(podman, list)
    with _locked():
        if release := os.environ.get("RELEASE"):
            [archive] = Path(release).glob("rotator-*.docker.tar")
            said = _call([*podman, "load", "--quiet", f"--input={archive}"], _LONG)
            return said.rpartition(": ")[2].strip()
        if _asked()[0] != _RUN:
            _build(podman)
        version = "from rotator import own_version; print(own_version())"
        return "localhost/rotator:" + _call([sys.executable, "-c", version]).strip()


def asked_at() -> datetime:
    """Return when the image was first asked for in this run, which is built then."""
    return datetime.fromisoformat(_asked()[1])


def _asked() -> list[str]:
    return _ASKED.read_text().split() if _ASKED.exists() else ["", ""]


def _build(podman: list[str]) -> None:
    asked = datetime.now(UTC).replace(microsecond=0)
    # The wheels are those that others here were made from, instead of an index's.
    configuration = _BUILT / "pip.conf"
    configuration.write_text("[global]\nno-index = true\nfind-links = /run/locked /run/building\n")
    mounts = [
        f"--volume={wheels.locked_wheels(_PYTHON)}:/run/locked:ro",
        f"--volume={wheels.building_wheels(_PYTHON)}:/run/building:ro",
        f"--volume={configuration}:/etc/pip.conf:ro",
    ]
    _made(podman, "image", f"IMAGE_OPTIONS={' '.join(mounts)} --layers")
    _ASKED.write_text(f"{_RUN} {asked.isoformat()}")


def run(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command of the engine to its end."""
    podman = engine()
    assert isinstance(podman, list)
    done = subprocess.run(
        [*podman, *arguments], capture_output=True, text=True, check=False, timeout=_PATIENCE
    )
    assert not check or done.returncode == 0, (arguments, done.stdout[-2000:], done.stderr[-2000:])
    return done


def inspected() -> dict[str, Any]:
    """Return what the engine knows of the image."""
    [found] = json.loads(run("image", "inspect", image()).stdout)
    return dict(found)


def started(*options: str, command: tuple[str, ...] = ()) -> list[str]:
    """Return the arguments that run the image as docs/install.md does."""
    return ["run", *HARDENED, *_LIMITS, *options, image(), *command]


@contextmanager
def volume() -> Iterator[Path]:
    """Yield a volume's folder out here, whose parent has its name; it is removed at the end."""
    name = run("volume", "create").stdout.strip()
    try:
        yield Path(run("volume", "inspect", "--format={{.Mountpoint}}", name).stdout.strip())
    finally:
        run("volume", "rm", "--force", name)


@contextmanager
def _locked() -> Iterator[None]:
    with wheels.locked(_BUILT / "test.lock"):
        yield


def _made(podman: list[str], *arguments: str) -> None:
    # Not as a part of the make that runs the tests.
    environment = {key: value for key, value in os.environ.items() if "MAKE" not in key}
    command = ["make", "--directory", str(ROOT), f"CONTAINER={' '.join(podman)}", *arguments]
    _call(command, _LONG, environment)


def _call(
    command: list[str], seconds: float = _PATIENCE, environment: dict[str, str] | None = None
) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=seconds, env=environment
    )
    assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout


def _told(command: list[str]) -> bool:
    done = subprocess.run(command, capture_output=True, check=False, timeout=_PATIENCE)
    return done.returncode == 0
