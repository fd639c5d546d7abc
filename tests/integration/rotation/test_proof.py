"""Proof of death: after its deletion, an old secret is tried until Vonage refuses it."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rotator.ledger.due import due
from rotator.model import Outcome, PassResult, State, Step
from rotator.rotation.protocol.after_push import MOST_TRIES
from rotator.sim import Fault
from tests.support.rotation_fixture import NAME, RotationFixture, code

GRACE = timedelta(hours=24)
NONE = timedelta()
#: Seconds after which a deletion that has no effect by then is broken.
PATIENCE = 120


def proofs(fixture: RotationFixture) -> list[tuple[str, dict[str, Any]]]:
    """Return the entries of the proof, with their facts."""
    entries = [each for each in fixture.entries() if each.step == Step.PROVE]
    return [(each.event, json.loads(each.detail)) for each in entries]


def lists(fixture: RotationFixture) -> int:
    """Count the times that Vonage was asked for the list, which authenticates."""
    return len([each for each in fixture.requests("vonage") if each.startswith("GET ")])


def linger(fixture: RotationFixture, seconds: float = 1e9) -> None:
    """Let revoked secrets work for so long, once the new one is in Vault."""
    fixture.calls.plan("after", "store.write_current", 1, lambda: fixture.propagate_in(seconds))


def destroy_versions(fixture: RotationFixture) -> None:
    """Destroy all versions of the entry but the newest."""
    path = fixture.accounts[NAME].vault_path
    newest = fixture.world.vault.current_version(path)
    fixture.world.vault.destroy(path, range(1, newest))


def is_dead(report: PassResult) -> bool:
    """Return whether a report says that the old secret is dead."""
    return report.outcome is Outcome.COMPLETED and report.old_secret_dead_at is not None


@pytest.mark.parametrize("grace", [NONE, GRACE])
@pytest.mark.parametrize("rotated_before", [False, True])
def test_a_proof_costs_one_call(tmp_path: Path, grace: timedelta, rotated_before: bool) -> None:  # noqa: FBT001  # a parameter
    """Asked for, it is one more than without, and no call where nobody asks for it."""
    counts = []
    for prove_deletion in (False, True):
        setting = {"grace": grace, "rotated_before": rotated_before}
        with RotationFixture(tmp_path, prove_deletion=prove_deletion, **setting) as fixture:
            before = len(fixture.requests("vonage"))
            fixture.attempt()
            fixture.restart()
            fixture.clock.advance(hours=25)
            fixture.resume()
            rotation = fixture.rotation()
            counts.append(len(fixture.requests("vonage")) - before)

            assert rotation is not None
            assert rotation.outcome == "completed"
            assert (rotation.dead_at is not None) is prove_deletion
            assert [event for event, _ in proofs(fixture)][-1:] == ["dead-after"] * prove_deletion

    assert counts[1] == counts[0] + 1


def test_a_leaked_secret_is_proved_dead_whatever_the_policy_says(tmp_path: Path) -> None:
    """The result says since when, and how long after the deletion."""
    with RotationFixture(tmp_path) as fixture:
        plain = fixture.attempt()
        before = len(fixture.requests("vonage"))
        leaked = fixture.attempt(reason="compromised", grace=NONE)

        assert plain.old_secret_dead_at is None
        assert leaked.old_secret_dead_at == fixture.clock.now()
        assert leaked.dead_after == 0
        assert len(fixture.requests("vonage")) - before == 5


def test_a_waiting_rotation_is_proved_as_is_the_one_after_it(tmp_path: Path) -> None:
    """A secret that leaks during the grace of the last one: both old ones are tried."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        fixture.attempt()
        report = fixture.attempt(reason="compromised", grace=NONE)

        assert is_dead(report)
        assert [event for event, _ in proofs(fixture)] == ["dead-after", "dead-after"]
        assert report.earlier is not None
        assert is_dead(report.earlier)


