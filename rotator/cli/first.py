"""Process 1 of a container without an init: rotator then runs as its only child.

Whatever hooks leave behind becomes a child of process 1, and stays as a zombie unless it is waited
for; subprocess waits for its own alone. And the kernel ends process 1 by no signal that it does not
handle, so that a second SIGTERM, which rotator leaves to its default, would not end it.
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
    """Do `work` and return its exit code; process 1 does it in a child."""
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
    """Become the process group to which a terminal sends its signals, so that none comes twice."""
    os.setpgid(0, 0)
    with suppress(OSError):
        # Else the terminal would stop the process that takes it.
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)


def _pass_on(child: int, signum: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(child, signum)


def _waited_for(child: int) -> int:
    """Reap each process that ends, until `child` does; return its exit code as a shell would."""
    while True:
        ended, status = os.wait()
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
