"""Which outages are told to hooks, when, and how often."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from structlog.testing import capture_logs

from rotator.daemon.health import Health
from rotator.daemon.outages import CONFIGURATION, Outages
from rotator.daemon.workers import WorkerPool
from rotator.errors import (
    ConfigError,
    LedgerError,
    RotatorError,
    Stopping,
    StoreSealed,
    StoreUnavailable,
)
from rotator.hooks.answer import Answer
from rotator.ledger.daemons import Outage
from rotator.model.notification import RETENTION, Event, Hook, Notification

if TYPE_CHECKING:
    from rotator.application import Application

NOW = datetime(2026, 11, 24, 7, 28, tzinfo=UTC)
BOTH = frozenset({Event.OUTAGE, Event.RECOVERED})
CHAT = Hook(name="chat", on=BOTH, accounts=frozenset({"sms"}))
PAGER = Hook(name="pager", on=frozenset({Event.OUTAGE}))
CONSUMERS = Hook(name="consumers", on=frozenset({Event.PUSHED, Event.RECOVERED}))
SEALED = StoreSealed()
GOES_ON = "the daemon tries again by itself"


@dataclass
class Watch:
    """A daemon that polls every fifteen seconds, on a clock of the test's."""

    hooks: tuple[Hook, ...] = (CHAT, PAGER, CONSUMERS)
    seconds: float = 0.0
    #: What hooks were told, and what a call of one ends in.
    told: list[str] = field(default_factory=list)
    notifications: list[Notification] = field(default_factory=list)
    answer: Callable[[Hook], str | None] = lambda _hook: None

    def __post_init__(self) -> None:
        """Start it."""
        self.start({})

    def restart(self) -> None:
        """Start another process, which inherits what this one has recorded."""
        self.start(self.outages.recorded)

    def start(self, recorded: dict[str, Outage]) -> None:
        """Start a process that inherits these outages."""
        self.health = Health(clock=lambda: self.seconds)
        self.pool = WorkerPool()
        self.outages = Outages(pool=self.pool, health=self.health)
        self.outages.inherit(recorded)
        self.application = cast(
            "Application",
            SimpleNamespace(
                settings=SimpleNamespace(hooks=self.hooks),
                dispatcher=SimpleNamespace(call=self.call),
            ),
        )

    def call(self, hook: Hook, notification: Notification) -> Answer:
        """Take a notification, as a hook does."""
        self.told.append(f"{hook.name} {notification.event} {notification.component}")
        self.notifications.append(notification)
        reason = self.answer(hook)
        return Answer(succeeded=reason is None, text=reason or "")

    @property
    def now(self) -> datetime:
        """The time of day."""
        return NOW + timedelta(seconds=self.seconds)

    def polls(self, count: int, *found: str, error: RotatorError = SEALED) -> list[str]:
        """Let it poll, each time finding Vault "up" or "down"; return what hooks were told."""
        self.told.clear()
        for poll in range(count):
            self.seconds += 15
            state = found[poll % len(found)] if found else ""
            if state == "up":
                self.health.mark_up("vault")
            elif state == "down":
                self.health.mark_down("vault", error)
            self.outages.observe(self.now)
            self.outages.tell(self.application, self.now)
            assert self.pool.join(float("inf"))
        return sorted(self.told)


def test_an_outage_and_its_end_are_told_once() -> None:
    """After a minute each; a hook that does not subscribe to both hears one of them, or none."""
    watch = Watch()
    found = [watch.polls(4, "down"), watch.polls(9, "down"), watch.polls(4, "up")]
    end = watch.polls(9, "up")

    assert found == [[], ["chat outage vault", "pager outage vault"], []]
    assert end == ["chat recovered vault"]
    assert watch.outages.recorded == {}


def test_a_short_outage_is_not_told() -> None:
    """Neither that it began nor that it is over."""
    watch = Watch()

    assert watch.polls(3, "down") == watch.polls(20, "up") == []


def test_a_page_shows_what_is_away_now() -> None:
    """From the first poll that finds it away until it answers, though hooks wait for a minute."""
    watch = Watch()
    watch.polls(1, "down")
    during = watch.outages.present
    watch.polls(4, "down")
    watch.health.mark_up("vault")
    after = watch.outages.present
    watch.polls(1, "up")
    back = watch.outages.recorded["vault"]
    watch.polls(1, "down")

    assert [(name, each.code, each.since) for name, each in during.items()] == [
        ("vault", "vault-sealed", NOW + timedelta(seconds=15))
    ]
    assert after == {}
    assert (back.is_present, back.back_at) == (False, NOW + timedelta(seconds=90))
    assert watch.outages.present["vault"].since == during["vault"].since
    assert watch.outages.recorded["vault"].is_present


