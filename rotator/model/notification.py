"""Notifications: events, the hooks that subscribe to them, and pending deliveries.

Ids, versions, codes and reasons; never a value.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

#: How long informational notifications are retried. Gates are asked, and `pushed` is delivered, for
#: as long as it takes: consumers depend on them.
RETENTION = timedelta(days=7)


class Event(StrEnum):
    """The events that a hook can be called for."""

    #: A new secret is verified in Vault; the old one still works.
    PUSHED = "pushed"
    #: A question rather than an event: may the old secret be deleted?
    GATE = "gate"
    COMPLETED = "completed"
    #: A pass ended in an error that it did not end in before.
    FAILED = "failed"
    #: An operator must decide, for the first time or for a new reason.
    REFUSED = "refused"
    #: Consumers read a secret that does not work, or read nothing.
    BROKEN = "broken"
    #: Another party changed something that prevents the account's rotation.
    DRIFT = "drift"
    OVERDUE = "overdue"
    #: The account's balance is below its threshold.
    BALANCE = "balance"
    #: What was notified as wrong is over.
    RECOVERED = "recovered"
    #: A daemon cannot use Vault, Vonage or the ledger, or was refused its new configuration.
    OUTAGE = "outage"
    #: An operator tries the hook; nothing has happened.
    TEST = "test"


#: What is told as wrong with an account, and its end.
ALERTS = (
    Event.FAILED,
    Event.REFUSED,
    Event.BROKEN,
    Event.DRIFT,
    Event.OVERDUE,
    Event.BALANCE,
    Event.RECOVERED,
)


class WebhookFormat(StrEnum):
    """Format of a webhook's body."""

    JSON = "json"
    SLACK = "slack"
    TEAMS = "teams"
    PAGERDUTY = "pagerduty"


@dataclass(frozen=True, kw_only=True)
class Hook:
    """A command or a URL that is called for events."""

    #: Identifies it in the ledger, even if its command or URL changes.
    name: str
    on: frozenset[Event]
    #: Names of the accounts whose events it receives; empty for all.
    accounts: frozenset[str] = frozenset()
    #: How long one call may take.
    timeout: timedelta = timedelta(seconds=30)
    #: The program and its arguments; empty for a webhook.
    command: tuple[str, ...] = ()
    #: May contain a token of the receiver, so it is not shown.
    url: str | None = field(default=None, repr=False)
    #: File that contains the URL instead.
    url_file: Path | None = None
    #: File that contains the key for signing the body; None for no signature.
    secret_file: Path | None = None
    #: File that contains PagerDuty's key of the service that gets the alerts.
    routing_key_file: Path | None = None
    format: WebhookFormat = WebhookFormat.JSON

    def subscribes_to(self, event: Event, account: str) -> bool:
        """Return whether the hook is called for `event` of the account of that name.

        Events without an account, whose name is "", concern all of them.
        """
        is_for = not self.accounts or not account or account in self.accounts
        return event in self.on and is_for


#: What is the case in an outage, by component.
_OUTAGES = {
    "vault": "Vault cannot be used",
    "vonage": "Vonage cannot be used",
    "ledger": "the ledger cannot be used",
    "page": "the page cannot be served",
    "trigger": "no rotation can be asked for through the trigger",
    "witness": "checkpoints of the ledger cannot be published",
    "configuration": "the new configuration is refused",
}


def outage_title(component: str) -> str:
    """Return what is the case in an outage of `component`, in the same words for every surface."""
    return _OUTAGES.get(component, f"{component} cannot be used")


def subscribers(hooks: Iterable[Hook], event: Event, account: str) -> tuple[str, ...]:
    """Return the names of the hooks that subscribe to `event` of the account of that name."""
    return tuple(hook.name for hook in hooks if hook.subscribes_to(event, account))


def waits_for_consumers(hooks: Iterable[Hook], account: str) -> bool:
    """Return whether the account's old secret is deleted only after a hook was called or asked.

    Otherwise it is deleted when its grace is over, whatever its consumers use.
    """
    return any(
        hook.subscribes_to(event, account) for hook in hooks for event in (Event.PUSHED, Event.GATE)
    )


@dataclass(frozen=True, kw_only=True)
class Notification:
    """A notification to a hook, or a question to a gate."""

    #: The same at every delivery of the same notification.
    id: str
    event: Event
    #: "" for what concerns all accounts.
    account: str
    at: datetime
    rotation_id: str | None = None
    #: Vonage's id of the new secret.
    secret_id: str | None = None
    #: Vonage's id of the predecessor.
    old_secret_id: str | None = None
    #: Version of the current entry that contains the new secret.
    vault_version: int | None = None
    #: Stable code of the failure.
    code: str | None = None
    #: The failure in words, for people.
    reason: str | None = None
    #: State of the account, where it is one in which something is wrong.
    state: str | None = None
    #: What to do about it.
    hint: str | None = None
    #: When that began.
    since: datetime | None = None
    #: Tries in a row that failed, and the time of the next one.
    tries: int | None = None
    next_try_at: datetime | None = None
    #: How many consumers the gate that is waited for has counted, how many of them use the new
    #: secret, and names of the others.
    consumers: int | None = None
    converged: int | None = None
    behind: tuple[str, ...] | None = None
    #: What cannot be used, and the host of the daemon that cannot use it.
    component: str | None = None
    host: str | None = None


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A notification that is to be delivered to a hook: the right to try it, once."""

    id: str
    notification: Notification
    #: Name of the hook.
    hook: str
    #: Number of tries, this one included. Identifies the claim: each claim adds one.
    attempts: int
    owner: str


@dataclass(frozen=True, kw_only=True)
class PendingDelivery:
    """A notification that has not reached a hook yet, as `status` shows it."""

    account: str
    hook: str
    event: Event
    #: When the event happened.
    since: datetime
    attempts: int
    #: Why the last try failed; None while the first one is not finished.
    reason: str | None
    next_try_at: datetime
