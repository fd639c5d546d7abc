"""A directory of checkpoints: a file for each, whole or not at all, and none replaced."""

import fcntl
import os
from pathlib import Path

import pytest

from rotator.errors import WitnessConflict, WitnessUnavailable
from rotator.model.checkpoint import Checkpoint, Note, Submission
from rotator.model.merkle import is_extension
from rotator.witness.directory import Directory
from tests.support.published_ledger import PublishedLedger, files, sizes


def test_each_checkpoint_becomes_a_file_with_its_proof(
    ledger: PublishedLedger, folder: Path
) -> None:
    """Whoever has the files alone can check that each extends the one before."""
    ledger.publish(Directory(folder))
    ledger.write("b", 3)
    ledger.publish(Directory(folder), days=1)
    first, second = (Submission.parse((folder / name).read_text()) for name in files(folder))
    old, new = (Checkpoint.parse(Note.parse(each.note).text) for each in (first, second))

    assert files(folder) == ["0000000001.checkpoint", "0000000002.checkpoint"]
    assert sizes(folder) == [(0, 2), (2, 5)]
    assert is_extension(old.size, old.root, new.size, new.root, second.proof)
    assert (folder / files(folder)[0]).stat().st_mode & 0o777 == 0o644


def test_a_link_in_the_way_is_replaced(
    ledger: PublishedLedger, folder: Path, tmp_path: Path
) -> None:
    """Somebody else may write there: no file outside of the directory is written to."""
    other = tmp_path / "other"
    other.write_text("kept")
    (folder / ".checkpoint.new").symlink_to(other)
    ledger.publish(Directory(folder))
    (made,) = folder.iterdir()

    assert other.read_text() == "kept"
    assert made.is_file()
    assert not made.is_symlink()


def test_a_pipe_in_the_way_is_no_checkpoint(ledger: PublishedLedger, folder: Path) -> None:
    """It is not waited for, even if somebody keeps it open and writes nothing."""
    os.mkfifo(folder / "0000000001.checkpoint")
    silent = os.open(folder / "0000000001.checkpoint", os.O_RDWR)

    with pytest.raises(WitnessConflict, match="is no checkpoint"):
        ledger.publish(Directory(folder))
    os.close(silent)
    with pytest.raises(WitnessConflict, match="is no checkpoint"):
        ledger.publish(Directory(folder))


def test_a_directory_that_stays_locked_is_away(
    ledger: PublishedLedger, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may read it can lock it: the daemon's other checks do not wait for that."""
    monkeypatch.setattr("rotator.witness.directory._PATIENCE", 0.2)
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        with pytest.raises(WitnessUnavailable, match="another process keeps the directory"):
            ledger.publish(Directory(folder))
    finally:
        os.close(descriptor)
    ledger.publish(Directory(folder), is_due=False)

    assert [path.name for path in folder.iterdir()] == ["0000000001.checkpoint"]


def test_a_directory_that_was_away_gets_everything_later(
    ledger: PublishedLedger, folder: Path, tmp_path: Path
) -> None:
    """With the same bytes as the one that was there."""
    second = tmp_path / "second"
    ledger.publish(Directory(folder))
    with pytest.raises(WitnessUnavailable, match="second cannot be used: no such file"):
        ledger.publish(Directory(folder), Directory(second), days=1)
    second.mkdir()
    ledger.publish(Directory(folder), Directory(second), is_due=False)

    assert ledger.count == 2
    for name in files(folder):
        assert (second / name).read_bytes() == (folder / name).read_bytes()


def test_a_missing_file_is_written_again_and_removed_old_ones_are_not(
    ledger: PublishedLedger, folder: Path
) -> None:
    """Files before the oldest one were removed by somebody who keeps a year of them."""
    for days in range(5):
        ledger.publish(Directory(folder), days=days)
    for number in (1, 2, 4):
        (folder / f"{number:010d}.checkpoint").unlink()
    (folder / "README").write_text("of the operator")
    ledger.publish(Directory(folder), is_due=False)

    assert files(folder) == [*(f"{number:010d}.checkpoint" for number in (3, 4, 5)), "README"]


def test_a_file_that_a_kill_left_half_written_is_no_checkpoint(
    ledger: PublishedLedger, folder: Path
) -> None:
    """It never had a checkpoint's name, and the next publication uses its place."""
    (folder / ".checkpoint.new").write_text("old 0\n\nhalf")
    ledger.publish(Directory(folder))

    assert files(folder) == ["0000000001.checkpoint"]
    assert sizes(folder) == [(0, 2)]


@pytest.mark.parametrize("text", ["", "old 0\n\nnothing", "nothing at all"])
def test_a_damaged_newest_file_is_told_and_nothing_is_signed(
    ledger: PublishedLedger, folder: Path, text: str
) -> None:
    """Nothing is replaced: the operator moves it away."""
    ledger.publish(Directory(folder))
    (folder / files(folder)[0]).write_text(text)

    with pytest.raises(WitnessConflict, match=r"0000000001\.checkpoint is no checkpoint") as told:
        ledger.publish(Directory(folder))
    assert "move it away" in (told.value.hint or "")
    assert ledger.count == 1


def test_what_is_in_the_way_is_named(ledger: PublishedLedger, folder: Path) -> None:
    """With what to do about it, and not about the directory."""
    (folder / ".checkpoint.new").mkdir()

    with pytest.raises(WitnessUnavailable, match=r"is a directory \(\.checkpoint\.new\)") as told:
        ledger.publish(Directory(folder))
    assert told.value.hint == "move away what has that name"


def test_a_folder_in_the_place_of_a_checkpoint_is_named(
    ledger: PublishedLedger, folder: Path
) -> None:
    """Nothing is signed until somebody has moved it away."""
    ledger.publish(Directory(folder))
    (folder / "0000000002.checkpoint").mkdir()

    with pytest.raises(WitnessUnavailable, match=r"0000000002\.checkpoint") as caught:
        ledger.publish(Directory(folder), days=1)
    assert caught.value.hint == "move away what has that name"
    assert ledger.count == 1
