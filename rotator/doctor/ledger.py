"""The ledger: its schema, the triggers that keep it append-only, its chains and its rows."""

from collections.abc import Iterator
from datetime import UTC, datetime

from rotator.application import Application
from rotator.doctor.check import CheckResult, bad, broken, doubtful, fine
from rotator.errors import RotatorError
from rotator.reporting.text import CHAIN_CURE, ROW_CURE


def checks(application: Application) -> Iterator[CheckResult]:
    """Check the ledger as it is; a missing one is not created."""
    try:
        revision = application.revision()
        if revision is None:
            cure = "`rotator db upgrade` creates it; so does the first rotation"
            yield doubtful("ledger revision", "", "there is no ledger yet", cure)
            return
        queries = application.present_queries
    except RotatorError as error:
        yield broken("ledger revision", "", error)
        return
    yield fine("ledger revision", "", revision)
    missing = queries.missing_triggers()
    if missing:
        yield bad(
            "append-only triggers",
            "",
            f"missing: {', '.join(missing)}",
            "someone removed them: compare the ledger with a backup, and restore it",
        )
    else:
        yield fine("append-only triggers", "", "in place")
    for name in queries.recorded_accounts():
        yield from _account(application, name)


def _account(application: Application, name: str) -> Iterator[CheckResult]:
    """Verify one account's chain and, where that is whole, its rows."""
    queries = application.present_queries
    verdict = queries.verify(name)
    if verdict.fault:
        yield bad("chain", name, verdict.fault, CHAIN_CURE)
        return
    counted = "1 entry" if verdict.entries == 1 else f"{verdict.entries} entries"
    yield fine("chain", name, f"{counted}, head {verdict.head[:12]}")
    put_off = queries.put_off(name, application.accounts.get(name), datetime.now(UTC))
    if found := (*verdict.differences, *put_off):
        yield bad("rows", name, "; ".join(found), ROW_CURE)
    else:
        yield fine("rows", name, "match")
