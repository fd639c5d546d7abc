"""The reconciler's store: the current and the pending entries in Vault."""

import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rotator.errors import VersionMissing
from rotator.model import NOTHING_WRITTEN, Account, Note, PendingEntry, SecretValue, Written
from rotator.rotation.ports import BeforeSend, Store, StoredCurrent, StoredPending
from rotator.vault.client import Deadline
from rotator.vault.entries import (
    current_fields,
    current_of,
    pending_fields,
    pending_of,
    without_previous,
)
from rotator.vault.kv import KvMount, Version
from rotator.vault.session import VaultSession

#: How many versions are cleared. Vault keeps that many by default; where it keeps more, the
#: rotations that wrote older ones have cleared them.
_KEPT = 10
#: How long a standby may lag, in seconds, before its answer is believed.
_LAG = 10.0


class KvStore(Store):
    """A KV version 2 mount as `Store`.

    A standby may answer reads with an older state. No decision relies on a read being current:
    writes use check-and-set, and a version is waited for until it appears.
    """

    def __init__(self, session: VaultSession, mount: str) -> None:
        """Use the entries in the mount named `mount`."""
        self._session = session
        self._kv = KvMount(session, mount)

    def check(self, *, seconds: float | None = None) -> None:
        """Check that Vault can be reached, is unsealed, and has the mount as KV version 2.

        Waits no longer than `seconds`, if a shorter wait is wanted.

        Raises:
            StoreError: it cannot be used; the error says why.
        """
        self._kv.check(self._session.deadline(seconds))

    def read_current(
        self,
        account: Account,
        written: Written = NOTHING_WRITTEN,
        *,
        seconds: float | None = None,
    ) -> StoredCurrent | None:
        """Read the newest version of the current entry; None where it is empty."""
        deadline = None if seconds is None else self._session.deadline(seconds)
        found = self._newest(account, written, deadline)
        return None if found.fields is None else _current(account, found)

    def read_base(self, account: Account, written: Written = NOTHING_WRITTEN) -> StoredCurrent:
        """Read what a write would replace, which may be nothing."""
        return _current(account, self._newest(account, written))

    def read_version(
        self, account: Account, version: int, *, seconds: float | None = None
    ) -> StoredCurrent:
        """Read exactly `version`, retrying until it appears or the time is up."""
        deadline = self._session.deadline(seconds)
        while True:
            found = self._kv.read_version("read-version", account.vault_path, version, deadline)
            if found is None and deadline.pause():
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
        """Write `value` and `note` over `base`, keeping its other fields but a replaced value."""
        fields = current_fields(account, without_previous(base), value, note, base.value)
        return self._write_current(account, base, fields, before_send)

    def withdraw_previous(
        self, account: Account, base: StoredCurrent, *, before_send: BeforeSend | None = None
    ) -> tuple[StoredCurrent, Written]:
        """Write `base` without the replaced value."""
        fields = without_previous(base)
        written = self._write_current(account, base, fields, before_send)
        version = Version(number=written.version, fields=fields, ends_at=written.ends_at)
        return _current(account, version), written

    def _write_current(
        self,
        account: Account,
        base: StoredCurrent,
        fields: Mapping[str, Any],
        before_send: BeforeSend | None,
    ) -> Written:
        path, version = account.vault_path, base.entry.version
        return self._kv.write("write-current", path, fields, version, before_send=before_send)

    def read_pending(self, account: Account) -> StoredPending:
        """Read the pending entry."""
        found = self._kv.read_newest("read-pending", account.pending_path)
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
        """Destroy the versions of the pending entry up to `upto`.

        The versions keep counting. Deleting the whole path would take no version number: such a
        request, arriving late, would also delete what the next rotation has staged there.
        """
        if versions := range(max(1, upto - _KEPT + 1), upto + 1):
            self._kv.destroy(
                "clear-pending", account.pending_path, versions, before_send=before_send
            )

    def _newest(
        self, account: Account, written: Written, deadline: Deadline | None = None
    ) -> Version:
        """Read the newest version, retrying while it is older than what was written.

        Spends `deadline` on that, if given.
        """
        lag = deadline or self._session.deadline(_LAG)
        while True:
            found = self._kv.read_newest(
                "read-current", account.vault_path, written.index, deadline
            )
            if found.number >= written.version or not lag.pause():
                return found

    def _missing(self, account: Account, version: int, *, gone: bool) -> VersionMissing:
        path = shlex.quote(account.identity.vault_path)
        name = f"version {version} of {self._kv.shown(account.vault_path)}"
        if not gone:
            return VersionMissing(f"{name} did not appear in time")
        return VersionMissing(
            f"{name} was deleted or destroyed",
            hint=f"`vault kv undelete -versions={version} {path}` brings back what was deleted;"
            f" where it was destroyed, `rotator adopt {account.name}` puts a working secret there",
        )


def _current(account: Account, found: Version) -> StoredCurrent:
    stored = current_of(account, found.number, found.fields or {})
    return replace(stored, entry=replace(stored.entry, ends_at=found.ends_at))