def test_the_secret_of_the_rotation_before_is_not_passed_over(tmp_path: Path) -> None:
    """It may be the one that leaked: the result says that its death was not proved."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        old = fixture.attempt().old_secret_id
        destroy_versions(fixture)
        fixture.restart()
        report = fixture.attempt(reason="compromised", grace=NONE)

        assert is_dead(report)
        assert report.earlier is not None
        assert report.earlier.old_secret_id == old
        assert report.earlier.outcome is Outcome.COMPLETED
        assert report.earlier.old_secret_dead_at is None


def test_a_broken_deletion_does_not_keep_a_leaked_secret_alive(tmp_path: Path) -> None:
    """The one in Vault leaked: it is replaced, though the one before it still works."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        fixture.attempt()
        leaked = fixture.look().value
        fixture.restart()
        fixture.propagate_in(1e9)
        fixture.calls.plan("before", "store.write_pending", 1, lambda: fixture.propagate_in(0))
        report = fixture.attempt(reason="compromised", grace=NONE)

        assert fixture.look().value != leaked
        assert fixture.look().live == {fixture.look().value}
        assert is_dead(report)
        assert report.earlier is not None
        assert report.earlier.outcome is Outcome.FAILED
        assert report.earlier.exit_code == 1
        assert code(report.earlier) == "broken-deletion"
        assert [event for event, _ in proofs(fixture)][:2] == ["still-accepted", "not-proven"]
        assert "failed" in fixture.events()


def test_a_leak_ends_the_wait_for_a_broken_deletion(tmp_path: Path) -> None:
    """A rotation that is at its proof keeps nobody from replacing the new secret, if that leaks."""
    with RotationFixture(tmp_path, prove_deletion=True) as fixture:
        linger(fixture)
        broken = fixture.attempt()
        fixture.restart()
        fixture.clock.advance(hours=1)
        fixture.calls.plan("before", "store.write_pending", 1, lambda: fixture.propagate_in(0))
        report = fixture.attempt(reason="compromised", grace=NONE)

        assert code(broken) == "broken-deletion"
        assert is_dead(report)
        assert report.old_secret_id == broken.new_secret_id
        assert report.earlier is not None
        assert code(report.earlier) == "broken-deletion"


