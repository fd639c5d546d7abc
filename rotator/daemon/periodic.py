"""Periodic checks, each subject once per interval: their base, drift, and discovery."""

import heapq
import itertools
import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import structlog

from rotator.application import Application
from rotator.daemon.health import ChangeDetector, Health, facts_of
from rotator.errors import Busy, RotatorError
from rotator.model import DiscoveredSubaccount, SubaccountState
from rotator.model.account import without_parents
from rotator.rotation import schedule
from rotator.rotation.credentials import with_own_credential

if TYPE_CHECKING:
    from rotator.rotation.reconciler import Reconciler


_log = structlog.get_logger(__name__)

#: Earlier than any other time.
_AT_ONCE = datetime.min.replace(tzinfo=UTC)


class FailureBook:
    """Consecutive failures by name, and when to try again. Kept in memory."""

    def __init__(self) -> None:
        """Begin without failures."""
        self._counts: Counter[str] = Counter()
        self._tried_at: dict[str, datetime] = {}
        self._retry_at: dict[str, datetime] = {}

    def add(self, name: str, tried_at: datetime | None = None) -> datetime:
        """Count the failure of what began at `tried_at`, or just now; return when to try again."""
        self._counts[name] += 1
        now = datetime.now(UTC)
        self._tried_at[name] = tried_at or now
        retry_at = schedule.retry_at(name, self._counts[name], now)
        self._retry_at[name] = retry_at
        return retry_at

    def clear(self, name: str) -> None:
        """Forget the failures of `name`, as it succeeded."""
        self._counts.pop(name, None)
        self._tried_at.pop(name, None)
        self._retry_at.pop(name, None)

    def keep(self, due: Mapping[str, datetime | None]) -> None:
        """Forget the failures of all but those in `due`, and of those that came due since the try.

        `due` is when each name came due; None for one that has no such time.
        """
        # A copy: a worker may add one meanwhile.
        for name, tried_at in self._tried_at.copy().items():
            if name not in due or (due[name] or tried_at) > tried_at:
                self.clear(name)

    def must_wait(self, name: str) -> bool:
        """Return whether it is too early to try `name` again."""
        now = datetime.now(UTC)
        # A later time came from a clock that was ahead.
        return now < self._retry_at.get(name, now) <= now + schedule.LONGEST_RETRY


class PeriodicCheck(ABC):
    """Checks its subjects in turn, one after the other. For one configuration.

    The next turns are kept in memory, so that a run with nothing to do costs nothing, however many
    subjects there are. A subject that cannot be checked is tried again ever more rarely, and so is
    everything while a component is down.
    """

    #: Logged when one subject cannot be checked, and not again for the same reason.
    failure: ClassVar[str]

    def __init__(
        self, application: Application, *, health: Health, stopping: threading.Event
    ) -> None:
        """Store what is needed; nothing is checked yet."""
        self._application = application
        self._health = health
        self._stopping = stopping
        #: When each subject is to be checked, the earliest first; ties in order of insertion.
        self._turns: list[tuple[datetime, int, str]] = []
        self._numbers = itertools.count()
        self._has_begun = False
        self._failures = FailureBook()
        self._changes = ChangeDetector()
        #: Consecutive checks that found a component down, and when the next may start.
        self._down_times, self._resumes_at = 0, _AT_ONCE
        #: When a subject is checked out of turn, if that is wanted.
        self._wanted_at = _AT_ONCE
        self._is_over = False

    @abstractmethod
    def interval(self) -> timedelta:
        """Return the time between two checks of a subject."""

    @abstractmethod
    def subjects(self) -> Mapping[str, datetime | None]:
        """Return the names of the subjects in their first order, each with its last check.

        None for never: it is checked at once.
        """

    def checked_at(self, name: str) -> datetime | None:
        """Return when another daemon may have checked `name`, if the ledger shows that."""
        del name
        return None

    @abstractmethod
    def check(self, name: str) -> None:
        """Check one subject.

        Raises:
            Busy: another process works on it, and checks it by that.
            RotatorError: it cannot be checked.
        """

    def is_wanted(self) -> bool:
        """Return whether to check a subject every few minutes, though none may have its turn."""
        return False

    def end(self) -> None:
        """Check nothing more: this configuration is no longer in effect."""
        self._is_over = True

    def run(self) -> None:
        """Check every subject that is due.

        Raises:
            RotatorError: the ledger cannot be read.
        """
        if not self._has_begun:
            for name, at in self.subjects().items():
                self._put(name, self._after(name, at) if at else _AT_ONCE)
            self._has_begun = True
        began = datetime.now(UTC)
        if not self.is_wanted():
            self._wanted_at = began + schedule.LONGEST_PAUSE
        elif self._turns and self._wanted_at <= began:
            self._wanted_at = began + schedule.LONGEST_PAUSE
            self._check(heapq.heappop(self._turns)[-1])
        # What is put back meanwhile has its turn in the next run.
        while self._resumes_at <= began and self._turns and self._turns[0][0] < began:
            if self._stopping.is_set() or self._is_over:
                return
            name = self._turns[0][-1]
            checked_at = self.checked_at(name)
            heapq.heappop(self._turns)
            if checked_at and (turn := self._after(name, checked_at)) > began:
                self._put(name, turn)
            else:
                self._check(name)

    def _after(self, name: str, checked_at: datetime) -> datetime:
        # A future time came from a clock that was ahead.
        checked_at = min(checked_at, datetime.now(UTC))
        return schedule.next_check(name, checked_at, interval=self.interval())

    def _put(self, name: str, turn: datetime) -> None:
        heapq.heappush(self._turns, (turn, next(self._numbers), name))

    def _check(self, name: str) -> None:
        now = datetime.now(UTC)
        try:
            self.check(name)
        except Busy:
            self._put(name, now)
        except RotatorError as error:
            if self._health.note_failure(error):
                # The others would fail as well. Next time another subject is first, in case the
                # failure is this subject's after all.
                self._put(name, now)
                self._down_times += 1
                self._resumes_at = now + schedule.pause(self._down_times)
                return
            self._put(name, self._failures.add(name))
            if self._changes.is_change(name, error.code):
                _log.warning(self.failure, account=name, **facts_of(error))
        except Exception as error:  # noqa: BLE001  # a worker's loop: the others go on
            _log.error("unexpected error", account=name, exc_info=error)
            self._put(name, self._failures.add(name))
        else:
            self._failures.clear(name)
            self._changes.is_change(name, None)
            self._down_times = 0
            self._put(name, self._after(name, now))


