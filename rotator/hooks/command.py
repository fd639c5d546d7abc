"""Runs a command: no shell, a clean environment, bounded in time and output."""

import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from rotator.errors import Stopping
from rotator.hooks.answer import Answer, failed
from rotator.model.redaction import MASK, printable, redact

#: The name of a secret, unless it ends as that of an id or a location. Matched once per run of its
#: characters, up to the end of the run only: of "secret-secret-…", trying every start and every end
#: takes half a minute, in which no other thread runs.
_NAME = (
    r"(?<![\w-])[\w-]*(?:secret|token|passw(?:or)?d)"
    r"(?![\w-]*(?:ids?|file|path|field|version)\b)[\w-]*+"
)

#: What looks like a secret. The first group stays, so that the reason remains useful.
_SECRETS = tuple(
    re.compile(pattern)
    for pattern in (
        # HTTP credentials.
        r"(?i)(\b(?:basic|bearer)\s+)[\w+/=.~-]+",
        # Vault's tokens, in the format since 1.10 and in the former one.
        r"(\b)hv[sbr]\.[\w-]+",
        r"(\b)[sbr]\.[A-Za-z0-9]{20,}",
        # Signed tokens of platforms (RFC 7519).
        r"(\b)eyJ[\w-]+\.[\w.-]+",
        # A password in a URL.
        r"(://[^/\s:@]*:)[^/\s@]+(?=@)",
        # The value after such a name; without a digit it is a word.
        rf"(?i)({_NAME}[\"']?\s*[=:]\s*[\"']?)(?=[^\s\"'&,;]*\d)[^\s\"'&,;]{{8,}}",
        # Generated secrets, rotator's and others': a run of lower- and upper-case letters and
        # digits.
        r"(\b)(?=\w*[a-z])(?=\w*[A-Z])(?=\w*\d)[A-Za-z0-9]{16,}\b={0,2}",
    )
)


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


def redact_output(text: str) -> str:
    """Return a command's output with live values, and anything that looks like a secret, masked."""
    text = redact(text)
    for pattern in _SECRETS:
        text = pattern.sub(rf"\1{MASK}", text)
    return text


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


def run(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    timeout: timedelta,
    should_stop: Callable[[], bool] = lambda: False,
    owner: Owner | None = None,
) -> Answer:
    """Run a command to its end; it succeeds by exiting with 0.

    It gets no input, its output is discarded, and the first line of its standard error is kept.
    Once its time is up, its whole process group is killed. Processes that it leaves running on a
    normal exit are not touched. It runs as `owner`, if given.

    Raises:
        Stopping: `should_stop` returned true. The process group was terminated, then killed.
    """
    try:
        process = subprocess.Popen(  # noqa: S603  # what the operator configured
            command,
            env=dict(environment),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
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
    try:
        deadline = time.monotonic() + timeout.total_seconds()
        output, has_ended = _output(process, deadline, should_stop)
    except Stopping:
        _terminate(process)
        raise
    finally:
        # Also if this process is interrupted.
        if process.returncode is None:
            _kill(process)
    if not has_ended:
        text = f"timed out after {timeout.total_seconds():.0f} s, and was killed"
    elif process.returncode < 0:
        text = f"killed by signal {-process.returncode}"
    else:
        text = f"exit status {process.returncode}"
    has_succeeded = has_ended and not process.returncode
    return Answer(succeeded=has_succeeded, text=f"{text}{_first_line(output)}")


def _output(
    process: subprocess.Popen[bytes], deadline: float, should_stop: Callable[[], bool]
) -> tuple[bytes, bool]:
    """Read its output until it ends or `deadline`; return the output and whether it ended.

    Processes that it started may keep the pipe open indefinitely, so the pipe's end is not waited
    for.

    Raises:
        Stopping: `should_stop` returned true meanwhile.
    """
    pipe = process.stderr
    if pipe is None:
        raise AssertionError
    output = b""
    with pipe, selectors.DefaultSelector() as selector:
        os.set_blocking(pipe.fileno(), False)
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            has_ended = process.poll() is not None
            chunk = _read(pipe.fileno(), selector, wait=0.0 if has_ended else _POLL_SECONDS)
            # Further output is read, so that the writer does not block, and discarded.
            output = (output + chunk)[:_OUTPUT_LIMIT]
            if has_ended and (not chunk or len(output) == _OUTPUT_LIMIT):
                return output, True
            if time.monotonic() >= deadline:
                return output, has_ended
            if should_stop() and not has_ended:
                raise Stopping


def _read(descriptor: int, selector: selectors.BaseSelector, *, wait: float) -> bytes:
    """Read available data, or wait up to `wait` seconds for it; empty where there is none."""
    if not selector.get_map():
        time.sleep(wait)
        return b""
    if not selector.select(wait):
        return b""
    chunk = os.read(descriptor, _CHUNK)
    if not chunk:
        selector.unregister(descriptor)
    return chunk


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
