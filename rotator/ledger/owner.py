"""Owners of leases: the name of this process, and whether an owner is known to be dead.

A process that was killed cannot release its leases. On the same machine its successor need not wait
for them to expire: the kernel knows whether it is still alive. A pid alone does not suffice, as
pids are reused and mean nothing on another machine or in another container.
"""

import os
import socket
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")


def this_process() -> str:
    """Return this process's identity: host, boot, pid namespace, pid, start time."""
    pid = os.getpid()
    return f"{_place()}/{pid}/{_start_time(pid) or '?'}"


def is_dead(owner: str) -> bool:
    """Return whether `owner`, a name from `this_process`, is certainly not running any more.

    False wherever this cannot be determined from here.
    """
    pid, started = _here(owner)
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        pass
    now_started = _start_time(pid)
    return now_started is not None and now_started != started


def is_alive(owner: str) -> bool:
    """Return whether `owner`, a name from `this_process`, is certainly running on this machine."""
    pid, started = _here(owner)
    return pid is not None and _start_time(pid) == started


def _here(owner: str) -> tuple[int | None, str]:
    """Return an owner's pid and start time; no pid if that means nothing here or is not known."""
    here = f"{_place()}/"
    pid, _, started = owner.removeprefix(here).partition("/")
    is_known = owner.startswith(here) and "?" not in owner and pid.isdecimal()
    return (int(pid) if is_known else None), started


def _place() -> str:
    """Return the scope of a pid: host, boot and pid namespace."""
    return f"{socket.gethostname()}/{_boot_id()}/{_pid_namespace()}"


def _boot_id() -> str:
    with suppress(OSError):
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    return "?"


def _pid_namespace() -> str:
    with suppress(OSError):
        return (_PROC / "self/ns/pid").readlink().name
    return "?"


def _start_time(pid: int) -> str | None:
    """Return the start time of `pid`, in clock ticks since boot; `zombie` if it waits to be reaped.

    None where the kernel does not say (`/proc` hidden or absent). Fields are counted from the end
    of the command name, which may contain spaces and brackets (proc(5), /proc/pid/stat).
    """
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        return "zombie" if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        return None
