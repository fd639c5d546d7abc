"""What it means that a witness has another history of the ledger than the ledger."""

from rotator.errors import WitnessConflict
from rotator.model.checkpoint import Checkpoint, History, Note
from rotator.model.times import rfc3339

#: What to do once the ledger has lost what was witnessed.
_BEGIN_ANEW = (
    "find out what happened (`rotator ledger verify --witness PATH`); restore a newer backup if "
    "there is one; only if there is none, begin a new log: set a new ledger.witness.name and empty "
    "places for it, and tell who keeps the former one"
)


def conflict_of(where: str, note: Note, history: History) -> WitnessConflict:
    """Return the error about a note that is at `where`, and that no checkpoint of `history` is."""
    try:
        published = Checkpoint.parse(note.text)
    except ValueError as error:
        message = f"{where} holds what is no checkpoint of a ledger: {error}"
        return WitnessConflict(message, hint="give the ledger's checkpoints a place of their own")
    if published.origin != history.origin:
        return another_log(where, published.origin)
    at = rfc3339(published.at)
    if published.size > history.size:
        what = (
            f"the ledger ends before what was published: its checkpoints cover {history.size} "
            f"entries, and {where} has one of {published.size}, of {at}; it was restored from a "
            "backup, cut off, or lost"
        )
    else:
        what = (
            f"the ledger has another history than the one that was published: {where} has a "
            f"checkpoint of {published.size} entries, of {at}, that is none of the ledger's"
        )
    return WitnessConflict(what, hint=_BEGIN_ANEW)


def another_log(where: str, origin: str) -> WitnessConflict:
    """Return the error about a place that holds the checkpoints of another log."""
    return WitnessConflict(
        f"{where} holds the checkpoints of another ledger, {origin}: the former ledger was lost or "
        "replaced, or two ledgers share the place",
        hint=_BEGIN_ANEW,
    )


def behind(where: str, size: int, history: History) -> WitnessConflict:
    """Return the error about a witness that has seen more entries than the ledger's checkpoints."""
    return WitnessConflict(
        f"the ledger ends before what was published: its checkpoints cover {history.size} entries, "
        f"and {where} has seen {size}; it was restored from a backup, cut off, or lost",
        hint=_BEGIN_ANEW,
    )


def refused_as_inconsistent(where: str) -> WitnessConflict:
    """Return the error about a witness that does not accept the proof."""
    return WitnessConflict(
        f"{where} has seen another history of the ledger: it does not accept the proof that this "
        "one extends it",
        hint=_BEGIN_ANEW,
    )


def changed_since(checkpoint: Checkpoint) -> WitnessConflict:
    """Return the error about entries that are not those of a checkpoint any more."""
    return WitnessConflict(
        f"the first {checkpoint.size} entries are not those that were signed on "
        f"{rfc3339(checkpoint.at)}: an entry was changed or removed since",
        hint="nothing more is signed; see `rotator ledger verify`, and compare with a backup",
    )
