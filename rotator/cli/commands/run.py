"""`run`: the daemon."""

import gc
import os
import signal
from types import FrameType

import typer

from rotator import descriptors
from rotator.cli import output
from rotator.cli.context import CommandContext

#: Number of new objects that starts a garbage collection: fewer than for a command, as what the
#: daemon leaves behind adds up.
_UNTIL_COLLECTED = 20_000


def run(context: typer.Context) -> None:
    """Rotate what is due, and look for drift, until SIGTERM. SIGHUP reloads the configuration."""
    from rotator.daemon.service import Daemon  # noqa: PLC0415  # nobody else needs a scheduler

    command = CommandContext.of(context)
    command.log()
    descriptors.raise_limit()
    daemon = Daemon(command.configured, os.environ)

    def stop(_signum: int, _frame: FrameType | None) -> None:
        # To skip that, send a second signal, which kills; nothing is lost by it.
        for signum in (signal.SIGTERM, signal.SIGINT):
            signal.signal(signum, signal.SIG_DFL)
        daemon.stop()

    signal.signal(signal.SIGHUP, lambda _signum, _frame: daemon.reload())
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, stop)
    gc.set_threshold(_UNTIL_COLLECTED)
    if not daemon.run():
        # A call hangs in a thread that the interpreter would wait for. Its effect is recorded.
        output.flush()
        os._exit(0)
