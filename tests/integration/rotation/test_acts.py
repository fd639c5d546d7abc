"""What someone else did, and what it means for consumers: one sentence, whatever finds it first."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from rotator.ledger.holds import Holds
from rotator.model import Hold, Outcome, PassResult, Request, State
from rotator.rotation.manual import manual_operation
from rotator.sim import Fault
from tests.integration.rotation.test_cause_and_cure import trouble
from tests.support.rotation_fixture import NAME, SUB, RotationFixture
from tests.support.samples import ANN


def revoke(fixture: RotationFixture) -> str:
    """Revoke the secret that consumers read, in the dashboard."""
    secret_id = fixture.fields()["rotator"]["secret_id"]
    fixture.revoke(secret_id)
    return f"Vonage refuses secret {secret_id}, as if someone else had revoked it: {DEAD}"


def change_value(fixture: RotationFixture) -> str:
    """Write another value, beside rotator's note."""
    fixture.patch(api_secret="ByHand1234")
    return f"someone else changed the Vault entry {PATH}: {DEAD}"


def write_over(fixture: RotationFixture) -> str:
    """Write another value, without rotator's note: `vault kv put`."""
    fixture.world.vault.write(PATH, {"api_secret": "ByHand1234"})
    return f"someone else changed the Vault entry {PATH}: {DEAD}"


def delete(fixture: RotationFixture) -> str:
    """Delete the newest version: `vault kv delete`."""
    version = fixture.look().version
    fixture.world.vault.delete_latest(PATH)
    at = f"{fixture.clock.now():%Y-%m-%d %H:%M:%S} UTC"
    return (
        f"version {version} of {PATH} was removed from Vault at {at}, by someone or by itself "
        f"(`delete_version_after`): {NOTHING}"
    )


def destroy(fixture: RotationFixture) -> str:
    """Destroy the newest version: `vault kv destroy`."""
    version = fixture.look().version
    fixture.world.vault.destroy(PATH, [version])
    return f"someone else destroyed version {version} of {PATH} in Vault: {NOTHING}"


def drop(fixture: RotationFixture) -> str:
    """Remove the entry: `vault kv metadata delete`."""
    fixture.drop_current()
    return f"someone else removed the Vault entry {PATH} with all its versions: {NOTHING}"


def drop_field(fixture: RotationFixture) -> str:
    """Remove the field that consumers read."""
    fixture.drop_field("api_secret")
    return f"the Vault entry {PATH} has no text in field api_secret: {NOTHING}"


PATH = "vonage/account-1"
DEAD = "consumers read a secret that does not work"
NOTHING = "consumers read nothing"
ACTS = (
    (revoke, "current-refused"),
    (change_value, "drift"),
    (write_over, "drift"),
    (delete, "entry-missing"),
    (destroy, "entry-missing"),
    (drop, "entry-missing"),
    (drop_field, "field-missing"),
)


def resume(fixture: RotationFixture) -> PassResult:
    """Continue the open rotation as `rotator resume` does."""
    account = fixture.accounts[NAME]
    return fixture.reconciler.attempt(account, Request(reason=None), looks=True)


def told(report: PassResult) -> tuple[int, str, str]:
    """Return how a pass was refused: exit code, code and cause."""
    assert report.error
    return report.exit_code, report.error.code, report.error.message


@pytest.mark.parametrize("is_open", [False, True])
@pytest.mark.parametrize(("act", "code"), ACTS)
def test_an_act_has_one_code_and_one_sentence(
    tmp_path: Path, act: Callable[[RotationFixture], str], code: str, *, is_open: bool
) -> None:
    """Whatever finds it first: a look, a pass, a plan; in a grace, or with no rotation open."""
    with RotationFixture(tmp_path, grace=timedelta(days=1), rotated_before=True) as fixture:
        account = fixture.accounts[NAME]
        if is_open:
            assert fixture.attempt().outcome is Outcome.AWAITING_DELETION
        why = act(fixture)
        planned, _, _ = fixture.reconciler.dry_run(account, Request(reason="asked"))
        _, examined = fixture.reconciler.examine(account)
        rotated = fixture.reconciler.attempt(account, Request(reason="asked"), looks=True)
        resumed = resume(fixture) if is_open else rotated
        found = trouble(fixture)

        assert found.state is State.BROKEN
        assert (found.code, found.why) == (code, why)
        assert examined
        assert (examined.code, examined.why) == (found.code, found.why)
        assert told(planned) == told(rotated) == told(resumed) == (3, found.code, found.why)
        assert resumed.outcome is Outcome.REFUSED
        assert resumed.error
        assert resumed.error.hint == found.hint


def test_what_breaks_consumers_comes_before_what_else_is_wrong(tmp_path: Path) -> None:
    """A frozen account is refused for its hold, and its operator learns of the outage first."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        fixture.calls.plan("before", "issuer.create_secret", 1, fixture.calls.kill)
        fixture.run_until_killed()
        hold = Hold(reason="moving house", by="ann", at=fixture.clock.now(), freeze=True)
        Holds(fixture.database).put(NAME, hold)
        why = change_value(fixture)

        assert told(fixture.resume()) == (3, "held", f"{why}; the account is held: {hold}")


def test_what_still_works_is_said_to_work(tmp_path: Path) -> None:
    """Someone put the old value back in the grace: consumers are not cut off."""
    with RotationFixture(tmp_path, grace=timedelta(days=1), rotated_before=True) as fixture:
        fixture.attempt()
        fixture.roll_back()
        found = trouble(fixture)

        assert (found.state, found.code) == (State.DRIFTED, "drift")
        assert found.why == (
            f"someone else changed the Vault entry {PATH}: consumers still read a secret that works"
        )


def test_a_note_taken_away_is_a_changed_entry(tmp_path: Path) -> None:
    """Which of two secrets Vault holds is not certain then; the cure says how to find out."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        fixture.make_foreign()
        fixture.patch(rotator={})
        found = trouble(fixture)

        assert (found.state, found.code) == (State.DRIFTED, "drift")
        assert found.why == (
            f"someone else changed the Vault entry {PATH}: consumers still read a secret that works"
        )
        assert "--secret-id" in str(found.hint)


