"""Every fault at every request of a rotation, which then has to end as if nothing had been.

The requests are those of a dry run. Each case lets one of them meet one mishap and then runs
the command again, a few times at most, as an operator or the daemon would.
"""

import threading
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from _pytest.mark import ParameterSet

from rotator.errors import LedgerError
from rotator.model import Outcome, PassResult
from rotator.sim import Exchange, Phase
from tests.support import faults, figures
from tests.support.invariant_monitor import Seen, System
from tests.support.port_interceptor import MOMENTS, Moment
from tests.support.rotation_fixture import IMPATIENT, PATIENT, RotationFixture

GRACE = timedelta(hours=24)
#: What is rotated, by name.
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "first": {},
    "later": {"rotated_before": True},
    "grace": {
        "rotated_before": True,
        "grace": GRACE,
        "prove_deletion": True,
        "previous_field": "api_secret_previous",
    },
}
#: Longer than anything here takes, in seconds.
WHILE = 60


@cache
def dry_run(setting: str) -> tuple[tuple[System, ...], tuple[System, ...], int]:
    """Rotate undisturbed.

    Gives whom each request went to, before and after the grace, and how many calls there were
    to the ledger.
    """
    with (
        TemporaryDirectory() as folder,
        RotationFixture(Path(folder), **SETTINGS[setting]) as fixture,
    ):
        before = len(fixture.monitor.requests)
        fixture.attempt()
        ledger_calls = fixture.calls.count("ledger.")
        amid = len(fixture.monitor.requests)
        finish(fixture)
        systems = [seen.system for seen in fixture.monitor.requests]
        return tuple(systems[before:amid]), tuple(systems[amid:]), ledger_calls


def cases() -> list[ParameterSet]:
    """Return every setting, request and mishap; only the first setting's are not slow."""
    return [
        pytest.param(
            setting,
            number,
            name,
            id=f"{setting}-{number}-{name}",
            marks=() if setting == "first" else pytest.mark.slow,
        )
        for setting in SETTINGS
        for number, system in enumerate(sum(dry_run(setting)[:2], ()), 1)
        for name in faults.MISHAPS
        if faults.applies(name, system)
    ]


def calls() -> list[object]:
    """Return every setting and call."""
    return [
        pytest.param(
            setting,
            number,
            id=f"{setting}-{number}",
            marks=() if setting == "first" else pytest.mark.slow,
        )
        for setting in SETTINGS
        for number in range(1, len(sum(dry_run(setting)[:2], ())) + 1)
    ]


def writes() -> list[int]:
    """Return which requests of an undisturbed rotation change something."""
    with TemporaryDirectory() as folder, RotationFixture(Path(folder)) as fixture:
        before = len(fixture.requests())
        fixture.attempt()
        sent = enumerate(fixture.requests()[before:], 1)
        return [number for number, request in sent if not request.startswith("GET ")]


def finish(fixture: RotationFixture) -> list[PassResult | None]:
    """Let a grace go by and delete what is due."""
    if fixture.rotation() is None or not fixture.setting.grace:
        return []
    fixture.restart()
    fixture.clock.advance(hours=25)
    return fixture.carry_on(between=faults.mend, reason=None)


def check(fixture: RotationFixture, created: int) -> None:
    """Check that all is as a completed rotation leaves it, with so many secrets ever made."""
    seen, rotation = fixture.look(), fixture.rotation()
    assert rotation is not None
    assert rotation.outcome == "completed"
    assert seen.live == {seen.value}
    assert seen.ids == {rotation.new_id}
    assert seen.pending is None
    assert len(fixture.history()) == created
    assert (rotation.dead_at is not None) is fixture.setting.prove_deletion


def made(setting: str) -> int:
    """Return how many secrets an undisturbed rotation leaves in an account's history."""
    return 3 if "rotated_before" in SETTINGS[setting] else 2


@pytest.mark.parametrize(("setting", "number", "mishap"), cases())
def test_one_mishap_changes_nothing_in_the_end(
    tmp_path: Path, setting: str, number: int, mishap: str
) -> None:
    """Whatever one request meets, the rotation is completed with one creation."""
    with RotationFixture(tmp_path, **SETTINGS[setting]) as fixture:
        amid = len(dry_run(setting)[0])
        if number <= amid:
            faults.meet(fixture, mishap, number)
        reports = fixture.carry_on(between=faults.mend)
        if number > amid:
            faults.meet(fixture, mishap, number - amid)
        later = finish(fixture)

        check(fixture, made(setting))
        assert len(reports) <= 2
        assert len(later) <= 2
        assert fixture.monitor.requests[-1].number >= number


