"""The last look before a write to Vault: what it refuses is not sent."""

from collections.abc import Callable

import pytest

from rotator.errors import HoldChanged, StoreForbidden
from rotator.model import Account, Note, PendingEntry, SecretValue
from rotator.rotation.ports import StoredPending
from rotator.sim import Fault, VaultSimulator
from rotator.vault import KvStore

OLD, NEW = SecretValue("Abcdefgh1"), SecretValue("Zyxwvuts9")
Look = Callable[[], object]
WRITES = ("write-current", "withdraw-previous", "write-pending", "clear-pending")


@pytest.fixture
def writes(
    vault: VaultSimulator,
    simulated_store: KvStore,
    account: Account,
    note: Note,
    pending: PendingEntry,
) -> dict[str, Callable[[Look], object]]:
    """Return every write that the store takes, ready to be made."""
    store = simulated_store
    vault.write(account.vault_path, {"api_secret": OLD.reveal()})
    vault.write(account.pending_path, {"value": OLD.reveal()})
    base, staged = store.read_base(account), StoredPending(version=1)
    return {
        "write-current": lambda look: store.write_current(
            account, base, NEW, note, before_send=look
        ),
        "withdraw-previous": lambda look: store.withdraw_previous(account, base, before_send=look),
        "write-pending": lambda look: store.write_pending(
            account, staged, NEW, pending, before_send=look
        ),
        "clear-pending": lambda look: store.clear_pending(account, 1, before_send=look),
    }


@pytest.mark.parametrize("name", WRITES)
def test_what_a_last_look_refuses_is_not_sent(
    vault: VaultSimulator, writes: dict[str, Callable[[Look], object]], name: str
) -> None:
    """What it raises comes out as it is; the connection is used on for what comes next."""
    before = len(vault.exchanges)

    def refuse() -> None:
        raise HoldChanged

    with pytest.raises(HoldChanged):
        writes[name](refuse)
    refused = len(vault.exchanges)
    writes[name](lambda: None)

    assert (refused, len(vault.exchanges)) == (before, before + 1)


@pytest.mark.parametrize("name", WRITES)
def test_a_look_is_made_for_each_request(
    vault: VaultSimulator, writes: dict[str, Callable[[Look], object]], name: str
) -> None:
    """A mount that starts has a write sent again, after another look; one that is denied is not."""
    looks: list[int] = []
    body = {"errors": ["Upgrading from non-versioned to versioned data. This backend will be"]}
    vault.faults.add(Fault("status", method="POST", status=400, body=body, times=2))
    before = len(vault.exchanges)
    writes[name](lambda: looks.append(len(vault.exchanges) - before))
    vault.faults.add(Fault("status", method="POST", status=403, times=None))
    with pytest.raises(StoreForbidden):
        writes[name](lambda: None)

    assert looks == [0, 1, 2]
