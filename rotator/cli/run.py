"""`run`: the daemon."""

import os
import resource
import signal
from contextlib import suppress
from types import FrameType

import typer

from rotator.cli import output
from rotator.cli.session import Session

#: Enough for the largest `concurrency` and every reader of the page.
_DESCRIPTORS = 16_384


def run(context: typer.Context) -> None:
    """Rotate what is due, and look for drift, until SIGTERM. SIGHUP reloads the configuration."""
    from rotator.daemon.service import Daemon  # noqa: PLC0415  # nobody else needs a scheduler

    session = Session.of(context)
    session.log()
    _raise_descriptors()
    daemon = Daemon(session.configured, os.environ)

    def stop(_signum: int, _frame: FrameType | None) -> None:
        # Who cannot wait sends a second signal, which kills; nothing is lost by it.
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, signal.SIG_DFL)
        daemon.stop()

    signal.signal(signal.SIGHUP, lambda _signum, _frame: daemon.reload())
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, stop)
    if not daemon.run():
        # A call hangs in a thread that the interpreter would wait for. What it does is recorded.
        output.flush()
        os._exit(0)


def _raise_descriptors() -> None:
    """Allow as many open files as this process may allow itself: the usual 1,024 are few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
