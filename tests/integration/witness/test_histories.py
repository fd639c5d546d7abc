"""Ledgers that were lost, restored, copied or changed: what is never signed."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from rotator.errors import WitnessConflict
from rotator.model.checkpoint import History, Note, Submission
from rotator.reporting.witness import WitnessVerdict, compare_ledger
from rotator.witness import load_signer
from rotator.witness.directory import Directory
from rotator.witness.entry import Entry
from rotator.witness.published import read_published
from tests.support.ledgers import another_ledger, backup
from tests.support.published_ledger import (
    NOW,
    Opened,
    PublishedLedger,
    Store,
    files,
    sizes,
    write_key,
)


def test_a_ledger_that_was_lost_and_begun_anew_signs_nothing(
    ledger: PublishedLedger, folder: Path, tmp_path: Path, opened: Opened
) -> None:
    """The directory holds another ledger's checkpoints."""
    ledger.publish(Directory(folder))
    new = opened(another_ledger(tmp_path))
    new.write(count=5)

    with pytest.raises(WitnessConflict, match="another ledger, rotator/") as told:
        new.publish(Directory(folder))
    assert "ledger.witness.name" in (told.value.hint or "")
    assert new.count == 0
    assert sizes(folder) == [(0, 2)]


def test_a_restored_backup_signs_nothing(
    ledger: PublishedLedger, folder: Path, opened: Opened
) -> None:
    """Its history ends before what was published, until an operator begins a new one."""
    ledger.publish(Directory(folder))
    kept = backup(ledger.file)
    ledger.write(count=3)
    ledger.publish(Directory(folder), days=1)
    restored = opened(kept)

    with pytest.raises(WitnessConflict, match=r"cover 2 entries, and .* has one of 5"):
        restored.publish(Directory(folder), days=2)
    restored.write(count=30, days=2)
    with pytest.raises(WitnessConflict, match="cover 2 entries"):
        restored.publish(Directory(folder), days=3)
    assert restored.count == 1


def test_a_restored_backup_that_lacks_no_entry_goes_on(
    ledger: PublishedLedger, folder: Path, store: Store, opened: Opened
) -> None:
    """It records the checkpoints that it had published again, logs that, and takes the next one."""
    ledger.publish(Directory(folder), Entry(store))
    ledger.write(count=3)
    restored = opened(backup(ledger.file))
    for days in (1, 2):
        ledger.publish(Directory(folder), Entry(store), days=days)
    before = ledger.history().signed
    with capture_logs() as logs:
        published = restored.publish(Directory(folder), Entry(store), days=3)

    assert published
    assert published.number == 4
    assert [(log["event"], log["checkpoints"]) for log in logs] == [
        ("checkpoints recorded again", 2)
    ]
    assert restored.history().signed[:3] == before
    assert sizes(folder) == [(0, 2), (2, 5), (5, 5), (5, 5)]


def test_a_backup_of_the_moment_in_which_a_checkpoint_was_signed_goes_on_once_it_is_published(
    ledger: PublishedLedger, folder: Path, opened: Opened
) -> None:
    """It has more entries than were signed then: nobody is accused, and the hint is the cure."""
    ledger.publish(Directory(folder))
    ledger.write(count=3)
    known, signer = ledger.checkpoints.read(), ledger.signer()
    ledger.write(count=1, days=1)
    restored = opened(backup(ledger.file))
    ledger.checkpoints.add(known, origin=signer.verifier.name, at=NOW, sign=signer.note)
    ledger.publish(Directory(folder), days=2)

    def compared() -> WitnessVerdict:
        published = read_published(folder, [signer.verifier])
        return compare_ledger(published, restored.checkpoints.read(), {signer.verifier.name})

    before = compared()
    restored.publish(Directory(folder), days=3)

    assert sizes(folder) == [(0, 2), (2, 5), (5, 6), (6, 6)]
    assert before.fault
    assert "it was restored from a backup of that very moment, or somebody" in before.fault
    assert "`rotator ledger witness publish` records again" in (before.hint or "")
    assert compared().verdict == "holds"


