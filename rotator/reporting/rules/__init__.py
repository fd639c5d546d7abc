"""Whether the entries of an account show that its rotations kept the rules.

From the entries alone, without Vault or Vonage: rules 2 to 4 and 8 of `docs/concepts.md`, as far as
entries can show them. For each event, the table below has what may be wrong with an entry, by rule;
what the entries before it say is the state of a replay and of `past`.

No honest history breaks one: not after a kill, an unknown outcome, a ledger that was restored, a
clock that was wrong, or an adoption in between. What older versions did not record is not asked
for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from rotator.ledger.chain import Entry
from rotator.ledger.replay import Replay
from rotator.model.redaction import printable
from rotator.reporting.rules import deletions, effects, shape
from rotator.reporting.rules.past import Past, Seen

#: Returns, in words, how an entry breaks a rule; None where it does not.
Check = Callable[[Seen], str | None]

_SHAPE = (
    (3, shape.step_is_wrong),
    (3, shape.fact_is_missing),
    (3, shape.fact_is_of_another),
)
_LEASED = (*_SHAPE, (8, effects.token_is_missing), (8, effects.token_falls))
_OPEN = (*_SHAPE, (3, effects.rotation_is_not_open))
_OUTCOME = (*_SHAPE, (3, effects.outcome_has_no_intent))
_PROOF = (*_OPEN, (4, deletions.another_is_proved))

#: By event: the checks of an entry, each with its rule.
CHECKS: Mapping[str, tuple[tuple[int, Check], ...]] = {
    "requested": (*_LEASED, (8, effects.session_has_begun)),
    "registered": _SHAPE,
    "held": _SHAPE,
    "released": _SHAPE,
    "opened": (
        *_LEASED,
        (3, effects.outcome_is_missing),
        (3, effects.opening_is_unasked),
        (8, effects.another_is_open),
        (8, effects.account_is_another),
    ),
    "asked": (*_OPEN, (4, effects.request_is_missing)),
    "intent": (
        *_LEASED,
        (3, effects.rotation_is_not_open),
        (3, effects.outcome_is_missing),
        (3, effects.nobody_asked_for_it),
    ),
    "done": (*_OUTCOME, (8, effects.version_is_not_next)),
    "rejected": _OUTCOME,
    "unknown": _OUTCOME,
    "withdrawn": _OUTCOME,
    "learned": (*_OPEN, (4, deletions.grace_is_redated), (4, deletions.grace_begins_early)),
    "gate-shut": _OPEN,
    "gates-open": (*_OPEN, (8, effects.token_falls)),
    "gates-skipped": (*_OPEN, (8, effects.token_falls), (4, deletions.gates_are_skipped)),
    "aborting": (*_OPEN, (4, deletions.undone_after_push)),
    "dead-after": _PROOF,
    "still-accepted": _PROOF,
    "not-proven": _PROOF,
    "closed": (
        *_LEASED,
        (3, effects.rotation_is_not_open),
        (3, effects.outcome_is_missing),
        (4, deletions.completed_unverified),
    ),
}
_REMOVAL = (
    (4, deletions.secret_is_not_its_own),
    (4, deletions.secret_is_in_use),
    (4, deletions.current_is_untried),
)
#: Those of an intent besides, by its step.
INTENDED: Mapping[str, tuple[tuple[int, Check], ...]] = {
    "create": ((2, effects.value_is_not_staged),),
    "push": (
        (2, effects.value_is_not_staged),
        (2, effects.secret_is_unknown),
        (8, effects.base_is_older),
    ),
    "clear": ((2, effects.value_is_cleared_early),),
    "withdraw": ((8, effects.base_is_older),),
    "evict": (*_REMOVAL, (4, deletions.slot_is_free)),
    "delete": (*_REMOVAL, (4, deletions.grace_goes_on), (4, deletions.gate_is_not_open)),
}
#: Those of a check that was passed, by its step: it is no effect.
PASSED: Mapping[str, tuple[tuple[int, Check], ...]] = {
    "probe": (*_OPEN, (3, effects.another_is_probed)),
    "verify": (
        *_OPEN,
        (4, deletions.push_is_unverified),
        (4, deletions.grace_is_another),
        (4, deletions.grace_begins_early),
    ),
    "hooks": _OPEN,
}
#: Most violations of an account that are kept: whatever follows the first may follow from it.
MOST = 20


@dataclass(frozen=True, kw_only=True)
class Violation:
    """An entry that breaks a rule."""

    rule: int
    seq: int
    rotation_id: str | None
    #: How, in words.
    why: str

    def __str__(self) -> str:
        """Return it as a message begins."""
        return f"entry {self.seq} breaks rule {self.rule}: {self.why}"

    def document(self) -> dict[str, Any]:
        """Return it for `--json`."""
        return {
            "rule": self.rule,
            "seq": self.seq,
            "rotation_id": self.rotation_id,
            "fault": self.why,
        }


@dataclass(kw_only=True)
class RuleCheck:
    """Checks the entries of one account, in order."""

    past: Past = field(default_factory=Past)
    violations: list[Violation] = field(default_factory=list)

    def copy(self) -> Self:
        """Return an independent copy."""
        return type(self)(past=self.past.copy(), violations=[*self.violations])

    def read(self, entry: Entry, replay: Replay) -> None:
        """Check the next entry; `replay` has read those before it, and not yet this one."""
        seen = Seen.of(entry, self.past, replay)
        for rule, check in _checks_of(entry):
            why = check(seen)
            if why and len(self.violations) < MOST:
                # Whoever forged the entry chose what is quoted of it.
                why = printable(why)
                self.violations.append(
                    Violation(rule=rule, seq=entry.seq, rotation_id=entry.rotation_id, why=why)
                )
        self.past.read(seen)


def _checks_of(entry: Entry) -> tuple[tuple[int, Check], ...]:
    checks, step = CHECKS.get(entry.event, ()), entry.step or ""
    match entry.event:
        case "done":
            return PASSED.get(step, checks)
        case "intent":
            return (*checks, *INTENDED.get(step, ()))
    return checks
