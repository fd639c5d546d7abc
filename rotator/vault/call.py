"""One call of Vault's API as data."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rotator.vault.transport import Outcome


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of Vault's API as data."""

    #: Its name in metrics and logs: `read-current`.
    operation: str
    #: Below /v1/, for messages and logs.
    path: str
    #: Makes the call with the hvac client it is given, which has no types.
    send: Callable[[Any], Outcome]
    #: A read: it may be sent again when nobody knows what became of it.
    repeatable: bool
    #: Statuses that mean no failure to this call. A 404 for "no such entry" never does.
    welcome: frozenset[int] = frozenset()
    #: False for what Vault answers outside of all namespaces only.
    in_namespace: bool = True
    #: Called right before each request is sent, for a write. What it raises is raised unchanged,
    #: and nothing was sent.
    before_send: Callable[[], object] | None = None
    #: A state of the cluster that the answer must not be older than; "" where none is known.
    index: str = ""

    def __str__(self) -> str:
        """Name the call in a message."""
        return f"{self.operation} {self.path}"
