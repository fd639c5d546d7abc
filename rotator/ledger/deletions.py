"""Secrets that were, or may have been, deleted: the newest of each account.

A lagging list from Vonage may still show one of them, just when the lost id of another secret is
searched for. No list lags by as many deletions as are kept.
"""

import json
from collections.abc import Sequence
from enum import StrEnum

from rotator.errors import SecretNotFound
from rotator.ledger.tables import AnyRow, Row
from rotator.model import Rotation, Step
from rotator.rotation import refusals
from rotator.rotation.ports import REQUESTED, NewEntry

#: How many are kept per account.
MOST = 50


class Deletion(StrEnum):
    """State of a deletion."""

    #: It was about to be tried; nothing further is known.
    BEGUN = "begun"
    #: It may have taken place, or may yet: its answer was lost or not awaited.
    UNKNOWN = "unknown"
    DONE = "done"


#: Ids with the state of each deletion, newest last.
Deletions = tuple[tuple[str, Deletion], ...]


def read(text: str) -> Deletions:
    """Parse their stored form."""
    return tuple((secret_id, Deletion(state)) for secret_id, state in json.loads(text))


def written(deletions: Deletions) -> str:
    """Return their stored form."""
    return json.dumps([[secret_id, state.value] for secret_id, state in deletions])


def of_row(row: AnyRow) -> Deletions:
    """Return the deletions in an account's row.

    Raises:
        Refused: somebody wrote there what cannot be read.
    """
    try:
        return read(row["deletions"])
    except (TypeError, ValueError):
        why = "the account's row has deletions that cannot be read"
        raise refusals.rows_altered(why).error() from None


def columns(row: AnyRow, entries: Sequence[NewEntry], rotation: Rotation | None) -> Row:
    """Return the column of deletions after `entries`: each is recorded before it is sent."""
    if not any(map(concerns, entries)):
        return {}
    return {"deletions": written(after(read(row["deletions"]), entries, rotation))}


def concerns(entry: NewEntry) -> bool:
    """Return whether an entry concerns a deletion, or finds a deleted secret gone."""
    is_by_hand = entry.detail.get("operation") == "delete" and entry.event != REQUESTED
    return entry.step in (Step.EVICT, Step.DELETE) or is_by_hand or _is_completion(entry)


def after(before: Deletions, entries: Sequence[NewEntry], rotation: Rotation | None) -> Deletions:
    """Return the deletions after recording `entries`, with `rotation` as it is then."""
    known = dict(before)
    for entry in filter(concerns, entries):
        secret_id = entry.detail.get("secret_id")
        if _is_completion(entry):
            secret_id = rotation.predecessor_id if rotation else None
            if secret_id not in known:
                continue
        if not isinstance(secret_id, str):
            continue
        state = _state(known.pop(secret_id, None), entry)
        if state:
            known[secret_id] = state
    return tuple(known.items())[-MOST:]


def _is_completion(entry: NewEntry) -> bool:
    """Return whether a rotation is closed because its predecessor is no longer listed."""
    return entry.event == "closed" and entry.detail.get("outcome") == "completed"


def _state(before: Deletion | None, entry: NewEntry) -> Deletion | None:
    """Return a deletion's state after `entry`; None where it certainly had no effect."""
    is_gone = entry.detail.get("code") == SecretNotFound.code
    if entry.event in ("done", "closed") or is_gone or before is Deletion.DONE:
        return Deletion.DONE
    if entry.event == "intent":
        # One that was begun earlier, without a recorded outcome, may have been sent.
        return Deletion.UNKNOWN if before else Deletion.BEGUN
    if entry.event == "unknown" or before is Deletion.UNKNOWN:
        return Deletion.UNKNOWN
    return None