def test_what_is_back_is_so_for_the_next_process() -> None:
    """It counts as usable; and if that lasts, hooks are told of the end."""
    watch = Watch(hooks=(CHAT,))
    watch.polls(9, "down")
    watch.polls(1, "up")
    back_at = watch.now
    watch.restart()
    watch.polls(1)

    assert watch.health.down == []
    assert watch.outages.recorded["vault"].back_at == back_at
    assert watch.polls(4) == ["chat recovered vault"]


def test_what_comes_and_goes_is_one_outage() -> None:
    """It begins with the first failure, and ends a minute after the last one."""
    watch = Watch()
    flapping = watch.polls(40, "down", "up")
    calm = watch.polls(6, "up")

    assert flapping == ["chat outage vault", "pager outage vault"]
    assert calm == ["chat recovered vault"]


def test_another_reason_is_no_other_outage() -> None:
    """The newest one is recorded; hooks were told that something is wrong."""
    watch = Watch()
    watch.polls(9, "down")
    told = watch.polls(9, "down", error=StoreUnavailable())

    assert told == []
    assert watch.outages.recorded["vault"].code == StoreUnavailable.code


def test_hooks_are_told_cause_and_cure() -> None:
    """And where it is, since when; the end says what is over."""
    watch = Watch(hooks=(CHAT,))
    watch.polls(9, "down")
    watch.polls(9, "up")
    began, ended = watch.notifications

    assert (began.account, began.component, began.code) == ("", "vault", SEALED.code)
    assert (began.reason, began.hint) == (SEALED.message, f"{SEALED.hint}; {GOES_ON}")
    assert began.host
    assert began.since == began.at == NOW + timedelta(seconds=15)
    assert (ended.reason, ended.hint, ended.since) == (
        f"no longer: {SEALED.message}",
        None,
        began.since,
    )
    assert ended.at > began.at
    assert ended.id != began.id


def test_a_hook_that_fails_is_called_again_later() -> None:
    """Ever more rarely, by the same id; others are told at once, and the log says it once."""
    watch = Watch(answer=lambda hook: "no" if hook is CHAT else None)
    with capture_logs() as logs:
        for _ in range(40):
            watch.polls(1, "down")
        tries = [each for each in watch.notifications if each.event is Event.OUTAGE]
        watch.answer = lambda _hook: None
        later = watch.polls(20, "down")

    undelivered = [log for log in logs if log["event"] == "undelivered"]
    assert 4 <= len(tries) <= 8
    assert {each.id for each in tries} == {tries[0].id}
    assert later == ["chat outage vault"]
    assert [(log["hook"], log["reason"]) for log in undelivered] == [("chat", "no")]


def test_who_was_not_reached_in_an_outage_need_not_hear_of_its_end() -> None:
    """To a hook, what was never wrong is not over."""
    watch = Watch(hooks=(CHAT,), answer=lambda _hook: "no")
    watch.polls(9, "down")

    assert watch.polls(20, "up") == []
    assert watch.outages.recorded == {}


def test_an_error_of_a_call_is_survived() -> None:
    """It counts as a failure of the hook."""
    watch = Watch(hooks=(CHAT,))

    def fail(_hook: Hook) -> None:
        raise ZeroDivisionError

    watch.answer = fail
    with capture_logs() as logs:
        told = watch.polls(5, "down")

    assert told == ["chat outage vault"]
    assert [log["event"] for log in logs] == ["away", "unexpected error", "undelivered"]


def test_a_call_that_the_end_interrupts_is_made_by_the_next_process() -> None:
    """Nothing says that the hook was told."""
    watch = Watch(hooks=(CHAT,))

    def stop(_hook: Hook) -> None:
        raise Stopping

    watch.answer = stop
    watch.polls(5, "down")
    watch.answer = lambda _hook: None
    watch.restart()

    assert watch.polls(3, "down") == ["chat outage vault"]


