"""Secrets that were, or may have been, deleted: the newest of each account.

A lagging list from Vonage may still show one of them, just when the lost id of another secret is
searched for. No list lags by as many deletions as are kept.
"""

import json
from collections.abc import Sequence
from enum import StrEnum

from rotator.errors import SecretNotFound
from rotator.model import Rotation, Step
from rotator.rotation.ports import NewEntry

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


def concerns(draft: NewEntry) -> bool:
    """Return whether an entry concerns a deletion, or finds a deleted secret gone."""
    is_deletion = draft.step in (Step.EVICT, Step.DELETE)
    return is_deletion or draft.detail.get("operation") == "delete" or _is_completion(draft)


def after(before: Deletions, drafts: Sequence[NewEntry], rotation: Rotation | None) -> Deletions:
    """Return the deletions after recording `drafts`, with `rotation` as it is then."""
    known = dict(before)
    for draft in filter(concerns, drafts):
        secret_id = draft.detail.get("secret_id")
        if _is_completion(draft):
            secret_id = rotation.predecessor_id if rotation else None
            if secret_id not in known:
                continue
        if not isinstance(secret_id, str):
            continue
        state = _state(known.pop(secret_id, None), draft)
        if state:
            known[secret_id] = state
    return tuple(known.items())[-MOST:]


def _is_completion(draft: NewEntry) -> bool:
    """Return whether a rotation is closed because its predecessor is no longer listed."""
    return draft.event == "closed" and draft.detail.get("outcome") == "completed"


def _state(before: Deletion | None, draft: NewEntry) -> Deletion | None:
    """Return a deletion's state after `draft`; None where it certainly had no effect."""
    is_gone = draft.detail.get("code") == SecretNotFound.code
    if draft.event in ("done", "closed") or is_gone or before is Deletion.DONE:
        return Deletion.DONE
    if draft.event == "intent":
        # One that was begun earlier, without a recorded outcome, may have been sent.
        return Deletion.UNKNOWN if before else Deletion.BEGUN
    if draft.event == "unknown" or before is Deletion.UNKNOWN:
        return Deletion.UNKNOWN
    return None
