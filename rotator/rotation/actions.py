"""What the rules may decide: one action at a time.

Each class is one thing that whoever asked does next; what it acts on stands in its fields.
"""

from dataclasses import dataclass
from datetime import datetime

from rotator.model import ShutGate


@dataclass(frozen=True, kw_only=True)
class Open:
    """Open a rotation."""

    predecessor_id: str | None
    #: Id of a rotation found in Vault that the ledger does not have; None for a new one.
    recovered_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Evict:
    """Delete a secret that is expendable, to free its slot."""

    secret_id: str
    #: A stranger's, which the operator's policy allows to be deleted.
    is_foreign: bool = False


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Draw a value and write it to the pending path, with the ids listed now."""

    listed_ids: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Create:
    """Send the pending value to Vonage."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Authenticate with the pending value, which lists the secrets, too."""


@dataclass(frozen=True, kw_only=True)
class Push:
    """Write the pending value to the current entry."""


@dataclass(frozen=True, kw_only=True)
class Verify:
    """Read the version that was written and compare it with the pending value."""

    version: int


@dataclass(frozen=True, kw_only=True)
class Clear:
    """Remove the pending entry: for good what its versions hold, and no later one."""

    #: The newest version that may hold a value; 0 where the path never had one.
    upto: int


@dataclass(frozen=True, kw_only=True)
class Notify:
    """Tell the hooks that a new secret is in Vault."""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """Ask every gate whether the predecessor may be deleted."""


@dataclass(frozen=True, kw_only=True)
class Delete:
    """Delete a secret of this rotation: its predecessor, or its orphan when it aborts."""

    secret_id: str


@dataclass(frozen=True, kw_only=True)
class Learn:
    """Record what is seen only now: an effect that did take place, or what is to be replaced."""

    new_id: str | None = None
    vault_version: int | None = None
    predecessor_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Redate:
    """Begin a grace anew whose recorded start, by a clock that was ahead, is still to come."""


@dataclass(frozen=True, kw_only=True)
class Abort:
    """Record that this rotation is to be undone, and why."""

    code: str


@dataclass(frozen=True, kw_only=True)
class Close:
    """Close the rotation: completed, or failed with the code it was aborted for."""

    error_code: str | None = None


@dataclass(frozen=True, kw_only=True)
class Look:
    """Observe again: what is known is too old, or not settled yet."""


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Nothing to do before `until`."""

    until: datetime
    #: The gate that is waited for; None where it is the grace.
    gate: ShutGate | None = None


@dataclass(frozen=True, kw_only=True)
class Idle:
    """Nothing to do at all."""


@dataclass(frozen=True, kw_only=True)
class Refuse:
    """Do nothing: an operator must decide."""

    code: str
    why: str
    hint: str


Effect = Evict | Stage | Create | Push | Clear | Delete
Action = (
    Effect
    | Open
    | Probe
    | Verify
    | Notify
    | Ask
    | Learn
    | Redate
    | Abort
    | Close
    | Look
    | Wait
    | Idle
    | Refuse
)
