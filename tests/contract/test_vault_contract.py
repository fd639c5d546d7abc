"""What the store promises, on the simulator and on whatever real server is on PATH."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from rotator.errors import CheckAndSetLost, StoreForbidden, UnexpectedEntry, VersionMissing
from rotator.model import Account, Note, PendingEntry, SecretValue
from rotator.rotation.ports import StoredPending
from rotator.vault import KvStore
from tests.contract.real import only_real

if TYPE_CHECKING:
    from tests.contract.server import Server

OLD = SecretValue("Abcdefgh1")


def test_no_entry_is_none(store: KvStore, account: Account) -> None:
    """A path that never was reads as nothing, with the version that creates it."""
    assert store.read_current(account) is None
    assert store.read_pending(account) == StoredPending(version=0)


def test_a_foreign_entry_reads(server: "Server", store: KvStore, account: Account) -> None:
    """An entry that rotator never wrote has a value and a key but no note."""
    server.write(account.vault_path, {"api_key": "abcd1234", "api_secret": OLD.reveal()})
    read = store.read_current(account)

    assert read is not None
    assert read.value == OLD
    assert (read.entry.version, read.entry.is_foreign) == (1, False)
    assert (read.entry.note, read.entry.intact) == (None, False)


def test_a_push_reads_back(
    server: "Server", store: KvStore, account: Account, new: SecretValue, note: Note
) -> None:
    """What was pushed is read in the version that was given, and intact."""
    server.write(account.vault_path, {"api_secret": OLD.reveal()})
    base = store.read_current(account)
    assert base is not None
    version = store.write_current(account, base, new, note).version
    read = store.read_version(account, version)

    assert version == 2
    assert read == store.read_current(account)
    assert read.value == new
    assert read.entry.note == note
    assert read.entry.intact


def test_foreign_fields_survive_a_push(
    server: "Server", store: KvStore, account: Account, new: SecretValue, note: Note
) -> None:
    """Every field that is not rotator's comes back as it was, of whatever type."""
    foreign = {
        "sender": "Zürich \U0001f511 \u2028 <&>",
        "list": [1, None, True, {"deep": [[]]}],
        "large": 2**53 - 1,  # OpenBao keeps numbers as float64
        "fraction": 0.1,
        "empty": {},
    }
    server.write(account.vault_path, {"api_secret": OLD.reveal(), **foreign})
    base = store.read_current(account)
    assert base is not None
    store.write_current(account, base, new, note)
    data = server.data(account.vault_path)

    assert data == {
        **foreign,
        "api_key": "abcd1234",
        "api_secret": new.reveal(),
        "rotator": {
            "secret_id": "id-1",
            "rotation_id": "rotation-1",
            "rotated_at": "2026-11-23T07:28:00.123456Z",
            "ledger_head": "f" * 64,
            "check": note.check,
        },
    }


def test_a_replaced_value_stays_beside_the_new_one_until_it_is_withdrawn(
    server: "Server", store: KvStore, account: Account, new: SecretValue, note: Note
) -> None:
    """It is found where the note names it; it alone leaves, unless another wrote meanwhile."""
    server.write(account.vault_path, {"api_secret": OLD.reveal(), "sender": "theirs"})
    keeping = note.keeping(OLD, "past")
    store.write_current(account, store.read_base(account), new, keeping)
    both, pushed = store.read_base(account), server.data(account.vault_path)
    left, written = store.withdraw_previous(account, both)

    assert (both.previous, both.entry.previous) == (OLD, "past")
    assert pushed is not None
    assert pushed["past"] == OLD.reveal()
    assert left == store.read_current(account)
    assert written.version == left.entry.version == 3
    assert left.entry.note == note
    about = {"previous_field", "previous_check"}
    told = {name: fact for name, fact in pushed["rotator"].items() if name not in about}
    rest = {name: value for name, value in pushed.items() if name != "past"}
    assert server.data(account.vault_path) == {**rest, "rotator": told}
    assert rest["sender"] == "theirs"
    with pytest.raises(CheckAndSetLost):
        store.withdraw_previous(account, both)


def test_a_push_leaves_the_metadata_alone(
    server: "Server", store: KvStore, account: Account, new: SecretValue, note: Note
) -> None:
    """What an operator set for the entry stays: custom metadata, limits and expiry."""
    server.write(account.vault_path, {"api_secret": OLD.reveal()})
    rules = {
        "custom_metadata": {"owner": "sms team"},
        "delete_version_after": "3h0m0s",
        "max_versions": 7,
        "cas_required": True,
    }
    server.call("POST", f"secret/metadata/{account.vault_path}", rules)
    base = store.read_current(account)
    assert base is not None
    store.write_current(account, base, new, note)
    metadata = server.metadata(account.vault_path)

    assert metadata is not None
    assert {name: metadata[name] for name in rules} == rules
    assert metadata["current_version"] == 2


