"""Ctrl-C and SIGTERM: one exception for both, so that a command leaves as it would by itself.

Leases are released and temporary files removed on the way out. Who cannot wait for that sends
a second signal, which kills: a rotation survives that, too.
"""

import signal
import threading
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
#: The module whose functions are not torn apart. Named and not imported: that takes long.
_COMMITS = "rotator.ledger.commits"
#: Seconds until it is looked again whether that is over.
_LATER = 0.01


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


def _stop(signum: int, frame: FrameType | None) -> None:
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_DFL)
    _raise(signum, frame)


def _raise(signum: int, frame: FrameType | None) -> None:
    """Raise `Stopped`, or have it tried again a little later where it would do harm."""
    if not _holds_something(frame):
        raise Stopped(signum)
    signal.signal(signal.SIGALRM, lambda _alarm, then: _raise(signum, then))
    # By a thread and not by a timer of the system's, which would kill a process about to end.
    again = threading.Timer(_LATER, signal.pthread_kill, (threading.get_ident(), signal.SIGALRM))
    again.daemon = True
    again.start()


def _holds_something(frame: FrameType | None) -> bool:
    """Whether what runs has something in hand that nobody would give back.

    That is a lock that was just taken, at the entry of a `with` or before a `try`, or one that is
    about to be given back. The ledger's is waited for by whoever releases a lease on the way out.
    """
    if frame is not None and frame.f_globals.get("__name__") == "contextlib":
        return True
    while frame is not None:
        if frame.f_globals.get("__name__") == _COMMITS:
            return True
        frame = frame.f_back
    return False
