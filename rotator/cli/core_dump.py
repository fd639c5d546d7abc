"""No core dump: a process that holds live secrets leaves no image of its memory on a disk."""

import ctypes
import resource
import sys

#: From the kernel's `linux/prctl.h`.
_PR_SET_DUMPABLE = 4


def forbid() -> None:
    """Forbid the kernel to store this process's memory, whatever ends it.

    On Linux, no limit does that where core dumps are piped to a program, as systemd-coredump is:
    the kernel starts that program all the same. It always heeds this flag, which also keeps other
    processes of the same user (hooks) from reading the memory. A program that is started does not
    inherit it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, *(ctypes.c_ulong(0) for _ in range(4)))
    else:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
