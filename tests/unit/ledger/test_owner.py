import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotator.ledger import leases as lease_owner

#: Prints its name, then waits to be killed.
CHILD = """
import sys
from rotator.ledger.leases import this_process
print(this_process(), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def child() -> Iterator[subprocess.Popen[str]]:
    """Start a process that waits to be killed."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", CHILD], stdin=pipe, stdout=pipe, text=True) as it:
        yield it
        it.kill()


def name_of(child: subprocess.Popen[str]) -> str:
    """Read what a child calls itself."""
    assert child.stdout
    return child.stdout.readline().strip()


@pytest.fixture
def hidden_proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a /proc in place that shows this machine, but no process."""
    for path in ("sys/kernel/random", "self/ns"):
        (tmp_path / path).mkdir(parents=True)
    boot_id = (lease_owner._PROC / "sys/kernel/random/boot_id").read_text()
    (tmp_path / "sys/kernel/random/boot_id").write_text(boot_id)
    (tmp_path / "self/ns/pid").symlink_to((lease_owner._PROC / "self/ns/pid").readlink())
    monkeypatch.setattr(lease_owner, "_PROC", tmp_path)
    return tmp_path


def test_a_living_process_is_not_dead(child: subprocess.Popen[str]) -> None:
    """Neither this process nor another that runs is taken for dead."""
    names = lease_owner.this_process(), name_of(child)

    assert [lease_owner.is_dead(name) for name in names] == [False, False]


def test_a_killed_process_is_dead(child: subprocess.Popen[str]) -> None:
    """A process that was killed and reaped is dead."""
    name = name_of(child)
    child.kill()
    child.wait()

    assert lease_owner.is_dead(name)


def test_a_zombie_is_dead(child: subprocess.Popen[str]) -> None:
    """A killed process that nobody has reaped yet still has its pid, and does nothing more."""
    name = name_of(child)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    assert lease_owner.is_dead(name)


def test_a_reused_pid_is_another_process() -> None:
    """The pid lives, but started at another time than the one that took the lease."""
    place, started = lease_owner.this_process().rsplit("/", 1)

    assert lease_owner.is_dead(f"{place}/{int(started) - 1}")


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_process_elsewhere_is_never_known_to_be_dead(
    child: subprocess.Popen[str], part: int
) -> None:
    """Of another host, boot or pid namespace, a pid says nothing."""
    parts = name_of(child).split("/")
    child.kill()
    child.wait()
    parts[part] += "x"

    assert not lease_owner.is_dead("/".join(parts))


PLACE = lease_owner.this_process().rsplit("/", 2)[0]


@pytest.mark.parametrize(
    "owner",
    [
        *("", "/", "somebody", "a/b/c/d/e/f"),
        *(f"{PLACE}/{pid}/1" for pid in ("", "x", "-1", "1.5", "9" * 40)),
    ],
)
def test_a_name_of_another_form_is_not_dead(owner: str) -> None:
    """A lease may carry any name; only those of this form can be looked up."""
    assert not lease_owner.is_dead(owner)


def test_without_proc_nobody_is_known_to_be_dead(
    child: subprocess.Popen[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that tells neither boot nor start time has its leases expire."""
    monkeypatch.setattr(lease_owner, "_PROC", tmp_path / "absent")
    unknown = lease_owner.this_process()
    place = unknown.rsplit("/", 2)[0]
    name_of(child)
    child.kill()
    child.wait()

    assert unknown.endswith(f"/?/?/{os.getpid()}/?")
    assert not lease_owner.is_dead(f"{place}/{child.pid}/1")


def test_a_hidden_process_is_not_dead(hidden_proc: Path) -> None:
    """Where /proc hides other users' processes, a pid that exists may well be the owner."""
    place = lease_owner.this_process().rsplit("/", 2)[0]

    assert hidden_proc.is_dir()
    assert not lease_owner.is_dead(f"{place}/{os.getpid()}/1")


def test_a_process_of_another_user_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """That it may not be signalled proves that the pid exists; its start time tells the rest."""

    def forbidden(_pid: int, _signal: int) -> None:
        raise PermissionError

    name = lease_owner.this_process()
    place, started = name.rsplit("/", 1)
    monkeypatch.setattr(os, "kill", forbidden)

    assert not lease_owner.is_dead(name)
    assert lease_owner.is_dead(f"{place}/{int(started) + 1}")


def test_a_command_name_may_look_like_fields(hidden_proc: Path) -> None:
    """Brackets and spaces in a command's name do not shift the fields behind it."""
    fields = " ".join(str(number) for number in range(3, 60))
    (hidden_proc / str(os.getpid())).mkdir()
    (hidden_proc / str(os.getpid()) / "stat").write_text(f"1 (a) Z (b) S {fields}")

    assert lease_owner.this_process().endswith("/21")


def test_only_a_process_that_certainly_runs_is_alive(child: subprocess.Popen[str]) -> None:
    """Neither one that ended, nor one that has its pid now, nor one elsewhere."""
    name = name_of(child)
    place, started = name.rsplit("/", 1)
    running = lease_owner.is_alive(name)
    others = [f"{place}/{int(started) - 1}", f"x{name}", f"{place}/?", "somebody"]
    child.kill()
    child.wait()

    assert running
    assert not any(lease_owner.is_alive(other) for other in [*others, name])