@pytest.mark.parametrize("forgery", ["key", "name", "text", "again", "missing"])
def test_only_what_was_signed_of_this_ledger_is_recorded_again(
    ledger: PublishedLedger, folder: Path, opened: Opened, tmp_path: Path, forgery: str
) -> None:
    """By its own key, under its own name, as the next in the directory, and no former one."""
    ledger.publish(Directory(folder))
    restored = opened(backup(ledger.file))
    second = folder / "0000000002.checkpoint"
    if forgery == "again":
        second.write_text((folder / files(folder)[0]).read_text())
    else:
        ledger.publish(Directory(folder), days=1)
        text, signer = Note.parse(Submission.parse(second.read_text()).note).text, ledger.signer()
        if forgery == "key":
            other = write_key(tmp_path / "other.pem", bytes(32))
            signer = load_signer(other, signer.verifier.name)
        elif forgery == "name":
            text = text.replace("rotator/", "rotator/another-")
        elif forgery == "text":
            text = "nothing\n"
        second.write_text(f"old 2\n\n{signer.note(text)}")
        if forgery == "missing":
            second.rename(folder / "0000000003.checkpoint")

    with pytest.raises(WitnessConflict):
        restored.publish(Directory(folder), days=2)
    assert restored.count == 1


def test_two_copies_of_a_ledger_do_not_both_publish(
    ledger: PublishedLedger, folder: Path, opened: Opened, tmp_path: Path
) -> None:
    """The second one has another history, even where it has signed as many checkpoints."""
    ledger.publish(Directory(folder))
    copy = opened(backup(ledger.file))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    copy.write("b", 3)
    copy.publish(Directory(elsewhere), days=1)
    ledger.write("c", 3)
    ledger.publish(Directory(folder), days=1)

    with pytest.raises(WitnessConflict, match="another history than the one that was published"):
        copy.publish(Directory(folder), days=2)
    assert copy.count == 2


def test_a_copy_that_publishes_between_look_and_write_is_seen(
    ledger: PublishedLedger, folder: Path, opened: Opened
) -> None:
    """Else a checkpoint would count as published whose place another one has taken."""
    ledger.publish(Directory(folder))
    copy = opened(backup(ledger.file))
    copy.write("b", 3)
    ledger.write("c", 3)

    class Raced(Directory):
        def compare(self, history: History) -> None:
            super().compare(history)
            ledger.publish(Directory(folder), days=1)

    with pytest.raises(WitnessConflict, match="another history than the one that was published"):
        copy.publish(Raced(folder), days=1)
    assert ledger.count == 2


def test_a_new_name_and_a_new_directory_begin_a_new_log(
    ledger: PublishedLedger, folder: Path, tmp_path: Path
) -> None:
    """What was signed under the former name is not in it."""
    ledger.publish(Directory(folder))
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    ledger.publish(Directory(fresh), days=1, origin="example.com/new")

    assert files(fresh) == ["0000000002.checkpoint"]
    assert sizes(fresh) == [(0, 2)]


def test_an_entry_that_was_changed_ends_the_signing(ledger: PublishedLedger, folder: Path) -> None:
    """Whoever waits for the next checkpoint sees that none comes."""
    ledger.publish(Directory(folder))
    with closing(sqlite3.connect(ledger.file)) as file, file:
        file.execute("DROP TRIGGER entry_no_update")
        file.execute("UPDATE entry SET hash = prev_hash WHERE seq = 1")

    with pytest.raises(WitnessConflict, match="first 2 entries are not those that were signed on"):
        ledger.publish(Directory(folder), days=1)
    assert ledger.count == 1


def test_a_missing_new_entry_ends_the_signing(ledger: PublishedLedger, folder: Path) -> None:
    """What follows a gap is not signed."""
    with closing(sqlite3.connect(ledger.file)) as file, file:
        file.execute("DROP TRIGGER entry_no_delete")
        file.execute("DELETE FROM entry WHERE seq = 1")

    with pytest.raises(WitnessConflict, match="a: an entry is missing"):
        ledger.publish(Directory(folder))
    assert ledger.count == 0