@pytest.mark.parametrize("mishap", ["drop-before", "drop-after", "500-after"])
@pytest.mark.parametrize("number", writes())
def test_a_lost_answer_is_looked_into_before_anything_is_sent_again(
    tmp_path: Path, number: int, mishap: str
) -> None:
    """What may have taken place is neither repeated nor followed by another effect unseen."""
    with RotationFixture(tmp_path) as fixture:
        before = len(fixture.requests())
        faults.meet(fixture, mishap, number)
        fixture.attempt()
        lost, following = fixture.requests()[before + number - 1 :][:2]

        assert not lost.startswith("GET ")
        assert following.startswith("GET ")


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_request_meets_every_mishap(setting: str) -> None:
    """The matrix has no hole: no request is left out, and nothing that it can meet."""
    requests = sum(dry_run(setting)[:2], ())
    met = {case.values[1:] for case in cases() if case.values[0] == setting}
    figures.keep("fault matrix", setting, {"requests": len(requests), "cases": len(met)})

    for number, system in enumerate(requests, 1):
        names = {name for at, name in met if at == number}
        others = faults.VONAGE if system == "vault" else faults.VAULT
        assert names == faults.MISHAPS.keys() - others.keys()
    assert len(requests) > 10


@pytest.mark.parametrize("for_the_pass", [False, True], ids=["moment", "pass"])
@pytest.mark.parametrize(("setting", "number"), calls())
def test_nobody_listens(tmp_path: Path, setting: str, number: int, *, for_the_pass: bool) -> None:
    """A server that refuses connections, for a moment or until the pass is over, is outlasted."""
    with RotationFixture(tmp_path, **SETTINGS[setting]) as fixture:
        amid = len(dry_run(setting)[0])
        if number <= amid:
            faults.unreachable(fixture, number, for_the_pass=for_the_pass)
        fixture.carry_on(between=faults.mend)
        if number > amid:
            fixture.restart()
            fixture.clock.advance(hours=25)
            faults.unreachable(fixture, number - amid, for_the_pass=for_the_pass)
            fixture.carry_on(between=faults.mend, reason=None)
        finish(fixture)

        check(fixture, made(setting))
        assert any("refuse" in line or "unreachable" in line for line in fixture.ear.lines)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize(("setting", "number"), calls())
def test_a_killed_process_is_replaced(
    tmp_path: Path, setting: str, number: int, moment: Moment
) -> None:
    """Killed before or after any call to Vonage or Vault, the next process does the rest."""
    with RotationFixture(tmp_path, **SETTINGS[setting]) as fixture:
        amid = len(dry_run(setting)[0])
        if number <= amid:
            fixture.calls.plan(moment, "", number, fixture.calls.kill)
        reports = fixture.carry_on()
        if number > amid:
            fixture.restart()
            fixture.clock.advance(hours=25)
            fixture.calls.plan(moment, "", number - amid, fixture.calls.kill)
            reports = fixture.carry_on(reason=None)
        finish(fixture)

        check(fixture, made(setting))
        assert [report is None for report in reports] in ([True, False], [True])


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize(
    ("setting", "number"),
    [
        pytest.param(setting, number, marks=() if setting == "first" else pytest.mark.slow)
        for setting in ("first", "later")
        for number in range(1, dry_run(setting)[2] + 1)
    ],
)
def test_a_process_killed_at_its_ledger_is_replaced(
    tmp_path: Path, setting: str, number: int, moment: Moment
) -> None:
    """Likewise before and after any call to the ledger."""
    with RotationFixture(tmp_path, **SETTINGS[setting]) as fixture:
        fixture.calls.plan(moment, "ledger.", number, fixture.calls.kill)
        reports = fixture.carry_on()

        check(fixture, made(setting))
        assert reports[0] is None


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("number", range(1, dry_run("grace")[2] + 1))
def test_a_failing_ledger_does_not_cost_the_grace(
    tmp_path: Path, number: int, moment: Moment
) -> None:
    """A ledger that fails once, whether it wrote or not, changes nothing in the end."""

    def fail() -> None:
        raise LedgerError

    with RotationFixture(tmp_path, **SETTINGS["grace"]) as fixture:
        fixture.calls.plan(moment, "ledger.", number, fail)
        fixture.carry_on()
        both = fixture.look().ids
        finish(fixture)

        assert len(both) == 2
        check(fixture, made("grace"))


