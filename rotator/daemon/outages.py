"""Outages: when they begin and end, and which hooks have been told.

An outage lasts from its component's first failure until that has been usable for a minute, so that
one that answers every other request is one outage. Hooks are told of it once it has lasted for a
minute, and of its end if they were told of it. What shows the present shows a component as usable
as soon as it is.

Not by the ledger's outbox, which has no account to record them for, and which an outage of the
ledger is about: they are told from memory. What was told is recorded in the daemon's row, so that
a restart neither tells it again nor forgets its end.
"""

import hashlib
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import structlog

from rotator.daemon.health import Health, told_by_daemon
from rotator.daemon.workers import THREADS, WorkerPool
from rotator.errors import ConfigError, Stopping
from rotator.ledger.daemons import Outage
from rotator.model import Problem
from rotator.model.notification import RETENTION, Event, Hook, Notification
from rotator.rotation import schedule

if TYPE_CHECKING:
    from rotator.application import Application

_log = structlog.get_logger(__name__)

#: How long an outage must last, and its end after that, to be told; in seconds.
PATIENCE = 60.0
#: The component that is away while a new configuration is refused. That is told at once.
CONFIGURATION = "configuration"
#: What the daemon does meanwhile.
_STAYS = (
    "the former one stays in effect until a reload succeeds (`systemctl reload rotator.service`)"
)


class _Message(NamedTuple):
    component: str
    event: Event
    hook: Hook

    def __str__(self) -> str:
        return f"{self.component} {self.event} {self.hook.name}"


@dataclass(kw_only=True)
class _Watched:
    """An outage, with what a restart may forget. Times are monotonic, in seconds."""

    outage: Outage
    began: float
    #: Since when it is usable again; None while it is not.
    calm_from: float | None = None
    #: Whether it has lasted long enough to be told.
    is_lasting: bool = False
    #: Failed calls of a hook, and when to try again.
    tries: dict[str, tuple[int, float]] = field(default_factory=dict)


