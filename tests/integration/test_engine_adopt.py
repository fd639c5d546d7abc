"""Adopting a secret: what is proved, what is written, and what becomes of an open rotation."""

from datetime import timedelta
from pathlib import Path

import pytest

from rotator.errors import (
    Busy,
    CheckAndSetLost,
    CredentialRefused,
    LeaseLost,
    Refused,
    StoreUnavailable,
)
from rotator.model import OnForeign, Outcome
from rotator.sim import Fault
from tests.harness.scene import LEASE, NAME, Scene
from tests.harness.tap import Killed

HOUR = timedelta(hours=1)
OTHER = "MadeByHand1"


def entry(scene: Scene) -> dict[str, object]:
    """Give the current entry."""
    return scene.world.vault.read(scene.accounts[NAME].vault_path) or {}


def by_hand(scene: Scene) -> list[str]:
    """Give what the ledger has of adoptions."""
    return [f"{e.event} {e.step}" for e in scene.entries() if "adopt" in e.detail]


# -- Without an open rotation. -------------------------------------------------------------


def test_where_vault_has_no_entry_it_is_made(tmp_path: Path) -> None:
    """The value gets an entry, with a note by which it is known for certain, and rotates."""
    with Scene(tmp_path) as scene:
        (only,) = scene.secrets()
        scene.drop_current()
        adopted = scene.adopt(only.value)
        record = scene.queries.accounts([NAME])[0]

        assert (adopted.secret.id, adopted.vault_version, adopted.is_written) == (only.id, 1, True)
        assert entry(scene).keys() == {"api_key", "api_secret", "rotator"}
        assert (record.current_id, record.drift) == (only.id, None)
        assert by_hand(scene) == ["intent push", "done push"]
        assert scene.attempt().old_secret_id == only.id


@pytest.mark.parametrize("adopts", [True, False])
def test_what_a_standby_does_not_show_yet_is_not_evicted(tmp_path: Path, *, adopts: bool) -> None:
    """By Vault's old answer the policy names it expendable; the ledger knows who adopted it."""
    with Scene(tmp_path, on_foreign=OnForeign.EVICT_OLDEST, rotated_before=True) as scene:
        foreign_id, old_id = scene.make_foreign(), scene.secrets()[0].id
        scene.adopt(OTHER, secret_id=foreign_id)
        if not adopts:
            # Not even where someone took it out of Vault again: an operator decides.
            scene.roll_back()
        scene.world.vault.stale_reads = 9 if adopts else 0
        early = scene.attempt()
        scene.world.vault.stale_reads = 0

        assert early.error is not None
        assert (early.error.code, early.exit_code) == ("unsafe-delete", 3)
        assert foreign_id in (early.error.message)
        assert {secret.id for secret in scene.secrets()} == {old_id, foreign_id}
        if adopts:
            scene.witness.foreign.clear()
            late = scene.attempt()
            assert late.outcome is Outcome.COMPLETED
            assert late.old_secret_id == foreign_id
            assert {secret.id for secret in scene.secrets()} == {late.new_secret_id}


def test_an_adoption_that_stood_still_for_too_long_writes_nothing(tmp_path: Path) -> None:
    """Another process may have deleted the secret since."""
    with Scene(tmp_path, rotated_before=True) as scene:
        (only,) = scene.secrets()
        version = scene.look().version
        scene.patch(api_secret="NotTheSecret1")
        scene.calls.plan("after", "ledger.commit", 1, lambda: scene.clock.advance(seconds=LEASE))
        with pytest.raises(LeaseLost):
            scene.adopt(only.value)

        assert scene.look().version == version + 1
        assert scene.adopt(only.value).vault_version == version + 2


def test_other_fields_are_kept(tmp_path: Path) -> None:
    """What is not rotator's in the entry stays; a dead value is replaced."""
    with Scene(tmp_path) as scene:
        (only,) = scene.secrets()
        scene.patch(api_secret="NotTheSecret1", team="sms")
        scene.adopt(only.value)

        assert entry(scene)["team"] == "sms"
        assert entry(scene)["note"] == "kept"


def test_a_deleted_entry_is_written_anew(tmp_path: Path) -> None:
    """An entry whose newest version was deleted wants that version named."""
    with Scene(tmp_path) as scene:
        (only,) = scene.secrets()
        scene.world.vault.delete_latest(scene.accounts[NAME].vault_path)

        assert scene.adopt(only.value).vault_version == 2


