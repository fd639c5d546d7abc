"""What rotator tells others: events, the hooks that hear of them, and what has to be delivered.

Ids, versions, codes and reasons; never a value.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

#: How long it is tried to deliver what only informs. A gate is asked for as long as it takes, and
#: so is `pushed` delivered: consumers depend on it.
KEPT = timedelta(days=7)


class Event(StrEnum):
    """What a hook can be called for."""

    #: A new secret is verified in Vault; the old one still works.
    PUSHED = "pushed"
    #: Not an event but a question: may the old secret be deleted?
    GATE = "gate"
    COMPLETED = "completed"
    #: A pass ended in an error it had not ended in before.
    FAILED = "failed"
    #: An operator must decide, and did not have to before, or for another reason.
    REFUSED = "refused"
    #: Someone else changed something that keeps the account from being rotated.
    DRIFT = "drift"
    OVERDUE = "overdue"
    #: The account's balance is lower than it should be.
    BALANCE = "balance"


class Format(StrEnum):
    """How a webhook's body is written."""

    JSON = "json"
    SLACK = "slack"


@dataclass(frozen=True, kw_only=True)
class Hook:
    """A command or a web address that is called for events."""

    #: Names it in the ledger, whatever its command or address becomes.
    name: str
    on: frozenset[Event]
    #: Names of the accounts whose events it hears; empty for all.
    accounts: frozenset[str] = frozenset()
    #: How long one call may take.
    timeout: timedelta = timedelta(seconds=30)
    #: The program and its arguments; empty where an address is called.
    command: tuple[str, ...] = ()
    #: May hold a token of the receiver's, so it is not shown.
    url: str | None = field(default=None, repr=False)
    #: File that holds the address instead.
    url_file: Path | None = None
    #: File with the key that signs the body; None for no signature.
    secret_file: Path | None = None
    format: Format = Format.JSON

    def hears(self, event: Event, account: str) -> bool:
        """Whether it is called for `event` of the account of that name."""
        return event in self.on and (not self.accounts or account in self.accounts)


def hearing(hooks: Iterable[Hook], event: Event, account: str) -> tuple[str, ...]:
    """Name the hooks that are called for `event` of the account of that name."""
    return tuple(hook.name for hook in hooks if hook.hears(event, account))


@dataclass(frozen=True, kw_only=True)
class Notice:
    """What happened, or what is asked, as a hook is told."""

    #: The same at every delivery of the same notice.
    id: str
    event: Event
    account: str
    at: datetime
    rotation_id: str | None = None
    #: Vonage's id of the new secret.
    secret_id: str | None = None
    #: Vonage's id of the secret that it replaces.
    old_secret_id: str | None = None
    #: Version of the current entry that holds the new secret.
    vault_version: int | None = None
    #: Stable name of what went wrong.
    code: str | None = None
    #: What went wrong, for people.
    reason: str | None = None


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A notice that has to reach a hook. Whoever has one may try it, once."""

    id: str
    notice: Notice
    #: Name of the hook.
    hook: str
    #: How often it was tried, this time included. Tells who has it: each claim counts one.
    attempts: int
    owner: str


@dataclass(frozen=True, kw_only=True)
class Undelivered:
    """A notice that did not reach a hook yet, as `status` shows it."""

    account: str
    hook: str
    event: Event
    #: When it happened.
    since: datetime
    attempts: int
    #: Why the last try failed; None where the first one is not over.
    reason: str | None
    next_try_at: datetime
