"""`ledger verify` and `ledger export`: proof and copy of the record."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rotator.cli import output
from rotator.cli.history import require_known
from rotator.cli.session import Session
from rotator.errors import RotatorError

if TYPE_CHECKING:
    from rotator.wiring import Wiring

_MISSING = "the ledger lacks the entry that Vault's note names: it was rewritten or cut off"
_LOST = "the ledger has no entry, and Vault's note names one: the ledger was lost or replaced"
_FAULT_HINT = "compare with a backup, or with what `rotator ledger export` gave before"
HEADERS = ("account", "entries", "chain", "Vault's head")


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
    #: `matches`, `no note`, `not configured`, `not compared`, `FAILED`, or `not reached` where
    #: the chain breaks before the entry that Vault's note names.
    vault: str
    #: Why Vault's note could not be read.
    unread: RotatorError | None = None

    @property
    def faults(self) -> list[str]:
        """All that is wrong."""
        return [fault for fault in (self.chain_fault, self.vault_fault) if fault]

    @property
    def is_whole(self) -> bool:
        """Whether everything that was to be compared was, and matches."""
        return not self.faults and self.unread is None

    @property
    def chain(self) -> str:
        """Give the verdict on the chain in itself."""
        return "FAILED" if self.chain_fault else "whole"

    def document(self) -> dict[str, Any]:
        """Give the proof as `--json` prints it: one verdict for the chain, one for Vault's head."""
        return {
            "account": self.account,
            "entries": self.entries,
            "head": self.head,
            "ok": self.is_whole,
            "fault": next(iter(self.faults), None),
            "chain": {"verdict": self.chain.lower(), "fault": self.chain_fault},
            "vault_head": {"verdict": self.vault.lower(), "fault": self.vault_fault},
        }


def verify(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="only these accounts")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="check the chain alone, and do not ask Vault")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="print one JSON document instead of a table")
    ] = False,
) -> None:
    """Check that no entry of the ledger was changed or is missing.

    Each account's chain of hashes is followed from its first entry to its last, and compared
    with the hash that the last rotation left in Vault.
    """
    session = Session.of(context)
    with session.wiring(session.settings(), offline=offline) as wiring:
        require_known(wiring, names or [])
        away = None if offline else _away(wiring)
        proofs = [
            _proof(wiring, name, away, offline=offline) for name in names or _all_names(wiring)
        ]
    if as_json:
        output.write_json([proof.document() for proof in proofs])
    else:
        output.table(HEADERS, [_row(proof) for proof in proofs])
    output.flush()
    _complain(proofs, away)
    raise typer.Exit(0 if all(proof.is_whole for proof in proofs) else 1)


def export(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="only this account")] = None,
) -> None:
    """Write every entry to standard output, one JSON document a line."""
    session = Session.of(context)
    with session.wiring(session.settings(), offline=True) as wiring:
        require_known(wiring, [name] if name else [])
        for entry in wiring.queries.entries(name):
            output.write_json_line(entry.exported())


def _all_names(wiring: "Wiring") -> list[str]:
    """Name the configured accounts, then those that only the ledger knows."""
    recorded = wiring.queries.recorded_accounts()
    return list(dict.fromkeys([*wiring.accounts, *recorded]))


def _away(wiring: "Wiring") -> RotatorError | None:
    """Say why Vault cannot be asked at all, so that it is not found out for each account."""
    try:
        wiring.store.check()
    except RotatorError as error:
        return error
    return None


def _proof(wiring: "Wiring", name: str, away: RotatorError | None, *, offline: bool) -> Proof:
    anchor, vault, unread = None, "not compared", away
    if not offline and not away:
        # Read first: an entry is in the ledger before Vault's note names it.
        anchor, vault, unread = _anchor(wiring, name)
    verdict = wiring.queries.verify(name, anchor=anchor)
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


def _row(proof: Proof) -> tuple[str, ...]:
    return (proof.account, str(proof.entries), proof.chain, proof.vault)


def _complain(proofs: list[Proof], away: RotatorError | None) -> None:
    for proof in proofs:
        for fault in proof.faults:
            output.complain(fault, _FAULT_HINT, about=proof.account)
        if proof.unread and not away:
            output.complain(
                f"not compared with Vault: {proof.unread.message}",
                proof.unread.hint,
                about=proof.account,
            )
    if away:
        output.complain(
            f"not compared with Vault: {away.message}",
            f"{away.hint}; --offline checks the chain alone" if away.hint else None,
        )