@pytest.mark.parametrize("propagation", [0.5, 10.0, 100.0])
@pytest.mark.parametrize("mishap", ["drop-after", "500-after", "garbage", "drop-before"])
def test_a_lost_creation_that_spreads_slowly_is_found(
    tmp_path: Path, mishap: str, propagation: float
) -> None:
    """The answer is lost and the secret does not work yet: it is waited for, nothing sent anew."""
    with RotationFixture(tmp_path, propagation=propagation) as fixture:
        fixture.before_request(5, lambda seen: faults.MISHAPS[mishap](fixture, seen))
        report = fixture.attempt()

        assert report.outcome is Outcome.COMPLETED
        check(fixture, made("first"))


@pytest.mark.parametrize("mishap", ["drop-after", "500-after"])
def test_a_lost_creation_that_never_works_is_nobodys(tmp_path: Path, mishap: str) -> None:
    """An unexplained new id and its value are kept; once the value works, the rotation goes on."""
    with RotationFixture(tmp_path, propagation=1000.0) as fixture:
        fixture.before_request(5, lambda seen: faults.MISHAPS[mishap](fixture, seen))
        first = fixture.attempt()
        pending = fixture.look().pending
        fixture.clock.advance(seconds=1000)
        second = fixture.attempt()

        assert first.error is not None
        assert first.error.code == "foreign-secret"
        assert pending is not None
        assert second.outcome is Outcome.COMPLETED
        check(fixture, made("first"))


# -- A request whose sender has given up, and which arrives after all. ---------------------


def test_a_clear_that_arrives_in_the_next_rotation_loses_nothing(tmp_path: Path) -> None:
    """Another value is pending by then, with nobody else to know it, and stays so."""
    late: list[Exchange] = []
    may_arrive, has_landed = threading.Event(), threading.Event()

    def hold_up(phase: Phase, exchange: Exchange) -> None:
        if "/destroy/" not in exchange.path:
            return
        if phase == "before" and not late:
            late.append(exchange)
            fixture.wait_for_answers(PATIENT)
            may_arrive.wait(WHILE)
        elif phase == "after" and exchange is late[0]:
            has_landed.set()

    with RotationFixture(tmp_path) as fixture:

        def arrive_and_be_killed() -> None:
            may_arrive.set()
            assert has_landed.wait(WHILE)
            fixture.calls.kill()

        # What the rotation itself did while its own request was held up.
        fixture.monitor.excused.add("a secret vanished unasked")
        fixture.world.vault.observers.append(hold_up)
        fixture.calls.plan(
            "before", "store.clear_pending", 1, lambda: fixture.wait_for_answers(IMPATIENT)
        )
        first = fixture.attempt()
        fixture.calls.plan("after", "issuer.create_secret", 1, arrive_and_be_killed)
        second = fixture.run_until_killed()
        fixture.carry_on()

        assert first.outcome is Outcome.COMPLETED
        assert second is None
        check(fixture, made("first") + 1)


# -- A standby that lags, after something else went wrong. ---------------------------------


def lag(fixture: RotationFixture) -> None:
    """Let the next read of the pending entry, once there is one, miss its newest version."""

    def step_in(seen: Seen) -> None:
        is_read = seen.exchange.method == "GET" and "rotator/pending" in seen.exchange.path
        if is_read and fixture.look().pending is not None:
            fixture.monitor.before.remove(step_in)
            fixture.world.vault.stale_reads = 1

    fixture.monitor.before.append(step_in)


@pytest.mark.parametrize(
    ("number", "mishap"),
    [
        (4, "drop-after"),
        (5, "drop-after"),
        (7, "drop-after"),
        (8, "denied"),
    ],
    ids=["stage", "create", "push", "verify"],
)
def test_a_pending_entry_not_yet_replicated_is_not_lost(
    tmp_path: Path, number: int, mishap: str
) -> None:
    """After a request that failed, the look that follows may come too soon to see the entry."""
    with RotationFixture(tmp_path) as fixture:
        fixture.before_request(number, lambda seen: faults.MISHAPS[mishap](fixture, seen))
        lag(fixture)
        fixture.carry_on()

        check(fixture, made("first"))
