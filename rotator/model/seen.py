"""What the ledger knows of secrets that rotator did not make, or did not revoke."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, kw_only=True)
class SeenSecrets:
    """The secrets of one account as looks at Vonage have shown them."""

    #: When Vonage was last looked at; None for never.
    seen_at: datetime | None = None
    #: The ids that Vonage lists according to the entries.
    recorded_ids: frozenset[str] = frozenset()
    #: By id of a secret that others made or revoked: how, by whom and from where, in words that
    #: follow "was". Only of those of which Vonage's Audit API has told.
    origins: Mapping[str, str] = field(default_factory=dict)


NOTHING_SEEN = SeenSecrets()
