from dataclasses import replace
from pathlib import Path

import pytest
from structlog.contextvars import get_contextvars

from rotator.model import Outcome, Request, State
from rotator.reporting.status import AccountStatus
from tests.support.rotation_fixture import NAME, RotationFixture


def test_a_lease_that_was_claimed_is_used_and_released(tmp_path: Path) -> None:
    """Who claimed an account as due hands its lease over; nobody else gets in between."""
    with RotationFixture(tmp_path) as fixture:
        lease = fixture.writer.claim(NAME, fixture.clock.now())
        report = fixture.reconciler.attempt(
            fixture.accounts[NAME], Request(reason="due"), claimed=lease
        )
        fixture.reports.append(report)

        assert report.outcome is Outcome.COMPLETED
        assert fixture.writer.claim(NAME, fixture.clock.now()).token == lease.token + 1


@pytest.mark.parametrize("number", range(1, 13))
def test_a_pass_that_is_told_to_stop_ends_between_two_steps(tmp_path: Path, number: int) -> None:
    """The rotation stays open, nothing counts as failed, and the next pass goes on from there."""
    with RotationFixture(tmp_path) as fixture:
        asked = iter(range(1, 1000))
        engine = replace(fixture.reconciler, should_stop=lambda: next(asked) >= number)
        stopped = engine.attempt(fixture.accounts[NAME], Request(reason="due"))
        leased = fixture.writer.claim(NAME, fixture.clock.now())
        fixture.writer.release(leased)
        events = {entry.event for entry in fixture.entries(NAME)}
        report = fixture.attempt()

        if stopped.error:
            assert (stopped.outcome, stopped.error.code) == (Outcome.BUSY, "stopping")
        assert "failed" not in events
        assert report.outcome is Outcome.COMPLETED


def test_trouble_is_recorded_when_it_begins_and_when_it_ends(tmp_path: Path) -> None:
    """Looking again and again adds nothing to the record."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        account = fixture.accounts[NAME]
        fixture.reconciler.refresh(account)
        before = len(fixture.entries(NAME))
        foreign = fixture.make_foreign()
        for _ in range(3):
            fixture.reconciler.refresh(account)
        trouble = fixture.queries.accounts([NAME])[0].trouble
        fixture.revoke(foreign)
        for _ in range(3):
            fixture.reconciler.refresh(account)

        events = [entry.event for entry in fixture.entries(NAME)[before:]]
        assert events == ["secret-appeared", "trouble", "secret-vanished", "trouble-over"]
        assert trouble is not None
        assert (trouble.state, trouble.code) == (State.DRIFTED, "foreign-secret")
        assert trouble.since == fixture.clock.now()
        assert [entry.event for _, entry in fixture.told][before:] == events
        assert fixture.queries.last_seen() == {NAME: fixture.clock.now()}


@pytest.mark.parametrize(
    ("call", "step"),
    [
        ("store.write_pending", "stage"),
        ("issuer.create_secret", "create"),
        ("store.write_current", "push"),
        ("store.read_version", "verify"),
        ("store.clear_pending", "clear"),
        ("issuer.delete_secret", "delete"),
    ],
)
def test_what_is_logged_meanwhile_names_account_rotation_and_step(
    tmp_path: Path, call: str, step: str
) -> None:
    """Whoever logs it, a library included; and nothing of it is left after the pass."""
    with RotationFixture(tmp_path) as fixture:
        bound: dict[str, object] = {}
        fixture.calls.plan("before", call, 1, lambda: bound.update(get_contextvars()))
        report = fixture.attempt()

        assert bound == {"account": NAME, "rotation_id": report.rotation_id, "step": step}
        assert get_contextvars() == {}


def test_a_secret_that_is_too_old_is_overdue_and_nothing_else(tmp_path: Path) -> None:
    """Nobody changed anything: it is no drift, and a look records nothing of it."""
    with RotationFixture(tmp_path) as fixture:
        account = fixture.accounts[NAME]
        fixture.reconciler.refresh(account)
        fixture.clock.advance(days=6)
        fixture.reconciler.refresh(account)
        [summary] = fixture.queries.accounts([NAME])
        status = AccountStatus(account=account, summary=summary, now=fixture.clock.now())

        assert fixture.events() == []
        assert summary.trouble is None
        assert status.state is State.OVERDUE
