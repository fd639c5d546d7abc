"""The store that the engine asks: the current and the pending entries in Vault."""

from dataclasses import replace

from rotator.errors import VersionMissing
from rotator.model import Account, Note, PendingEntry, SecretValue
from rotator.ports import BeforeSend, Store, StoredCurrent, StoredPending, Written
from rotator.vault.connection import Connection
from rotator.vault.entry import current_fields, current_of, pending_fields, pending_of
from rotator.vault.kv import KvMount, Version
from rotator.vault.mount import check_mount

#: How many versions are cleared. Vault keeps that many unless it is told otherwise; where it
#: keeps more, the rotations that wrote older ones have cleared them.
_KEPT = 10


class KvStore(Store):
    """A KV version 2 mount as `Store`.

    A standby may answer reads from the past. No read is trusted for more than it says: writes
    go through check-and-set, and a version is waited for until it is there.
    """

    def __init__(self, connection: Connection, mount: str) -> None:
        """Keep the entries in the mount named `mount`."""
        self._connection = connection
        self._mount = mount
        self._kv = KvMount(connection, mount)

    def check(self) -> None:
        """See whether Vault can be reached, is unsealed, and has the mount as KV version 2.

        Raises:
            StoreError: it cannot be used, and why.
        """
        check_mount(self._connection, self._mount)

    def read_current(self, account: Account) -> StoredCurrent | None:
        """Read the newest version of the current entry; None where nothing is in it."""
        found = self._kv.newest("read-current", account.vault_path)
        return None if found.fields is None else _current(account, found)

    def read_base(self, account: Account) -> StoredCurrent:
        """Read what a write would replace, which may be nothing."""
        found = self._kv.newest("read-current", account.vault_path)
        return _current(account, found)

    def read_version(self, account: Account, version: int) -> StoredCurrent:
        """Read exactly `version`, asking again until it is there or the time is up."""
        patience = self._connection.patience()
        while True:
            found = self._kv.exactly("read-version", account.vault_path, version, patience)
            if found is None and patience.pause():
                continue
            if found is None or found.fields is None:
                raise self._missing(account, version, gone=found is not None)
            return _current(account, found)

    def write_current(
        self,
        account: Account,
        base: StoredCurrent,
        value: SecretValue,
        note: Note,
        *,
        before_send: BeforeSend | None = None,
    ) -> Written:
        """Write `value` and `note` over `base`, keeping all its other fields."""
        fields = current_fields(account, base.fields, value, note)
        return self._kv.write(
            "write-current",
            account.vault_path,
            fields,
            base.entry.version,
            before_send=before_send,
        )

    def read_pending(self, account: Account) -> StoredPending:
        """Read the pending entry."""
        found = self._kv.newest("read-pending", account.pending_path)
        if found.fields is None:
            return StoredPending(version=found.number)
        pending = pending_of(self._kv.shown(account.pending_path), found.number, found.fields)
        return replace(pending, ends_at=found.ends_at)

    def write_pending(
        self,
        account: Account,
        base: StoredPending,
        value: SecretValue,
        entry: PendingEntry,
        *,
        before_send: BeforeSend | None = None,
    ) -> StoredPending:
        """Write the pending entry over `base`."""
        fields = pending_fields(value, entry)
        written = self._kv.write(
            "write-pending", account.pending_path, fields, base.version, before_send=before_send
        )
        return StoredPending(
            version=written.version, entry=entry, value=value, ends_at=written.ends_at
        )

    def clear_pending(
        self, account: Account, upto: int, *, before_send: BeforeSend | None = None
    ) -> None:
        """Destroy what the versions of the pending entry up to `upto` hold.

        The versions go on being counted. To delete the path whole would take no version: such a
        request, arriving late, would take with it what the next rotation has staged there.
        """
        if versions := range(max(1, upto - _KEPT + 1), upto + 1):
            self._kv.destroy(
                "clear-pending", account.pending_path, versions, before_send=before_send
            )

    def _missing(self, account: Account, version: int, *, gone: bool) -> VersionMissing:
        why = "was deleted or destroyed" if gone else "did not appear in time"
        return VersionMissing(f"version {version} of {self._kv.shown(account.vault_path)} {why}")


def _current(account: Account, found: Version) -> StoredCurrent:
    stored = current_of(account, found.number, found.fields or {})
    return replace(stored, entry=replace(stored.entry, ends_at=found.ends_at))