def test_a_version_that_will_expire_reads(
    server: "Server", store: KvStore, account: Account
) -> None:
    """A deletion time in the future is not a deletion."""
    rules = {"delete_version_after": "3h"}
    server.call("POST", f"secret/metadata/{account.vault_path}", rules)
    version = server.write(account.vault_path, {"api_secret": OLD.reveal()})

    assert store.read_version(account, version).value == OLD


def test_a_deleted_current_entry_is_none(
    server: "Server", store: KvStore, account: Account
) -> None:
    """An entry whose newest version is soft-deleted holds nothing."""
    server.write(account.vault_path, {"api_secret": "first"})
    server.write(account.vault_path, {"api_secret": "second"})
    server.delete(account.vault_path)

    assert store.read_current(account) is None


def test_a_destroyed_current_entry_is_none(
    server: "Server", store: KvStore, account: Account
) -> None:
    """An entry whose newest version is destroyed, and not deleted before, holds nothing."""
    server.write(account.vault_path, {"api_secret": "first"})
    server.destroy(account.vault_path, 1)

    assert store.read_current(account) is None


def test_exactly_the_version_asked_for_is_read(
    server: "Server", store: KvStore, account: Account
) -> None:
    """An older version is read as it was."""
    server.write(account.vault_path, {"api_secret": OLD.reveal()})
    server.write(account.vault_path, {"api_secret": "second"})
    read = store.read_version(account, 1)

    assert (read.entry.version, read.value) == (1, OLD)


def test_a_version_that_never_was_is_missing(
    server: "Server", store: KvStore, account: Account
) -> None:
    """A version beyond the newest is waited for, then missing."""
    server.write(account.vault_path, {"api_secret": OLD.reveal()})
    with pytest.raises(VersionMissing, match="in time"):
        store.read_version(account, 2)


@pytest.mark.parametrize("how", ["delete", "destroy"])
def test_a_version_that_is_gone_is_missing_at_once(
    server: "Server", store: KvStore, account: Account, how: str
) -> None:
    """A deleted or destroyed version is not waited for."""
    server.write(account.vault_path, {"api_secret": OLD.reveal()})
    if how == "delete":
        server.delete(account.vault_path)
    else:
        server.destroy(account.vault_path, 1)
    with pytest.raises(VersionMissing, match="deleted or destroyed"):
        store.read_version(account, 1)


def test_a_push_over_someone_elses_write_is_lost(
    server: "Server", store: KvStore, account: Account, new: SecretValue, note: Note
) -> None:
    """A write in between is never overwritten."""
    server.write(account.vault_path, {"api_secret": OLD.reveal()})
    base = store.read_current(account)
    assert base is not None
    server.write(account.vault_path, {"api_secret": "theirs"})
    with pytest.raises(CheckAndSetLost):
        store.write_current(account, base, new, note)

    assert server.data(account.vault_path) == {"api_secret": "theirs"}


def test_a_pending_entry_reads_back(
    store: KvStore, account: Account, new: SecretValue, pending: PendingEntry
) -> None:
    """What was staged is given back, by the write as by a read."""
    written = store.write_pending(account, store.read_pending(account), new, pending)

    assert written == StoredPending(version=1, entry=pending, value=new)
    assert store.read_pending(account) == written


def test_a_pending_entry_is_replaced(
    server: "Server", store: KvStore, account: Account, new: SecretValue, pending: PendingEntry
) -> None:
    """A pending entry is written over what was read, and nothing of that is left in it."""
    server.write(account.pending_path, {"value": "x", "rotation_id": "r", "listed": [], "y": 1})
    written = store.write_pending(account, store.read_pending(account), new, pending)

    assert written.version == 2
    assert server.data(account.pending_path) == {
        "value": new.reveal(),
        "rotation_id": "rotation-1",
        "listed": ["id-0", "id-2"],
        "predecessor_id": None,
    }


def test_a_pending_entry_that_came_first_wins(
    store: KvStore, account: Account, new: SecretValue, pending: PendingEntry
) -> None:
    """Of two that stage at once one loses, and the value of the other stays."""
    base = store.read_pending(account)
    first = store.write_pending(account, base, OLD, pending)
    with pytest.raises(CheckAndSetLost):
        store.write_pending(account, base, new, pending)

    assert store.read_pending(account) == first


