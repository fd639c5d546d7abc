"""Older versions of the current entry, which Vault keeps for a while."""

from collections.abc import Iterator
from contextlib import suppress

from rotator.errors import UnexpectedEntry, VersionMissing
from rotator.model import Account
from rotator.rotation.ports import Store, StoredCurrent

#: Most versions that are read.
_MOST = 10


def older_versions(store: Store, account: Account, before: int) -> Iterator[StoredCurrent]:
    """Yield the versions before this one that Vault still has, the newest first.

    Raises:
        StoreError: Vault cannot be asked.
    """
    for version in range(before - 1, 0, -1)[:_MOST]:
        # One that has rolled off looks like one that a standby does not show yet: none is awaited.
        with suppress(VersionMissing, UnexpectedEntry):
            yield store.read_version(account, version, seconds=0)
