"""Values that Vonage rejects, secrets that never work, and how a rotation is undone."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from rotator.model import Outcome
from rotator.rotation.passes import MAX_FAILURES
from rotator.rotation.protocol.before_push import MAX_GENERATED
from rotator.sim import Fault
from tests.support.port_interceptor import MOMENTS, Moment
from tests.support.rotation_fixture import NAME, RotationFixture, code

POST = r"/accounts/\w+/secrets$"


def reject(fixture: RotationFixture, times: int | None) -> None:
    """Let Vonage say 400 to so many new values; None for all."""
    fixture.world.vonage.faults.add(
        Fault("status", status=400, method="POST", path=POST, times=times)
    )


@pytest.mark.parametrize("times", [1, 2])
def test_another_value_is_drawn_for_a_rejected_one(tmp_path: Path, times: int) -> None:
    """A rejection costs a draw and nothing else; rejected values are never in use."""
    with RotationFixture(tmp_path) as fixture:
        reject(fixture, times)
        report = fixture.attempt()

        assert report.outcome is Outcome.COMPLETED
        assert len(set(fixture.generated)) == times + 1
        assert fixture.look().value == fixture.generated[-1]
        assert len(fixture.history()) == 2


def test_three_rejections_undo_the_rotation(tmp_path: Path) -> None:
    """Vonage's "no" to three values has another reason than the value: given up, cleaned up."""
    with RotationFixture(tmp_path) as fixture:
        before = fixture.look()
        reject(fixture, None)
        report = fixture.attempt()

        assert (report.outcome, code(report)) == (Outcome.FAILED, "secret-rejected")
        assert report.exit_code == 1
        assert len(fixture.generated) == MAX_GENERATED
        assert fixture.look() == before
        assert fixture.events()[-3:] == ["done clear", "closed abort", "failed"]


def test_draws_are_counted_over_processes(tmp_path: Path) -> None:
    """A process that is killed between two rejections does not start counting anew."""
    with RotationFixture(tmp_path) as fixture:
        reject(fixture, None)
        fixture.calls.plan("before", "issuer.create_secret", 2, fixture.calls.kill)
        killed = fixture.run_until_killed()
        report = fixture.attempt()

        assert killed is None
        assert code(report) == "secret-rejected"
        assert len(fixture.generated) == MAX_GENERATED


def test_the_next_rotation_after_an_undone_one_is_a_new_one(tmp_path: Path) -> None:
    """Nothing of a failed rotation is in the way of the next."""
    with RotationFixture(tmp_path) as fixture:
        reject(fixture, MAX_GENERATED)
        first, second = fixture.attempt(), fixture.attempt()

        assert (first.outcome, second.outcome) == (Outcome.FAILED, Outcome.COMPLETED)
        assert first.rotation_id != second.rotation_id
        assert len(fixture.secrets()) == 1


def test_a_rejected_value_that_did_arrive_is_kept(tmp_path: Path) -> None:
    """A value is rejected for having arrived before: looking shows it, and no other is drawn."""
    with RotationFixture(tmp_path, propagation=1.0) as fixture:
        # The first answer is lost, and Vonage's list does not show the new secret at once.
        faults = fixture.world.vonage.faults
        faults.add(Fault("drop-after", method="POST"))
        hidden = Fault("status", status=200, method="GET", body=_list_of(fixture), nth=2)
        faults.add(hidden)
        report = fixture.attempt()

        assert report.outcome is Outcome.COMPLETED
        assert "rejected create" in fixture.events()
        assert len(fixture.generated) == 1
        assert len(fixture.history()) == 2


def _list_of(fixture: RotationFixture) -> dict[str, object]:
    """Return what Vonage lists now, to be answered again later."""
    secrets = [
        {"id": secret.id, "created_at": secret.created_at.strftime("%Y-%m-%dT%H:%M:%SZ")}
        for secret in fixture.secrets()
    ]
    return {"_embedded": {"secrets": secrets}}


@pytest.mark.parametrize("rotated_before", [False, True])
def test_a_secret_that_never_works_is_removed_again(
    tmp_path: Path, *, rotated_before: bool
) -> None:
    """A secret refused for too long is deleted and its pending entry cleared, unnoticed."""
    with RotationFixture(tmp_path, rotated_before=rotated_before) as fixture:
        fixture.propagate_in(500)
        before = fixture.look()
        report = fixture.attempt()

        assert (report.outcome, code(report)) == (Outcome.FAILED, "new-secret-refused")
        assert fixture.look() == before
        assert fixture.events()[-7:-1] == [
            "aborting abort",
            "intent delete",
            "done delete",
            "intent clear",
            "done clear",
            "closed abort",
        ]