def test_what_vault_has_already_is_not_written_again(tmp_path: Path) -> None:
    """From Vault, a value gets its note once; doing it again changes nothing."""
    with Scene(tmp_path) as scene:
        first, second = scene.adopt(None), scene.adopt(None)

        assert (first.is_written, second.is_written) == (True, False)
        assert first.vault_version == second.vault_version == 2
        assert by_hand(scene) == ["intent push", "done push"]


def test_a_value_that_does_not_work_changes_nothing(tmp_path: Path) -> None:
    """What Vonage refuses is not written, and not even intended."""
    with Scene(tmp_path) as scene:
        before = scene.look()
        with pytest.raises(CredentialRefused, match="refuses the value"):
            scene.adopt("NotTheSecret1")

        assert scene.look() == before
        assert not by_hand(scene)


def test_an_entry_of_another_key_is_not_overwritten(tmp_path: Path) -> None:
    """A path that is another account's is named as that."""
    with Scene(tmp_path) as scene:
        (only,) = scene.secrets()
        scene.patch(api_key="ffffffff")
        with pytest.raises(Refused, match="belongs to api key ffffffff"):
            scene.adopt(only.value)

        assert entry(scene)["api_key"] == "ffffffff"


def test_nothing_is_adopted_from_an_empty_entry(tmp_path: Path) -> None:
    """From Vault, there has to be a value."""
    with Scene(tmp_path) as scene:
        scene.drop_field("api_secret")
        with pytest.raises(Refused, match="has no value at vonage/account-1, field api_secret"):
            scene.adopt(None)


def test_of_two_secrets_the_operator_says_which(tmp_path: Path) -> None:
    """Vonage does not tell whose value it is, so it is not guessed."""
    with Scene(tmp_path) as scene:
        old = scene.secrets()[0]
        scene.make_foreign()
        with pytest.raises(Refused, match=f"lists {old.id} ") as refused:
            scene.adopt(None)
        with pytest.raises(Refused, match="not that of secret nobody"):
            scene.adopt(None, secret_id="nobody")
        adopted = scene.adopt(None, secret_id=old.id)

        assert "--secret-id" in str(refused.value.hint)
        assert adopted.secret.id == old.id


def test_a_note_that_matches_knows_better(tmp_path: Path) -> None:
    """A value that its note is bound to is that secret, whatever else is said."""
    with Scene(tmp_path, rotated_before=True) as scene:
        (current,) = scene.secrets()
        foreign = scene.make_foreign()
        with pytest.raises(Refused, match=f"of secret {current.id}, not of {foreign}"):
            scene.adopt(None, secret_id=foreign)

        assert scene.adopt(None).secret.id == current.id


def test_a_secret_that_is_being_revoked_is_not_adopted(tmp_path: Path) -> None:
    """A value that still works, but whose secret is no longer listed, is about to die."""
    with Scene(tmp_path, rotated_before=True) as scene:
        (current,) = scene.secrets()
        scene.make_foreign()
        scene.propagate_in(60)
        scene.revoke(current.id)
        with pytest.raises(Refused, match="was revoked and stops working soon"):
            scene.adopt(None)


def test_a_busy_account_is_left_alone(tmp_path: Path) -> None:
    """One writer per account: while another process works on it, nothing is adopted."""
    with Scene(tmp_path) as scene:
        scene.rival()
        with pytest.raises(Busy):
            scene.adopt(None)


# -- Lost answers and deaths. --------------------------------------------------------------


def test_a_lost_answer_is_looked_up_by_the_next_try(tmp_path: Path) -> None:
    """A write whose answer was lost is recorded as unknown, and found to be done."""
    with Scene(tmp_path) as scene:
        scene.world.vault.faults.add(Fault("drop-after", method="POST"))
        with pytest.raises(StoreUnavailable):
            scene.adopt(None)
        again = scene.adopt(None)

        assert again.is_written is False
        assert by_hand(scene) == ["intent push", "unknown push"]


def test_a_write_that_was_overtaken_is_recorded_as_that(tmp_path: Path) -> None:
    """Someone else's write in between is not overwritten."""
    with Scene(tmp_path) as scene:
        scene.calls.plan("before", "store.write_current", 1, lambda: scene.patch(team="sms"))
        with pytest.raises(CheckAndSetLost):
            scene.adopt(None)

        assert by_hand(scene) == ["intent push", "rejected push"]
        assert scene.adopt(None).is_written


