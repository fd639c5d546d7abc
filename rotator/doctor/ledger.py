"""The ledger: its schema, the triggers that keep it append-only, its chains and its rows."""

from collections.abc import Iterator

from rotator.application import Application
from rotator.doctor.check import CheckResult, bad, broken, doubtful, fine
from rotator.errors import RotatorError
from rotator.reporting.verification import CHAIN_HINT, row_hint, verify_ledger


def checks(application: Application) -> Iterator[CheckResult]:
    """Check the ledger as it is; a missing one is not created."""
    try:
        revision = application.ledger.revision()
        if revision is None:
            cure = "`rotator db upgrade` creates it; so does the first rotation"
            yield doubtful("ledger revision", "", "there is no ledger yet", cure)
            return
        reader = application.ledger.existing_reader
    except RotatorError as error:
        yield broken("ledger revision", "", error)
        return
    yield fine("ledger revision", "", revision)
    missing = reader.missing_triggers()
    if missing:
        yield bad(
            "append-only triggers",
            "",
            f"missing: {', '.join(missing)}",
            "someone removed them: compare the ledger with a backup, and restore it",
        )
    else:
        yield fine("append-only triggers", "", "in place")
    if unsafe := reader.unsafe_settings():
        yield _unsafe(unsafe)
    for name in reader.recorded_accounts():
        yield from _account(application, name)


def _unsafe(settings: list[str]) -> CheckResult:
    """Warn of a server that promises more than its disk keeps."""
    cures = "; ".join(f"ALTER SYSTEM SET {name} = on" for name in settings)
    return doubtful(
        "durability",
        "",
        f"PostgreSQL runs with {' and '.join(f'{name} = off' for name in settings)}: a power cut "
        "may damage or shorten the ledger",
        f"`{cures}; SELECT pg_reload_conf()`, as the server's administrator",
    )


def _account(application: Application, name: str) -> Iterator[CheckResult]:
    """Verify one account's chain and, where that is whole, its rows."""
    account = application.accounts.get(name)
    verification = verify_ledger(application.ledger.existing_reader, name, account)
    if verification.chain_fault:
        yield bad("chain", name, verification.chain_fault, CHAIN_HINT)
        return
    counted = "1 entry" if verification.entries == 1 else f"{verification.entries} entries"
    yield fine("chain", name, f"{counted}, head {verification.head[:12]}")
    if verification.row_faults:
        yield bad("rows", name, "; ".join(verification.row_faults), row_hint(name))
    else:
        yield fine("rows", name, "match")
