from dataclasses import replace
from pathlib import Path

import pytest
from structlog.contextvars import get_contextvars

from rotator.model import Outcome, Request
from tests.support.rotation_fixture import NAME, RotationFixture


def test_a_lease_that_was_claimed_is_used_and_released(tmp_path: Path) -> None:
    """Who claimed an account as due hands its lease over; nobody else gets in between."""
    with RotationFixture(tmp_path) as scene:
        lease = scene.book.claim(NAME, scene.clock.now())
        report = scene.engine.attempt(scene.accounts[NAME], Request(reason="due"), claimed=lease)
        scene.reports.append(report)

        assert report.outcome is Outcome.COMPLETED
        assert scene.book.claim(NAME, scene.clock.now()).token == lease.token + 1


@pytest.mark.parametrize("number", range(1, 13))
def test_a_pass_that_is_told_to_stop_ends_between_two_steps(tmp_path: Path, number: int) -> None:
    """The rotation stays open, nothing counts as failed, and the next pass goes on from there."""
    with RotationFixture(tmp_path) as scene:
        asked = iter(range(1, 1000))
        engine = replace(scene.engine, should_stop=lambda: next(asked) >= number)
        stopped = engine.attempt(scene.accounts[NAME], Request(reason="due"))
        leased = scene.book.claim(NAME, scene.clock.now())
        scene.book.release(leased)
        events = {entry.event for entry in scene.entries(NAME)}
        report = scene.attempt()

        if stopped.error:
            assert (stopped.outcome, stopped.error.code) == (Outcome.BUSY, "stopping")
        assert "failed" not in events
        assert report.outcome is Outcome.COMPLETED


def test_drift_is_recorded_when_it_begins_and_when_it_ends(tmp_path: Path) -> None:
    """Looking again and again adds nothing to the record."""
    with RotationFixture(tmp_path) as scene:
        account = scene.accounts[NAME]
        scene.engine.refresh(account)
        before = len(scene.entries(NAME))
        foreign = scene.make_foreign()
        for _ in range(3):
            scene.engine.refresh(account)
        drift = scene.queries.accounts([NAME])[0].drift
        scene.revoke(foreign)
        for _ in range(3):
            scene.engine.refresh(account)

        events = [entry.event for entry in scene.entries(NAME)]
        assert before == 0
        assert events == ["drift", "drift-over"]
        assert drift is not None
        assert [draft.event for _, draft in scene.told] == events
        assert scene.queries.last_seen() == {NAME: scene.clock.now()}


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
    with RotationFixture(tmp_path) as scene:
        bound: dict[str, object] = {}
        scene.calls.plan("before", call, 1, lambda: bound.update(get_contextvars()))
        report = scene.attempt()

        assert bound == {"account": NAME, "rotation_id": report.rotation_id, "step": step}
        assert get_contextvars() == {}


def test_a_secret_that_is_too_old_is_told_once(tmp_path: Path) -> None:
    """Its age is looked at with all the rest; a rotation ends it."""
    with RotationFixture(tmp_path) as scene:
        account = scene.accounts[NAME]
        scene.engine.refresh(account)
        young = scene.queries.accounts([NAME])[0].drift
        scene.clock.advance(days=6)
        for _ in range(3):
            scene.engine.refresh(account)
            scene.clock.advance(hours=6)
        old = scene.queries.accounts([NAME])[0].drift
        events = [entry.event for entry in scene.entries(NAME)]
        scene.attempt()
        scene.engine.refresh(account)

        assert young is None
        assert old is not None
        assert old.startswith("overdue: ")
        assert events == ["drift"]
        assert [draft.detail["code"] for _, draft in scene.told[:1]] == ["overdue"]
        assert scene.queries.accounts([NAME])[0].drift is None