def test_killed_after_the_write_it_is_finished_by_the_next_try(tmp_path: Path) -> None:
    """What the dead process wrote is found, and ends the rotation that it was to end."""
    with Scene(tmp_path, grace=HOUR) as scene:
        scene.attempt()
        old, new = scene.secrets()
        scene.revoke(new.id)
        scene.calls.plan("after", "store.write_current", 1, scene.calls.kill)
        with pytest.raises(Killed):
            scene.adopt(old.value)
        scene.clock.advance(days=1)
        scene.restart()
        stuck, again = scene.resume(), scene.adopt(None)
        ended = scene.rotation()

        assert stuck.error
        assert stuck.error.code == "drift"
        assert again.is_written is False
        assert ended
        assert (ended.outcome, ended.error_code) == ("failed", "superseded")


# -- With an open rotation. ----------------------------------------------------------------


def test_what_was_pushed_can_be_put_back(tmp_path: Path) -> None:
    """The rotation's own secret, brought back after the entry was overwritten, carries it on."""
    with Scene(tmp_path, grace=HOUR) as scene:
        scene.attempt()
        old, new = scene.secrets()
        scene.patch(api_secret="NotTheSecret1", rotator=None)
        adopted = scene.adopt(new.value)
        scene.clock.advance(hours=2)
        done = scene.resume()

        assert adopted.secret.id == new.id
        assert done.outcome.value == "completed"
        assert [secret.id for secret in scene.secrets()] == [new.id]
        assert old.id not in {secret.id for secret in scene.secrets()}


def test_what_was_put_back_has_all_of_its_grace(tmp_path: Path) -> None:
    """Until then consumers read the old value again: it lives on for as long as after a push."""
    with Scene(tmp_path, rotated_before=True, grace=timedelta(hours=24)) as scene:
        before = entry(scene)
        scene.attempt()
        old, new = scene.secrets()
        scene.world.vault.write(scene.accounts[NAME].vault_path, before)
        scene.clock.advance(hours=23)
        scene.adopt(new.value, secret_id=new.id)
        scene.clock.advance(hours=23)
        waiting = scene.resume()
        both = {secret.id for secret in scene.secrets()}
        scene.clock.advance(hours=1, seconds=1)
        done = scene.resume()

        assert waiting.outcome.value == "awaiting-deletion"
        assert both == {old.id, new.id}
        assert done.outcome.value == "completed"
        assert [secret.id for secret in scene.secrets()] == [new.id]


def test_by_the_rotations_note_the_old_value_is_told_from_the_new(tmp_path: Path) -> None:
    """Of two secrets the one that the note is not bound to is the other; both stay."""
    with Scene(tmp_path, grace=HOUR) as scene:
        scene.attempt()
        old, new = scene.secrets()
        adopted = scene.adopt(old.value)
        scene.clock.advance(hours=2)
        blocked = scene.attempt()

        assert adopted.secret.id == old.id
        assert adopted.rotation
        assert adopted.rotation.error_code == "superseded"
        assert blocked.error
        assert blocked.error.code == "foreign-secret"
        assert {secret.id for secret in scene.secrets()} == {old.id, new.id}


def test_without_any_note_it_is_not_guessed(tmp_path: Path) -> None:
    """What was pushed is destroyed, and with it the note that tells one secret from the other."""
    with Scene(tmp_path, grace=HOUR) as scene:
        scene.attempt()
        old, _ = scene.secrets()
        scene.patch(api_secret=old.value, rotator=None)
        scene.world.vault.destroy(scene.accounts[NAME].vault_path, [2])
        with pytest.raises(Refused, match="which of them the value is"):
            scene.adopt(None)

        assert len(scene.secrets()) == 2


def test_before_a_push_it_is_what_will_be_replaced(tmp_path: Path) -> None:
    """A rotation that finds its predecessor gone goes on to replace what was adopted."""
    with Scene(tmp_path, rotated_before=True) as scene:
        scene.calls.plan("after", "store.write_pending", 1, scene.calls.kill)
        scene.run_until_killed()
        (old,) = scene.secrets()
        other = scene.make_foreign(value=OTHER)
        scene.revoke(old.id)
        scene.witness.foreign.clear()
        adopted = scene.adopt(OTHER)
        done = scene.resume()

        assert adopted.secret.id == other
        assert done.outcome.value == "completed"
        assert done.old_secret_id == other
        assert len(scene.secrets()) == 1


