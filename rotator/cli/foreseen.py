"""One step of a plan: what would be done, where, and on what condition."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rotator import words
from rotator.actions import (
    Abort,
    Action,
    Ask,
    Clear,
    Close,
    Create,
    Delete,
    Evict,
    Learn,
    Notify,
    Probe,
    Push,
    Stage,
    Verify,
    Wait,
)


@dataclass(frozen=True, kw_only=True)
class Foreseen:
    """A step that would be done."""

    #: Its name.
    step: str
    #: Who would be asked for it: "vonage", "vault", "hooks" or "ledger"; None for a wait.
    where: str | None
    #: In words.
    what: str
    #: Mount and path of the Vault entry.
    path: str | None = None
    #: The version that Vault has to hold for the write to take place; 0 for no entry.
    check_and_set: int | None = None
    #: The version that would be read back.
    vault_version: int | None = None
    #: The secret that would be deleted.
    secret_id: str | None = None
    #: It would not be done before.
    due_at: datetime | None = None

    def line(self) -> str:
        """Say it in one line."""
        return f"{self.step:7} {self.what}"

    def document(self) -> dict[str, Any]:
        """Give it as `--json` prints it."""
        return vars(self) | {"due_at": words.rfc3339(self.due_at)}


def foresee(action: Action, facts: Mapping[str, Any]) -> Foreseen | None:
    """Say what an action would do; None for what only the ledger hears of.

    `facts` has what the account and its world say: `api_key`, `current` and `pending` with their
    versions `base` and `pending_base`, `gates`, `grace` in words.
    """
    sketch = _SKETCHES.get(type(action))
    if sketch is None:
        return None
    known = {**facts, **vars(action)}
    if "until" in known:
        known["moment"] = words.moment(known["until"])
    return Foreseen(
        step=sketch.step,
        where=sketch.where,
        what=sketch.what.format_map(known),
        **{name: known[fact] for name, fact in sketch.keeps.items()},
    )


@dataclass(frozen=True, kw_only=True)
class _Sketch:
    """A step, with the names of facts in the places of these."""

    step: str
    where: str | None
    what: str
    #: Fields of `Foreseen`, with the facts that fill them.
    keeps: Mapping[str, str] = field(default_factory=dict)


_SKETCHES: Mapping[type[Action], _Sketch] = {
    Evict: _Sketch(
        step="evict",
        where="vonage",
        what="delete secret {secret_id} at Vonage, to free its slot",
        keeps={"secret_id": "secret_id"},
    ),
    Stage: _Sketch(
        step="stage",
        where="vault",
        what="write a new value to {pending} in Vault, check-and-set version {pending_base}",
        keeps={"path": "pending", "check_and_set": "pending_base"},
    ),
    Create: _Sketch(step="create", where="vonage", what="make it a secret of {api_key} at Vonage"),
    Probe: _Sketch(step="probe", where="vonage", what="see it authenticate at Vonage"),
    Push: _Sketch(
        step="push",
        where="vault",
        what="write it to {current} in Vault, check-and-set version {base}",
        keeps={"path": "current", "check_and_set": "base"},
    ),
    Verify: _Sketch(
        step="verify",
        where="vault",
        what="read version {version} back and compare",
        keeps={"path": "current", "vault_version": "version"},
    ),
    Clear: _Sketch(
        step="clear",
        where="vault",
        what="destroy what {pending} holds in Vault",
        keeps={"path": "pending"},
    ),
    Notify: _Sketch(step="hooks", where="hooks", what="tell of the new secret"),
    Ask: _Sketch(step="gates", where="hooks", what="ask {gates}"),
    Wait: _Sketch(
        step="wait",
        where=None,
        what="until {moment} (grace {grace})",
        keeps={"due_at": "until"},
    ),
    Delete: _Sketch(
        step="delete",
        where="vonage",
        what="delete secret {secret_id} at Vonage",
        keeps={"secret_id": "secret_id"},
    ),
    Learn: _Sketch(step="learn", where="ledger", what="record what is seen to have been done"),
    Abort: _Sketch(step="abort", where="ledger", what="undo the rotation ({code})"),
    Close: _Sketch(step="close", where="ledger", what="record that it is over"),
}
