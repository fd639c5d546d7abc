"""Verifies an account's record: its hash chain, its rows, and the hash in Vault's note."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rotator.errors import RotatorError
from rotator.model import NOTHING_WRITTEN, Written

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rotator.ledger.reader import ChainCheck, LedgerReader
    from rotator.model import Account
    from rotator.rotation.ports import Store

#: What to do where a chain of entries is broken.
CHAIN_HINT = "compare it with a backup, or with an earlier `rotator ledger export`"
#: What to do where a whole chain does not reach as far as Vault's note.
HEAD_HINT = (
    "if it was restored, or its database failed over, note that elsewhere: the account's next push "
    f"ends this; if not, {CHAIN_HINT}"
)
_VANISHED = "Vault's entry has no note, and rotator wrote version {version} there with one"
_MISSING = (
    "the ledger lacks the entry that Vault's note names: it was rewritten or cut off, restored "
    "from a backup, or its database failed over without its last commits"
)
_LOST = "the ledger has no entry, and Vault's note names one: the ledger was lost or replaced"


def row_hint(name: str) -> str:
    """Return what to do where an account's rows differ from its entries."""
    return (
        "someone wrote to the ledger's tables: correct the row as the entries say, or restore a "
        f"backup; `rotator release {name}` or `rotator hold {name} --reason TEXT` corrects a hold, "
        f"`rotator status {name} --refresh` a due time and the account's identity"
    )


def vanished_hint(name: str) -> str:
    """Return what to do where the note that rotator wrote for an account is gone."""
    return (
        f"the entry was replaced or deleted, or its version ended: `rotator status {name} "
        f"--refresh` says what that means for consumers; `rotator adopt {name} --from-vault` "
        "writes a note again"
    )


@dataclass(frozen=True, kw_only=True)
class LedgerVerification:
    """The result of verifying an account's record."""

    account: str
    entries: int
    head: str
    #: What is wrong with the chain itself, from the first bad entry on.
    chain_fault: str | None = None
    #: What is wrong with it, compared with Vault's note.
    vault_fault: str | None = None
    #: Where the account's rows differ from its entries, or from possible values.
    row_faults: tuple[str, ...] = ()
    #: The newest version of Vault's entry that the ledger says rotator wrote at the account's path;
    #: 0 for none.
    written_version: int = 0
    #: Why there is no note in Vault to compare with, although rotator wrote one.
    note_fault: str | None = None
    #: `matches`, `no note` (none was ever written), `vanished` (one was), `not configured`,
    #: `not compared`, `FAILED`, or `not reached` if the chain breaks before the entry in Vault's
    #: note.
    vault: str
    #: Why Vault's note could not be read.
    unread: RotatorError | None = None

    @property
    def faults(self) -> list[str]:
        """Everything that is wrong."""
        return [fault for fault, _ in self.complaints]

    @property
    def complaints(self) -> list[tuple[str, str]]:
        """All that is wrong, each with what to do about it."""
        return [
            *((fault, CHAIN_HINT) for fault in (self.chain_fault,) if fault),
            *((fault, HEAD_HINT) for fault in (self.vault_fault,) if fault),
            *((fault, vanished_hint(self.account)) for fault in (self.note_fault,) if fault),
            *((fault, row_hint(self.account)) for fault in self.row_faults),
        ]

    @property
    def is_whole(self) -> bool:
        """Return whether everything that was to be compared was compared, and matches."""
        return not self.faults and self.unread is None

    @property
    def chain(self) -> str:
        """Verdict on the chain in itself."""
        return "FAILED" if self.chain_fault else "whole"

    @property
    def rows(self) -> str:
        """Return the verdict on the rows; with a broken chain they are not compared."""
        if self.row_faults:
            return "FAILED"
        return "not compared" if self.chain_fault else "match"

    def document(self) -> dict[str, Any]:
        """Return the result for `--json`: a verdict each on chain, rows, and Vault's head."""
        return {
            "account": self.account,
            "entries": self.entries,
            "head": self.head,
            "ok": self.is_whole,
            "fault": next(iter(self.faults), None),
            "chain": {"verdict": self.chain.lower(), "fault": self.chain_fault},
            "rows": {"verdict": self.rows.lower(), "faults": [*self.row_faults]},
            "vault_head": {
                "verdict": self.vault.lower(),
                "fault": self.vault_fault or self.note_fault,
                "error": self._unread_document(),
            },
        }

    def _unread_document(self) -> dict[str, Any] | None:
        if self.unread is None:
            return None
        return {name: getattr(self.unread, name) for name in ("code", "message", "hint")}


