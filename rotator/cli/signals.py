"""Ctrl-C, SIGTERM and a closed terminal: one exception, so that a command cleans up as usual.

Leases are released and temporary files removed on the way out. To skip that, send
a second signal, which kills: a rotation survives that, too. A second SIGHUP does not kill: of
a closed terminal, shell and kernel send one each, and systemd may send one right after SIGTERM.

As process 1 of a container without an init, rotator runs as its only child. Processes that hooks
leave behind become children of process 1, and stay as zombies unless it waits for them; subprocess
only waits for its own. And the kernel does not end process 1 by a signal that it does not handle,
so that a second SIGTERM, which rotator leaves to its default, would have no effect.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_DFL)
    if signal.getsignal(signal.SIGHUP) is _stop:
        # Not ignored: programs that are started on the way out would ignore it as well.
        signal.signal(signal.SIGHUP, _go_on)
    raise Interrupted(signum)


def _go_on(_signum: int, _frame: FrameType | None) -> None:
    """Take no notice of a signal."""


def wait_while(is_going_on: Callable[[], bool]) -> None:
    """Wait for as long as something goes on, or until a signal interrupts.

    In short steps: a signal that arrives right before the main thread blocks, or in another thread,
    ends no wait, and is handled after it.
    """
    while is_going_on():
        time.sleep(_STEP)


#: Seconds between two looks.
_STEP = 0.2
#: Signals from a person or a container runtime; passed on to the child.
_PASSED_ON = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
)


def as_child_of_first(work: Callable[[], int]) -> int:
    """Run `work` and return its exit code; process 1 runs it in a child."""
    if os.getpid() != 1:
        return work()
    # Blocked until the receiver of signals is known.
    signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)
    child = os.fork()
    if child == 0:
        _lead_terminal()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
        return work()
    for signum in _PASSED_ON:
        signal.signal(signum, lambda signum, _frame: _pass_on(child, signum))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
    return _waited_for(child)


def _lead_terminal() -> None:
    """Become the process group that receives the terminal's signals, so that none arrives twice."""
    os.setpgid(0, 0)
    with suppress(OSError):
        # Otherwise the terminal would stop a process that takes it over.
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)


def _pass_on(child: int, signum: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(child, signum)


def _waited_for(child: int) -> int:
    """Reap ended processes until `child` ends; return its exit code as a shell would."""
    while True:
        ended, status = os.wait()
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
