"""Tracks whether ledger, Vault and Vonage are reachable; logs transitions, not attempts.

Changes that repeat all the time, as of a server that answers every other request, are logged now
and then: hours of that leave a few lines.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

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


@dataclass(kw_only=True)
class LogThrottle:
    """Throttles repeated log lines about one thing. Used by one thread at a time."""

    #: Monotonic clock, in seconds.
    clock: Callable[[], float] = time.monotonic
    _left: float = AT_ONCE
    _counted_at: float = field(default=0.0)

    def may_speak(self) -> bool:
        """Return whether one more line may be logged; counts it if so."""
        now = self.clock()
        self._left = min(AT_ONCE, self._left + (now - self._counted_at) / EVERY)
        self._counted_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


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


#: Events that no pass records, and so none reports.
_NEWS = frozenset({"discovered", "drift", "drift-over", "held", "released"})


class EntryLog(Observer):
    """Logs ledger entries: the record of rotations, for readers of the journal."""

    def entry_recorded(self, account: str, entry: NewEntry) -> None:
        """Log an entry; one of drift or discovery as a warning."""
        if entry.event in _NEWS:
            _log.warning(entry.event, account=account, detail=entry.detail)
        else:
            facts = {"entry": entry.event, "step": entry.step, "detail": entry.detail}
            _log.debug("recorded", account=account, **facts)


class Health:
    """The unavailable components, each with its first error. Called from every thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with every component available; `clock` is monotonic, in seconds."""
        self._away: dict[str, str] = {}
        #: The state that was logged last, by component.
        self._told: dict[str, str] = {}
        self._voices: defaultdict[str, LogThrottle] = defaultdict(lambda: LogThrottle(clock=clock))
        self._lock = threading.Lock()

    @property
    def away(self) -> list[str]:
        """The components that cannot be used."""
        with self._lock:
            return sorted(self._away)

    def failed(self, error: RotatorError) -> bool:
        """Note an error; return whether it concerned a component."""
        component = component_of(error)
        if component:
            self.lost(component, error)
        return component is not None

    def lost(self, component: str, error: RotatorError | Problem) -> None:
        """Take note that a component cannot be used, for what `error` says."""
        code = error.code
        with self._lock:
            self._away[component] = code
            is_told = self._told.get(component) != code and self._voices[component].may_speak()
            if is_told:
                self._told[component] = code
        if is_told:
            _log.warning("away", component=component, **told_of(error))

    def answered(self, component: str) -> None:
        """Note that a component is available."""
        with self._lock:
            self._away.pop(component, None)
            is_told = component in self._told and self._voices[component].may_speak()
            if is_told:
                del self._told[component]
        if is_told:
            _log.warning("back", component=component)

    def log_unexpected(self, job: str, error: Exception) -> None:
        """Log an unexpected error in a recurring job.

        A lack of descriptors can end any job, and is logged as such.
        """
        with self._lock:
            may_speak = self._voices[job].may_speak()
        if may_speak and lacking(error):
            known = TooManyFiles()
            _log.error("not done", job=job, reason=known.message, hint=known.hint)
        elif may_speak:
            _log.error("unexpected error", job=job, exc_info=error)


def told_of(error: RotatorError | Problem) -> dict[str, str]:
    """Return what a line of the log says of an error; the hint only where there is one."""
    told = {"code": error.code, "reason": error.message}
    return told | ({"hint": error.hint} if error.hint else {})


def component_of(error: RotatorError) -> str | None:
    """Return the component that `error` is about; None where it is about one account."""
    if isinstance(error, LedgerError | LedgerUnusable):
        return "ledger"
    if isinstance(error, StoreUnavailable | TokenRefused | LoginFailed):
        return "vault"
    return component_of_code(error.code)


def component_of_code(code: str) -> str | None:
    """Return the component that an error of this code is about; None for none."""
    return _COMPONENTS.get(code)


#: Ticks that may be missed, plus seconds, before the scheduler counts as stopped.
_MISSED, _PATIENCE = 3, 60.0


@dataclass
class Heartbeat:
    """Records when a job last completed its work."""

    #: Seconds between two ticks.
    every: float = 0.0
    _beat_at: float = field(default_factory=time.monotonic)

    def tick(self) -> None:
        """Record that the scheduler runs its jobs."""
        self._beat_at = time.monotonic()

    def is_live(self) -> bool:
        """Return whether it still does."""
        return time.monotonic() - self._beat_at <= _MISSED * self.every + _PATIENCE
