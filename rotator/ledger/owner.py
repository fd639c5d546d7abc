"""Who holds a lease, and whether that process is known to be dead.

A process that was killed cannot release its leases. On the same machine its successor need
not wait for them to expire: the kernel tells whether it still lives. A pid alone would not do,
as pids are reused and mean nothing on another machine or in another container.
"""

import contextlib
import os
import socket
from pathlib import Path

_PROC = Path("/proc")


def this_process() -> str:
    """Name this process: host, boot, pid namespace, pid, start time."""
    pid = os.getpid()
    return f"{_place()}/{pid}/{_start_time(pid) or '?'}"


def is_dead(owner: str) -> bool:
    """Whether `owner`, as `this_process` names it, certainly runs no more.

    False wherever that cannot be told from here.
    """
    here = f"{_place()}/"
    pid_text, _, started = owner.removeprefix(here).partition("/")
    if not owner.startswith(here) or "?" in owner or not pid_text.isdecimal():
        return False
    pid = int(pid_text)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        pass
    now_started = _start_time(pid)
    return now_started is not None and now_started != started


def is_alive(owner: str) -> bool:
    """Whether `owner`, as `this_process` names it, certainly runs on this machine."""
    here = f"{_place()}/"
    pid_text, _, started = owner.removeprefix(here).partition("/")
    if not owner.startswith(here) or "?" in owner or not pid_text.isdecimal():
        return False
    return _start_time(int(pid_text)) == started


def _place() -> str:
    """Name what a pid has its meaning in."""
    return f"{socket.gethostname()}/{_boot_id()}/{_pid_namespace()}"


def _boot_id() -> str:
    with contextlib.suppress(OSError):
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    return "?"


def _pid_namespace() -> str:
    with contextlib.suppress(OSError):
        return (_PROC / "self/ns/pid").readlink().name
    return "?"


def _start_time(pid: int) -> str | None:
    """Give when `pid` started, in clock ticks since boot; `zombie` if it only waits to be reaped.

    None where the kernel does not tell (`/proc` hidden or absent). Fields are counted from
    behind the command name, which may hold spaces and brackets (proc(5), /proc/pid/stat).
    """
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        return "zombie" if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        return None
