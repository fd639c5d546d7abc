"""States of an account: one word each, used on every surface, and what is wrong in them."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum


class State(StrEnum):
    """The state of an account in one word, the most urgent first."""

    #: Consumers read a secret that does not work, or read nothing.
    BROKEN = "broken"
    DRIFTED = "drifted"
    REFUSED = "refused"
    OVERDUE = "overdue"
    FAILING = "failing"
    HELD = "held"
    UNMANAGED = "unmanaged"
    ROTATING = "rotating"
    DUE = "due"
    WAITING = "waiting"
    HEALTHY = "healthy"

    @property
    def meaning(self) -> str:
        """The state in one sentence, for people."""
        return _MEANINGS[self]

    @property
    def needs_attention(self) -> bool:
        """Whether somebody should look at an account in this state."""
        return self not in _NORMAL


_NORMAL = (State.ROTATING, State.DUE, State.WAITING, State.HEALTHY)
_MEANINGS = {
    State.BROKEN: "consumers read a secret that does not work, or read nothing",
    State.DRIFTED: "someone else changed something; nothing was deleted",
    State.REFUSED: "rotator does nothing until an operator has decided",
    State.OVERDUE: "the current secret is older than `max_age`",
    State.FAILING: "the last tries failed; rotator goes on trying",
    State.HELD: "an operator holds the account, or a change freeze is on",
    State.UNMANAGED: "rotator does not know which secret consumers use: the account was never "
    "adopted nor rotated",
    State.ROTATING: "a new secret is being made and brought to Vault",
    State.DUE: "a rotation is due and begins soon",
    State.WAITING: "the new secret is in Vault; the old one is deleted after the grace, once gates "
    "and windows allow it",
    State.HEALTHY: "nothing is due, and nothing is wrong",
}


#: Codes of what someone else changed.
DRIFT = frozenset({"drift", "foreign-secret", "ledger-tampered", "version-ends", "wrong-entry"})


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """What is wrong with an account: its cause, and its cure."""

    state: State
    #: Stable name of the cause, for programs.
    code: str
    #: The cause in one sentence.
    why: str
    #: The cure; None where there is none but waiting.
    hint: str | None
    #: When it was first found.
    since: datetime

    @property
    def is_drift(self) -> bool:
        """Whether it is something that someone else changed, whatever has come of that.

        Never so of an account that is unmanaged, and of what an operator has to decide.
        """
        is_by_others = self.state is State.BROKEN and self.code in DRIFT
        return self.state is State.DRIFTED or is_by_others

    def after(self, before: "Trouble | None") -> "Trouble":
        """Return it with the beginning of `before`, if that is of the same state and code."""
        if before is None or (before.state, before.code) != (self.state, self.code):
            return self
        return replace(self, since=min(before.since, self.since))

    def is_news(self, before: "Trouble | None") -> bool:
        """Return whether it differs from what was known `before` in more than its cure.

        A cure is news where none was known, as of what an older version has found.
        """
        if before is None or (self.hint and before.hint is None):
            return True
        return (before.state, before.code, before.why) != (self.state, self.code, self.why)
