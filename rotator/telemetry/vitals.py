"""What a daemon knows of itself, for its metrics."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta


@dataclass(frozen=True, kw_only=True)
class Vitals:
    """A daemon's state at one moment; None for what is not known."""

    #: Whether each component could be used when that was last tried; none that was not tried yet.
    components: Mapping[str, bool] = field(default_factory=dict)
    #: When the daemon last looked for work, and the time from one look to the next.
    polled_at: datetime | None = None
    poll: timedelta | None = None
    #: When a configuration was last accepted, and whether a newer one has been refused since.
    configured_at: datetime | None = None
    is_newer_refused: bool = False
    #: When the Vault token ends, and its whole lifetime.
    token_expires_at: datetime | None = None
    token_lifetime: timedelta | None = None
