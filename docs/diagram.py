"""Draws the loop of a rotation by asking the rules: `python -m docs.diagram` writes concepts.md.

Nothing in the diagram is written by hand: from each world below, `rotator.rotation.dry_run` asks
`decide` again and again, and each pair of actions that follow each other is an arrow.
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
from rotator.rotation import dry_run, steps
from rotator.rotation.observation import Observation

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
#: One secret, Vault holds it, it works, and no rotation is open.
_QUIET = Observation(
    seen_at=_NOW,
    listed=(_OLD,),
    current=CurrentEntry(version=1, note=_NOTE, intact=True, has_value=True),
    pending=None,
    rotation=None,
    current_live_at=_NOW,
)
_HOOKED = replace(_QUIET, has_hooks=True, gates=("gate",))
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
_MADE = replace(_OPENED, new_id="new")
_SENT = replace(
    _QUIET,
    listed=(_OLD, _NEW),
    pending=PendingEntry(rotation_id="r1", listed_ids=frozenset({"old"}), predecessor_id="old"),
    rotation=_OPENED,
)
#: What there is to be seen, and what is asked for.
_WORLDS: tuple[tuple[Observation, timedelta | None], ...] = (
    # A rotation, to its grace and past it, with hooks to be told and gates to be asked.
    (_QUIET, None),
    (_HOOKED, None),
    (_HOOKED, timedelta()),
    # Both slots are taken, one by a secret known as expendable, or by a stranger's.
    (replace(_QUIET, listed=(_OLD, _SPARE), expendable_ids=frozenset({"spare"})), timedelta()),
    (replace(_QUIET, listed=(_OLD, _SPARE)), None),
    # The answer to "create" was lost, and a new id is there.
    (_SENT, None),
    (replace(_SENT, pending_live_at=_NOW), None),
    # Somebody revoked the new secret; and it never worked, so that it is taken back.
    (replace(_SENT, listed=(_OLD,), rotation=_MADE), None),
    (replace(_SENT, rotation=_MADE, pending_refused_since=_LATER, pending_refused_at=_NOW), None),
)


def mermaid() -> str:
    """Return the diagram in Mermaid's syntax."""
    arrows = dict.fromkeys(_arrows())
    names = dict.fromkeys(name for arrow in arrows for name in arrow)
    nodes = [f'  {name}["<b>{name.lower()}</b><br/>{_meaning(name)}"]' for name in names]
    edges = [f"  {before} --> {after}" for before, after in arrows]
    return "\n".join(["flowchart TD", *nodes, *edges])


def _arrows() -> Iterator[tuple[str, str]]:
    for world, grace in _WORLDS:
        request = Request(reason="asked", grace=grace)
        planned = dry_run.actions(_ACCOUNT, world, request, propagation_timeout=_PATIENCE, now=_NOW)
        names = ["Observe", *(type(action).__name__ for action in planned)]
        yield from pairwise(names)


def _meaning(name: str) -> str:
    """Return what an action does, in the words of its own docstring."""
    if name == "Observe":
        return "Look at Vonage, Vault and the ledger"
    text = getattr(steps, name).__doc__ or ""
    return text.partition("\n")[0].rstrip(".").replace('"', "'")


def page(text: str) -> str:
    """Put the diagram into the page."""
    return re.sub(
        r"(?<=```mermaid\n).*?(?=\n```)", lambda _: mermaid(), text, count=1, flags=re.DOTALL
    )


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
