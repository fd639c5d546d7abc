"""Bringing notices to hooks, and a gate's answer back."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from rotator.errors import Stopping
from rotator.hooks.payload import Message
from rotator.hooks.runner import Caller
from rotator.model import Account, Rotation
from rotator.model.notification import Delivery, Event, Hook, Notice, hearing
from rotator.model.redaction import redact
from rotator.rotation.ports import Hooks

_log = structlog.get_logger(__name__)


class Outbox(Protocol):
    """What is to be delivered. See `rotator.ledger.deliveries`."""

    def claim(  # noqa: PLR0913  # all but one by name
        self,
        hooks: Collection[str],
        *,
        accounts: Collection[str] | None,
        longest: timedelta,
        due: datetime,
        now: datetime,
        untold: Event | None = None,
    ) -> Delivery | None:
        """Take the right to try one delivery that was due then; None where there is none.

        With `untold`, only what tells of such an event and of which the first try is not over.
        """
        ...

    def give_back(self, delivery: Delivery) -> None:
        """Let others try it at once: this try was broken off."""
        ...

    def settle(self, delivery: Delivery, reason: str | None, *, now: datetime) -> str | None:
        """Record what became of a try; give the event that was recorded, if any."""
        ...

    def is_untold(self, hooks: Collection[str], account: str, event: Event) -> bool:
        """Whether a first try to tell one of the hooks of it is not over."""
        ...


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One try to deliver a notice, after it was recorded."""

    account: str
    hook: str
    event: Event
    #: Why it failed; None where it did not.
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class Courier(Hooks):
    """Calls hooks. One for all accounts and threads."""

    hooks: Sequence[Hook]
    #: Every configured account by name.
    accounts: Mapping[str, Account]
    #: The Vault mount, to name it.
    mount: str
    #: Gives what is to be delivered; asked when something is to be.
    outbox: Callable[[], Outbox]
    caller: Caller
    now: Callable[[], datetime]

    # -- Telling. --------------------------------------------------------------------------

    def has_listeners(self, account: Account) -> bool:
        """See `Hooks.has_listeners`."""
        return bool(hearing(self.hooks, Event.PUSHED, account.name))

    def is_telling(self, account: Account) -> bool:
        """See `Hooks.is_telling`."""
        hooks = [hook.name for hook in self.hooks]
        return self.outbox().is_untold(hooks, account.name, Event.PUSHED)

    def tell(self, account: Account) -> Iterator[Attempt]:
        """See `Hooks.tell`."""
        return self._deliver([account.name], untold=Event.PUSHED)

    def deliver(self, names: Collection[str] | None) -> Iterator[Attempt]:
        """Try what is due to be told of accounts of these names, each once; None for of all.

        Whatever another process is trying now is left to it.

        Raises:
            LedgerError: what is to be told cannot be read, or what became of it not be recorded.
            Stopping: this process is to end; what was being told is still to be told.
        """
        return self._deliver(names)

    def _deliver(
        self, names: Collection[str] | None, *, untold: Event | None = None
    ) -> Iterator[Attempt]:
        outbox, begun = self.outbox(), self.now()
        by_name = {hook.name: hook for hook in self.hooks}
        longest = max((hook.timeout for hook in self.hooks), default=timedelta())
        # Due as of now: what fails meanwhile is not tried twice.
        while by_name and (
            delivery := outbox.claim(
                list(by_name),
                accounts=names,
                longest=longest,
                due=begun,
                now=self.now(),
                untold=untold,
            )
        ):
            yield self._try(by_name[delivery.hook], delivery)

    def _try(self, hook: Hook, delivery: Delivery) -> Attempt:
        notice = delivery.notice
        try:
            reason = self._call(hook, notice)
        except Stopping:
            self.outbox().give_back(delivery)
            raise
        event = self.outbox().settle(delivery, reason, now=self.now())
        if event is not None:
            facts = {"account": notice.account, "hook": hook.name, "about": notice.event.value}
            tell = _log.info if reason is None else _log.warning
            tell(event, **facts, attempts=delivery.attempts, reason=reason)
        return Attempt(account=notice.account, hook=hook.name, event=notice.event, reason=reason)

    # -- Asking. ---------------------------------------------------------------------------

    def gates(self, account: Account) -> tuple[str, ...]:
        """See `Hooks.gates`."""
        return hearing(self.hooks, Event.GATE, account.name)

    def ask(self, account: Account, rotation: Rotation, gate: str) -> str | None:
        """See `Hooks.ask`."""
        hook = next(hook for hook in self.hooks if hook.name == gate)
        notice = Notice(
            id=rotation.id,
            event=Event.GATE,
            account=account.name,
            at=self.now(),
            rotation_id=rotation.id,
            secret_id=rotation.new_id,
            old_secret_id=rotation.predecessor_id,
            vault_version=rotation.vault_version,
        )
        return self._call(hook, notice)

    def _call(self, hook: Hook, notice: Notice) -> str | None:
        # An account may be gone from the configuration before it was told of.
        account = self.accounts.get(notice.account)
        message = Message(
            notice=notice, mount=self.mount, path=account.vault_path if account else ""
        )
        reason = self.caller.call(hook, message, at=self.now())
        # What a command says is kept in the ledger for good, and it may know what consumers use.
        return None if reason is None else redact(reason)
