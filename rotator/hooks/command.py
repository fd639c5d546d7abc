"""Runs a command: no shell, a clean environment, bounded in time and output."""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO

from rotator.errors import Stopping
from rotator.hooks.answer import ANSWER_LIMIT, Answer, convergence_in, failed, redact_output
from rotator.model.redaction import printable

#: How much of a command's standard error is kept, in bytes: its first line says why it failed.
_OUTPUT_LIMIT = 4096
#: Most bytes read at a time.
_CHUNK = 65536
#: Interval at which the command's end is checked, in seconds.
_POLL_SECONDS = 0.05
#: How long a command gets to end by itself after SIGTERM, in seconds.
_TERM_SECONDS = 3.0
#: How much of the first line is shown, in characters.
_LINE_LIMIT = 200


@dataclass(frozen=True, kw_only=True)
class Owner:
    """A user of this machine, and its group."""

    uid: int
    gid: int

    @classmethod
    def of(cls, file: Path | None) -> "Owner | None":
        """Return the user to run a hook as, if this process runs as root: the owner of `file`.

        None to run it as this process's user: root owns the file, there is no file, or this process
        does not run as root and has no choice.
        """
        if file is None or os.geteuid() != 0:
            return None
        with suppress(OSError):
            found = file.stat()
            return cls(uid=found.st_uid, gid=found.st_gid) if found.st_uid else None
        return None


def run(  # noqa: PLR0913  # all but two by name
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    timeout: timedelta,
    should_stop: Callable[[], bool] = lambda: False,
    owner: Owner | None = None,
    is_gate: bool = False,
) -> Answer:
    """Run a command to its end; it succeeds by exiting with 0.

    It gets no input, its output is discarded, unless it is a gate's, and the first line of its
    standard error is kept. Once its time is up, its whole process group is killed. Processes that
    it leaves running on a normal exit are not touched. It runs as `owner`, if given.

    Raises:
        Stopping: `should_stop` returned true. The process group was terminated, then killed.
    """
    try:
        process = subprocess.Popen(  # noqa: S603  # what the operator configured
            command,
            env=dict(environment),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if is_gate else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            # Its own process group, so that it can be killed with all processes it started.
            start_new_session=True,
            user=owner.uid if owner else None,
            group=owner.gid if owner else None,
            extra_groups=[] if owner else None,
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "no reason"
        return failed(f"it cannot be run: {reason.lower()}")
    output = _Output(process)
    try:
        has_ended = output.read(time.monotonic() + timeout.total_seconds(), should_stop)
    except Stopping:
        _terminate(process)
        raise
    finally:
        output.close()
        # Also if this process is interrupted.
        if process.returncode is None:
            _kill(process)
    if not has_ended:
        text = f"timed out after {timeout.total_seconds():.0f} s, and was killed"
    elif process.returncode < 0:
        text = f"killed by signal {-process.returncode}"
    else:
        text = f"exit status {process.returncode}"
    return Answer(
        succeeded=has_ended and not process.returncode,
        text=f"{text}{_first_line(output.kept_of(process.stderr))}",
        convergence=convergence_in(output.kept_of(process.stdout)),
    )


class _Output:
    """What a command writes, of which the beginning is kept."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._limits = {process.stderr: _OUTPUT_LIMIT, process.stdout: ANSWER_LIMIT}
        self._kept = {pipe: b"" for pipe in self._limits if pipe}
        self._selector = selectors.DefaultSelector()
        for pipe in self._kept:
            os.set_blocking(pipe.fileno(), False)
            self._selector.register(pipe, selectors.EVENT_READ)

    def kept_of(self, pipe: IO[bytes] | None) -> bytes:
        """Return what is kept of a pipe; nothing for none."""
        return self._kept[pipe] if pipe else b""

    def close(self) -> None:
        """Close the pipes."""
        self._selector.close()
        for pipe in self._kept:
            pipe.close()

    def read(self, deadline: float, should_stop: Callable[[], bool]) -> bool:
        """Read until the command ends or `deadline`; return whether it ended.

        Processes that it started may keep a pipe open indefinitely, so the pipe's end is not waited
        for.

        Raises:
            Stopping: `should_stop` returned true meanwhile.
        """
        while True:
            has_ended = self._process.poll() is not None
            has_more = self._read_ready(wait=0.0 if has_ended else _POLL_SECONDS)
            if has_ended and not has_more:
                return True
            if time.monotonic() >= deadline:
                return has_ended
            if should_stop() and not has_ended:
                raise Stopping

    def _read_ready(self, *, wait: float) -> bool:
        """Read available data, or wait up to `wait` seconds; return whether more of it is kept."""
        if not self._selector.get_map():
            time.sleep(wait)
        has_more = False
        for key, _ in self._selector.select(wait):
            pipe: IO[bytes] = key.fileobj  # type: ignore[assignment]  # what was registered
            chunk = os.read(key.fd, _CHUNK)
            if not chunk:
                self._selector.unregister(pipe)
            # Further output is read, so that the writer does not block, and discarded.
            kept = (self._kept[pipe] + chunk)[: self._limits[pipe]]
            has_more |= len(kept) > len(self._kept[pipe])
            self._kept[pipe] = kept
        return has_more


def _terminate(process: subprocess.Popen[bytes]) -> None:
    """Send SIGTERM to the process group and wait a while for its end; it is killed afterwards."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + _TERM_SECONDS
    # Not reaped, so that the group keeps its number until it is killed.
    flags = os.WEXITED | os.WNOWAIT | os.WNOHANG
    while os.waitid(os.P_PID, process.pid, flags) is None and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _first_line(output: bytes) -> str:
    text = output.decode("utf-8", errors="replace").strip()
    # Masked before it is cut: half a value could not be recognised.
    line = redact_output(printable(text.partition("\n")[0].strip()))
    return f": {line[:_LINE_LIMIT]}" if line else ""
