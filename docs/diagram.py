"""Draws the loop of a rotation by asking the rules: `python -m docs.diagram` writes concepts.md.

Nothing in the diagram is written by hand: from each observation below, the dry run asks `decide`
again and again. Each pair of actions that follow each other is an arrow, and on it stands the rule
that decided on the second one.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from rotator.model import (
    Account,
    CurrentEntry,
    Note,
    OnForeign,
    PendingEntry,
    Policy,
    Request,
    Rotation,
    Secret,
    Step,
)
from rotator.rotation.dry_run import assumed_steps
from rotator.rotation.observation import Current, GateCheck, Listing, Observation, Pending
from rotator.rotation.ports import AccountState
from rotator.rotation.steps.base import Action

PAGE = Path(__file__).parent / "concepts.md"
_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_PATIENCE = timedelta(minutes=2)
_OLD, _SPARE, _NEW = (Secret(id=name, created_at=_NOW) for name in ("old", "spare", "new"))
_NOTE = Note(secret_id="old", rotation_id="r0", rotated_at=_NOW, ledger_head="", check="")
_ACCOUNT = Account(
    name="account",
    api_key="abcd1234",
    issuer="api.nexmo.com",
    mount="secret",
    vault_path="account",
    pending_path="pending/account",
    secret_field="api_secret",
    key_field="api_key",
    managed_by="",
    policy=Policy(
        every=timedelta(days=30),
        cron=None,
        timezone="UTC",
        jitter=timedelta(),
        grace=timedelta(hours=24),
        max_age=timedelta(days=45),
        length=25,
        on_foreign=OnForeign.REFUSE,
    ),
)
_PROVING = replace(_ACCOUNT, policy=replace(_ACCOUNT.policy, prove_deletion=True))
#: One secret, Vault holds it, it works, and no rotation is open.
_QUIET = Observation(
    listing=Listing(seen_at=_NOW, secrets=(_OLD,)),
    current=Current(
        entry=CurrentEntry(version=1, note=_NOTE, intact=True, has_value=True),
        version=1,
        authenticated_at=_NOW,
    ),
    pending=Pending(),
    ledger=AccountState(rotation=None, expendable_ids=frozenset(), hold=None, head=""),
)
_HOOKED = replace(_QUIET, has_hooks=True, gates=GateCheck(names=("gate",)))
_TAKEN = replace(_QUIET, listing=Listing(seen_at=_NOW, secrets=(_OLD, _SPARE)))
_ORPHANED = replace(_TAKEN, ledger=replace(_QUIET.ledger, expendable_ids=frozenset({"spare"})))
_LATER = _NOW - _PATIENCE
_OPENED = Rotation(
    id="r1",
    account="account",
    reason="due",
    step=Step.CREATE,
    predecessor_id="old",
    grace=timedelta(hours=24),
    opened_at=_LATER - _PATIENCE,
    sent_at=_LATER - _PATIENCE,
)
_PENDING = Pending(
    entry=PendingEntry(rotation_id="r1", listed_ids=frozenset({"old"}), predecessor_id="old")
)
_SENT = replace(
    _QUIET.with_rotation(_OPENED),
    listing=Listing(seen_at=_NOW, secrets=(_OLD, _NEW)),
    pending=_PENDING,
)
_CREATED = _SENT.with_rotation(replace(_OPENED, new_id="new"))
_REFUSED = replace(_PENDING, refused_since=_LATER, refused_at=_NOW)
_KEPT = replace(
    _SENT.with_rotation(
        replace(_OPENED, step=Step.WAIT, new_id="new", vault_version=2, verified_at=_LATER)
    ),
    current=Current(
        entry=CurrentEntry(
            version=2,
            note=replace(_NOTE, secret_id="new", rotation_id="r1"),
            intact=True,
            has_value=True,
            previous="api_secret_previous",
        ),
        version=2,
        authenticated_at=_NOW,
    ),
    pending=Pending(),
)
#: What is observed, and the grace that is asked for.
_OBSERVATIONS: tuple[tuple[Observation, timedelta | None], ...] = (
    # A rotation, to its grace and past it, with hooks to be told and gates to be asked.
    (_QUIET, None),
    (_HOOKED, None),
    (_HOOKED, timedelta()),
    # A grace is over, and the old value is still beside the new one.
    (_KEPT, timedelta()),
    # Both slots are taken, one by a secret known as expendable, or by a stranger's.
    (_ORPHANED, timedelta()),
    (_TAKEN, None),
    # The answer to "create" was lost, and a new id is there.
    (_SENT, None),
    (replace(_SENT, pending=replace(_PENDING, authenticated_at=_NOW)), None),
    # Somebody revoked the new secret; and it never worked, so that it is taken back.
    (replace(_CREATED, listing=_QUIET.listing), None),
    (replace(_CREATED, pending=_REFUSED), None),
)


def mermaid() -> str:
    """Return the diagram in Mermaid's syntax."""
    arrows = dict.fromkeys(_arrows())
    names = dict.fromkeys(name for before, _, after in arrows for name in (before, after))
    nodes = [f'  {name}["<b>{_name(name)}</b><br/>{_meaning(name)}"]' for name in names]
    edges = [f"  {before} -->|{rule}| {after}" for before, rule, after in arrows]
    return "\n".join(["flowchart TD", *nodes, *edges])


def _arrows() -> Iterator[tuple[str, str, str]]:
    cases = [(_ACCOUNT, *each) for each in _OBSERVATIONS]
    # And one whose deletion is to be proved.
    for account, observation, grace in [*cases, (_PROVING, _QUIET, timedelta())]:
        request = Request(reason="asked", grace=grace)
        planned = assumed_steps(
            account, observation, request, propagation_timeout=_PATIENCE, now=_NOW
        )
        names = [("Observe", ""), *((type(action).__name__, action.rule) for action in planned)]
        for (before, _), (after, rule) in pairwise(names):
            yield before, rule.replace("_", " "), after


def _name(kind: str) -> str:
    return re.sub("(?<=[a-z])(?=[A-Z])", " ", kind).lower()


def _actions(kind: type[Action]) -> dict[str, type[Action]]:
    """Return each class of actions by its name."""
    found = {kind.__name__: kind}
    for each in kind.__subclasses__():
        found |= _actions(each)
    return found


def _meaning(name: str) -> str:
    """Return what an action does, in the words of its own docstring."""
    if name == "Observe":
        return "Look at Vonage, Vault and the ledger"
    text = _actions(Action)[name].__doc__ or ""
    return text.partition("\n")[0].rstrip(".").replace('"', "'")


def page(text: str) -> str:
    """Put the diagram into the page."""
    return re.sub(
        r"(?<=```mermaid\n).*?(?=\n```)", lambda _: mermaid(), text, count=1, flags=re.DOTALL
    )


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