@pytest.mark.parametrize("how", ["delete", "destroy"])
def test_a_pending_entry_that_is_gone_can_be_written(
    server: "Server", store: KvStore, account: Account, pending: PendingEntry, how: str
) -> None:
    """A deleted or destroyed version holds nothing, yet counts for check-and-set."""
    store.write_pending(account, store.read_pending(account), OLD, pending)
    if how == "delete":
        server.delete(account.pending_path)
    else:
        server.destroy(account.pending_path, 1)
    base = store.read_pending(account)
    written = store.write_pending(account, base, OLD, pending)

    assert base == StoredPending(version=1)
    assert written.version == 2


def test_metadata_alone_is_no_pending_entry(
    server: "Server", store: KvStore, account: Account, new: SecretValue, pending: PendingEntry
) -> None:
    """A path that has metadata and never had a version counts as one that never was."""
    custom = {"custom_metadata": {"owner": "rotator"}}
    server.call("POST", f"secret/metadata/{account.pending_path}", custom)
    base = store.read_pending(account)

    assert base == StoredPending(version=0)
    assert store.write_pending(account, base, new, pending).version == 1


def test_a_malformed_pending_entry_is_unexpected(
    server: "Server", store: KvStore, account: Account
) -> None:
    """What rotator did not write at the pending path is not touched but named."""
    server.write(account.pending_path, {"value": OLD.reveal()})
    with pytest.raises(UnexpectedEntry, match=f"secret/{account.pending_path}") as caught:
        store.read_pending(account)

    assert OLD.reveal() not in f"{caught.value!r}{caught.value.hint}"


def test_a_cleared_pending_entry_holds_nothing(
    server: "Server", store: KvStore, account: Account, new: SecretValue, pending: PendingEntry
) -> None:
    """Clearing destroys all versions and can be repeated."""
    for value in (OLD, new):
        store.write_pending(account, store.read_pending(account), value, pending)
    store.clear_pending(account, 2)
    store.clear_pending(account, 2)
    metadata = server.metadata(account.pending_path)

    assert metadata is not None
    assert [version["destroyed"] for version in metadata["versions"].values()] == [True, True]
    assert store.read_pending(account) == StoredPending(version=2)


def test_clearing_leaves_what_was_staged_since(
    store: KvStore, account: Account, new: SecretValue, pending: PendingEntry
) -> None:
    """A request to clear that arrives late does not take the next rotation's value with it."""
    store.write_pending(account, store.read_pending(account), OLD, pending)
    store.clear_pending(account, 1)
    store.write_pending(account, store.read_pending(account), new, pending)
    store.clear_pending(account, 1)

    assert store.read_pending(account).value == new


def test_all_that_vault_keeps_is_cleared(
    server: "Server", store: KvStore, account: Account, new: SecretValue, pending: PendingEntry
) -> None:
    """After many rotations no version at the pending path holds a value."""
    for _ in range(12):
        store.write_pending(account, store.read_pending(account), new, pending)
    store.clear_pending(account, 12)
    metadata = server.metadata(account.pending_path)

    assert metadata is not None
    assert len(metadata["versions"]) == 10
    assert all(version["destroyed"] for version in metadata["versions"].values())


def test_clearing_what_never_was_is_done(
    server: "Server", store: KvStore, account: Account
) -> None:
    """Where an operator removed the path whole, or nothing was staged, there is nothing to do."""
    store.clear_pending(account, 3)
    store.clear_pending(account, 0)

    assert server.metadata(account.pending_path) is None


@only_real
@pytest.mark.parametrize("odd", ["a b", "ü", "100%", "a+b", "a?b#c", "a&b=c", "%2e%2e", "~"])
def test_odd_paths_are_one_entry(
    server: "Server", store: KvStore, account: Account, pending: PendingEntry, odd: str
) -> None:
    """Characters that mean something in a URL mean themselves in a path."""
    path = f"{account.pending_path}/{odd}"
    odd_account = replace(account, pending_path=path)
    store.write_pending(odd_account, store.read_pending(odd_account), OLD, pending)
    listed = server.call("GET", f"secret/metadata/{account.pending_path}?list=true")

    assert listed is not None
    assert listed["keys"] == [odd]
    assert store.read_pending(odd_account).value == OLD


def test_a_missing_right_is_forbidden(
    server: "Server", store_as: Callable[..., KvStore], account: Account, pending: PendingEntry
) -> None:
    """What the policy does not grant is denied, and the rest works."""
    store = store_as(server.issue_token({"secret/data/*": ["read"]}))
    base = store.read_pending(account)
    for call in (
        lambda: store.write_pending(account, base, OLD, pending),
        lambda: store.clear_pending(account, 1),
    ):
        with pytest.raises(StoreForbidden):
            call()

    assert server.data(account.pending_path) is None