def test_patience_with_a_new_secret_is_what_is_configured(tmp_path: Path) -> None:
    """It is probed for the propagation timeout, with growing pauses, and not for longer."""
    patience = timedelta(seconds=30)
    with RotationFixture(tmp_path, propagation=500.0, propagation_timeout=patience) as fixture:
        report = fixture.attempt()

        assert code(report) == "new-secret-refused"
        assert 30 <= sum(fixture.clock.sleeps) < 45
        assert max(fixture.clock.sleeps) == 5.0


@pytest.mark.parametrize("number", range(1, 7))
@pytest.mark.parametrize("moment", MOMENTS)
def test_an_undoing_that_is_killed_is_carried_on(
    tmp_path: Path, moment: Moment, number: int
) -> None:
    """Abort survives its process: the orphan goes, the reason stays."""
    with RotationFixture(tmp_path, propagation=1e6) as fixture:
        before = fixture.look()
        fixture.on_event["aborting"] = lambda: fixture.calls.plan(
            moment, "", number, fixture.calls.kill
        )
        killed = fixture.run_until_killed()
        for _ in range(3):
            rotation = fixture.rotation()
            if rotation and rotation.closed_at:
                break
            fixture.run_until_killed(reason=None)
        rotation = fixture.rotation()

        assert killed is None
        assert rotation is not None
        assert (rotation.outcome, rotation.error_code) == ("failed", "new-secret-refused")
        assert fixture.look() == before


def test_a_new_secret_revoked_before_its_use_undoes_the_rotation(tmp_path: Path) -> None:
    """Vonage does not list it any more: there is nothing to push, and nothing to delete."""
    with RotationFixture(tmp_path) as fixture:
        before = fixture.look()
        fixture.calls.plan(
            "after", "issuer.create_secret", 1, lambda: fixture.revoke(fixture.secrets()[1].id)
        )
        fixture.calls.plan("before", "issuer.list_secrets", 2, fixture.calls.kill)
        fixture.run_until_killed()
        report = fixture.attempt()

        assert code(report) == "new-secret-revoked"
        assert fixture.look() == before