def test_its_predecessor_may_be_adopted_again(tmp_path: Path) -> None:
    """Before a push, the secret that is replaced anyway changes nothing."""
    with Scene(tmp_path, rotated_before=True) as scene:
        scene.calls.plan("after", "store.write_pending", 1, scene.calls.kill)
        scene.run_until_killed()
        adopted = scene.adopt(None)

        assert (adopted.is_written, by_hand(scene)) == (False, [])
        assert scene.resume().outcome.value == "completed"


def test_the_pending_value_pushes_itself(tmp_path: Path) -> None:
    """Who takes the new value from the pending path has done what the push would do."""
    with Scene(tmp_path, rotated_before=True) as scene:
        scene.calls.plan("after", "issuer.create_secret", 1, scene.calls.kill)
        scene.run_until_killed()
        old, new = scene.secrets()
        adopted = scene.adopt(new.value, secret_id=new.id)
        done = scene.resume()

        assert adopted.rotation
        assert (adopted.rotation.new_id, adopted.rotation.vault_version) == (new.id, 3)
        assert done.outcome.value == "completed"
        assert old.id not in {secret.id for secret in scene.secrets()}


def test_a_pending_value_that_was_adopted_ends_the_rotation_that_is_recovered(
    tmp_path: Path,
) -> None:
    """With the ledger lost, nothing ties the adopted secret to the rotation that made it."""
    with Scene(tmp_path, rotated_before=True) as scene:
        scene.calls.plan("after", "issuer.create_secret", 1, scene.calls.kill)
        scene.run_until_killed()
        scene.lose_ledger()
        old, new = scene.secrets()
        scene.adopt(new.value, secret_id=new.id)
        scene.revoke(old.id)
        ended, again = scene.attempt(), scene.attempt()

        assert ended.error
        assert ended.error.code == "overtaken"
        assert again.outcome.value == "completed"
        assert again.old_secret_id == new.id


def test_a_rotation_that_is_being_undone_is_undone(tmp_path: Path) -> None:
    """Another secret lets it remove what it made; its own secret it may not remove any more."""
    for own in (False, True):
        with Scene(tmp_path, rotated_before=True, propagation_timeout=timedelta()) as scene:
            scene.propagate_in(3600)
            scene.world.vonage.faults.add(Fault("status", method="DELETE", status=403))
            scene.attempt()
            scene.propagate_in(0)
            old, new = scene.secrets()
            scene.clock.advance(hours=2)
            adopted = scene.adopt((new if own else old).value, secret_id=(new if own else old).id)
            scene.resume()
            left = {secret.id for secret in scene.secrets()}

            assert adopted.rotation
            assert adopted.rotation.abort_code == "new-secret-refused"
            assert (adopted.rotation.closed_at is not None) is own
            assert left == ({old.id, new.id} if own else {old.id})


def test_what_is_put_back_after_a_lost_push_leaves_what_was_pushed(tmp_path: Path) -> None:
    """Consumers may have read it, though the ledger never heard that it was pushed."""
    with Scene(tmp_path, rotated_before=True) as scene:
        scene.calls.plan("after", "store.write_current", 1, scene.calls.kill)
        scene.run_until_killed()
        old, new = scene.secrets()
        adopted = scene.adopt(old.value)
        blocked = scene.attempt()

        assert adopted.rotation
        assert (adopted.rotation.error_code, adopted.rotation.vault_version) == ("superseded", 3)
        assert blocked.error
        assert blocked.error.code == "foreign-secret"
        assert {secret.id for secret in scene.secrets()} == {old.id, new.id}


# -- Requests that may still be on their way. ----------------------------------------------


def test_what_is_being_deleted_is_not_adopted(tmp_path: Path) -> None:
    """The request for it may arrive later than the entry that would hold it."""
    with Scene(tmp_path, rotated_before=True) as scene:
        scene.calls.plan("before", "issuer.delete_secret", 1, scene.calls.kill)
        scene.run_until_killed()
        old, new = scene.secrets()
        before = scene.look()
        with pytest.raises(Refused, match=f"may be {old.id}") as refused:
            scene.adopt(old.value)

        assert refused.value.code == "rotation-open"
        assert scene.look() == before
        assert not by_hand(scene)
        assert scene.resume().outcome.value == "completed"
        assert [secret.id for secret in scene.secrets()] == [new.id]


