"""What the entries say that an explored ledger would hold, beside its rows."""

from collections.abc import Sequence
from datetime import datetime

from rotator.ledger import chain
from rotator.ledger.replay import RecordedRotation, Replay
from rotator.model import Rotation, Step
from rotator.model.times import rfc3339_exact
from rotator.reporting.rules import RuleCheck
from rotator.reporting.rules.past import Past
from rotator.rotation.ports import NewEntry


def of_rows(rotations: Sequence[Rotation]) -> Replay:
    """Return the replay of these rotations' entries, with which an exploration begins."""
    return Replay(rotations={each.id: _recorded(each) for each in rotations})


def _recorded(rotation: Rotation) -> RecordedRotation:
    return RecordedRotation(
        id=rotation.id,
        reason=rotation.reason,
        predecessor_id=rotation.predecessor_id,
        grace_seconds=int(rotation.grace.total_seconds()),
        identity=rotation.identity,
        steps=frozenset({rotation.step}),
        is_sent=rotation.sent_at is not None,
        is_rejected=rotation.rejected,
        values_generated=rotation.values_generated,
        new_id=rotation.new_id,
        vault_version=rotation.vault_version,
        predecessor_version=rotation.predecessor_version,
        may_be_pushed=rotation.step is Step.PUSH,
        verified_at=rotation.verified_at,
        dead_at=rotation.dead_at,
        dead_after=rotation.dead_after,
        abort_code=rotation.abort_code,
        outcome=rotation.outcome,
        error_code=rotation.error_code,
    )


def rules_from(rotation: Rotation | None) -> RuleCheck:
    """Return the check of the entries that follow, with this rotation open."""
    return RuleCheck(past=Past(open_id=rotation.id if rotation else None))


#: What was recorded together, and when.
Commit = tuple[tuple[NewEntry, ...], datetime]


def read(replay: Replay, rules: RuleCheck, commits: Sequence[Commit]) -> tuple[Replay, RuleCheck]:
    """Return what the entries say with these at their end, and the rules that they break."""
    replay, rules = replay.copy(), rules.copy()
    for entries, at in commits:
        for entry in entries:
            recorded = _entry(entry, at)
            rules.read(recorded, replay)
            replay.read(recorded)
    return replay, rules


def _entry(entry: NewEntry, at: datetime) -> chain.Entry:
    """Return the entry of a draft; a replay does not ask for its place in the chain."""
    return chain.Entry(
        account="account",
        seq=1,
        rotation_id=entry.rotation_id,
        at=rfc3339_exact(at),
        event=entry.event,
        step=entry.step,
        detail=chain.canonical_json(entry.detail),
        prev_hash=chain.GENESIS,
        hash="",
    )


def contradiction(
    replay: Replay, rotation: Rotation | None, entries: Sequence[NewEntry], adopted_id: str | None
) -> str | None:
    """Return where rows and entries differ: what is to be done would be refused for it."""
    if adopted_id != replay.adopted_id:
        return f"{adopted_id} was adopted, and by the entries {replay.adopted_id}"
    if rotation is None:
        return None
    for difference in replay.rotations[rotation.id].differences(rotation):
        return difference
    for entry in entries:
        is_deletion = entry.event == "intent" and entry.step in (Step.EVICT, Step.DELETE)
        if is_deletion and not entry.detail.get("is_foreign"):
            is_eviction = entry.step is Step.EVICT
            secret_id = str(entry.detail["secret_id"])
            if why := replay.against(rotation, secret_id, is_eviction=is_eviction):
                return f"{secret_id} is to be deleted, and {why}"
    return None
