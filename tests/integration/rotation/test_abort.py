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


def reject(scene: RotationFixture, times: int | None) -> None:
    """Let Vonage say 400 to so many new values; None for all."""
    scene.world.vonage.faults.add(
        Fault("status", status=400, method="POST", path=POST, times=times)
    )


@pytest.mark.parametrize("times", [1, 2])
def test_another_value_is_drawn_for_a_rejected_one(tmp_path: Path, times: int) -> None:
    """A rejection costs a draw and nothing else; rejected values are never in use."""
    with RotationFixture(tmp_path) as scene:
        reject(scene, times)
        report = scene.attempt()

        assert report.outcome is Outcome.COMPLETED
        assert len(set(scene.generated)) == times + 1
        assert scene.look().value == scene.generated[-1]
        assert len(scene.history()) == 2


def test_three_rejections_undo_the_rotation(tmp_path: Path) -> None:
    """Vonage's "no" to three values has another reason than the value: given up, cleaned up."""
    with RotationFixture(tmp_path) as scene:
        before = scene.look()
        reject(scene, None)
        report = scene.attempt()

        assert (report.outcome, code(report)) == (Outcome.FAILED, "secret-rejected")
        assert report.exit_code == 1
        assert len(scene.generated) == MAX_GENERATED
        assert scene.look() == before
        assert scene.events()[-3:] == ["done clear", "closed abort", "failed"]


def test_draws_are_counted_over_processes(tmp_path: Path) -> None:
    """A process that is killed between two rejections does not start counting anew."""
    with RotationFixture(tmp_path) as scene:
        reject(scene, None)
        scene.calls.plan("before", "issuer.create_secret", 2, scene.calls.kill)
        killed = scene.run_until_killed()
        report = scene.attempt()

        assert killed is None
        assert code(report) == "secret-rejected"
        assert len(scene.generated) == MAX_GENERATED


def test_the_next_rotation_after_an_undone_one_is_a_new_one(tmp_path: Path) -> None:
    """Nothing of a failed rotation is in the way of the next."""
    with RotationFixture(tmp_path) as scene:
        reject(scene, MAX_GENERATED)
        first, second = scene.attempt(), scene.attempt()

        assert (first.outcome, second.outcome) == (Outcome.FAILED, Outcome.COMPLETED)
        assert first.rotation_id != second.rotation_id
        assert len(scene.secrets()) == 1


def test_a_rejected_value_that_did_arrive_is_kept(tmp_path: Path) -> None:
    """A value is rejected for having arrived before: looking shows it, and no other is drawn."""
    with RotationFixture(tmp_path, propagation=1.0) as scene:
        # The first answer is lost, and Vonage's list does not show the new secret at once.
        faults = scene.world.vonage.faults
        faults.add(Fault("drop-after", method="POST"))
        hidden = Fault("status", status=200, method="GET", body=_list_of(scene), nth=2)
        faults.add(hidden)
        report = scene.attempt()

        assert report.outcome is Outcome.COMPLETED
        assert "rejected create" in scene.events()
        assert len(scene.generated) == 1
        assert len(scene.history()) == 2


def _list_of(scene: RotationFixture) -> dict[str, object]:
    """Return what Vonage lists now, to be answered again later."""
    secrets = [
        {"id": secret.id, "created_at": secret.created_at.strftime("%Y-%m-%dT%H:%M:%SZ")}
        for secret in scene.secrets()
    ]
    return {"_embedded": {"secrets": secrets}}