def test_an_older_version_put_back_is_a_changed_entry(tmp_path: Path) -> None:
    """Its note is intact, but rotator has deleted that secret: nobody revoked it."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        fixture.attempt()
        fixture.roll_back()
        found = trouble(fixture)

        assert (found.state, found.code) == (State.BROKEN, "drift")
        assert found.why == f"someone else changed the Vault entry {PATH}: {DEAD}"


def test_a_wait_stays_one_where_nobody_can_look(tmp_path: Path) -> None:
    """An outage of Vonage says nothing about what consumers read."""
    with RotationFixture(tmp_path, grace=timedelta(days=1)) as fixture:
        fixture.attempt()
        fixture.world.vonage.faults.add(Fault("status", status=500, times=None))

        assert resume(fixture).outcome is Outcome.AWAITING_DELETION


def test_a_pass_that_could_not_look_says_why(tmp_path: Path) -> None:
    """Nothing is known of consumers then."""
    with RotationFixture(tmp_path) as fixture:
        fixture.world.vault.sealed = True
        failed = resume(fixture)

        assert failed.error
        assert (failed.outcome, failed.error.code) == (Outcome.FAILED, "vault-sealed")


def test_what_a_rotation_replaces_by_itself_is_broken_until_then(tmp_path: Path) -> None:
    """The parent's secret works: rotating is the cure, and goes ahead."""
    with RotationFixture(tmp_path, subaccounts=1) as fixture:
        fixture.patch(SUB, api_secret="NoLongerValid1")
        fixture.reconciler.refresh(fixture.accounts[SUB])
        [summary] = fixture.queries.accounts([SUB])
        report = fixture.attempt(SUB)

        assert summary.trouble
        assert (summary.trouble.state, summary.trouble.code) == (State.BROKEN, "current-refused")
        assert summary.trouble.why == f"Vonage refuses the value that Vault holds: {DEAD}"
        assert f"rotator rotate-now {SUB}" in str(summary.trouble.hint)
        assert report.outcome is Outcome.COMPLETED


# -- The old secret, in its grace. ---------------------------------------------------------


def test_an_old_secret_revoked_in_its_grace_is_drift(tmp_path: Path) -> None:
    """Told once, with the time until which it was to stay; the rotation completes as ever."""
    with RotationFixture(tmp_path, grace=timedelta(days=1), rotated_before=True) as fixture:
        waiting = fixture.attempt()
        fixture.revoke(waiting.old_secret_id or "")
        first, second = trouble(fixture), trouble(fixture)
        resumed = resume(fixture)
        fixture.clock.advance(days=1)
        fixture.restart()
        report = fixture.resume()
        [over] = fixture.queries.accounts([NAME])

        assert waiting.delete_due_at
        assert (first.state, first.code) == (State.DRIFTED, "drift")
        assert first.why == (
            f"someone else revoked secret {waiting.old_secret_id} at Vonage, which was to stay "
            f"until {waiting.delete_due_at:%Y-%m-%d %H:%M:%S} UTC: consumers that have not read "
            "the new one are cut off"
        )
        assert second == first
        assert fixture.events().count("trouble") == 1
        assert resumed.outcome is Outcome.AWAITING_DELETION
        assert report.outcome is Outcome.COMPLETED
        assert not any(event.endswith("delete") for event in fixture.events()[-4:])
        assert over.trouble is None


def test_an_old_secret_is_no_drift_before_its_grace(tmp_path: Path) -> None:
    """Amid a rotation, where a pass was killed, nothing is said of it."""
    with RotationFixture(tmp_path, grace=timedelta(days=1), rotated_before=True) as fixture:
        fixture.calls.plan("before", "store.clear_pending", 1, fixture.calls.kill)
        fixture.run_until_killed()
        fixture.revoke(fixture.secrets()[0].id)
        fixture.reconciler.refresh(fixture.accounts[NAME])
        [summary] = fixture.queries.accounts([NAME])

        assert summary.trouble is None


def test_an_old_secret_that_an_operator_deleted_with_rotator_is_no_drift(tmp_path: Path) -> None:
    """Nobody else did it, and who did is in the record."""
    with RotationFixture(tmp_path, grace=timedelta(days=1), rotated_before=True) as fixture:
        account = fixture.accounts[NAME]
        old_id = fixture.attempt().old_secret_id or ""
        with manual_operation(fixture.reconciler, account, "delete", actor=ANN) as operation:
            operation.perform(lambda _look: fixture.revoke(old_id), old_id)
        fixture.reconciler.refresh(account)
        [summary] = fixture.queries.accounts([NAME])

        assert old_id not in fixture.look().ids
        assert summary.trouble is None
