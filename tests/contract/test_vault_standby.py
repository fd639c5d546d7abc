"""What the store makes of nodes that lag, mounts that start, and answers that get lost."""

import pytest

from rotator.errors import (
    CheckAndSetLost,
    MountUnusable,
    StoreUnavailable,
    UnexpectedEntry,
    VersionMissing,
)
from rotator.model import Account, Note, PendingEntry, SecretValue, Written
from rotator.ports import StoredPending
from rotator.sim import Fault, VaultSimulator
from rotator.vault import KvStore

OLD = SecretValue("Abcdefgh1")


@pytest.fixture
def store(vault: VaultSimulator, simulated_store: KvStore, account: Account) -> KvStore:
    """Give a store on the simulator, where the account's entry is in version 2."""
    vault.write(account.vault_path, {"api_secret": "older"})
    vault.write(account.vault_path, {"api_secret": OLD.reveal()})
    return simulated_store


def _push(store: KvStore, account: Account, value: SecretValue, note: Note) -> Written:
    base = store.read_current(account)
    assert base is not None
    return store.write_current(account, base, value, note)


def test_a_version_is_waited_for(vault: VaultSimulator, store: KvStore, account: Account) -> None:
    """A version that the standby does not have yet is asked for until it does."""
    vault.stale_reads = 5
    read = store.read_version(account, 2)

    assert read.value == OLD
    assert len(vault.exchanges) == 6


def test_a_version_that_does_not_come_is_missing(
    vault: VaultSimulator, store: KvStore, account: Account
) -> None:
    """A version that is not there when the time is up is missing, and no other is given."""
    vault.stale_reads = 1000
    with pytest.raises(VersionMissing, match="did not appear in time"):
        store.read_version(account, 2)

    assert len(vault.exchanges) > 5


def test_a_standby_that_says_it_lags_is_waited_for(
    vault: VaultSimulator, store: KvStore, account: Account
) -> None:
    """A 412 is "not yet", for longer than other reads are repeated."""
    vault.faults.add(Fault("status", status=412, times=7))

    assert store.read_version(account, 2).value == OLD


def test_another_version_than_asked_for_is_not_taken(
    vault: VaultSimulator, store: KvStore, account: Account
) -> None:
    """An answer with another version is that of a node that does not know better yet."""
    body = {"data": {"data": {"api_secret": "older"}, "metadata": {"version": 1}}}
    vault.faults.add(Fault("status", status=200, body=body, times=2))

    assert store.read_version(account, 2).value == OLD


def test_a_version_that_is_gone_is_not_waited_for(
    vault: VaultSimulator, store: KvStore, account: Account
) -> None:
    """What was destroyed does not come back, so Vault is asked once."""
    vault.destroy(account.vault_path, [2])
    with pytest.raises(VersionMissing, match="deleted or destroyed"):
        store.read_version(account, 2)

    assert len(vault.exchanges) == 1


def test_a_stale_read_overwrites_nothing(
    vault: VaultSimulator, store: KvStore, account: Account, new: SecretValue, note: Note
) -> None:
    """What is built on an outdated read loses at check-and-set."""
    vault.stale_reads = 1
    with pytest.raises(CheckAndSetLost):
        _push(store, account, new, note)

    assert vault.read(account.vault_path) == {"api_secret": OLD.reveal()}


def test_a_stale_read_overwrites_no_pending_entry(
    vault: VaultSimulator, store: KvStore, account: Account, new: SecretValue, pending: PendingEntry
) -> None:
    """A pending entry that a standby does not know yet keeps its value."""
    staged = store.write_pending(account, store.read_pending(account), OLD, pending)
    vault.stale_reads = 1
    with pytest.raises(CheckAndSetLost):
        store.write_pending(account, store.read_pending(account), new, pending)

    assert store.read_pending(account) == staged


@pytest.mark.parametrize("kind", ["status-after", "drop-after", "garbage", "truncate", "empty"])
def test_a_lost_answer_is_found_by_looking_again(
    vault: VaultSimulator, store: KvStore, account: Account, note: Note, kind: str
) -> None:
    """A write whose answer was lost is unknown, and a look tells that it was done."""
    vault.faults.add(Fault(kind, method="POST", status=500))
    with pytest.raises(StoreUnavailable):
        _push(store, account, SecretValue("Zyxwvuts9"), note)
    found = store.read_current(account)

    assert found is not None
    assert found.entry.note == note
    assert found.entry.intact


@pytest.mark.parametrize("body", [{}, {"data": None}, {"data": {"version": True}}, {"data": []}])
def test_a_write_that_does_not_say_what_it_wrote_is_unknown(
    vault: VaultSimulator, store: KvStore, account: Account, note: Note, body: object
) -> None:
    """A write is not taken for done without the version that it made."""
    vault.faults.add(Fault("status", method="POST", status=200, body=body))

    with pytest.raises(StoreUnavailable):
        _push(store, account, OLD, note)


def test_a_204_for_a_write_is_no_version_2(
    vault: VaultSimulator, store: KvStore, account: Account, note: Note
) -> None:
    """KV version 1 takes a write for version 2 with a 204, for which hvac gives no dict."""
    vault.faults.add(Fault("status", method="POST", status=204))

    with pytest.raises(MountUnusable):
        _push(store, account, OLD, note)


def test_a_write_that_finds_no_place_is_unexpected(
    vault: VaultSimulator, store: KvStore, account: Account, note: Note
) -> None:
    """A 404 without errors for a write is about its path."""
    vault.faults.add(Fault("status", method="POST", status=404))

    with pytest.raises(UnexpectedEntry, match=f"secret/{account.vault_path}"):
        _push(store, account, OLD, note)


def test_data_that_is_null_is_nothing(
    vault: VaultSimulator, store: KvStore, account: Account
) -> None:
    """OpenBao takes null as data and gives it back with 200: nothing is in such a version."""
    body = {"data": {"data": None, "metadata": {"version": 4, "destroyed": False}}}
    vault.faults.add(Fault("status", status=200, body=body, times=3))

    assert store.read_current(account) is None
    assert store.read_pending(account) == StoredPending(version=4)
    with pytest.raises(VersionMissing, match="deleted or destroyed"):
        store.read_version(account, 4)


@pytest.mark.parametrize("data", ["text", 5, ["a"], True, False, ""])
def test_data_that_is_no_object_is_unexpected(
    vault: VaultSimulator, store: KvStore, account: Account, data: object
) -> None:
    """Data that is no object is nothing that rotator can work with."""
    body = {"data": {"data": data, "metadata": {"version": 2}}}
    vault.faults.add(Fault("status", status=200, body=body, times=None))
    for read in (store.read_current, store.read_pending):
        with pytest.raises(UnexpectedEntry):
            read(account)