class Outages:
    """The outages of this daemon. Called from every thread."""

    def __init__(self, *, pool: WorkerPool, health: Health) -> None:
        """Begin without any."""
        self._pool = pool
        self._health = health
        self._host = socket.gethostname()
        self._watched: dict[str, _Watched] = {}
        self._refused: Problem | None = None
        self._lock = threading.Lock()

    def refuse(self, error: ConfigError) -> Problem:
        """Take note that a new configuration was refused; return what is told of it."""
        self._refused = told_by_daemon(error, _STAYS)
        return self._refused

    def accept(self) -> None:
        """Take note that the newest configuration is in effect."""
        self._refused = None

    def inherit(self, outages: Mapping[str, Outage]) -> None:
        """Go on from what a former daemon has recorded; what was away last is so until it answers.

        Only what has begun since is known better here.
        """
        for component, outage in outages.items():
            with self._lock:
                known = self._watched.get(component)
                if known:
                    told = known.outage.told | outage.told
                    known.outage = replace(known.outage, since=outage.since, told=told)
                    continue
                began = self._health.clock()
                is_lasting = outage.over_at is None
                self._watched[component] = _Watched(
                    outage=outage, began=began, is_lasting=is_lasting
                )
            if outage.is_present and component != CONFIGURATION:
                problem = Problem(code=outage.code, message=outage.why, hint=outage.hint)
                self._health.mark_down(component, problem)

    @property
    def present(self) -> dict[str, Outage]:
        """What polls have found away and is so still, be it not for long enough to be told."""
        problems = self._problems
        with self._lock:
            found = {name: watched.outage for name, watched in self._watched.items()}
        return {
            name: outage
            for name, outage in found.items()
            if name in problems and outage.over_at is None
        }

    @property
    def recorded(self) -> dict[str, Outage]:
        """What is to be recorded: outages that last, and those of whose end a hook must hear."""
        with self._lock:
            return {
                name: watched.outage
                for name, watched in self._watched.items()
                if watched.is_lasting or watched.outage.told
            }

    @property
    def _problems(self) -> dict[str, Problem]:
        """Why each component is away now."""
        refused = self._refused
        return self._health.problems | ({CONFIGURATION: refused} if refused else {})

    def observe(self, now: datetime) -> None:
        """Take note of what is away now. To be called at each poll."""
        problems, clock = self._problems, self._health.clock()
        with self._lock:
            for component, problem in problems.items():
                self._away(component, problem, clock, now)
            for component in self._watched.keys() - problems.keys():
                self._calm(component, clock, now)

    def _away(self, component: str, problem: Problem, clock: float, now: datetime) -> None:
        found = Outage(code=problem.code, why=problem.message, hint=problem.hint, since=now)
        known = self._watched.get(component)
        if known is None or known.outage.over_at:
            # A hook that has not heard of the end of the last one need not hear of this one.
            told = known.outage.told if known else frozenset()
            known = _Watched(outage=replace(found, told=told), began=clock)
            self._watched[component] = known
        else:
            since, told = known.outage.since, known.outage.told
            known.outage = replace(found, since=since, told=told)
            known.calm_from = None
        known.is_lasting = known.is_lasting or clock - known.began >= _patience(component)

    def _calm(self, component: str, clock: float, now: datetime) -> None:
        known = self._watched[component]
        if known.calm_from is None:
            known.calm_from = clock
            known.outage = replace(known.outage, back_at=known.outage.back_at or now)
        if known.outage.over_at is None and clock - known.calm_from >= _patience(component):
            known.outage, known.is_lasting = replace(known.outage, over_at=now), False
            known.tries.clear()
        over_at = known.outage.over_at
        if over_at is None or component in self._being_told():
            return
        if not known.outage.told or now - over_at > RETENTION:
            del self._watched[component]

    def tell(self, application: "Application", now: datetime) -> None:
        """Start telling hooks what they have not heard yet, each call in a thread of its own."""
        with self._lock:
            free = THREADS - len(self._pool.running(_KIND))
            messages = list(self._due(application.settings.hooks))[: max(0, free)]
        for message in messages:
            call = partial(self._call, application, message, now)
            self._pool.start(_KIND, str(message), application, call)

    def _due(self, hooks: tuple[Hook, ...]) -> Iterator[_Message]:
        running, clock = self._pool.running(_KIND), self._health.clock()
        for component, known in self._watched.items():
            told, is_over = known.outage.told, known.outage.over_at is not None
            event = Event.RECOVERED if is_over else Event.OUTAGE
            if is_over:
                # Who does not subscribe to it, or is not configured any more, need not hear of it.
                told &= {hook.name for hook in hooks if event in hook.on}
                known.outage = replace(known.outage, told=told)
            elif not known.is_lasting or known.calm_from is not None:
                continue
            for hook in hooks:
                message = _Message(component, event, hook)
                _, again_at = known.tries.get(str(message), (0, clock))
                is_new = event in hook.on and (hook.name in told) is is_over
                if is_new and again_at <= clock and str(message) not in running:
                    yield message

    def _being_told(self) -> set[str]:
        return {name.partition(" ")[0] for name in self._pool.running(_KIND)}

    def _call(self, application: "Application", message: _Message, now: datetime) -> None:
        with self._lock:
            notification = self._notification(message, self._watched[message.component].outage)
        try:
            reason = application.dispatcher.call(message.hook, notification).reason
        except Stopping:
            # The next process tells it, as it is not recorded as told.
            return
        except Exception as error:  # noqa: BLE001  # a worker's loop: the others go on
            self._health.log_unexpected("hooks", error)
            reason = "unexpected error"
        self._settle(message, notification, reason, now)

    def _notification(self, message: _Message, outage: Outage) -> Notification:
        is_over = message.event is Event.RECOVERED
        identity = f"{self._host} {message.component} {outage.since} {message.event}"
        return Notification(
            id=hashlib.sha256(identity.encode()).hexdigest()[:32],
            event=message.event,
            account="",
            at=(outage.over_at or outage.since) if is_over else outage.since,
            component=message.component,
            host=self._host,
            code=outage.code,
            reason=f"no longer: {outage.why}" if is_over else outage.why,
            hint=None if is_over else outage.hint,
            since=outage.since,
        )

    def _settle(
        self, message: _Message, notification: Notification, reason: str | None, now: datetime
    ) -> None:
        is_over, hook = message.event is Event.RECOVERED, frozenset({message.hook.name})
        with self._lock:
            known = self._watched[message.component]
            count = known.tries.pop(str(message), (0, 0.0))[0] + 1
            if reason is None:
                told = known.outage.told - hook if is_over else known.outage.told | hook
                known.outage = replace(known.outage, told=told)
            else:
                wait = schedule.delivery_retry_at(notification.id, count, now) - now
                known.tries[str(message)] = count, self._health.clock() + wait.total_seconds()
        facts = {"hook": message.hook.name, "about": message.event.value, "attempts": count}
        if reason is None:
            _log.info("delivered", component=message.component, **facts)
        elif count == 1:
            _log.warning("undelivered", component=message.component, **facts, reason=reason)


#: The pool's name for calls of hooks.
_KIND = "outage"


def _patience(component: str) -> float:
    return 0.0 if component == CONFIGURATION else PATIENCE
