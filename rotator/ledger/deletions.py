"""Which secrets were deleted, or may have been: the newest of each account.

A list of Vonage's that lags may show one of them once more, right when another secret is looked
for whose id got lost. No list lags by as many deletions as are kept.
"""

import json
from collections.abc import Sequence
from enum import StrEnum

from rotator.errors import SecretNotFound
from rotator.model import Rotation, Step
from rotator.rotation.ports import Draft

#: How many are kept of each account.
MOST = 50


class Deletion(StrEnum):
    """What is known of a deletion."""

    #: It was about to be tried, and nothing else is known yet.
    BEGUN = "begun"
    #: It may have taken place, or may yet: an answer was lost, or nobody waited for it.
    UNKNOWN = "unknown"
    DONE = "done"


#: Ids with what is known of them, the newest last.
Deletions = tuple[tuple[str, Deletion], ...]


def read(text: str) -> Deletions:
    """Read them as they are stored."""
    return tuple((secret_id, Deletion(state)) for secret_id, state in json.loads(text))


def written(deletions: Deletions) -> str:
    """Return them as they are stored."""
    return json.dumps([[secret_id, state.value] for secret_id, state in deletions])


def concerns(draft: Draft) -> bool:
    """Whether an entry tells of a deletion, or that something deleted is seen to be gone."""
    is_deletion = draft.step in (Step.EVICT, Step.DELETE)
    return is_deletion or draft.detail.get("operation") == "delete" or _is_completion(draft)


def after(before: Deletions, drafts: Sequence[Draft], rotation: Rotation | None) -> Deletions:
    """Return what is known once `drafts` are recorded, with `rotation` as it then is."""
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


def _is_completion(draft: Draft) -> bool:
    """Whether a rotation is closed as its predecessor is not listed any more."""
    return draft.event == "closed" and draft.detail.get("outcome") == "completed"


def _state(before: Deletion | None, draft: Draft) -> Deletion | None:
    """Return what is known of a deletion after `draft`; None where it certainly did nothing."""
    is_gone = draft.detail.get("code") == SecretNotFound.code
    if draft.event in ("done", "closed") or is_gone or before is Deletion.DONE:
        return Deletion.DONE
    if draft.event == "intent":
        # What was begun before and never heard of again may have been sent.
        return Deletion.UNKNOWN if before else Deletion.BEGUN
    if draft.event == "unknown" or before is Deletion.UNKNOWN:
        return Deletion.UNKNOWN
    return None
