"""Tracks whether ledger, Vault and Vonage are reachable; logs transitions, not attempts.

Changes that repeat all the time, as of a server that answers every other request, are throttled:
hours of that leave a few lines.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog

from rotator.descriptors import lacking
from rotator.errors import (
    IssuerUnavailable,
    LedgerError,
    LedgerUnusable,
    LoginFailed,
    NotSent,
    RotatorError,
    StoreNotReady,
    StoreSealed,
    StoreUnavailable,
    TokenRefused,
    TooManyFiles,
    WrappingSpent,
)
from rotator.model import Problem
from rotator.rotation.ports import NewEntry, Observer

#: Lines that may follow each other at once, and seconds until one more is allowed.
AT_ONCE, EVERY = 6, 600.0

_log = structlog.get_logger(__name__)

#: Codes of errors that concern a whole component, not one account.
_COMPONENTS = {
    NotSent.code: "vonage",
    IssuerUnavailable.code: "vonage",
    StoreUnavailable.code: "vault",
    StoreSealed.code: "vault",
    StoreNotReady.code: "vault",
    TokenRefused.code: "vault",
    LoginFailed.code: "vault",
    WrappingSpent.code: "vault",
    LedgerError.code: "ledger",
}


@dataclass(kw_only=True)
class LogThrottle:
    """Throttles repeated log lines about one thing. Used by one thread at a time."""

    #: Monotonic clock, in seconds.
    clock: Callable[[], float] = time.monotonic
    _left: float = AT_ONCE
    _counted_at: float = field(default=0.0)

    def allows(self) -> bool:
        """Return whether one more line may be logged; counts it if so."""
        now = self.clock()
        self._left = min(AT_ONCE, self._left + (now - self._counted_at) / EVERY)
        self._counted_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


@dataclass(kw_only=True)
class ChangeDetector:
    """Remembers the state of each subject that was last reported, to report only changes.

    Used by one thread at a time for each subject.
    """

    #: Asked before a change is reported; one that it rejects counts as a change the next time, too.
    allows: Callable[[str], bool] = lambda _subject: True
    _reported: dict[str, str] = field(default_factory=dict)

    def is_change(self, subject: str, state: str | None) -> bool:
        """Return whether to report that `subject` is in `state`; None is that of a new subject."""
        if self._reported.get(subject) == state or not self.allows(subject):
            return False
        if state is None:
            del self._reported[subject]
        else:
            self._reported[subject] = state
        return True


#: Events that no pass records, and so none reports.
_NEWS = frozenset(
    {
        *("discovered", "held", "released", "trouble", "trouble-over"),
        *("secret-appeared", "secret-vanished", "secret-explained"),
    }
)


class EntryLog(Observer):
    """Logs ledger entries: the record of rotations, for readers of the journal."""

    def entry_recorded(self, account: str, entry: NewEntry) -> None:
        """Log an entry; one of what others did as a warning."""
        if entry.event in _NEWS:
            _log.warning(entry.event, account=account, detail=entry.detail)
        else:
            facts = {"entry": entry.event, "step": entry.step, "detail": entry.detail}
            _log.debug("recorded", account=account, **facts)


class Health:
    """The unavailable components, each with its latest error. Called from every thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with every component available; `clock` is monotonic, in seconds."""
        self.clock = clock
        self._began = clock()
        self._down: dict[str, Problem] = {}
        #: Components that were tried.
        self._tried: set[str] = set()
        self._throttles = defaultdict[str, LogThrottle](self._throttle)
        self._changes = ChangeDetector(allows=lambda subject: self._throttles[subject].allows())
        self._lock = threading.Lock()

    def _throttle(self) -> LogThrottle:
        return LogThrottle(clock=self.clock)

    @property
    def age(self) -> timedelta:
        """How long this process has been at work."""
        return timedelta(seconds=self.clock() - self._began)

    @property
    def down(self) -> list[str]:
        """The components that cannot be used."""
        with self._lock:
            return sorted(self._down)

    @property
    def components(self) -> dict[str, bool]:
        """Whether each component can be used, of those that were tried."""
        with self._lock:
            return {each: each not in self._down for each in self._tried}

    @property
    def problems(self) -> dict[str, Problem]:
        """Why each of them cannot be used, as of its latest error, and what to do about it."""
        with self._lock:
            return dict(self._down)

    def note_failure(self, error: RotatorError) -> bool:
        """Take note of an error; return whether it concerned a component."""
        component = component_of(error)
        if component:
            self.mark_down(component, error)
        return component is not None

    def mark_down(self, component: str, error: RotatorError | Problem) -> None:
        """Take note that a component cannot be used, for what `error` says."""
        problem = told_by_daemon(error, _GOES_ON)
        with self._lock:
            self._tried.add(component)
            self._down[component] = problem
            is_change = self._changes.is_change(component, error.code)
        if is_change:
            _log.warning("away", component=component, **facts_of(problem))

    def mark_up(self, *components: str) -> None:
        """Take note that these components are available."""
        for component in components:
            with self._lock:
                self._tried.add(component)
                self._down.pop(component, None)
                is_change = self._changes.is_change(component, None)
            if is_change:
                _log.warning("back", component=component)

    def log_unexpected(self, job: str, error: Exception) -> None:
        """Log an unexpected error in a recurring job.

        A lack of descriptors can end any job, and is logged as such.
        """
        with self._lock:
            is_allowed = self._throttles[job].allows()
        if is_allowed and lacking(error):
            known = TooManyFiles()
            _log.error("not done", job=job, reason=known.message, hint=known.hint)
        elif is_allowed:
            _log.error("unexpected error", job=job, exc_info=error)


#: What the daemon does about a component that is away.
_GOES_ON = "the daemon tries again by itself"


def told_by_daemon(error: RotatorError | Problem, goes_on: str) -> Problem:
    """Return an error as the daemon tells of it: what to do, and how it `goes_on` itself.

    One that a former daemon has told already stays as it is.
    """
    known = error.hint or ""
    hint = known if known.endswith(goes_on) else f"{known}; {goes_on}" if known else goes_on
    return Problem(code=error.code, message=error.message, hint=hint)


def facts_of(error: RotatorError | Problem) -> dict[str, str]:
    """Return what a line of the log says of an error; the hint only where there is one."""
    facts = {"code": error.code, "reason": error.message}
    return facts | ({"hint": error.hint} if error.hint else {})


def component_of(error: RotatorError | Problem) -> str | None:
    """Return the component that `error` is about; None where it is about one account."""
    if isinstance(error, LedgerError | LedgerUnusable):
        return "ledger"
    if isinstance(error, StoreUnavailable | TokenRefused | LoginFailed):
        return "vault"
    return _COMPONENTS.get(error.code)


#: Ticks that may be missed, plus seconds, before the scheduler counts as stopped.
_MISSED, _PATIENCE = 3, 60.0


@dataclass
class Heartbeat:
    """Records when the scheduler last ran its jobs."""

    #: Seconds between two ticks.
    every: float = 0.0
    #: By the wall clock; None before the first time.
    beat_at: datetime | None = None
    _beat_at: float = field(default_factory=time.monotonic)

    def tick(self) -> None:
        """Record that the scheduler runs its jobs."""
        self._beat_at, self.beat_at = time.monotonic(), datetime.now(UTC)

    def is_live(self) -> bool:
        """Return whether it still runs them."""
        return time.monotonic() - self._beat_at <= _MISSED * self.every + _PATIENCE
