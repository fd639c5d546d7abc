"""Prevents core dumps: the memory of a process with live secrets must not be written to a disk."""

import ctypes
import resource
import sys

#: From the kernel's `linux/prctl.h`.
_PR_SET_DUMPABLE = 4


def forbid() -> None:
    """Forbid the kernel to dump this process's memory, however it ends.

    On Linux, no limit has this effect where core dumps are piped to a program such as
    systemd-coredump: the kernel starts that program anyway. It always respects this flag, which
    also prevents other processes of the same user (hooks) from reading the memory. Programs that
    are started do not inherit the flag.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, *(ctypes.c_ulong(0) for _ in range(4)))
    else:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
