"""What an entry of this version says at least, of which event and step.

Rule 3 has each effect recorded, with what it was decided on. An entry that lacks some of it is not
one that rotator wrote.
"""

from collections.abc import Mapping

from rotator.ledger.facts import number_in, text_in
from rotator.model import Step
from rotator.reporting.rules.past import Seen

_IDENTITY = ("api_key", "issuer", "pending_path", "vault_path")
_ADOPTED = ("by", "over", "secret_id")
_TRIED = ("authenticated_at", "secret_id")

#: Of an effect that was not seen to be done: why.
_CODED: Mapping[tuple[str, str | None], tuple[str, ...]] = {
    **{(event, step): ("code",) for event in ("unknown", "rejected") for step in Step},
    **{
        (f"{event} by hand", operation): ("code",)
        for event in ("unknown", "rejected", "withdrawn")
        for operation in ("adopt", "create", "delete")
    },
}
#: By event and step, or what is done by hand: the facts that are always there.
FACTS: Mapping[tuple[str, str | None], tuple[str, ...]] = {
    ("opened", Step.OPEN): (
        *_IDENTITY,
        *("fencing_token", "grace_seconds", "predecessor_id", "predecessor_since", "reason"),
    ),
    ("requested", None): ("by", "operation"),
    ("requested by hand", "rotate"): ("by",),
    ("requested by hand", "adopt"): ("by",),
    ("requested by hand", "create"): ("by",),
    ("requested by hand", "delete"): ("by",),
    ("registered", None): _IDENTITY,
    ("held", None): ("by", "freeze", "reason"),
    ("intent", Step.CREATE): ("pending_version",),
    ("intent", Step.PUSH): ("over", "pending_version"),
    ("intent", Step.WITHDRAW): ("field", "over"),
    ("intent", Step.EVICT): _TRIED,
    ("intent", Step.DELETE): _TRIED,
    ("intent by hand", "adopt"): _ADOPTED,
    ("intent by hand", "delete"): ("by", "secret_id"),
    ("intent by hand", "create"): ("by",),
    ("done", Step.STAGE): ("pending_version",),
    ("done", Step.CREATE): ("secret_id",),
    ("done", Step.PROBE): ("secret_id",),
    ("done", Step.PUSH): ("vault_version",),
    ("done", Step.VERIFY): ("grace_seconds", "vault_version", "verified_at"),
    ("done", Step.WITHDRAW): ("field", "vault_version"),
    ("done by hand", "adopt"): (*_ADOPTED, "vault_version"),
    ("learned", Step.CREATE): ("secret_id", "vault_version"),
    ("gates-open", Step.WAIT): ("fencing_token", "gates"),
    ("gates-skipped", Step.WAIT): ("fencing_token", "gates"),
    ("aborting", Step.ABORT): ("code",),
    ("dead-after", Step.PROVE): ("dead_at", "seconds", "secret_id"),
    ("still-accepted", Step.PROVE): ("secret_id",),
    ("not-proven", Step.PROVE): ("secret_id", "why"),
    ("closed", Step.COMPLETE): ("code", "fencing_token", "outcome"),
    ("closed", Step.ABORT): ("code", "fencing_token", "outcome"),
    **_CODED,
}
#: By event: the facts that are of another one. What was not done has no result, and what was done
#: no reason why not.
_OF_OTHERS: Mapping[str, tuple[str, ...]] = {
    "done": ("code",),
    **dict.fromkeys(("unknown", "rejected", "withdrawn"), ("pending_version", "vault_version")),
    **dict.fromkeys(("still-accepted", "not-proven"), ("dead_at", "seconds")),
    "held": ("held_by",),
    "released": ("freeze",),
}
#: Facts that are numbers, if anything.
_NUMBERS = frozenset(
    {"fencing_token", "grace_seconds", "over", "pending_version", "vault_version", "seconds"}
)
#: Numbers and texts that are never left empty: what rests on them would go unchecked.
_FILLED = frozenset({"grace_seconds", "over", "pending_version"})
_WRITTEN = frozenset({*_IDENTITY, "outcome", "reason"})
#: Events of a rotation at one step alone. A rotation that is abandoned is closed at any.
_AT: Mapping[str, frozenset[str | None]] = {
    "opened": frozenset({Step.OPEN}),
    "aborting": frozenset({Step.ABORT}),
    **dict.fromkeys(("gates-open", "gates-skipped", "gate-shut"), frozenset({Step.WAIT})),
    **dict.fromkeys(("dead-after", "still-accepted", "not-proven"), frozenset({Step.PROVE})),
    **dict.fromkeys(("requested", "registered", "held", "released"), frozenset({None})),
}


#: Those that are about a step, unless a person does it.
_OF_STEP = frozenset({"intent", "done", "unknown", "rejected", "withdrawn", "learned", "asked"})
#: Those of an effect that was not seen to be done.
_MISSED = frozenset({"unknown", "rejected", "withdrawn"})


def fact_is_missing(seen: Seen) -> str | None:
    """Nothing that this version records is left out, or of another kind."""
    if not seen.is_full and seen.token is None:
        return None
    entry, detail = seen.entry, seen.detail
    by_hand = seen.operation
    kind = (f"{entry.event} by hand", by_hand) if by_hand else (entry.event, entry.step)
    for name in FACTS.get(kind, ()):
        is_empty = (name in _FILLED and number_in(detail, name) is None) or (
            name in _WRITTEN and not text_in(detail, name)
        )
        if name not in detail or is_empty:
            return f"it has no {name}, which rotator always records"
    for name, value in detail.items():
        if value is not None and name in _NUMBERS and number_in(detail, name) is None:
            return f"its {name} is no number"
    return None


def fact_is_of_another(seen: Seen) -> str | None:
    """What only another event records shows that the entry's own was changed."""
    if not seen.is_full:
        return None
    foreign = _OF_OTHERS.get(seen.entry.event, ())
    if seen.entry.event == "withdrawn" and seen.entry.rotation_id:
        # Only to a person it is said why nothing was sent.
        foreign = (*foreign, "code")
    found = next((name for name in foreign if name in seen.detail), None)
    return f"it has a {found}, which no entry {seen.entry.event} has" if found else None


def step_is_wrong(seen: Seen) -> str | None:
    """Each event is of the steps that it can be about."""
    entry = seen.entry
    steps = _AT.get(entry.event)
    is_ended = entry.event == "closed" and seen.detail.get("outcome") == "completed"
    if is_ended:
        steps = frozenset({Step.COMPLETE})
    is_amiss = entry.step is None and seen.operation is None and entry.event in _OF_STEP
    # A check that fails is tried again, and not recorded.
    is_amiss |= entry.event in _MISSED and not seen.is_effect
    if not is_amiss and (steps is None or entry.step in steps):
        return None
    step = f"step {entry.step}" if entry.step else "no step"
    return f"its event is {entry.event} at {step}, which rotator does not record"
