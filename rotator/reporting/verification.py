"""Verifies an account's record: its hash chain, its rows, and the hash in Vault's note."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rotator.errors import RotatorError
from rotator.reporting.text import CHAIN_CURE, ROW_CURE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rotator.ledger.reader import LedgerReader
    from rotator.model import Account
    from rotator.rotation.ports import Store

_MISSING = "the ledger lacks the entry that Vault's note names: it was rewritten or cut off"
_LOST = "the ledger has no entry, and Vault's note names one: the ledger was lost or replaced"


@dataclass(frozen=True, kw_only=True)
class LedgerVerification:
    """The result of verifying an account's record."""

    account: str
    entries: int
    head: str
    #: What is wrong with the chain itself, from the first bad entry on.
    chain_fault: str | None
    #: What is wrong with it, compared with Vault's note.
    vault_fault: str | None
    #: Where the account's rows differ from its entries, or from possible values.
    row_faults: tuple[str, ...]
    #: `matches`, `no note`, `not configured`, `not compared`, `FAILED`, or `not reached` if the
    #: chain breaks before the entry in Vault's note.
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
        chain = [fault for fault in (self.chain_fault, self.vault_fault) if fault]
        return [
            *((fault, CHAIN_CURE) for fault in chain),
            *((fault, ROW_CURE) for fault in self.row_faults),
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
            "vault_head": {"verdict": self.vault.lower(), "fault": self.vault_fault},
        }


@dataclass(frozen=True, kw_only=True)
class Verifier:
    """Compares an account's record with itself, with its rows, and with the note in Vault."""

    queries: "LedgerReader"
    #: The configured accounts, by name.
    accounts: "Mapping[str, Account]"
    #: Source of the notes; None where these are not wanted, or not readable.
    store: "Store | None"
    #: Why they are not readable.
    away: RotatorError | None = None

    def verify(self, name: str) -> LedgerVerification:
        """Verify an account's chain, and compare it with its rows and Vault's note."""
        anchor, vault, unread = None, "not compared", self.away
        if self.store:
            # Read first: an entry is in the ledger before Vault's note names it.
            anchor, vault, unread = self._anchor(name, self.store)
        verdict = self.queries.verify(name, anchor=anchor)
        put_off = self.queries.put_off(name, self.accounts.get(name), datetime.now(UTC))
        vault_fault = None
        if verdict.has_anchor is False:
            vault, vault_fault = "FAILED", _MISSING if verdict.entries else _LOST
        elif anchor is not None and verdict.has_anchor is None:
            vault = "not reached"
        return LedgerVerification(
            account=name,
            entries=verdict.entries,
            head=verdict.head,
            chain_fault=verdict.fault,
            vault_fault=vault_fault,
            row_faults=(*verdict.differences, *put_off),
            vault=vault,
            unread=unread,
        )

    def _anchor(self, name: str, store: "Store") -> tuple[str | None, str, RotatorError | None]:
        """Return the hash in Vault's note, how it compares, and the error of reading it."""
        account = self.accounts.get(name)
        if account is None:
            return None, "not configured", None
        try:
            stored = store.read_current(account)
        except RotatorError as error:
            return None, "not compared", error
        if stored is None or stored.entry.note is None:
            return None, "no note", None
        return stored.entry.note.ledger_head, "matches", None
