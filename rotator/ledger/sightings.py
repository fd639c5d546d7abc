"""Secrets that others made or revoked, as looks at Vonage show them.

The row of an account has the ids that Vonage lists according to its entries. A look that shows
other ids is the first sighting of what somebody else did, and has an entry for each: once, with the
time, whichever process looks. What rotator did itself, its other entries record; but where the
answer to a deletion was lost, a look shows first that it took effect. Who else did it has an entry,
too, once Vonage's Audit API has told.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from rotator.ledger import deletions
from rotator.ledger.chain import canonical_json
from rotator.ledger.deletions import Deletion
from rotator.ledger.tables import AnyRow, Row
from rotator.model import Rotation, SeenSecrets, Step
from rotator.rotation.audit_trail import EXPLAINED
from rotator.rotation.ports import AccountSnapshot, NewEntry

APPEARED, VANISHED = "secret-appeared", "secret-vanished"
_GONE = "Vonage no longer lists it"
#: How many secrets have their origin in the row; the newest ones.
_MOST_ORIGINS = 16
#: Code of a refusal, or of what is wrong, because of a secret that may be somebody else's.
_FOREIGN = "foreign-secret"


def found(
    row: AnyRow,
    entries: Sequence[NewEntry],
    rotation: Rotation | None,
    snapshot: AccountSnapshot | None,
) -> tuple[list[NewEntry], Row]:
    """Return entries of what a look showed and none of `entries` records; and the row's columns.

    `rotation` is the account's open one, or the one that `entries` close. The first look at an
    account begins with the secret that consumers read and those of its rotation, and records what
    is listed beside them.
    """
    before, columns = _ids(row["recorded_ids"]), _origin_columns(row, entries)
    # An empty list means that none could be had.
    listed = set(snapshot.listed_ids) if snapshot else set()
    if before is None and not listed:
        return [], columns
    deletions_now = dict(deletions.after(deletions.of_row(row), entries, rotation))
    # A lagging list may still show them.
    deleted = {id_ for id_, state in deletions_now.items() if state is Deletion.DONE}
    recorded = ((before or set()) | _made(entries)) - deleted
    new: list[NewEntry] = []
    if snapshot and listed:
        if before is None:
            of_rotation = {rotation.predecessor_id, rotation.new_id} if rotation else set()
            recorded |= listed & {snapshot.current_id, *of_rotation}
        unsettled = rotation if _is_unsettled(rotation, entries) else None
        # While the id of the value that was sent is unknown, it may be any new one.
        is_unidentified = unsettled and unsettled.sent_at and not unsettled.new_id
        appeared = set() if is_unidentified else listed - recorded - deleted
        # A list may lag behind the answer that a secret was made.
        vanished = recorded - listed - {unsettled.new_id if unsettled else None}
        begun = vanished & deletions_now.keys()
        new = [
            *_entries(VANISHED, begun, f"{_GONE}: rotator had begun to delete it"),
            *_entries(VANISHED, vanished - begun, f"{_GONE}, and no entry records who revoked it"),
            *_entries(APPEARED, appeared, "Vonage lists it, and no entry records who made it"),
        ]
        recorded = (recorded - vanished) | appeared
    if recorded != before:
        columns["recorded_ids"] = canonical_json(sorted(recorded))
    return new, columns


def known(row: AnyRow) -> SeenSecrets:
    """Return what is known of an account's secrets, from its row."""
    return SeenSecrets(
        seen_at=row["seen_at"],
        recorded_ids=frozenset(_ids(row["recorded_ids"]) or ()),
        origins=origins_in(row),
    )


def origins_in(row: AnyRow) -> Mapping[str, str]:
    """Return who made or revoked secrets, by id; nothing where somebody else wrote the row."""
    with suppress(TypeError, ValueError):
        origins = json.loads(row["origins"] or "{}")
        if isinstance(origins, dict):
            return {secret_id: str(words) for secret_id, words in origins.items()}
    return {}


def _origin_columns(row: AnyRow, entries: Iterable[NewEntry]) -> Row:
    explained = [entry.detail for entry in entries if entry.event == EXPLAINED]
    if not explained:
        return {}
    new = {str(detail["secret_id"]): detail["why"] for detail in explained}
    # The newest come last.
    kept = {id_: words for id_, words in origins_in(row).items() if id_ not in new} | new
    return {"origins": json.dumps(dict(list(kept.items())[-_MOST_ORIGINS:]))}


def _entries(event: str, ids: Iterable[str], why: str) -> list[NewEntry]:
    return [
        NewEntry(event=event, step=None, detail={"secret_id": secret_id, "why": why})
        for secret_id in sorted(ids)
    ]


def _ids(text: str | None) -> set[str] | None:
    """Return the ids in a row; None before the first look, or where somebody else wrote them."""
    with suppress(TypeError, ValueError):
        ids = json.loads(text or "null")
        return set(map(str, ids)) if isinstance(ids, list) else None
    return None


def _made(entries: Iterable[NewEntry]) -> set[str]:
    """Return the secrets that rotator made, for a rotation or by hand."""
    made = (entry.detail.get("secret_id") for entry in entries if _is_creation(entry))
    return {secret_id for secret_id in made if isinstance(secret_id, str)}


def _is_creation(entry: NewEntry) -> bool:
    if entry.event not in ("done", "learned"):
        return False
    is_of_rotation = entry.rotation_id is not None and entry.step in (Step.CREATE, Step.PUSH)
    return is_of_rotation or entry.detail.get("operation") == "create"


def _is_unsettled(rotation: Rotation | None, entries: Iterable[NewEntry]) -> bool:
    """Return whether a rotation may yet find out what became of the value that it sent."""
    if rotation is None or rotation.verified_at or rotation.abort_code or rotation.closed_at:
        return False
    # It has given up, where it takes a secret for somebody else's. A hold, say, only delays it.
    return all(entry.detail.get("code") != _FOREIGN for entry in entries)
