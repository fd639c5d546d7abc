"""The disk that forgets, on which the power is cut: what it may hold, and what it never does."""

import random
from pathlib import Path

from tests.support.disk import PAGE, SECTOR, Disk, Resize, State, Write
from tests.support.tracing import Playback, calls

OLD, NEW = b"o" * PAGE, b"n" * PAGE


def states(disk: Disk) -> list[State]:
    """Return each state that the disk may be in."""
    return list(disk.states(random.Random(1)))


def contents(disk: Disk, name: str = "a") -> set[bytes]:
    """Return each content that a file may have."""
    return {state[name] for state in states(disk)}


def written(disk: Disk, *changes: Write | Resize, name: str = "a") -> Disk:
    """Change a file of the disk."""
    disk.files[disk.names[name]].changes += changes
    return disk


def test_what_was_synced_is_there() -> None:
    """Once a file is synced, nothing of it can be lost."""
    disk = written(Disk({"a": OLD}), Write(offset=0, data=NEW))
    disk.files[disk.names["a"]].sync()

    assert contents(disk) == {NEW}


def test_a_write_is_there_or_not_or_torn_at_each_boundary() -> None:
    """Sectors are old or new, from either end; none is half of each."""
    found = contents(written(Disk({"a": OLD}), Write(offset=0, data=NEW)))

    assert {OLD, NEW} <= found
    for at in range(SECTOR, PAGE, SECTOR):
        assert {NEW[:at] + OLD[at:], OLD[:at] + NEW[at:]} <= found
    for content in found:
        sectors = [content[at : at + SECTOR] for at in range(0, PAGE, SECTOR)]
        assert all(len(set(sector)) == 1 for sector in sectors)


def test_a_write_is_torn_where_the_file_has_its_boundaries() -> None:
    """A write that begins within a sector reaches its first boundary sooner."""
    found = contents(written(Disk({"a": OLD}), Write(offset=500, data=b"n" * 24)))

    assert found >= {
        OLD[:500] + b"n" * 12 + OLD[512:],
        OLD[:512] + b"n" * 12 + OLD[524:],
    }


def test_writes_arrive_in_any_order() -> None:
    """Each subset of a few writes is a state, and of many each is lost alone and there alone."""
    few = [Write(offset=PAGE * index, data=NEW) for index in range(3)]
    subsets = contents(written(Disk({"a": OLD * 3}), *few))
    many = [Write(offset=PAGE * index, data=NEW) for index in range(9)]
    found = contents(written(Disk({"a": OLD * 9}), *many))

    assert {content[0:1] + content[PAGE : PAGE + 1] + content[-1:] for content in subsets} == {
        bytes([first, second, third]) for first in b"on" for second in b"on" for third in b"on"
    }
    for index in range(9):
        others = 8 - index
        assert NEW * index + OLD + NEW * others in found
        assert OLD * index + NEW + OLD * others in found
        assert NEW * index + OLD * (others + 1) in found


def test_a_file_may_have_grown_without_its_data() -> None:
    """It is longer, with what lay on the disk there before."""
    found = contents(written(Disk({"a": OLD}), Write(offset=PAGE, data=NEW)))

    assert any(
        len(content) == 2 * PAGE and not set(content[PAGE:]) <= set(NEW + bytes(1))
        for content in found
    )


def test_a_file_that_was_cut_off_may_not_be() -> None:
    """Until it is synced, its end may still be there."""
    assert contents(written(Disk({"a": OLD}), Resize(size=0))) == {OLD, b""}


def test_names_are_certain_when_their_folder_is_synced() -> None:
    """A new file may be lost with all that was synced to it, and a removed one come back."""
    disk = Disk({"a": OLD})
    disk.files[disk.create("b")].certain = NEW
    disk.unlink("a")
    before = states(disk)
    disk.sync_names()

    assert {frozenset(state) for state in before} == {
        frozenset(each) for each in ({"a"}, {"b"}, {"a", "b"}, ())
    }
    assert states(disk)[0] == {"b": NEW}
    assert {frozenset(state) for state in states(disk)} == {frozenset({"b"})}


def test_a_rename_is_whole() -> None:
    """The file has its old name or its new one."""
    disk = Disk({"a": OLD, "b": NEW})
    disk.rename("a", "b")

    assert [dict(state) for state in states(disk)] != []
    assert {tuple(sorted(state.items())) for state in states(disk)} == {
        (("a", OLD), ("b", NEW)),
        (("b", OLD),),
    }


def test_a_removed_file_can_still_be_written_to(tmp_path: Path) -> None:
    """What is written to a name goes to the file that it led to when it was opened."""
    trace = [
        call('openat(AT_FDCWD, "{}", O_RDWR|O_CREAT, 0600)', 5, "/ledger/a"),
        call('unlink("{}")', 0, "/ledger/a"),
        call('openat(AT_FDCWD, "{}", O_RDWR|O_CREAT, 0600)', 6, "/ledger/a"),
        call('pwrite64(5, "{}", 3, 0)', 3, "old"),
        call('pwrite64(6, "{}", 3, 4)', 2, "new"),
        call('pwrite64(7, "{}", 3, 4)', 3, "elsewhere"),
    ]
    disk = replayed(tmp_path, trace)

    assert disk.now() == {"a": bytes(4) + b"ne"}


def test_a_folder_is_synced_by_its_own_descriptor(tmp_path: Path) -> None:
    """And a file's sync does not make its name certain."""
    trace = [
        call('openat(AT_FDCWD, "{}", O_RDWR|O_CREAT, 0600)', 5, "/ledger/a"),
        call('pwrite64(5, "{}", 3, 0)', 3, "new"),
        "7 fdatasync(5 <unfinished ...>",
        call('openat(AT_FDCWD, "{}", O_RDONLY|O_DIRECTORY)', 6, "/ledger"),
        "7 <... fdatasync resumed>) = 0",
    ]

    assert {} in states(replayed(tmp_path, trace))
    trace.append(call("fsync(6)", 0))
    assert states(replayed(tmp_path, trace))[0] == {"a": b"new"}
    assert {} not in states(replayed(tmp_path, trace))


def test_calls_that_failed_and_shared_memory_are_left_out(tmp_path: Path) -> None:
    """SQLite's shared memory is made anew by whoever comes first."""
    trace = [
        call('openat(AT_FDCWD, "{}", O_RDWR|O_CREAT, 0600)', 5, "/ledger/a-shm"),
        call('pwrite64(5, "{}", 3, 0)', 3, "new"),
        call('openat(AT_FDCWD, "{}", O_RDWR)', -1, "/ledger/b"),
    ]

    assert replayed(tmp_path, trace).now() == {}


def call(text: str, result: int, argument: str = "") -> str:
    """Return a line of strace, of a process with one thread."""
    hexadecimal = "".join(f"\\x{byte:02x}" for byte in argument.encode())
    return f"7 {text.format(hexadecimal)} = {result}"


def replayed(folder: Path, trace: list[str]) -> Disk:
    """Return an empty disk after what was traced."""
    (folder / "trace").write_text("\n".join(trace))
    playback = Playback(Path("/ledger"), Disk({}))
    for each in calls(folder / "trace"):
        playback.play(each)
    return playback.disk
