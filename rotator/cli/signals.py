"""Ctrl-C and SIGTERM: one exception for both, so that a command leaves as it would by itself.

Leases are released and temporary files removed on the way out. Who cannot wait for that sends
a second signal, which kills: a rotation survives that, too.
"""

import signal
import threading
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """A signal asked this process to end. No error: nothing that handles errors catches it."""

    #: What is said of it.
    message = "interrupted; nothing is lost, `rotator resume` goes on"

    def __init__(self, signum: int) -> None:
        """Keep which signal it was."""
        super().__init__(signum)
        self.signum = signum

    @property
    def exit_code(self) -> int:
        """What a shell reports for a process that this signal ended."""
        return 128 + self.signum


class Unanswered(Stopped):
    """The signal came instead of an answer, so that nothing had begun."""

    message = "interrupted; nothing was done"


def install() -> None:
    """Raise `Stopped` in the main thread at the first signal that this process does not ignore."""
    for signum in _SIGNALS:
        if signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, _stop)


def _stop(signum: int, _frame: FrameType | None) -> None:
    if signum in signal.pthread_sigmask(signal.SIG_BLOCK, ()):
        # This thread holds it off, so another one has got it from the kernel. Handed on to this
        # one, it is handled as soon as it is held off no more.
        signal.pthread_kill(threading.get_ident(), signum)
        return
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_DFL)
    raise Stopped(signum)
