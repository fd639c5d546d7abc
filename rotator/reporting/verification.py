"""Proving an account's record: its chain of hashes, and the one that Vault's note names."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rotator.errors import RotatorError
from rotator.reporting.text import CHAIN_CURE, ROW_CURE

if TYPE_CHECKING:
    from rotator.application import Wiring

_MISSING = "the ledger lacks the entry that Vault's note names: it was rewritten or cut off"
_LOST = "the ledger has no entry, and Vault's note names one: the ledger was lost or replaced"


@dataclass(frozen=True, kw_only=True)
class Proof:
    """Whether an account's record is whole."""

    account: str
    entries: int
    head: str
    #: What is wrong with the chain in itself, naming the first bad entry.
    chain_fault: str | None
    #: What is wrong with it against Vault's note.
    vault_fault: str | None
    #: Where the account's rows are not what its entries say, or not what they can be.
    row_faults: tuple[str, ...]
    #: `matches`, `no note`, `not configured`, `not compared`, `FAILED`, or `not reached` where
    #: the chain breaks before the entry that Vault's note names.
    vault: str
    #: Why Vault's note could not be read.
    unread: RotatorError | None = None

    @property
    def faults(self) -> list[str]:
        """All that is wrong."""
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
        """Whether everything that was to be compared was, and matches."""
        return not self.faults and self.unread is None

    @property
    def chain(self) -> str:
        """Give the verdict on the chain in itself."""
        return "FAILED" if self.chain_fault else "whole"

    @property
    def rows(self) -> str:
        """Return the verdict on the rows; against a broken chain they are not compared."""
        if self.row_faults:
            return "FAILED"
        return "not compared" if self.chain_fault else "match"

    def document(self) -> dict[str, Any]:
        """Return the proof as `--json` prints it: a verdict each for chain, rows, Vault's head."""
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


def away_from(wiring: "Wiring") -> RotatorError | None:
    """Say why Vault cannot be asked at all, so that it is not found out for each account."""
    try:
        wiring.store.check()
    except RotatorError as error:
        return error
    return None


def proof_of(wiring: "Wiring", name: str, away: RotatorError | None, *, offline: bool) -> Proof:
    """Follow an account's chain, and compare it with Vault's note unless Vault is `away`."""
    anchor, vault, unread = None, "not compared", away
    if not offline and not away:
        # Read first: an entry is in the ledger before Vault's note names it.
        anchor, vault, unread = _anchor(wiring, name)
    verdict = wiring.queries.verify(name, anchor=anchor)
    put_off = wiring.queries.put_off(name, wiring.accounts.get(name), datetime.now(UTC))
    vault_fault = None
    if verdict.has_anchor is False:
        vault, vault_fault = "FAILED", _MISSING if verdict.entries else _LOST
    elif anchor is not None and verdict.has_anchor is None:
        vault = "not reached"
    return Proof(
        account=name,
        entries=verdict.entries,
        head=verdict.head,
        chain_fault=verdict.fault,
        vault_fault=vault_fault,
        row_faults=(*verdict.differences, *put_off),
        vault=vault,
        unread=unread,
    )


def _anchor(wiring: "Wiring", name: str) -> tuple[str | None, str, RotatorError | None]:
    """Give the hash that Vault's note names, how that compares, and what kept us from it."""
    account = wiring.accounts.get(name)
    if account is None:
        return None, "not configured", None
    try:
        stored = wiring.store.read_current(account)
    except RotatorError as error:
        return None, "not compared", error
    if stored is None or stored.entry.note is None:
        return None, "no note", None
    return stored.entry.note.ledger_head, "matches", None
