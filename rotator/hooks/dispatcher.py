"""Delivers notifications to hooks, and asks gates."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from rotator.errors import Stopping
from rotator.hooks.answer import Answer
from rotator.hooks.payload import Payload
from rotator.hooks.runner import HookRunner
from rotator.model import Account, Rotation, ShutGate
from rotator.model.notification import Delivery, Event, Hook, Notification, subscribers
from rotator.model.redaction import redact
from rotator.rotation.ports import Hooks

_log = structlog.get_logger(__name__)


class Outbox(Protocol):
    """Pending deliveries. See `rotator.ledger.deliveries`."""

    def claim(  # noqa: PLR0913  # all but one by name
        self,
        hooks: Collection[str],
        *,
        accounts: Collection[str] | None,
        longest: timedelta,
        due: datetime,
        now: datetime,
        unattempted: Event | None = None,
    ) -> Delivery | None:
        """Claim one delivery that was due by then; None where there is none.

        With `unattempted`, only one for that event whose first try is not finished.
        """
        ...

    def give_back(self, delivery: Delivery) -> None:
        """Release the delivery for others at once: this attempt was interrupted."""
        ...

    def settle(self, delivery: Delivery, reason: str | None, *, now: datetime) -> str | None:
        """Record the outcome of a try; return the event that was recorded, if any."""
        ...

    def is_unattempted(self, hooks: Collection[str], account: str, event: Event) -> bool:
        """Return whether a delivery of this event to one of the hooks has no finished try."""
        ...


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One recorded try to deliver a notification."""

    #: The delivery's.
    id: str
    account: str
    hook: str
    event: Event
    #: Reason of the failure; None for success.
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class HookDispatcher(Hooks):
    """Calls hooks. Shared by all accounts and threads."""

    hooks: Sequence[Hook]
    #: All configured accounts by name.
    accounts: Mapping[str, Account]
    #: The Vault mount and its namespace, for the payload.
    mount: str
    namespace: str = ""
    #: Returns the outbox; called only when there is something to deliver.
    outbox: Callable[[], Outbox]
    runner: HookRunner
    now: Callable[[], datetime]
    #: Called with each attempt, from every thread.
    tried: Callable[[Attempt], object] = lambda _: None

    def has_subscribers(self, account: Account) -> bool:
        """See `Hooks.has_subscribers`."""
        return bool(subscribers(self.hooks, Event.PUSHED, account.name))

    def is_notifying(self, account: Account) -> bool:
        """See `Hooks.is_notifying`."""
        hooks = [hook.name for hook in self.hooks]
        return self.outbox().is_unattempted(hooks, account.name, Event.PUSHED)

    def notify(self, account: Account) -> Iterator[Attempt]:
        """See `Hooks.notify`."""
        return self.deliver([account.name], unattempted=Event.PUSHED)

    def deliver(
        self, names: Collection[str] | None, *, unattempted: Event | None = None
    ) -> Iterator[Attempt]:
        """Try the due deliveries of accounts of these names, each once; None for all accounts.

        A delivery that another process is trying now is left to it. With `unattempted`, only first
        attempts for this event are made.

        Raises:
            LedgerError: deliveries cannot be read, or an outcome cannot be recorded.
            Stopping: this process is to end; the interrupted delivery stays pending.
        """
        outbox, begun = self.outbox(), self.now()
        by_name = {hook.name: hook for hook in self.hooks}
        longest = max((hook.timeout for hook in self.hooks), default=timedelta())
        # Due as of now: a failure meanwhile is not retried in the same run.
        while by_name and (
            delivery := outbox.claim(
                list(by_name),
                accounts=names,
                longest=longest,
                due=begun,
                now=self.now(),
                unattempted=unattempted,
            )
        ):
            yield self._try(by_name[delivery.hook], delivery)

    def _try(self, hook: Hook, delivery: Delivery) -> Attempt:
        notification = delivery.notification
        try:
            reason = self.call(hook, notification).reason
        except Stopping:
            self.outbox().give_back(delivery)
            raise
        if event := self.outbox().settle(delivery, reason, now=self.now()):
            log = _log.info if reason is None else _log.warning
            log(
                event,
                account=notification.account,
                hook=hook.name,
                about=notification.event.value,
                attempts=delivery.attempts,
                reason=reason,
            )
        attempt = Attempt(
            id=delivery.id,
            account=notification.account,
            hook=hook.name,
            event=notification.event,
            reason=reason,
        )
        self.tried(attempt)
        return attempt

    def gates(self, account: Account) -> tuple[str, ...]:
        """See `Hooks.gates`."""
        return subscribers(self.hooks, Event.GATE, account.name)

    def ask(self, account: Account, rotation: Rotation, gate: str) -> ShutGate | None:
        """See `Hooks.ask`."""
        hook = next(hook for hook in self.hooks if hook.name == gate)
        notification = Notification(
            id=rotation.id,
            event=Event.GATE,
            account=account.name,
            at=self.now(),
            rotation_id=rotation.id,
            secret_id=rotation.new_id,
            old_secret_id=rotation.predecessor_id,
            vault_version=rotation.vault_version,
            since=rotation.verified_at,
        )
        answer = self.call(hook, notification)
        if answer.succeeded:
            return None
        return ShutGate(name=gate, reason=answer.text, convergence=answer.convergence)

    def call(self, hook: Hook, notification: Notification) -> Answer:
        """Call a hook once; return what comes back. Records nothing.

        Raises:
            Stopping: this process is to end; the hook may still have been called.
        """
        # An account may have been removed from the configuration before the delivery.
        account = self.accounts.get(notification.account)
        payload = Payload(
            notification=notification,
            namespace=self.namespace,
            mount=self.mount,
            path=account.vault_path if account else "",
        )
        answer = self.runner.run(hook, payload, at=self.now())
        # The ledger keeps a command's output for good, and the command may know consumers' secrets.
        return replace(answer, text=redact(answer.text))
