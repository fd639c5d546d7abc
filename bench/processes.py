"""What a running process has used, as Linux tells in /proc."""

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu(pid: int) -> float:
    """Return the seconds of CPU that a process has used."""
    return sum(_times(pid)[:2])


def cpu_of_family(pid: int) -> float:
    """Return the seconds of CPU that a process and its children have used, living and dead."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return sum(_times(pid)) + sum(map(cpu, map(int, path.read_text(encoding="utf-8").split())))


def cpu_of_machine() -> float:
    """Return the seconds of CPU used on this machine by all processes, on all cores."""
    with Path("/proc/stat").open(encoding="utf-8") as lines:
        user, nice, system, _idle, _waiting, *rest = map(int, lines.readline().split()[1:8])
    return (user + nice + system + sum(rest)) / _TICKS


def wake_ups(pid: int) -> int:
    """Count how often the threads of a process waited for something and were woken."""
    texts = [
        each.read_text(encoding="utf-8") for each in Path("/proc").glob(f"{pid}/task/*/status")
    ]
    return sum(int(text.partition("\nvoluntary_ctxt_switches:")[2].split()[0]) for text in texts)


def resident(pid: int, *, most: bool = False) -> float:
    """Return the megabytes that a process has in memory, or had at most."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(text.partition("VmHWM:" if most else "VmRSS:")[2].split()[0]) / 1000


def _times(pid: int) -> list[float]:
    """Return the seconds in user and in system mode: its own, then those of its dead children."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return [int(field) / _TICKS for field in fields[11:15]]
