"""Ctrl-C and SIGTERM: one exception for both, so that a command cleans up as usual.

Leases are released and temporary files removed on the way out. To skip that, send
a second signal, which kills: a rotation survives that, too.
"""

import signal
import threading
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """A signal asked this process to end. No error: error handlers must not catch it."""

    #: Message about it.
    message = "interrupted; nothing is lost, `rotator resume` goes on"

    def __init__(self, signum: int) -> None:
        """Store the signal."""
        super().__init__(signum)
        self.signum = signum

    @property
    def exit_code(self) -> int:
        """The exit code that a shell reports for a process ended by this signal."""
        return 128 + self.signum


class Unanswered(Interrupted):
    """The signal arrived at a prompt, so that nothing had started."""

    message = "interrupted; nothing was done"


def install() -> None:
    """Raise `Interrupted` in the main thread at the first signal that is not ignored."""
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
    raise Interrupted(signum)
