"""Starts rotator commands as processes, many per second.

Most of what a start takes is the import of what the command needs. A server imports that once,
and each command is forked from it: a process of its own, with an environment and streams of its
own, that runs the very function which the console script runs. Started whole are README's
commands, the demo, the transcripts, and what needs a terminal or a pipe. How an interpreter ends
is seen there alone: a fork leaves before that.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from multiprocessing import connection, forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from subprocess import TimeoutExpired
from unittest.mock import patch

ROOT = Path(__file__).parents[2]
#: A command's environment, unless a test gives another.
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
_PRELOADED = "tests.support.fork_server"
context = multiprocessing.get_context("forkserver")
#: An exit code can be read once, and a start reads those of all that have ended.
_polling = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class CommandSpec:
    """A command to be started."""

    arguments: tuple[str, ...]
    #: Its streams; output is appended.
    stdout: Path
    stderr: Path
    stdin: Path = Path(os.devnull)
    #: `rotator` or `rotate-now`.
    program: str = "rotator"
    environment: dict[str, str] | None = None
    #: Called in the process first; a function of a module, or a `partial` of one.
    first: Callable[[], None] | None = None


class Command:
    """A started command, with methods of `subprocess.Popen`; any thread may call them."""

    def __init__(self, order: CommandSpec) -> None:
        """Start it."""
        self._process = forked(_become, order)
        assert self._process.pid
        self.pid = self._process.pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""
        with _polling:
            self.returncode = self._process.exitcode
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; return the exit code. Raises `TimeoutExpired` after `timeout`."""
        connection.wait([self._process.sentinel], timeout)
        code = self.poll()
        if code is None:
            raise TimeoutExpired(f"process {self.pid}", timeout or 0)
        return code

    def send_signal(self, signum: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signum)

    def kill(self) -> None:
        """Kill it, unless it has ended."""
        self.send_signal(signal.SIGKILL)


def forked(target: Callable[..., None], *arguments: object) -> ForkServerProcess:
    """Start a function of a module as a process that has rotator imported."""
    _serve()
    process = context.Process(target=target, args=arguments, daemon=True)
    with _polling:
        process.start()
    return process


@cache
def _serve() -> None:
    # In a fresh environment, as libraries read theirs when they are imported.
    with patch.dict(os.environ, ENVIRONMENT, clear=True):
        context.set_forkserver_preload(["__main__", _PRELOADED])
        forkserver.ensure_running()


def _become(order: CommandSpec) -> None:
    """Turn the forked process into the command."""
    # The server does not report a module that it failed to import.
    assert _PRELOADED in sys.modules
    os.environ.clear()
    os.environ.update(order.environment or ENVIRONMENT)
    writing = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    streams = [(order.stdin, os.O_RDONLY), (order.stdout, writing), (order.stderr, writing)]
    for number, (path, flags) in enumerate(streams):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115  # for as long as the process lasts
    sys.argv = [order.program, *order.arguments]
    if order.first:
        order.first()
    from rotator.cli import main  # noqa: PLC0415  # the tests' own process does without

    {"rotator": main.main, "rotate-now": main.rotate_now}[order.program]()
