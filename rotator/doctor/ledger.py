"""The ledger: its schema, the triggers that keep it append-only, and its chains."""

from collections.abc import Iterator

from rotator.doctor.check import Check, bad, broken, doubtful, fine
from rotator.errors import RotatorError
from rotator.wiring import Wiring


def checks(wiring: Wiring) -> Iterator[Check]:
    """Look at the ledger as it is; one that is not there is not made."""
    try:
        revision = wiring.revision()
        if revision is None:
            cure = "`rotator db upgrade` makes it; so does the first rotation"
            yield doubtful("ledger revision", "", "there is no ledger yet", cure)
            return
        queries = wiring.present_queries
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
        verdict = queries.verify(name)
        if verdict.faults:
            cure = "compare with a backup, or with what `rotator ledger export` gave before"
            yield bad("chain", name, "; ".join(verdict.faults), cure)
        else:
            counted = "1 entry" if verdict.entries == 1 else f"{verdict.entries} entries"
            yield fine("chain", name, f"{counted}, head {verdict.head[:12]}")
