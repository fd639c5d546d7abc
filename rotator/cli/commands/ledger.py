"""`ledger verify` and `ledger export`: check and export the record."""

from typing import TYPE_CHECKING, Annotated

import typer

from rotator.cli import output
from rotator.cli.commands.history import require_known
from rotator.cli.context import CommandContext, JsonOption, OnlyName, OnlyNames, flag
from rotator.errors import RotatorError
from rotator.reporting.verification import LedgerVerification, Verifier

if TYPE_CHECKING:
    from rotator.application import Application

HEADERS = ("account", "entries", "chain", "rows", "Vault's head")


def verify(
    context: typer.Context,
    names: OnlyNames = None,
    offline: Annotated[
        bool, flag("--offline", "compare chain and rows, and do not ask Vault")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check that no entry of the ledger was changed or is missing, and that its rows match.

    Each account's chain of hashes is followed from its first entry to its last, and compared
    with the hash that the last rotation left in Vault. What the entries say of rotations, holds,
    deleted and adopted secrets, and of what the account is, is compared with the rows that rotator
    works by.
    """
    with CommandContext.of(context).application(offline=offline) as application:
        require_known(application, names or [])
        verifier = verifier_of(application, offline=offline)
        proofs = [verifier.verify(name) for name in names or all_names(application)]
    documents = [proof.document() for proof in proofs]
    output.show_table(documents, HEADERS, [_row(proof) for proof in proofs], as_json=as_json)
    output.flush()
    _complain(proofs, verifier.away)
    raise typer.Exit(0 if all(proof.is_whole for proof in proofs) else 1)


def export(context: typer.Context, name: OnlyName = None) -> None:
    """Write every entry to standard output, one JSON document a line."""
    with CommandContext.of(context).application(offline=True) as application:
        require_known(application, [name] if name else [])
        for entry in application.ledger.reader.entries(name):
            output.write_json_line(entry.exported())


def verifier_of(application: "Application", *, offline: bool) -> Verifier:
    """Return the verifier of records, without Vault if `offline` or if Vault is unreachable."""
    away = None if offline else application.clients.store_failure()
    store = None if offline or away else application.clients.store
    return Verifier(
        reader=application.ledger.reader, accounts=application.accounts, store=store, away=away
    )


def all_names(application: "Application") -> list[str]:
    """Return the names of the configured accounts, then of those only in the ledger."""
    recorded = application.ledger.reader.recorded_accounts()
    return list(dict.fromkeys([*application.accounts, *recorded]))


def _row(proof: LedgerVerification) -> tuple[str, ...]:
    return (proof.account, str(proof.entries), proof.chain, proof.rows, proof.vault)


def _complain(proofs: list[LedgerVerification], away: RotatorError | None) -> None:
    for proof in proofs:
        for fault, hint in proof.complaints:
            output.complain(fault, hint, about=proof.account)
        if proof.unread and not away:
            output.complain(
                f"not compared with Vault: {proof.unread.message}",
                proof.unread.hint,
                about=proof.account,
            )
    if away:
        output.complain(
            f"not compared with Vault: {away.message}",
            f"{away.hint}; --offline compares chain and rows alone" if away.hint else None,
        )
