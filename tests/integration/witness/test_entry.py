"""An entry in Vault with the newest checkpoint."""

from pathlib import Path

import pytest

from rotator.errors import CheckAndSetLost, UnexpectedEntry, WitnessConflict
from rotator.sim import Environment
from rotator.vault import EnvToken, VaultSession
from rotator.vault.checkpoint_entry import CheckpointEntry
from rotator.witness.directory import Directory
from rotator.witness.entry import Entry
from tests.support.ledgers import another_ledger
from tests.support.published_ledger import Opened, PublishedLedger, Store, files


def test_the_entry_has_the_newest_checkpoint(
    ledger: PublishedLedger, store: Store, folder: Path
) -> None:
    """The same bytes as the newest file; written once."""
    for days in range(2):
        ledger.publish(Entry(store), Directory(folder), days=days)
    ledger.publish(Entry(store), is_due=False)

    assert store.text == (folder / files(folder)[-1]).read_text()
    assert store.version == 2


def test_without_a_checkpoint_the_entry_stays_empty(ledger: PublishedLedger, store: Store) -> None:
    """There is nothing to write."""
    ledger.publish(Entry(store), is_due=False)

    assert store.version == 0


def test_another_daemon_that_was_quicker_is_followed(ledger: PublishedLedger, store: Store) -> None:
    """It has written the same, and what it wrote is looked at before anything is replaced."""

    def other() -> None:
        store.first = None
        ledger.publish(Entry(store), is_due=False)

    store.first = other
    ledger.publish(Entry(store))

    assert store.version == 1


def test_an_entry_that_is_written_to_all_the_time_is_told(
    ledger: PublishedLedger, store: Store
) -> None:
    """Nothing is forced."""

    def other() -> None:
        store.version += 1

    store.first = other
    with pytest.raises(CheckAndSetLost):
        ledger.publish(Entry(store))


def test_an_entry_with_something_else_in_it_is_a_conflict(
    ledger: PublishedLedger, store: Store
) -> None:
    """It is left as it is."""
    store.text, store.version = "nothing", 4

    with pytest.raises(WitnessConflict, match=r"Vault's entry .* holds what is no checkpoint"):
        ledger.publish(Entry(store))
    assert (store.text, store.version) == ("nothing", 4)


def test_an_entry_with_another_history_is_a_conflict(
    ledger: PublishedLedger, store: Store, tmp_path: Path, opened: Opened
) -> None:
    """A signature over something that is no ledger's checkpoint, too."""
    ledger.publish(Entry(store))
    new = opened(another_ledger(tmp_path))

    with pytest.raises(WitnessConflict, match="another ledger"):
        new.publish(Entry(store))
    store.text = f"old 0\n\n{ledger.signer().note('not a checkpoint' + chr(10))}"
    with pytest.raises(WitnessConflict, match="holds what is no checkpoint of a ledger"):
        ledger.publish(Entry(store))


def test_the_simulators_entry_takes_checkpoints_and_refuses_what_is_not_its_own(
    ledger: PublishedLedger, folder: Path
) -> None:
    """Two fields, written with check-and-set; any other entry at its path is left alone."""
    with Environment.build(accounts=1, subaccounts=0) as world:
        token = EnvToken(world.vault.issue_token())
        session = VaultSession(world.vault.url, token_source=token, timeout=10)
        entry = CheckpointEntry(session, "secret", "rotator/witness")
        ledger.publish(Entry(entry), Directory(folder))
        text, version = entry.read()
        other = CheckpointEntry(session, "secret", world.accounts[0].vault_path)
        with pytest.raises(UnexpectedEntry, match="left as it is"):
            other.read()
        session.close()

    assert text == (folder / files(folder)[0]).read_text()
    assert version == 1