def verify_ledger(
    reader: "LedgerReader",
    name: str,
    account: "Account | None",
    *,
    anchor: str | None = None,
    newest: int | None = None,
) -> LedgerVerification:
    """Verify an account's chain, and compare it with its rows and with Vault's note.

    `account` is as configured; None where it is not. `anchor` is the hash in Vault's note; None
    compares with none. With `newest`, only so many of the newest entries are read, and no anchor is
    looked for.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    check = reader.verify_end(name, limit=newest) if newest else reader.verify(name, anchor=anchor)
    vault, vault_fault = "not compared", None
    if check.has_anchor is False:
        vault, vault_fault = "FAILED", _MISSING if check.entries else _LOST
    elif anchor is not None:
        vault = "matches" if check.has_anchor else "not reached"
    return LedgerVerification(
        account=name,
        entries=check.entries,
        head=check.head,
        chain_fault=check.fault,
        vault_fault=vault_fault,
        row_faults=(
            *check.differences,
            *reader.implausible_delays(name, account, datetime.now(UTC)),
        ),
        vault=vault,
        written_version=_version_at_path(check, account),
    )


def _version_at_path(check: "ChainCheck", account: "Account | None") -> int:
    """Return the newest version that was written at the path that `account` has now; 0 for none.

    Where the entries do not record the path, the account has had but one.
    """
    path = account.identity.vault_path if account else check.written_path
    return check.written_version if check.written_path in (None, path) else 0


@dataclass(frozen=True, kw_only=True)
class Verifier:
    """Verifies the records of accounts, and compares each with the note in Vault."""

    reader: "LedgerReader"
    #: The configured accounts, by name.
    accounts: "Mapping[str, Account]"
    #: Source of the notes; None where these are not wanted, or not readable.
    store: "Store | None"
    #: Why they are not readable.
    away: RotatorError | None = None

    def verify(self, name: str) -> LedgerVerification:
        """Verify an account's record.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        account = self.accounts.get(name)
        if self.store is None or account is None:
            vault = "not configured" if self.store else "not compared"
            found = verify_ledger(self.reader, name, account)
            return replace(found, vault=vault, unread=self.away)
        # Read first: an entry is in the ledger before Vault's note names it.
        found = self._compared(account, self.store)
        if found.vault == "no note" and found.written_version:
            # The first one may have been written meanwhile, or a standby of Vault may lag.
            written = Written(version=found.written_version)
            found = self._compared(account, self.store, written)
        if found.vault == "no note" and found.written_version:
            fault = _VANISHED.format(version=found.written_version)
            return replace(found, vault="vanished", note_fault=fault)
        return found

    def _compared(
        self, account: "Account", store: "Store", written: Written = NOTHING_WRITTEN
    ) -> LedgerVerification:
        """Verify an account's record, compared with Vault's note if that can be read."""
        try:
            stored = store.read_current(account, written)
        except RotatorError as error:
            found = verify_ledger(self.reader, account.name, account)
            return replace(found, unread=error)
        note = stored.entry.note if stored else None
        anchor = note.ledger_head if note else None
        found = verify_ledger(self.reader, account.name, account, anchor=anchor)
        return found if note else replace(found, vault="no note")
