"""What the hooks of a command's accounts are told, and what became of each try."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from rotator.cli import output
from rotator.errors import RotatorError
from rotator.model import Account
from rotator.model.notification import PendingDelivery
from rotator.rotation.ports import Observer

if TYPE_CHECKING:
    from rotator.application import Application
    from rotator.hooks.dispatcher import Attempt, HookDispatcher
    from rotator.rotation.reconciler import Reconciler

#: One outcome as `--json` prints it.
Outcome = dict[str, str | None]


class HookDelivery:
    """Delivers the notifications of one command, with one attempt for each, and keeps outcomes."""

    def __init__(self, application: "Application") -> None:
        """Deliver to the hooks that `application` is configured with."""
        self._application = application
        #: The newest attempt of each delivery, in the order in which they were first tried.
        self._attempts: dict[str, Attempt] = {}
        #: What is still to be delivered at the end.
        self._pending: tuple[PendingDelivery, ...] = ()

    def reconciler(self, *observers: Observer) -> "Reconciler":
        """Return a reconciler whose passes deliver by this, too."""
        reconciler = self._application.reconciler(*observers)
        has_hooks = bool(self._application.settings.hooks)
        return replace(reconciler, hooks=self._dispatcher) if has_hooks else reconciler

    def deliver(self, accounts: Sequence[Account]) -> None:
        """Try the due notifications of these accounts; report each hook that has failed.

        One that fails is retried later, by the daemon or another command: it does not affect a
        rotation.
        """
        try:
            self._deliver([account.name for account in accounts])
        except (RotatorError, OSError) as error:
            # The outcome of the rotations is reported in any case.
            problem = output.problem_of(error)
            output.complain(problem.message, problem.hint, about="hooks")
        for attempt in self._attempts.values():
            if attempt.reason is not None:
                output.say(
                    f"note: {attempt.account}: hook {attempt.hook} ({attempt.event}) failed and "
                    f"is tried again: {attempt.reason}"
                )

    @property
    def has_failed(self) -> bool:
        """Whether any hook failed that this command called."""
        return any(attempt.reason is not None for attempt in self._attempts.values())

    def outcomes(self, name: str) -> list[Outcome]:
        """Return what became of each notification of account `name`, as `--json` prints it.

        `pending` is one that was not tried: it waits for its next try, or another process tries it.
        """
        tried = [each for each in self._attempts.values() if each.account == name]
        known = {(each.hook, each.event) for each in tried}
        return [
            *(_outcome(each, "delivered" if each.reason is None else "failed") for each in tried),
            *(
                _outcome(each, "pending")
                for each in self._pending
                if each.account == name and (each.hook, each.event) not in known
            ),
        ]

    @cached_property
    def _dispatcher(self) -> "HookDispatcher":
        return replace(self._application.dispatcher, tried=self._keep)

    def _keep(self, attempt: "Attempt") -> None:
        self._attempts[attempt.id] = attempt

    def _deliver(self, names: list[str]) -> None:
        ledger, hooks = self._application.ledger, self._application.settings.hooks
        hook_names, now = [hook.name for hook in hooks], datetime.now(UTC)
        ledger.deliveries.drop(hook_names, now=now)
        if not hooks:
            return
        if ledger.deliveries.are_due(hook_names, now):
            threads = min(self._application.settings.daemon.concurrency, len(names) or 1)
            with ThreadPoolExecutor(threads) as pool:
                # Each thread takes the next delivery: a hook that hangs does not block the others.
                tries = pool.map(lambda _: list(self._dispatcher.deliver(names)), range(threads))
                list(tries)
        self._pending = tuple(ledger.deliveries.undelivered(hook_names))


def _outcome(each: "Attempt | PendingDelivery", outcome: str) -> Outcome:
    return {
        "hook": each.hook,
        "event": each.event.value,
        "outcome": outcome,
        "reason": each.reason,
    }
