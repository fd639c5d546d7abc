"""Credentials in Vault: the values that consumers use, and with which rotator asks Vonage."""

from collections.abc import Callable
from typing import TypeVar

from rotator.errors import CredentialRefused
from rotator.model import NOTHING_WRITTEN, Account, Credential, Written
from rotator.rotation.ports import Store, StoredCurrent

T = TypeVar("T")


def own_credential(account: Account, current: StoredCurrent | None) -> Credential | None:
    """Return the credential that consumers of `account` use; None where Vault has none."""
    if current is None or current.value is None:
        return None
    return Credential(api_key=account.api_key, secret=current.value)


def read_own_credential(
    store: Store, account: Account, written: Written = NOTHING_WRITTEN
) -> Credential:
    """Read the credential from Vault, at least as new as what was `written`.

    Raises:
        CredentialRefused: Vault has none.
        StoreError: Vault cannot be read.
    """
    credential = own_credential(account, store.read_current(account, written))
    if credential is None:
        raise CredentialRefused(
            f"Vault has no secret of {account.name}",
            hint=f"`rotator adopt {account.name}` puts the current one there",
        )
    return credential


def with_own_credential(
    store: Store,
    account: Account,
    send: Callable[[Credential], T],
    written: Written = NOTHING_WRITTEN,
) -> T:
    """Send a request that only reads, with the account's own credential.

    A refused credential is read and tried once more, since the account may have been rotated
    between the two.

    Raises:
        CredentialRefused: Vault has none, or Vonage does not accept it.
        StoreError: Vault cannot be read.
    """
    try:
        return send(read_own_credential(store, account, written))
    except CredentialRefused:
        return send(read_own_credential(store, account, written))