def test_what_is_being_removed_again_is_not_adopted(tmp_path: Path) -> None:
    """Nor is the new secret of a rotation that is being undone, but any other one."""
    with Scene(tmp_path, rotated_before=True, propagation_timeout=timedelta()) as scene:
        scene.propagate_in(3600)
        scene.calls.plan("before", "issuer.delete_secret", 1, scene.calls.kill)
        scene.run_until_killed()
        scene.propagate_in(0)
        old, new = scene.secrets()
        scene.clock.advance(hours=2)
        with pytest.raises(Refused, match=f"may be {new.id}"):
            scene.adopt(new.value, secret_id=new.id)

        assert scene.adopt(old.value).secret.id == old.id


def test_what_is_being_evicted_is_not_adopted(tmp_path: Path) -> None:
    """Which of the others it is, only the record tells: none of them is adopted."""
    setting = {"rotated_before": True, "on_foreign": OnForeign.EVICT_OLDEST}
    with Scene(tmp_path, **setting) as scene:
        foreign = scene.make_foreign(value=OTHER)
        scene.calls.plan("before", "issuer.delete_secret", 1, scene.calls.kill)
        scene.run_until_killed()

        with pytest.raises(Refused, match=f"may be {foreign}"):
            scene.adopt(OTHER, secret_id=foreign)
        assert scene.adopt(None).is_written is False


def test_a_deletion_that_has_no_effect_any_more_is_no_reason(tmp_path: Path) -> None:
    """It authenticates with what Vault holds, and leaves the last secret."""

    def end_the_new(scene: Scene) -> None:
        scene.revoke(scene.secrets()[1].id)

    def replace_the_new(scene: Scene) -> None:
        end_the_new(scene)
        scene.make_foreign()

    def put_the_old_back(scene: Scene) -> None:
        scene.patch(api_secret=scene.secrets()[0].value, rotator=None)
        end_the_new(scene)

    def empty(scene: Scene) -> None:
        scene.drop_field("api_secret")

    for meddle in (end_the_new, replace_the_new, put_the_old_back, empty):
        with Scene(tmp_path, rotated_before=True) as scene:
            scene.calls.plan("before", "issuer.delete_secret", 1, scene.calls.kill)
            scene.run_until_killed()
            old = scene.secrets()[0]
            meddle(scene)

            assert scene.adopt(old.value, secret_id=old.id).secret.id == old.id


def test_a_rotation_lets_go_of_what_is_about_to_be_adopted(tmp_path: Path) -> None:
    """A write that is under way may arrive when the grace is over: its secret still works then."""
    with Scene(tmp_path, rotated_before=True, grace=HOUR) as scene:
        scene.attempt()
        old, new = scene.secrets()
        scene.calls.plan("before", "store.write_current", 1, scene.calls.kill)
        with pytest.raises(Killed):
            scene.adopt(old.value)
        scene.clock.advance(hours=2)
        scene.restart()
        done = scene.resume()

        assert done.outcome.value == "completed"
        assert {secret.id for secret in scene.secrets()} == {old.id, new.id}
        assert scene.adopt(old.value, secret_id=old.id).is_written


def test_a_rotation_that_is_undone_lets_go_as_well(tmp_path: Path) -> None:
    """What it was to remove stays where its adoption was begun."""
    with Scene(tmp_path, rotated_before=True, propagation_timeout=timedelta()) as scene:
        scene.propagate_in(3600)
        scene.world.vonage.faults.add(Fault("status", method="DELETE", status=403))
        scene.attempt()
        scene.propagate_in(0)
        old, new = scene.secrets()
        scene.clock.advance(hours=2)
        # The operator has it.
        scene.witness.excused |= {"the only copy of a live secret was lost"}
        scene.calls.plan("before", "store.write_current", 1, scene.calls.kill)
        with pytest.raises(Killed):
            scene.adopt(new.value, secret_id=new.id)
        scene.clock.advance(hours=2)
        scene.restart()
        scene.resume()

        assert {secret.id for secret in scene.secrets()} == {old.id, new.id}


def test_what_is_certainly_not_adopted_is_deleted_as_before(tmp_path: Path) -> None:
    """A write that Vault refused changes nothing of the rotation."""
    with Scene(tmp_path, rotated_before=True, grace=HOUR) as scene:
        scene.attempt()
        old, new = scene.secrets()
        scene.calls.plan("before", "store.write_current", 1, lambda: scene.patch(team="sms"))
        with pytest.raises(CheckAndSetLost):
            scene.adopt(old.value)
        scene.clock.advance(hours=2)

        assert scene.resume().outcome.value == "completed"
        assert [secret.id for secret in scene.secrets()] == [new.id]
