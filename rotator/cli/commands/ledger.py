"""`ledger verify`, `ledger export` and `ledger backup`: check, export and save the record."""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rotator.cli import output
from rotator.cli.commands.history import require_known
from rotator.cli.commands.witness import KeyOption, compared, complain, exit_code
from rotator.cli.context import (
    CommandContext,
    JsonOption,
    OnlyName,
    OnlyNames,
    flag,
    json_option,
    option,
)
from rotator.errors import Busy, ConfigError, LedgerError, RotatorError
from rotator.reporting.verification import LedgerVerification, Verifier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rotator.application import Application
    from rotator.ledger.backup import Backup

HEADERS = ("account", "entries", "chain", "rows", "Vault's head")
#: Exit code where nothing is wrong as far as could be compared: try later.
NOT_COMPARED = Busy.exit_code


def verify(
    context: typer.Context,
    names: OnlyNames = None,
    offline: Annotated[
        bool, flag("--offline", "compare chain and rows, and do not ask Vault")
    ] = False,
    rules: Annotated[
        bool, flag("--rules", "also check by the entries that rotator kept its rules")
    ] = False,
    witness: Annotated[
        Path | None,
        option("PATH", "compare with published checkpoints: their directory, or a file"),
    ] = None,
    key: KeyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check that no entry of the ledger was changed or is missing, and that its rows match.

    Each account's chain of hashes is followed from its first entry to its last, and compared
    with the hash that the last rotation left in Vault. What the entries say of rotations, holds,
    deleted and adopted secrets, and of what the account is, is compared with the rows that rotator
    works by.

    With --rules, the entries are also read as evidence of what rotator did: that each value was in
    Vault before it was sent, each effect intended before it was tried, each secret replaced and the
    new one verified before it was deleted, its grace over and its gates open unless somebody asked
    otherwise, and no process at work that had lost its lease. The first entry that breaks a rule is
    named; docs/concepts.md has the rules by their numbers.

    With --witness, the ledger must extend each of the checkpoints that were published of it: that
    shows a ledger that was lost, cut off or rewritten, whoever did it.

    Exits with 1 only if something was changed or is missing, or a rule broken; with 2 if there is
    no ledger; and with 75 if the ledger or Vault cannot be read now: then nothing is known to be
    wrong.
    """
    if key and witness is None:
        raise ConfigError(
            "--key is for checkpoints, and none are given",
            hint="name their directory: `rotator ledger verify --witness PATH --key KEY`",
        )
    with _readable(), CommandContext.of(context).application(offline=offline) as application:
        application.ledger.require("verify")
        require_known(application, names or [])
        verifier = verifier_of(application, offline=offline, checks_rules=rules)
        proofs = [verifier.verify(name) for name in names or all_names(application)]
        witnessed = compared(application, witness, key) if witness else None
    shown = {"witness": witnessed.document()} if witnessed else {}
    documents = [proof.document() | shown for proof in proofs]
    headers = (*HEADERS, "rules") if rules else HEADERS
    output.show_table(documents, headers, [_row(proof) for proof in proofs], as_json=as_json)
    if witnessed and not as_json:
        # Checkpoints cover the hashes: whether the entries fit these is for the chains to show.
        is_whole = not any(proof.chain_fault for proof in proofs)
        beginning = "the ledger extends" if is_whole else "by its hashes alone, the ledger extends"
        beginning = f"up to the fault, {beginning}" if witnessed.fault else beginning
        output.write(output.fitted(witnessed.sentence(beginning)))
    output.flush()
    _complain(proofs, verifier.away)
    codes = [_exit_code(proofs)]
    if witnessed:
        complain(witnessed)
        codes.append(exit_code(witnessed))
    raise typer.Exit(1 if 1 in codes else max(codes))


@contextmanager
def _readable() -> "Iterator[None]":
    """End the command as one that has verified nothing if the ledger cannot be read."""
    try:
        yield
    except LedgerError as error:
        output.complain(f"nothing was verified: {error.message}", error.hint)
        raise typer.Exit(NOT_COMPARED) from None


def _exit_code(proofs: list[LedgerVerification]) -> int:
    if any(proof.faults for proof in proofs):
        return 1
    return 0 if all(proof.is_whole for proof in proofs) else NOT_COMPARED


def export(context: typer.Context, name: OnlyName = None) -> None:
    """Write every entry to standard output, one JSON document a line."""
    with CommandContext.of(context).application(offline=True) as application:
        application.ledger.require("export")
        require_known(application, [name] if name else [])
        for entry in application.ledger.reader.entries(name):
            output.write_json_line(entry.exported())


def backup(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="the new file")],
    as_json: Annotated[bool, json_option("sentences")] = False,
) -> None:
    """Write a backup of the ledger into a new SQLite file, and verify it.

    The daemon and other commands may go on meanwhile; the file has what was recorded when the
    backup began. No file is replaced.
    """
    from rotator.config.urls import sqlite_path  # noqa: PLC0415  # `--help` needs no validator

    with CommandContext.of(context).application(offline=True, as_written=True) as application:
        done = application.ledger.back_up(path)
        ledger = sqlite_path(application.settings.ledger.read_url())
    faults = [check for check in done.verdicts or () if check.fault]
    output.show(_backup_document(done), "\n".join(_sentences(done, ledger)), as_json=as_json)
    output.flush()
    for check in faults:
        hint = "the backup is as the ledger: keep it as evidence, and see `rotator ledger verify`"
        output.complain(check.fault or "", hint, about=check.account)
    raise typer.Exit(1 if faults else 0)


def _sentences(done: "Backup", ledger: str | None) -> "Iterator[str]":
    yield f"wrote {done.path}: {done.size} bytes, schema {done.revision}"
    if done.verdicts is None:
        yield "its chains were not verified, as its schema is another version's"
    else:
        entries = sum(check.entries for check in done.verdicts)
        broken = sum(check.fault is not None for check in done.verdicts)
        verdict = f"{broken} BROKEN" if broken else "all whole"
        yield f"verified chains: {len(done.verdicts)} with {entries} entries, {verdict}"
    if ledger:
        yield (
            f"to restore it: stop the daemon, remove {ledger}-wal and {ledger}-shm, copy the "
            f"backup to {ledger} with the owner of its folder, and run `rotator ledger verify`"
        )
    else:
        yield (
            "to restore it: stop the daemon, and let ledger.url name the backup while `rotator db "
            "copy --to URL` copies it into an empty database"
        )


def _backup_document(done: "Backup") -> dict[str, Any]:
    return {
        "path": str(done.path),
        "bytes": done.size,
        "revision": done.revision,
        "chains": [
            {
                "account": check.account,
                "entries": check.entries,
                "head": check.head,
                "fault": check.fault,
            }
            for check in done.verdicts or ()
        ],
    }


def verifier_of(
    application: "Application", *, offline: bool, checks_rules: bool = False
) -> Verifier:
    """Return the verifier of records, without Vault if `offline` or if Vault is unreachable."""
    away = None if offline else application.clients.store_failure()
    store = None if offline or away else application.clients.store
    return Verifier(
        reader=application.ledger.reader,
        accounts=application.accounts,
        store=store,
        away=away,
        checks_rules=checks_rules,
    )


def all_names(application: "Application") -> list[str]:
    """Return the names of the configured accounts, then of those only in the ledger."""
    recorded = application.ledger.reader.recorded_accounts()
    return list(dict.fromkeys([*application.accounts, *recorded]))


def _row(proof: LedgerVerification) -> tuple[str, ...]:
    known = (proof.account, str(proof.entries), proof.chain, proof.rows, proof.vault)
    return (*known, proof.rules) if proof.rules else known


def _complain(proofs: list[LedgerVerification], away: RotatorError | None) -> None:
    for proof in proofs:
        for fault, hint in proof.complaints:
            output.complain(fault, hint, about=proof.account)
        if proof.unread and not away:
            _complain_of_vault(proof.unread, [proof], about=proof.account)
    if away:
        _complain_of_vault(away, proofs)


def _complain_of_vault(
    error: RotatorError, proofs: list[LedgerVerification], *, about: str = ""
) -> None:
    alone = "" if any(proof.faults for proof in proofs) else "; chain and rows are whole"
    hint = f"{error.hint or 'try again later'}; --offline compares chain and rows alone"
    output.complain(f"could not compare with Vault: {error.message}{alone}", hint, about=about)