def test_a_restart_tells_nothing_again_and_forgets_no_end() -> None:
    """Before the end, and between the end and its delivery."""
    watch = Watch(hooks=(CHAT,))
    watch.polls(9, "down")
    watch.restart()
    again = watch.polls(9, "down")
    watch.restart()
    unknown = watch.polls(9)
    watch.answer = lambda _hook: "no"
    watch.polls(5, "up")
    watch.restart()
    watch.answer = lambda _hook: None

    assert again == unknown == []
    assert {each.hint for each in watch.notifications} == {f"{SEALED.hint}; {GOES_ON}", None}
    assert watch.polls(9, "up") == ["chat recovered vault"]
    assert watch.outages.recorded == {}


def test_what_a_former_daemon_told_is_known_once_the_ledger_is_back() -> None:
    """Also where the same outage was found meanwhile; it is as old as it was."""
    watch = Watch(hooks=(CHAT,))
    watch.polls(3, "down")
    before = Outage(code="x", why="x", hint=None, since=NOW, told=frozenset({"chat"}))
    watch.outages.inherit({"vault": before})

    assert watch.polls(20, "down") == []
    assert watch.outages.recorded["vault"].since == NOW


def test_an_outage_that_begins_before_the_end_of_the_last_is_heard_is_not_told() -> None:
    """The hook still believes in the last one, and is told of the end of both."""
    watch = Watch(hooks=(CHAT,))
    watch.polls(9, "down")
    watch.answer = lambda _hook: "no"
    watch.polls(5, "up")
    watch.answer = lambda _hook: None

    assert watch.polls(9, "down") == []
    assert watch.polls(20, "up") == ["chat recovered vault"]


def test_the_end_is_told_for_a_week() -> None:
    """Then it is given up, as every notification that nothing depends on."""
    watch = Watch(hooks=(CHAT,))
    watch.polls(9, "down")
    watch.answer = lambda _hook: "no"
    watch.polls(9, "up")
    kept = watch.outages.recorded
    watch.seconds += RETENTION.total_seconds()
    watch.polls(1, "up")

    assert kept
    assert watch.outages.recorded == {}


def test_a_hook_that_is_gone_is_not_waited_for() -> None:
    """Nor one that does not subscribe to the end any more."""
    watch = Watch(hooks=(CHAT, PAGER))
    watch.polls(9, "down")
    watch.hooks = (PAGER,)
    watch.restart()

    assert watch.polls(9, "up") == []
    assert watch.outages.recorded == {}


def test_a_refused_configuration_is_told_at_once() -> None:
    """And its end at the next good one; a restart is with a good one."""
    watch = Watch(hooks=(CHAT,))
    told_of = watch.outages.refuse(ConfigError("unknown key", hint="remove it"))
    found = [watch.polls(1), watch.polls(3)]
    watch.outages.accept()
    found.append(watch.polls(2))
    watch.outages.refuse(ConfigError())
    watch.polls(1)
    watch.restart()
    found.append(watch.polls(2))

    told = [f"chat outage {CONFIGURATION}"], [], *[[f"chat recovered {CONFIGURATION}"]] * 2
    assert found == [*told]
    assert watch.notifications[0].hint == told_of.hint
    assert (told_of.hint or "").startswith("remove it; the former one stays in effect until")
    assert watch.health.down == []


def test_outages_of_several_components_are_told_side_by_side() -> None:
    """Each by itself; no more calls at once than there are threads for them."""
    many = tuple(Hook(name=f"h{number}", on=BOTH) for number in range(6))
    watch = Watch(hooks=many)
    watch.health.mark_down("ledger", LedgerError())
    told = [*watch.polls(4, "down"), *watch.polls(1, "down")]
    rest = watch.polls(5, "down")

    assert len(told) == 4
    assert sorted([*told, *rest]) == sorted(
        f"{hook.name} outage {component}" for hook in many for component in ("ledger", "vault")
    )


@pytest.mark.parametrize("hooks", [(), (CONSUMERS,)])
def test_an_outage_is_recorded_whoever_is_told(hooks: tuple[Hook, ...]) -> None:
    """The page and `status` show it, and nothing is left of it afterwards."""
    watch = Watch(hooks=hooks)
    watch.polls(9, "down")
    found = watch.outages.recorded["vault"]
    watch.polls(9, "up")

    assert (found.code, found.told) == (SEALED.code, frozenset())
    assert watch.outages.recorded == {}
