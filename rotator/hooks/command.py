"""Running a command: no shell, a clean environment, bounded in time and output."""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta

from rotator.hooks.message import printable

#: How much of a command's standard error is kept, in bytes: its first line says why it failed.
_KEPT = 4096
#: How much is read of it at a time.
_CHUNK = 65536
#: How often it is looked whether the command has ended, in seconds.
_LOOK = 0.05
#: How much of the first line is shown, in characters.
_SHOWN = 200


def run(
    command: Sequence[str], environment: Mapping[str, str], *, timeout: timedelta
) -> str | None:
    """Run a command to its end: None where it exits with 0, else why it did not.

    It has no input, its output goes nowhere, and of its standard error the first line is kept.
    Once its time is up, its whole process group is killed. Processes that it leaves behind when
    it ends by itself are its own affair.
    """
    try:
        process = subprocess.Popen(  # noqa: S603  # what the operator configured
            command,
            env=dict(environment),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            # A group of its own, so that it can be killed with all that it started.
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "no reason"
        return f"it cannot be run: {reason.lower()}"
    try:
        said, is_over = _watch(process, time.monotonic() + timeout.total_seconds())
    finally:
        # Also where this process is told to stop.
        if process.poll() is None:
            _kill(process)
    if not is_over:
        return f"timed out after {timeout.total_seconds():.0f} s, and was killed{_first_line(said)}"
    return _judged(process.returncode, said)


def _watch(process: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, bool]:
    """Take what it says until it ends or `deadline` is reached; give that, and whether it ended.

    What it started may hold the pipe open for as long as it likes, so the pipe's end is not
    waited for.
    """
    pipe = process.stderr
    if pipe is None:
        raise AssertionError
    said = b""
    with pipe, selectors.DefaultSelector() as selector:
        os.set_blocking(pipe.fileno(), False)
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            has_ended = process.poll() is not None
            chunk = _read(pipe.fileno(), selector, wait=0.0 if has_ended else _LOOK)
            # Whatever comes after that is read, so that nobody waits to write it, and forgotten.
            said = (said + chunk)[:_KEPT]
            if has_ended and (not chunk or len(said) == _KEPT):
                return said, True
            if time.monotonic() >= deadline:
                return said, has_ended


def _read(descriptor: int, selector: selectors.BaseSelector, *, wait: float) -> bytes:
    """Read what is there, or wait for it, in seconds; nothing where there is nothing."""
    if not selector.get_map():
        time.sleep(wait)
        return b""
    if not selector.select(wait):
        return b""
    chunk = os.read(descriptor, _CHUNK)
    if not chunk:
        selector.unregister(descriptor)
    return chunk


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _judged(code: int, said: bytes) -> str | None:
    if code == 0:
        return None
    if code < 0:
        return f"killed by signal {-code}{_first_line(said)}"
    return f"exit status {code}{_first_line(said)}"


def _first_line(said: bytes) -> str:
    text = said.decode("utf-8", errors="replace").strip()
    line = printable(text.partition("\n")[0].strip())
    return f": {line[:_SHOWN]}" if line else ""
