"""All that `decide` is given, and tables of what follows from it."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from rotator.model import Account, CurrentEntry, Hold, Note, PendingEntry, Request, Secret
from rotator.rotation.observation import Observation
from rotator.rotation.protocol import decide
from rotator.rotation.protocol.facts import FRESH
from rotator.rotation.steps.base import Action
from rotator.rotation.steps.bookkeeping import Refuse
from tests.support.observations import but, fact, observed
from tests.support.samples import NOW, account, rotation

PATIENCE = timedelta(minutes=2)
STALE = NOW - FRESH - timedelta(seconds=1)
JUST_FRESH = NOW - FRESH
OLD, NEW, ALIEN = (Secret(id=name, created_at=NOW) for name in ("old", "new", "alien"))

ACCOUNT = account()
GRACE = ACCOUNT.policy.grace
ASKED = Request(reason="asked")
#: What the entry says before: the note of an earlier rotation.
NOTE = Note(secret_id="old", rotation_id="r0", rotated_at=NOW, ledger_head="", check="")
CURRENT = CurrentEntry(version=7, note=NOTE, intact=True, has_value=True)
PENDING = PendingEntry(rotation_id="r1", listed_ids=frozenset({"old"}), predecessor_id="old")
ROTATION = rotation()
HOLD = Hold(reason="moving house", by="ann", at=NOW)
FREEZE = replace(HOLD, freeze=True)
#: Nothing is under way, one secret exists, Vault holds it, and it works.
QUIET = observed(listed=(OLD,), current=CURRENT, current_authenticated_at=NOW)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that `decide` is given."""

    observation: Observation = QUIET
    request: Request = ASKED
    account: Account = ACCOUNT

    def but(self, **changes: Any) -> "Facts":  # noqa: ANN401  # of whatever type the fact is
        """Change facts: of the observation by their name, of its parts as `rotation__step`."""
        facts = self
        for name, value in changes.items():
            facts = facts._changed(name, value)
        return facts

    def _changed(self, name: str, value: object) -> "Facts":
        whole, _, part = name.partition("__")
        if name in ("request", "account"):
            return replace(self, **{name: value})  # type: ignore[arg-type]
        if whole == "policy":
            policy = replace(self.account.policy, **{part: value})  # type: ignore[arg-type]
            return replace(self, account=replace(self.account, policy=policy))
        if whole == "note":
            entry = self.observation.current.entry
            assert entry is not None
            assert entry.note is not None
            note = replace(entry.note, **{part: value})  # type: ignore[arg-type]
            return self._changed("current__note", note)
        if part:
            value = replace(fact(self.observation, whole), **{part: value})
        return replace(self, observation=but(self.observation, **{whole: value}))


def decided(facts: Facts) -> Action | str:
    """Decide; return a refusal by its code."""
    action = decide(
        facts.account, facts.observation, facts.request, propagation_timeout=PATIENCE, now=NOW
    )
    if isinstance(action, Refuse):
        assert action.why
        assert action.hint
        return action.code
    return action


def table(base: Facts, *rows: tuple[dict[str, Any], Action | str]) -> list[object]:
    """Return the facts of each row: `base` with the row's changes, and what follows."""
    return [
        pytest.param(base.but(**changes), expected, id=", ".join(changes) or "as it is")
        for changes, expected in rows
    ]


NO_NOTE = {"current__note": None, "current__intact": False}
#: A subaccount that was found, of which Vault never had anything.
FIRST = {
    "account": replace(ACCOUNT, discovered=True),
    "current": None,
    "current_authenticated_at": None,
}
BOTH = (OLD, NEW)
WITH_ALIEN = (OLD, ALIEN)