def test_it_is_in_the_result_if_the_rotation_after_it_fails(tmp_path: Path) -> None:
    """What is done is done."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        fixture.attempt()
        fixture.world.vonage.faults.add(Fault("status", method="POST", status=403, times=None))
        report = fixture.attempt(reason="compromised", grace=NONE)

        assert report.outcome is Outcome.FAILED
        assert report.earlier is not None
        assert is_dead(report.earlier)


def test_a_deletion_that_takes_its_time_is_waited_for(tmp_path: Path) -> None:
    """Vonage accepts the old value for a while: the seconds are recorded, and that it did."""
    with RotationFixture(tmp_path, prove_deletion=True) as fixture:
        linger(fixture, 20)
        report = fixture.attempt()
        rotation = fixture.rotation()

        assert rotation is not None
        assert rotation.deleted_at is not None
        assert report.old_secret_dead_at is not None
        assert report.dead_after is not None
        assert report.dead_after >= 20
        assert [event for event, _ in proofs(fixture)] == ["still-accepted", "dead-after"]
        assert proofs(fixture)[1][1]["seconds"] == report.dead_after
        assert report.old_secret_dead_at - rotation.deleted_at < timedelta(seconds=60)


def test_a_secret_that_goes_on_working_is_reported_at_once(tmp_path: Path) -> None:
    """After ten tries in the propagation timeout it fails, and the rotation stays open there."""
    with RotationFixture(tmp_path, prove_deletion=True) as fixture:
        linger(fixture)
        report, before = fixture.attempt(), lists(fixture)
        seconds = sum(fixture.clock.sleeps)
        rotation = fixture.rotation()
        fixture.restart()
        fixture.clock.advance(hours=1)
        again = fixture.attempt(reason=None)
        tries = lists(fixture) - before
        fixture.propagate_in(0)
        fixture.restart()
        last = fixture.attempt(reason=None)

        failed = [entry for _, entry in fixture.told if entry.event == "failed"]
        assert (report.outcome, code(report)) == (Outcome.FAILED, "broken-deletion")
        assert [entry.detail["code"] for entry in failed] == ["broken-deletion"] * 2
        assert {entry.trouble.state for entry in failed if entry.trouble} == {State.FAILING}
        assert report.exit_code == 1
        assert PATIENCE <= seconds < PATIENCE + 20
        assert rotation is not None
        assert (rotation.closed_at, rotation.step) == (None, Step.PROVE)
        assert code(again) == "broken-deletion"
        # One look, and one try: its time is up.
        assert tries == 2
        assert is_dead(last)
        assert (last.dead_after or 0) >= 3600
        assert [event for event, _ in proofs(fixture)] == ["still-accepted", "dead-after"]


def test_an_old_secret_is_tried_ten_times_at_most(tmp_path: Path) -> None:
    """However long Vonage may take: between them, the pauses double."""
    with RotationFixture(tmp_path, propagation_timeout=timedelta(days=1)) as fixture:
        linger(fixture)
        report = fixture.attempt(reason="compromised", grace=NONE)
        listed = [name for name in fixture.calls.names if name == "issuer.list_secrets"]

        assert code(report) == "broken-deletion"
        # Two before the deletion; the others are tries, and looks while they last.
        assert listed.count("issuer.list_secrets") <= 2 + 2 * MOST_TRIES
        assert max(fixture.clock.sleeps) == 60


@pytest.mark.parametrize("rotated_before", [False, True])
def test_the_value_is_found_in_an_older_version(tmp_path: Path, rotated_before: bool) -> None:  # noqa: FBT001  # a parameter
    """A process that did not replace it reads it back, with a note beside it or without."""
    setting = {"grace": GRACE, "rotated_before": rotated_before}
    with RotationFixture(tmp_path, prove_deletion=True, **setting) as fixture:
        fixture.attempt()
        # Others write other fields, and the value with them.
        fixture.patch(team="sms")
        fixture.restart()
        fixture.clock.advance(hours=25)
        report = fixture.resume()

        assert is_dead(report)


@pytest.mark.parametrize("rotated_before", [False, True])
def test_without_its_value_nothing_is_proved(tmp_path: Path, rotated_before: bool) -> None:  # noqa: FBT001  # a parameter
    """Vault has destroyed it: the rotation is completed, and says that it was not proved."""
    setting = {"grace": GRACE, "rotated_before": rotated_before}
    with RotationFixture(tmp_path, prove_deletion=True, **setting) as fixture:
        fixture.attempt()
        destroy_versions(fixture)
        fixture.restart()
        fixture.clock.advance(hours=25)
        before = lists(fixture)
        report = fixture.resume()

        assert report.outcome is Outcome.COMPLETED
        assert (report.old_secret_dead_at, report.dead_after) == (None, None)
        assert [event for event, _ in proofs(fixture)][-1] == "not-proven"
        assert "no version" in proofs(fixture)[-1][1]["why"]
        assert lists(fixture) - before == 1


def test_the_pass_that_replaced_the_value_remembers_it(tmp_path: Path) -> None:
    """Though Vault keeps no older version."""
    with RotationFixture(tmp_path, prove_deletion=True) as fixture:
        fixture.calls.plan("after", "store.read_version", 1, lambda: destroy_versions(fixture))
        # It has to look again before the deletion.
        fixture.world.vonage.faults.add(Fault("drop-after", method="DELETE"))
        report = fixture.attempt()

        assert fixture.look().kept == {fixture.look().value}
        assert is_dead(report)


def test_a_value_that_others_put_there_proves_nothing(tmp_path: Path) -> None:
    """An entry without a note was changed before the push: what it held is not tried instead."""
    with RotationFixture(tmp_path, subaccounts=1, prove_deletion=True) as fixture:
        sub = "account-1-sub-1"
        fixture.calls.plan(
            "before", "store.write_pending", 1, lambda: fixture.patch(sub, api_secret="Garbage1")
        )
        fixture.monitor.excused.add("the value in Vault stopped working")
        fixture.monitor.excused.add("the secret in Vault was deleted")
        report = fixture.attempt(sub)
        rotation = fixture.rotation(sub)

        assert rotation is not None
        assert rotation.predecessor_version is None
        assert report.old_secret_dead_at is None


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", method="GET", status=503, times=None),
        Fault("status", method="GET", status=429, times=None),
        Fault("drop-after", method="GET", times=None),
    ],
    ids=["503", "429", "dropped"],
)
def test_no_answer_proves_nothing(tmp_path: Path, fault: Fault) -> None:
    """Neither dead nor alive: the pass fails as always, and the next one tries again."""
    with RotationFixture(tmp_path, prove_deletion=True) as fixture:
        faults = fixture.world.vonage.faults
        fixture.calls.plan("after", "issuer.delete_secret", 1, lambda: faults.add(fault))
        first = fixture.attempt()
        found = proofs(fixture)
        fixture.world.vonage.faults.clear()
        fixture.restart()
        second = fixture.resume()

        assert first.outcome is Outcome.FAILED
        assert code(first) != "broken-deletion"
        assert found == []
        assert is_dead(second)


def test_a_refusal_does_not_count_while_vonage_refuses_everything(tmp_path: Path) -> None:
    """Its authentication is down: the current secret is refused, too."""
    with RotationFixture(tmp_path, prove_deletion=True) as fixture:
        fixture.calls.plan("after", "issuer.delete_secret", 1, fixture.calls.kill)
        fixture.run_until_killed()
        fixture.world.vonage.faults.add(Fault("status", status=401, times=None))
        refused = fixture.resume()
        found = proofs(fixture)
        fixture.world.vonage.faults.clear()
        fixture.restart()
        proved = fixture.resume()

        assert code(refused) == "current-refused"
        assert found == []
        assert is_dead(proved)


def test_a_refusal_after_a_pause_does_not_count_while_vonage_refuses_everything(
    tmp_path: Path,
) -> None:
    """The old value was accepted just before: only its own refusal shows that it is dead."""
    with RotationFixture(tmp_path, prove_deletion=True) as fixture:
        linger(fixture)
        faults = fixture.world.vonage.faults
        everything = Fault("status", status=401, times=None)
        fixture.on_event["still-accepted"] = lambda: faults.add(everything)
        refused = fixture.attempt()
        found = [event for event, _ in proofs(fixture)]
        faults.clear()
        fixture.propagate_in(0)
        fixture.restart()
        proved = fixture.resume()

        assert code(refused) == "current-refused"
        assert found == ["still-accepted"]
        assert is_dead(proved)


def test_a_deletion_whose_answer_was_lost_is_proved(tmp_path: Path) -> None:
    """It counts from its sending, and once the list shows that it took effect."""
    with RotationFixture(tmp_path, prove_deletion=True) as fixture:
        fixture.world.vonage.faults.add(Fault("drop-after", method="DELETE"))
        report = fixture.attempt()

        assert is_dead(report)
        assert report.dead_after is not None


def test_a_secret_that_others_revoked_is_proved_dead(tmp_path: Path) -> None:
    """How long it took to die, nobody knows."""
    with RotationFixture(tmp_path, grace=GRACE, prove_deletion=True) as fixture:
        report = fixture.attempt()
        fixture.revoke(report.old_secret_id or "")
        fixture.restart()
        fixture.clock.advance(hours=25)
        later = fixture.resume()

        assert is_dead(later)
        assert later.dead_after is None


def test_a_proof_does_not_wait_for_a_grace_that_was_ended(tmp_path: Path) -> None:
    """Killed after a deletion that an operator hurried, the next pass proves it, and is due."""
    with RotationFixture(tmp_path, grace=GRACE, prove_deletion=True) as fixture:
        fixture.attempt()
        fixture.calls.plan("after", "issuer.delete_secret", 1, fixture.calls.kill)
        fixture.run_until_killed(grace=NONE)
        with fixture.database.connect() as connection:
            found = due(connection, fixture.clock.now())
        report = fixture.resume()

        assert [each.name for each in found] == [NAME]
        assert is_dead(report)


def test_a_deletion_that_was_not_done_waits_for_its_grace(tmp_path: Path) -> None:
    """Its sender was killed before: without the hurry, the old secret stays for its grace."""
    with RotationFixture(tmp_path, grace=GRACE, prove_deletion=True) as fixture:
        fixture.attempt()
        fixture.calls.plan("before", "issuer.delete_secret", 1, fixture.calls.kill)
        fixture.run_until_killed(grace=NONE)
        report, both = fixture.resume(), fixture.look().ids
        with fixture.database.connect() as connection:
            found = due(connection, fixture.clock.now())

        assert report.outcome is Outcome.AWAITING_DELETION
        assert len(both) == 2
        assert found == []
