"""What the store makes of nodes that lag, mounts that start, and answers that get lost."""

import base64

import pytest

from rotator.errors import (
    CheckAndSetLost,
    MountUnusable,
    StoreUnavailable,
    UnexpectedEntry,
    VersionMissing,
)
from rotator.model import Account, Note, PendingEntry, SecretValue, Written
from rotator.rotation.ports import StoredPending
from rotator.sim import Fault, VaultSimulator
from rotator.vault import KvStore, VaultSession

OLD = SecretValue("Abcdefgh1")
#: As OpenBao 2.7 names a state.
INDEX = base64.b64encode(
    b'{"cluster":"9783681c-c54e-1300-400b-85696a0fb2d5","value":"38"}'
).decode()
NAMED = {"X-Vault-Index": INDEX}
WROTE = {"data": {"version": 3, "created_time": "2026-11-23T07:28:00Z", "deletion_time": ""}}


@pytest.fixture
def store(vault: VaultSimulator, simulated_store: KvStore, account: Account) -> KvStore:
    """Return a store on the simulator, where the account's entry is in version 2."""
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


def test_what_rotator_wrote_is_waited_for(
    vault: VaultSimulator, store: KvStore, account: Account
) -> None:
    """An older version than was written is looked at again, as a standby lags."""
    vault.stale_reads = 5
    read = store.read_current(account, Written(version=2))

    assert read is not None
    assert read.entry.version == 2
    assert len(vault.exchanges) == 6


def test_a_standby_that_goes_on_lagging_is_believed(
    vault: VaultSimulator, store: KvStore, account: Account
) -> None:
    """What stays older is given as what there is, and others say what that means."""
    vault.stale_reads = 1000
    read, base = (
        store.read_current(account, Written(version=2)),
        store.read_base(account, Written(version=2)),
    )
    vault.stale_reads = 0

    assert read is not None
    assert (read.entry.version, base.entry.version) == (1, 1)


def test_a_newer_version_than_was_written_is_taken_at_once(
    vault: VaultSimulator, store: KvStore, account: Account
) -> None:
    """The ledger may have been restored, or someone else have written since."""
    read = store.read_current(account, Written(version=1))

    assert read is not None
    assert read.entry.version == 2
    assert len(vault.exchanges) == 1


def test_the_state_that_was_written_is_asked_for(
    vault: VaultSimulator, store: KvStore, account: Account, new: SecretValue, note: Note
) -> None:
    """A node that lags asks the active one, where the cluster names its states."""
    vault.faults.add(Fault("status-after", method="POST", status=200, headers=NAMED, body=WROTE))
    written = _push(store, account, new, note)
    store.read_current(account)
    KvStore(connection_of(store), "secret").read_current(account, written)
    here, elsewhere = (seen.request_headers for seen in vault.exchanges[-2:])

    assert written == Written(version=3, index=INDEX)
    for headers in (here, elsewhere):
        assert headers["x-vault-index"] == INDEX
        assert headers["x-vault-inconsistent"] == "forward-active-node"


def test_the_state_of_another_cluster_breaks_no_read(
    vault: VaultSimulator, store: KvStore, account: Account
) -> None:
    """A server that cannot read what another one named is asked without it."""
    refusal = {"errors": ['failed to decode "X-Vault-Index"']}
    vault.faults.add(Fault("status", status=400, body=refusal))
    read = store.read_current(account, Written(version=2, index=INDEX))
    _, second = vault.exchanges

    assert read is not None
    assert read.entry.version == 2
    assert "x-vault-index" not in second.request_headers


@pytest.mark.parametrize(
    "index", ["", "garbage", "Abcdefgh1", "x" * 600, "e30=", base64.b64encode(b'["a"]').decode()]
)
def test_what_is_no_state_is_not_kept(  # noqa: PLR0913, PLR0917  # fixtures
    vault: VaultSimulator,
    store: KvStore,
    account: Account,
    new: SecretValue,
    note: Note,
    index: str,
) -> None:
    """It would stand in the ledger, where nothing may that could be a value."""
    named = {"X-Vault-Index": index}
    vault.faults.add(Fault("status-after", method="POST", status=200, headers=named, body=WROTE))

    assert _push(store, account, new, note).index == ""


def connection_of(store: KvStore) -> VaultSession:
    """Return a store's connection, for one that has written nothing."""
    return store._session


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