class DriftCheck(PeriodicCheck):
    """Observes each account; the first time also sets when it is first due."""

    failure = "not seen"

    def interval(self) -> timedelta:
        """See `PeriodicCheck.interval`."""
        return self._application.settings.daemon.drift_check

    def subjects(self) -> Mapping[str, datetime | None]:
        """Return all accounts. A parent that becomes due must find its children's due times set."""
        last_seen = self._application.ledger.reader.last_seen()
        accounts = self._application.settings.accounts
        names = [account.name for account in (*without_parents(accounts), *accounts)]
        return {name: last_seen.get(name) for name in names}

    def checked_at(self, name: str) -> datetime | None:
        """Return when any process last observed the account."""
        return self._application.ledger.reader.last_seen([name]).get(name)

    def check(self, name: str) -> None:
        """Observe an account, and record drift that begins or ends."""
        self._reconciler.refresh(self._application.accounts[name])
        self._health.mark_up("vault", "vonage")

    def is_wanted(self) -> bool:
        """Return whether Vonage is away, to see that it is back where nothing is due for hours."""
        return "vonage" in self._health.down

    @cached_property
    def _reconciler(self) -> "Reconciler":
        return self._application.reconciler()


class Discovery(PeriodicCheck):
    """Lists each parent's subaccounts.

    Its findings only go into the ledger: from there, this daemon and all others read them.
    """

    failure = "not listed"

    def interval(self) -> timedelta:
        """See `PeriodicCheck.interval`."""
        return self._application.settings.daemon.discover_check

    def subjects(self) -> Mapping[str, datetime | None]:
        """Return the parents."""
        parents = [each.parent for each in self._application.settings.discover]
        return {parent: self.checked_at(parent) for parent in parents}

    def checked_at(self, name: str) -> datetime | None:
        """Return when any daemon last listed below the parent."""
        return self._application.ledger.discovered.listed_at(name)

    def check(self, name: str) -> None:
        """List the subaccounts of a parent, and record what has changed."""
        settings, clients = self._application.settings, self._application.clients
        parent, send = settings.account(name), clients.subaccounts.list_subaccounts
        listed = with_own_credential(clients.store, parent, send)
        discovered = [
            DiscoveredSubaccount(
                parent=name,
                api_key=each.api_key,
                title=each.name,
                state=SubaccountState.SUSPENDED if each.suspended else SubaccountState.ACTIVE,
            )
            for each in listed.subaccounts
        ]
        recorded = self._application.ledger.discovered.record(
            name, discovered, names=settings.discovered_names, now=datetime.now(UTC)
        )
        for account, entry in recorded:
            self._application.observer.entry_recorded(account, entry)
