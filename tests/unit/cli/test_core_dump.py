"""No image of the memory is left behind."""

import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")

#: Ends by a signal that asks for a core dump, as the command begins or without that.
ABORT = "import os, sys; {first}; os.abort()"
FORBID = "from rotator.cli.main import forbid_core_dumps; forbid_core_dumps()"


def cores(folder: Path, first: str) -> list[str]:
    """End a process by SIGABRT in a folder; name the files that it leaves there."""
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    done = subprocess.run(
        [sys.executable, "-c", ABORT.format(first=first)],
        cwd=folder,
        env={"PYTHONPATH": str(Path(__file__).parents[3])},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, unlimited),
        check=False,
    )
    assert done.returncode == -signal.SIGABRT
    return [path.name for path in folder.iterdir()]


def test_a_process_that_aborts_leaves_no_core(tmp_path: Path) -> None:
    """Where the kernel writes core dumps to the folder, another process leaves one there."""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text()
    without, with_ = tmp_path / "without", tmp_path / "with"
    without.mkdir()
    with_.mkdir()
    left = cores(without, "pass")

    assert cores(with_, FORBID) == []
    assert bool(left) is not pattern.startswith(("|", "/"))


def test_what_it_starts_may_be_dumped() -> None:
    """A program of the user's is the user's own affair."""
    asked = "import ctypes; print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    started = f"{FORBID}; {asked}; import subprocess, sys; sys.stdout.flush(); "
    started += f"subprocess.run([sys.executable, '-c', {asked!r}])"
    done = subprocess.run(
        [sys.executable, "-c", started],
        env={"PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == ["0", "1"]
