"""The language of rotator: frozen, keyword-only records that use the standard library alone.

Of these, only a credential contains a secret value. Otherwise a value is passed beside them, as
`SecretValue`, which masks itself unless revealed.
"""

from rotator.model.account import (
    NEVER,
    Account,
    DiscoveredSubaccount,
    ForwardMethod,
    Freeze,
    Identity,
    OnForeign,
    Policy,
    SubaccountState,
)
from rotator.model.actor import Actor
from rotator.model.rotation import (
    ABANDONED,
    CLOCK,
    LONGEST_GATE_WAIT,
    LONGEST_WINDOW_WAIT,
    MOST_OFFSET,
    SUPERSEDED,
    GateWait,
    Hold,
    Outcome,
    PassResult,
    Problem,
    Request,
    Rotation,
    ShutGate,
    Step,
)
from rotator.model.secret import (
    EARLIEST,
    LATEST,
    NOTHING_WRITTEN,
    Credential,
    CurrentEntry,
    Note,
    PendingEntry,
    Secret,
    SecretValue,
    Written,
    believable,
)
from rotator.model.seen import NOTHING_SEEN, SeenSecrets
from rotator.model.state import DRIFT, State, Trouble

__all__ = [
    "ABANDONED",
    "CLOCK",
    "DRIFT",
    "EARLIEST",
    "LATEST",
    "LONGEST_GATE_WAIT",
    "LONGEST_WINDOW_WAIT",
    "MOST_OFFSET",
    "NEVER",
    "NOTHING_SEEN",
    "NOTHING_WRITTEN",
    "SUPERSEDED",
    "Account",
    "Actor",
    "Credential",
    "CurrentEntry",
    "DiscoveredSubaccount",
    "ForwardMethod",
    "Freeze",
    "GateWait",
    "Hold",
    "Identity",
    "Note",
    "OnForeign",
    "Outcome",
    "PassResult",
    "PendingEntry",
    "Policy",
    "Problem",
    "Request",
    "Rotation",
    "Secret",
    "SecretValue",
    "SeenSecrets",
    "ShutGate",
    "State",
    "Step",
    "SubaccountState",
    "Trouble",
    "Written",
    "believable",
]