@pytest.mark.parametrize("rotated_before", [False, True])
def test_a_secret_that_never_works_is_removed_again(
    tmp_path: Path, *, rotated_before: bool
) -> None:
    """A secret refused for too long is deleted and its pending entry cleared, unnoticed."""
    with RotationFixture(tmp_path, rotated_before=rotated_before) as scene:
        scene.propagate_in(500)
        before = scene.look()
        report = scene.attempt()

        assert (report.outcome, code(report)) == (Outcome.FAILED, "new-secret-refused")
        assert scene.look() == before
        assert scene.events()[-7:-1] == [
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
    with RotationFixture(tmp_path, propagation=500.0, propagation_timeout=patience) as scene:
        report = scene.attempt()

        assert code(report) == "new-secret-refused"
        assert 30 <= sum(scene.clock.sleeps) < 45
        assert max(scene.clock.sleeps) == 5.0


@pytest.mark.parametrize("number", range(1, 7))
@pytest.mark.parametrize("moment", MOMENTS)
def test_an_undoing_that_is_killed_is_carried_on(
    tmp_path: Path, moment: Moment, number: int
) -> None:
    """Abort survives its process: the orphan goes, the reason stays."""
    with RotationFixture(tmp_path, propagation=1e6) as scene:
        before = scene.look()
        scene.on_event["aborting"] = lambda: scene.calls.plan(moment, "", number, scene.calls.kill)
        killed = scene.run_until_killed()
        for _ in range(3):
            rotation = scene.rotation()
            if rotation and rotation.closed_at:
                break
            scene.run_until_killed(reason=None)
        rotation = scene.rotation()

        assert killed is None
        assert rotation is not None
        assert (rotation.outcome, rotation.error_code) == ("failed", "new-secret-refused")
        assert scene.look() == before


def test_a_new_secret_revoked_before_its_use_undoes_the_rotation(tmp_path: Path) -> None:
    """Vonage does not list it any more: there is nothing to push, and nothing to delete."""
    with RotationFixture(tmp_path) as scene:
        before = scene.look()
        scene.calls.plan(
            "after", "issuer.create_secret", 1, lambda: scene.revoke(scene.secrets()[1].id)
        )
        scene.calls.plan("before", "issuer.list_secrets", 2, scene.calls.kill)
        scene.run_until_killed()
        report = scene.attempt()

        assert code(report) == "new-secret-revoked"
        assert scene.look() == before


def test_a_pending_entry_removed_by_hand_undoes_the_rotation(tmp_path: Path) -> None:
    """Without the value the new secret is of no use to anybody: it is deleted."""
    with RotationFixture(tmp_path, rotated_before=True) as scene:
        before = scene.look()
        scene.calls.plan("after", "issuer.create_secret", 1, scene.drop_pending)
        scene.calls.plan("before", "issuer.list_secrets", 2, scene.calls.kill)
        scene.witness.excused = {"a secret was made that is nowhere in Vault"}
        scene.run_until_killed()
        report = scene.attempt()

        assert code(report) == "pending-lost"
        assert scene.look() == before


def test_an_orphan_is_not_deleted_where_that_is_not_certainly_safe(tmp_path: Path) -> None:
    """Without note and pending entry nothing proves that Vault holds the other one."""
    with RotationFixture(tmp_path) as scene:
        scene.calls.plan("after", "issuer.create_secret", 1, scene.drop_pending)
        scene.calls.plan("before", "issuer.list_secrets", 2, scene.calls.kill)
        scene.run_until_killed()
        report = scene.attempt()
        orphan = report.new_secret_id or ""
        refused = code(report)
        scene.revoke(orphan)
        again = scene.attempt()

        assert refused == "unsafe-delete"
        assert code(again) == "pending-lost"
        assert len(scene.secrets()) == 1


def test_a_push_that_was_tried_is_never_undone(tmp_path: Path) -> None:
    """A push whose outcome is unknown may still land: its secret is kept, the operator asked."""
    with RotationFixture(tmp_path) as scene:
        scene.calls.plan("before", "store.write_current", 1, scene.calls.kill)
        scene.run_until_killed()
        scene.revoke(scene.secrets()[1].id)
        first, second = scene.attempt(), scene.resume()

        assert (code(first), code(second)) == ("drift", "drift")
        assert "aborting abort" not in scene.events()


def test_a_failure_that_does_not_end_ends_the_pass(tmp_path: Path) -> None:
    """After so many failed effects in a row a pass gives up and leaves the rotation open."""
    with RotationFixture(tmp_path) as scene:
        scene.world.vonage.faults.add(
            Fault("status", status=503, method="POST", path=POST, times=None)
        )
        report = scene.attempt()
        tries = [request for request in scene.requests("vonage") if request.startswith("POST")]
        rotation = scene.rotation()

        assert (report.outcome, code(report)) == (Outcome.FAILED, "vonage-unavailable")
        assert len(tries) == MAX_FAILURES
        assert rotation is not None
        assert rotation.closed_at is None
        assert scene.events()[-1] == "failed"


def test_a_hopeless_failure_ends_the_pass_at_once(tmp_path: Path) -> None:
    """What another look does not mend is not tried again."""
    with RotationFixture(tmp_path) as scene:
        scene.world.vonage.faults.add(
            Fault(
                "status",
                status=403,
                method="POST",
                path=POST,
                body={"type": "https://x#forbidden", "title": "Forbidden", "instance": "x"},
            )
        )
        first = scene.attempt()
        tries = len([it for it in scene.requests("vonage") if it.startswith("POST")])
        second = scene.attempt()

        assert (code(first), tries) == ("forbidden", 1)
        assert second.outcome is Outcome.COMPLETED
        assert len(scene.generated) == 1


def test_the_wait_that_vonage_asks_for_is_kept(tmp_path: Path) -> None:
    """A 429 on a creation is no failure; the pause is what `Retry-After` says."""
    with RotationFixture(tmp_path) as scene:
        scene.world.vonage.faults.add(
            Fault("status", status=429, method="POST", path=POST, headers={"Retry-After": "17"})
        )
        report = scene.attempt()

        assert report.outcome is Outcome.COMPLETED
        assert 17 in scene.clock.sleeps


def test_a_wait_of_an_hour_is_left_to_the_next_pass(tmp_path: Path) -> None:
    """No pass sits out what is longer than its lease; the rotation stays open, as it was."""
    with RotationFixture(tmp_path) as scene:
        scene.world.vonage.faults.add(
            Fault("status", status=429, method="POST", path=POST, headers={"Retry-After": "3600"})
        )
        first = scene.attempt()
        asleep = sum(scene.clock.sleeps)
        second = scene.attempt()

        assert code(first) == "rate-limited"
        assert asleep < 1
        assert second.outcome is Outcome.COMPLETED
        assert second.rotation_id == first.rotation_id


def test_an_undone_rotation_leaves_no_due_time(tmp_path: Path) -> None:
    """Only completion counts as a rotation; the account is still as due as it was."""
    with RotationFixture(tmp_path) as scene:
        reject(scene, None)
        scene.attempt()
        [record] = scene.queries.accounts([NAME])

        assert record.next_due_at is None or record.next_due_at <= scene.clock.now()


@pytest.mark.parametrize("times", [12, None])
def test_an_election_is_outlasted_by_a_pass(tmp_path: Path, times: int | None) -> None:
    """A write that finds Vault away is decided anew, for as long as patience lasts."""
    with RotationFixture(tmp_path) as scene:
        scene.engine = replace(scene.engine, store_patience=timedelta(minutes=1))
        nobody = {"errors": ["no active Vault instance found"]}
        scene.world.vault.faults.add(
            Fault("status", status=503, body=nobody, method="POST", path="/data/", times=times)
        )
        began = scene.clock.now()
        report = scene.attempt()
        lasted = scene.clock.now() - began
        rotation = scene.rotation()

        if times:
            assert report.outcome is Outcome.COMPLETED
        else:
            assert (report.outcome, code(report)) == (Outcome.FAILED, "vault-unavailable")
            assert timedelta(minutes=1) <= lasted < timedelta(minutes=2)
            assert rotation is not None
            assert rotation.closed_at is None


def test_a_seal_is_not_waited_for(tmp_path: Path) -> None:
    """It does not go away by itself."""
    with RotationFixture(tmp_path) as scene:
        scene.engine = replace(scene.engine, store_patience=timedelta(hours=1))
        scene.world.vault.faults.add(
            Fault("status", status=503, method="POST", path="/data/", times=None)
        )
        began = scene.clock.now()
        report = scene.attempt()

        assert code(report) == "vault-sealed"
        assert scene.clock.now() - began < timedelta(minutes=1)