def test_a_pending_entry_removed_by_hand_undoes_the_rotation(tmp_path: Path) -> None:
    """Without the value the new secret is of no use to anybody: it is deleted."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        before = fixture.look()
        fixture.calls.plan("after", "issuer.create_secret", 1, fixture.drop_pending)
        fixture.calls.plan("before", "issuer.list_secrets", 2, fixture.calls.kill)
        fixture.monitor.excused = {"a secret was made that is nowhere in Vault"}
        fixture.run_until_killed()
        report = fixture.attempt()

        assert code(report) == "pending-lost"
        assert fixture.look() == before


def test_an_orphan_is_not_deleted_where_that_is_not_certainly_safe(tmp_path: Path) -> None:
    """Without note and pending entry nothing proves that Vault holds the other one."""
    with RotationFixture(tmp_path) as fixture:
        fixture.calls.plan("after", "issuer.create_secret", 1, fixture.drop_pending)
        fixture.calls.plan("before", "issuer.list_secrets", 2, fixture.calls.kill)
        fixture.run_until_killed()
        report = fixture.attempt()
        orphan = report.new_secret_id or ""
        refused = code(report)
        fixture.revoke(orphan)
        again = fixture.attempt()

        assert refused == "unsafe-delete"
        assert code(again) == "pending-lost"
        assert len(fixture.secrets()) == 1


def test_a_push_that_was_tried_is_never_undone(tmp_path: Path) -> None:
    """A push whose outcome is unknown may still land: only the operator ends its rotation."""
    with RotationFixture(tmp_path) as fixture:
        fixture.calls.plan("before", "store.write_current", 1, fixture.calls.kill)
        fixture.run_until_killed()
        fixture.revoke(fixture.secrets()[1].id)
        first, second = fixture.attempt(), fixture.resume()

        assert (code(first), code(second)) == ("drift", "drift")
        assert second.error
        assert f"`rotator forget {NAME} --abandon` ends the rotation" in str(second.error.hint)
        assert "aborting abort" not in fixture.events()


def test_a_failure_that_does_not_end_ends_the_pass(tmp_path: Path) -> None:
    """After so many failed effects in a row a pass gives up and leaves the rotation open."""
    with RotationFixture(tmp_path) as fixture:
        fixture.world.vonage.faults.add(
            Fault("status", status=503, method="POST", path=POST, times=None)
        )
        report = fixture.attempt()
        tries = [request for request in fixture.requests("vonage") if request.startswith("POST")]
        rotation = fixture.rotation()

        assert (report.outcome, code(report)) == (Outcome.FAILED, "vonage-unavailable")
        assert len(tries) == MAX_FAILURES
        assert rotation is not None
        assert rotation.closed_at is None
        assert fixture.events()[-1] == "failed"


def test_a_hopeless_failure_ends_the_pass_at_once(tmp_path: Path) -> None:
    """What another look does not mend is not tried again."""
    with RotationFixture(tmp_path) as fixture:
        fixture.world.vonage.faults.add(
            Fault(
                "status",
                status=403,
                method="POST",
                path=POST,
                body={"type": "https://x#forbidden", "title": "Forbidden", "instance": "x"},
            )
        )
        first = fixture.attempt()
        tries = len([it for it in fixture.requests("vonage") if it.startswith("POST")])
        second = fixture.attempt()

        assert (code(first), tries) == ("forbidden", 1)
        assert second.outcome is Outcome.COMPLETED
        assert len(fixture.generated) == 1


def test_the_wait_that_vonage_asks_for_is_kept(tmp_path: Path) -> None:
    """A 429 on a creation is no failure; the pause is what `Retry-After` says."""
    with RotationFixture(tmp_path) as fixture:
        fixture.world.vonage.faults.add(
            Fault("status", status=429, method="POST", path=POST, headers={"Retry-After": "17"})
        )
        report = fixture.attempt()

        assert report.outcome is Outcome.COMPLETED
        assert 17 in fixture.clock.sleeps


def test_a_wait_of_an_hour_is_left_to_the_next_pass(tmp_path: Path) -> None:
    """No pass sits out what is longer than its lease; the rotation stays open, as it was."""
    with RotationFixture(tmp_path) as fixture:
        fixture.world.vonage.faults.add(
            Fault("status", status=429, method="POST", path=POST, headers={"Retry-After": "3600"})
        )
        first = fixture.attempt()
        asleep = sum(fixture.clock.sleeps)
        second = fixture.attempt()

        assert code(first) == "rate-limited"
        assert asleep < 1
        assert second.outcome is Outcome.COMPLETED
        assert second.rotation_id == first.rotation_id


def test_an_undone_rotation_leaves_no_due_time(tmp_path: Path) -> None:
    """Only completion counts as a rotation; the account is still as due as it was."""
    with RotationFixture(tmp_path) as fixture:
        reject(fixture, None)
        fixture.attempt()
        [record] = fixture.queries.accounts([NAME])

        assert record.next_due_at is None or record.next_due_at <= fixture.clock.now()


@pytest.mark.parametrize("times", [12, None])
def test_an_election_is_outlasted_by_a_pass(tmp_path: Path, times: int | None) -> None:
    """A write that finds Vault away is decided anew, for as long as patience lasts."""
    with RotationFixture(tmp_path) as fixture:
        fixture.reconciler = replace(fixture.reconciler, store_patience=timedelta(minutes=1))
        nobody = {"errors": ["no active Vault instance found"]}
        fixture.world.vault.faults.add(
            Fault("status", status=503, body=nobody, method="POST", path="/data/", times=times)
        )
        began = fixture.clock.now()
        report = fixture.attempt()
        lasted = fixture.clock.now() - began
        rotation = fixture.rotation()

        if times:
            assert report.outcome is Outcome.COMPLETED
        else:
            assert (report.outcome, code(report)) == (Outcome.FAILED, "vault-unavailable")
            assert timedelta(minutes=1) <= lasted < timedelta(minutes=2)
            assert rotation is not None
            assert rotation.closed_at is None


def test_a_seal_is_not_waited_for(tmp_path: Path) -> None:
    """It does not go away by itself."""
    with RotationFixture(tmp_path) as fixture:
        fixture.reconciler = replace(fixture.reconciler, store_patience=timedelta(hours=1))
        fixture.world.vault.faults.add(
            Fault("status", status=503, method="POST", path="/data/", times=None)
        )
        began = fixture.clock.now()
        report = fixture.attempt()

        assert code(report) == "vault-sealed"
        assert fixture.clock.now() - began < timedelta(minutes=1)
