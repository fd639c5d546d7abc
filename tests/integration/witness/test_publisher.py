"""The publication of checkpoints to several places, and by several daemons."""

from pathlib import Path

import pytest

from rotator.errors import StoreUnavailable, WitnessUnavailable
from rotator.model.checkpoint import History
from rotator.witness.directory import Directory
from rotator.witness.entry import Entry
from tests.support.published_ledger import NOW, PublishedLedger, Store, files, sizes


def test_nothing_is_taken_before_it_is_due(ledger: PublishedLedger, folder: Path) -> None:
    """What is there already stays as it is."""
    ledger.publish(Directory(folder))
    before = (folder / files(folder)[0]).stat()
    published = ledger.publish(Directory(folder), is_due=False)

    assert published
    assert published.number == 1
    assert (folder / files(folder)[0]).stat() == before


def test_what_was_never_due_is_not_published(ledger: PublishedLedger, folder: Path) -> None:
    """Without a checkpoint there is nothing to write."""
    assert ledger.publish(Directory(folder), is_due=False) is None
    assert files(folder) == []


def test_nothing_is_signed_while_no_place_can_be_reached(
    ledger: PublishedLedger, tmp_path: Path
) -> None:
    """It could not be compared with what anybody has."""
    with pytest.raises(WitnessUnavailable):
        ledger.publish(Directory(tmp_path / "nowhere"))

    assert ledger.count == 0


def test_a_kill_between_the_record_and_the_publication_is_made_up_for(
    ledger: PublishedLedger, folder: Path
) -> None:
    """The checkpoint that was signed is published by whoever comes next: the same one."""
    known = ledger.checkpoints.read()
    signer = ledger.signer()
    ledger.checkpoints.add(known, origin=signer.verifier.name, at=NOW, sign=signer.note)
    ledger.publish(Directory(folder), is_due=False)

    assert sizes(folder) == [(0, 2)]
    assert ledger.count == 1


def test_what_another_daemon_published_since_the_ledger_was_read_is_no_conflict(
    ledger: PublishedLedger, store: Store, folder: Path
) -> None:
    """The ledger has it by then, and is read again; the other's checkpoint is enough."""

    class Late(Entry):
        """An entry that is compared once another daemon has published there."""

        def compare(self, history: History) -> None:
            """Let another daemon come first."""
            if not store.version:
                ledger.publish(Entry(store), Directory(folder))
            super().compare(history)

    published = ledger.publish(Late(store), Directory(folder))

    assert published
    assert (published.number, ledger.count, store.version) == (1, 1, 1)


def test_vault_that_is_away_keeps_no_file_from_being_written(
    ledger: PublishedLedger, store: Store, folder: Path
) -> None:
    """It gets the newest once it is back."""
    store.failure = StoreUnavailable("away")
    with pytest.raises(StoreUnavailable):
        ledger.publish(Entry(store), Directory(folder))
    store.failure = None
    ledger.publish(Entry(store), Directory(folder), is_due=False)

    assert sizes(folder) == [(0, 2)]
    assert store.version == 1


def test_a_place_that_fails_once_it_was_compared_does_not_keep_others_from_publishing(
    ledger: PublishedLedger, store: Store, folder: Path
) -> None:
    """What failed is told at the end."""

    def fail() -> None:
        raise StoreUnavailable("away")

    store.first = fail
    with pytest.raises(StoreUnavailable):
        ledger.publish(Entry(store), Directory(folder))

    assert sizes(folder) == [(0, 2)]
