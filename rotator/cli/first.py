"""Process 1 of a container without an init: rotator then runs as its only child.

Whatever hooks leave behind becomes a child of process 1, and stays as a zombie unless it is waited
for; subprocess waits for its own alone. And the kernel keeps from process 1 every signal that it
has not asked for, so that the second one would not end it.
"""

import os
import signal
from collections.abc import Callable
from contextlib import suppress

#: What a person or a container's runtime sends; passed on.
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
    """Do `work`, and return its exit code: where this is process 1, in a child of it."""
    if os.getpid() != 1:
        return work()
    # Held back until it is known to whom they go.
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
    """Be a group of its own, to which a terminal sends its signals: none comes twice."""
    os.setpgid(0, 0)
    with suppress(OSError):
        # Else the terminal would stop who takes it.
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)


def _pass_on(child: int, signum: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(child, signum)


def _waited_for(child: int) -> int:
    """Wait for whoever ends, until `child` does; return its exit code, as a shell does."""
    while True:
        ended, status = os.wait()
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
