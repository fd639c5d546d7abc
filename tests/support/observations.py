"""Observations for tests: each fact by one name, whichever group it is in."""

from dataclasses import replace
from typing import Any

from rotator.model import CurrentEntry
from rotator.rotation.observation import Current, GateCheck, Listing, Observation, Pending
from rotator.rotation.ports import AccountState
from tests.support.samples import NOW

#: Names of facts, and where they are; all others are the ledger's.
_PLACES = {
    "listed": ("listing", "secrets"),
    "seen_at": ("listing", "seen_at"),
    "clock_offset": ("listing", "clock_offset"),
    "current": ("current", "entry"),
    "current_version": ("current", "version"),
    "removed_at": ("current", "removed_at"),
    "current_authenticated_at": ("current", "authenticated_at"),
    "note_is_recorded": ("current", "note_is_recorded"),
    "pending": ("pending", "entry"),
    "pending_version": ("pending", "version"),
    "pending_ends_at": ("pending", "ends_at"),
    "pending_authenticated_at": ("pending", "authenticated_at"),
    "pending_refused_since": ("pending", "refused_since"),
    "pending_refused_at": ("pending", "refused_at"),
    "pending_is_unsent": ("pending", "is_unsent"),
    "pending_is_unrecorded": ("pending", "is_unrecorded"),
    "pending_equals_current": ("pending", "equals_current"),
    "gates": ("gates", "names"),
    "gates_asked_at": ("gates", "asked_at"),
    "shut_gate": ("gates", "shut"),
    "proof_tries": ("proof", "tries"),
    "accepted_since": ("proof", "accepted_since"),
    "accepted_at": ("proof", "accepted_at"),
    "proof_is_impossible": ("proof", "is_impossible"),
}
_NOTHING = Observation(
    listing=Listing(seen_at=NOW, secrets=None),
    current=Current(entry=None, version=0),
    pending=Pending(),
    ledger=AccountState(rotation=None, expendable_ids=frozenset(), hold=None, head=""),
    gates=GateCheck(),
)


def but(observation: Observation, **facts: Any) -> Observation:  # noqa: ANN401  # of any type
    """Return the observation with other facts. With an entry comes its version."""
    for name, fact in facts.items():
        if name == "current":
            version = fact.version if isinstance(fact, CurrentEntry) else 0
            observation = but(observation, current_version=version)
        if name == "has_hooks":
            observation = replace(observation, has_hooks=fact)
            continue
        group, field = _PLACES.get(name, ("ledger", name))
        changed = replace(getattr(observation, group), **{field: fact})
        observation = replace(observation, **{group: changed})
    return observation


def observed(**facts: Any) -> Observation:  # noqa: ANN401  # likewise
    """Return an observation with these facts, and nothing else."""
    return but(_NOTHING, **facts)


def fact(observation: Observation, name: str) -> Any:  # noqa: ANN401  # likewise
    """Return the fact of that name."""
    group, field = _PLACES.get(name, ("ledger", name))
    return getattr(getattr(observation, group), field)
