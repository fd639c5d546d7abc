"""Adopting a secret while a rotation is open: what becomes of that, and of what is under way."""

from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from rotator.errors import CheckAndSetLost, Refused
from rotator.model import OnForeign
from rotator.sim import Fault, SimSecret
from tests.integration.rotation.test_adopt import HOUR, OTHER, by_hand
from tests.support.invariant_monitor import Seen
from tests.support.port_interceptor import Killed
from tests.support.rotation_fixture import NAME, RotationFixture, code


def leave_half_undone(fixture: RotationFixture) -> tuple[SimSecret, SimSecret]:
    """Let a rotation make a secret that is not known in time, and not be able to remove it."""
    fixture.propagate_in(3600)
    fixture.world.vonage.faults.add(Fault("status", method="DELETE", status=403))
    fixture.attempt()
    fixture.propagate_in(0)
    fixture.clock.advance(hours=2)
    old, new = fixture.secrets()
    return old, new


# -- With an open rotation. ----------------------------------------------------------------


def test_what_was_pushed_can_be_put_back(tmp_path: Path) -> None:
    """The rotation's own secret, brought back after the entry was overwritten, carries it on."""
    with RotationFixture(tmp_path, grace=HOUR) as fixture:
        fixture.attempt()
        old, new = fixture.secrets()
        fixture.patch(api_secret="NotTheSecret1", rotator=None)
        adopted = fixture.adopt(new.value)
        fixture.clock.advance(hours=2)
        done = fixture.resume()

        assert adopted.secret.id == new.id
        assert done.outcome.value == "completed"
        assert [secret.id for secret in fixture.secrets()] == [new.id]
        assert old.id not in {secret.id for secret in fixture.secrets()}


def test_what_was_put_back_has_all_of_its_grace(tmp_path: Path) -> None:
    """Until then consumers read the old value again: it lives on for as long as after a push."""
    with RotationFixture(tmp_path, rotated_before=True, grace=timedelta(hours=24)) as fixture:
        before = fixture.fields()
        fixture.attempt()
        old, new = fixture.secrets()
        fixture.world.vault.write(fixture.accounts[NAME].vault_path, before)
        fixture.clock.advance(hours=23)
        adopted = fixture.adopt(new.value, secret_id=new.id)
        again = fixture.adopt(new.value, secret_id=new.id)
        until = fixture.clock.now() + timedelta(hours=24)
        fixture.clock.advance(hours=23)
        waiting = fixture.resume()
        both = {secret.id for secret in fixture.secrets()}
        fixture.clock.advance(hours=1, seconds=1)
        done = fixture.resume()

        assert (adopted.delete_due_at, adopted.is_grace_anew) == (until, True)
        assert (again.delete_due_at, again.is_grace_anew) == (until, False)
        assert waiting.outcome.value == "awaiting-deletion"
        assert waiting.delete_due_at == until
        assert both == {old.id, new.id}
        assert done.outcome.value == "completed"
        assert [secret.id for secret in fixture.secrets()] == [new.id]


def test_by_the_rotations_note_the_old_value_is_told_from_the_new(tmp_path: Path) -> None:
    """Of two secrets the one that the note is not bound to is the other; both stay."""
    with RotationFixture(tmp_path, grace=HOUR) as fixture:
        fixture.attempt()
        old, new = fixture.secrets()
        adopted = fixture.adopt(old.value)
        fixture.clock.advance(hours=2)
        blocked = fixture.attempt()

        assert adopted.secret.id == old.id
        assert adopted.rotation
        assert adopted.rotation.error_code == "superseded"
        assert blocked.error
        assert blocked.error.code == "foreign-secret"
        assert {secret.id for secret in fixture.secrets()} == {old.id, new.id}


def test_without_any_note_it_is_not_guessed(tmp_path: Path) -> None:
    """What was pushed is destroyed, and with it the note that tells one secret from the other."""
    with RotationFixture(tmp_path, grace=HOUR) as fixture:
        fixture.attempt()
        old, _ = fixture.secrets()
        fixture.patch(api_secret=old.value, rotator=None)
        fixture.world.vault.destroy(fixture.accounts[NAME].vault_path, [2])
        with pytest.raises(Refused, match="which of them the value is"):
            fixture.adopt(None)

        assert len(fixture.secrets()) == 2


def test_before_a_push_it_is_what_will_be_replaced(tmp_path: Path) -> None:
    """A rotation that finds its predecessor gone goes on to replace what was adopted."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        fixture.calls.plan("after", "store.write_pending", 1, fixture.calls.kill)
        fixture.run_until_killed()
        (old,) = fixture.secrets()
        other = fixture.make_foreign(value=OTHER)
        fixture.revoke(old.id)
        fixture.monitor.foreign.clear()
        adopted = fixture.adopt(OTHER)
        done = fixture.resume()

        assert adopted.secret.id == other
        assert done.outcome.value == "completed"
        assert done.old_secret_id == other
        assert len(fixture.secrets()) == 1


def test_its_predecessor_may_be_adopted_again(tmp_path: Path) -> None:
    """Before a push, the secret that is replaced anyway changes nothing."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        fixture.calls.plan("after", "store.write_pending", 1, fixture.calls.kill)
        fixture.run_until_killed()
        adopted = fixture.adopt(None)

        assert (adopted.is_written, by_hand(fixture)) == (False, [])
        assert fixture.resume().outcome.value == "completed"


def test_the_pending_value_pushes_itself(tmp_path: Path) -> None:
    """Who takes the new value from the pending path has done what the push would do."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        fixture.calls.plan("after", "issuer.create_secret", 1, fixture.calls.kill)
        fixture.run_until_killed()
        old, new = fixture.secrets()
        adopted = fixture.adopt(new.value, secret_id=new.id)
        done = fixture.resume()

        assert adopted.rotation
        assert (adopted.rotation.new_id, adopted.rotation.vault_version) == (new.id, 3)
        assert done.outcome.value == "completed"
        assert old.id not in {secret.id for secret in fixture.secrets()}


def test_the_pending_value_adopted_twice_is_not_its_own_predecessor(tmp_path: Path) -> None:
    """The first time a standby hid what was pending, and it was taken for what is replaced."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        fixture.calls.plan("after", "issuer.create_secret", 1, fixture.calls.kill)
        fixture.run_until_killed()
        old, new = fixture.secrets()
        hide = partial(setattr, fixture.world.vault, "stale_reads", 1)
        fixture.calls.plan("before", "store.read_pending", 1, hide)
        first = fixture.adopt(new.value, secret_id=new.id).rotation
        second = fixture.adopt(new.value).rotation
        done = fixture.resume()

        assert first
        assert (first.new_id, first.predecessor_id) == (None, new.id)
        assert second
        assert (second.new_id, second.predecessor_id) == (new.id, None)
        assert done.outcome.value == "completed"
        assert {secret.id for secret in fixture.secrets()} == {old.id, new.id}
        assert fixture.look().works


def test_a_pending_value_that_was_adopted_ends_the_rotation_that_is_recovered(
    tmp_path: Path,
) -> None:
    """With the ledger lost, nothing ties the adopted secret to the rotation that made it."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        fixture.calls.plan("after", "issuer.create_secret", 1, fixture.calls.kill)
        fixture.run_until_killed()
        fixture.lose_ledger()
        old, new = fixture.secrets()
        fixture.adopt(new.value, secret_id=new.id)
        fixture.revoke(old.id)
        ended, again = fixture.attempt(takes_over=True), fixture.attempt()

        assert ended.error
        assert ended.error.code == "overtaken"
        assert again.outcome.value == "completed"
        assert again.old_secret_id == new.id


def test_a_rotation_that_is_being_undone_is_undone(tmp_path: Path) -> None:
    """Another secret lets it remove what it made; its own secret it may not remove any more."""
    for own in (False, True):
        with RotationFixture(
            tmp_path, rotated_before=True, propagation_timeout=timedelta()
        ) as fixture:
            old, new = leave_half_undone(fixture)
            adopted = fixture.adopt((new if own else old).value, secret_id=(new if own else old).id)
            fixture.resume()
            left = {secret.id for secret in fixture.secrets()}

            assert adopted.rotation
            assert adopted.rotation.abort_code == "new-secret-refused"
            assert (adopted.rotation.closed_at is not None) is own
            assert left == ({old.id, new.id} if own else {old.id})


def test_what_is_put_back_after_a_lost_push_leaves_what_was_pushed(tmp_path: Path) -> None:
    """Consumers may have read it, though the ledger never heard that it was pushed."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        fixture.calls.plan("after", "store.write_current", 1, fixture.calls.kill)
        fixture.run_until_killed()
        old, new = fixture.secrets()
        adopted = fixture.adopt(old.value)
        blocked = fixture.attempt()

        assert adopted.rotation
        assert (adopted.rotation.error_code, adopted.rotation.vault_version) == ("superseded", 3)
        assert blocked.error
        assert blocked.error.code == "foreign-secret"
        assert {secret.id for secret in fixture.secrets()} == {old.id, new.id}


# -- Requests that may still be on their way. ----------------------------------------------


def test_what_is_being_deleted_is_not_adopted(tmp_path: Path) -> None:
    """The request for it may arrive later than the entry that would hold it."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        fixture.calls.plan("before", "issuer.delete_secret", 1, fixture.calls.kill)
        fixture.run_until_killed()
        old, new = fixture.secrets()
        before = fixture.look()
        with pytest.raises(Refused, match=f"may be {old.id}") as refused:
            fixture.adopt(old.value)

        assert refused.value.code == "rotation-open"
        assert fixture.look() == before
        assert not by_hand(fixture)
        assert fixture.resume().outcome.value == "completed"
        assert [secret.id for secret in fixture.secrets()] == [new.id]


def test_what_is_being_removed_again_is_not_adopted(tmp_path: Path) -> None:
    """Nor is the new secret of a rotation that is being undone, but any other one."""
    with RotationFixture(tmp_path, rotated_before=True, propagation_timeout=timedelta()) as fixture:
        fixture.propagate_in(3600)
        fixture.calls.plan("before", "issuer.delete_secret", 1, fixture.calls.kill)
        fixture.run_until_killed()
        fixture.propagate_in(0)
        old, new = fixture.secrets()
        fixture.clock.advance(hours=2)
        with pytest.raises(Refused, match=f"may be {new.id}"):
            fixture.adopt(new.value, secret_id=new.id)

        assert fixture.adopt(old.value).secret.id == old.id


def test_what_is_being_evicted_is_not_adopted(tmp_path: Path) -> None:
    """Which of the others it is, only the record tells: none of them is adopted."""
    setting = {"rotated_before": True, "on_foreign": OnForeign.EVICT_OLDEST}
    with RotationFixture(tmp_path, **setting) as fixture:
        foreign = fixture.make_foreign(value=OTHER)
        fixture.calls.plan("before", "issuer.delete_secret", 1, fixture.calls.kill)
        fixture.run_until_killed()

        with pytest.raises(Refused, match=f"may be {foreign}"):
            fixture.adopt(OTHER, secret_id=foreign)
        assert fixture.adopt(None).is_written is False


def test_a_deletion_that_has_no_effect_any_more_is_no_reason(tmp_path: Path) -> None:
    """It authenticates with what Vault holds, and leaves the last secret."""

    def end_the_new(fixture: RotationFixture) -> None:
        fixture.revoke(fixture.secrets()[1].id)

    def replace_the_new(fixture: RotationFixture) -> None:
        end_the_new(fixture)
        fixture.make_foreign()

    def put_the_old_back(fixture: RotationFixture) -> None:
        fixture.patch(api_secret=fixture.secrets()[0].value, rotator=None)
        end_the_new(fixture)

    def empty(fixture: RotationFixture) -> None:
        fixture.drop_field("api_secret")

    for meddle in (end_the_new, replace_the_new, put_the_old_back, empty):
        with RotationFixture(tmp_path, rotated_before=True) as fixture:
            fixture.calls.plan("before", "issuer.delete_secret", 1, fixture.calls.kill)
            fixture.run_until_killed()
            old = fixture.secrets()[0]
            meddle(fixture)

            assert fixture.adopt(old.value, secret_id=old.id).secret.id == old.id


def test_a_rotation_lets_go_of_what_is_about_to_be_adopted(tmp_path: Path) -> None:
    """A write that is under way may arrive when the grace is over: its secret still works then."""
    with RotationFixture(tmp_path, rotated_before=True, grace=HOUR) as fixture:
        fixture.attempt()
        old, new = fixture.secrets()
        fixture.calls.plan("before", "store.write_current", 1, fixture.calls.kill)
        with pytest.raises(Killed):
            fixture.adopt(old.value)
        fixture.clock.advance(hours=2)
        fixture.restart()
        done = fixture.resume()

        assert done.outcome.value == "completed"
        assert {secret.id for secret in fixture.secrets()} == {old.id, new.id}
        assert fixture.adopt(old.value, secret_id=old.id).is_written


def test_a_rotation_that_is_undone_lets_go_as_well(tmp_path: Path) -> None:
    """What it was to remove stays where its adoption was begun."""
    with RotationFixture(tmp_path, rotated_before=True, propagation_timeout=timedelta()) as fixture:
        old, new = leave_half_undone(fixture)
        # The operator has it.
        fixture.monitor.excused |= {"the only copy of a live secret was lost"}
        fixture.calls.plan("before", "store.write_current", 1, fixture.calls.kill)
        with pytest.raises(Killed):
            fixture.adopt(new.value, secret_id=new.id)
        fixture.clock.advance(hours=2)
        fixture.restart()
        fixture.resume()

        assert {secret.id for secret in fixture.secrets()} == {old.id, new.id}


def test_what_may_be_adopted_yet_is_not_removed_again(tmp_path: Path) -> None:
    """A rotation that is undone later keeps it, and says why, until Vault's value is adopted."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        fixture.calls.plan("before", "issuer.list_secrets", 2, fixture.calls.kill)
        fixture.run_until_killed()
        fixture.calls.plan("before", "store.write_current", 1, fixture.calls.kill)
        with pytest.raises(Killed):
            fixture.adopt(fixture.generated[-1], secret_id=fixture.secrets()[-1].id)
        fixture.clock.advance(minutes=10)
        fixture.restart()
        fixture.drop_pending()
        kept = fixture.attempt()
        secrets = len(fixture.secrets())
        fixture.adopt(None)
        undone = fixture.attempt()

        assert (code(kept), secrets) == ("unsafe-delete", 2)
        assert (code(undone), len(fixture.secrets())) == ("pending-lost", 1)


def test_what_is_certainly_not_adopted_is_deleted_as_before(tmp_path: Path) -> None:
    """A write that Vault refused changes nothing of the rotation."""
    with RotationFixture(tmp_path, rotated_before=True, grace=HOUR) as fixture:
        fixture.attempt()
        old, new = fixture.secrets()
        fixture.calls.plan("before", "store.write_current", 1, lambda: fixture.patch(team="sms"))
        with pytest.raises(CheckAndSetLost):
            fixture.adopt(old.value)
        fixture.clock.advance(hours=2)

        assert fixture.resume().outcome.value == "completed"
        assert [secret.id for secret in fixture.secrets()] == [new.id]


def test_a_push_from_before_an_adoption_does_not_replace_what_was_adopted(tmp_path: Path) -> None:
    """A standby of Vault that lags shows it as if it were the last, when nobody has recorded it."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        (old,) = fixture.secrets()
        fixture.calls.plan("after", "store.write_current", 1, fixture.calls.kill)
        fixture.run_until_killed()
        fixture.calls.plan("after", "store.write_current", 1, fixture.calls.kill)
        with pytest.raises(Killed):
            fixture.adopt(old.value)
        fixture.clock.advance(hours=2)
        fixture.restart()
        fixture.calls.plan("after", "ledger.commit", 1, fixture.calls.kill)
        fixture.run_until_killed(reason=None)
        fixture.monitor.before.append(lambda seen: lag_behind(fixture, seen))
        stale = fixture.resume()

        assert stale.error is not None
        assert stale.error.code == "unsafe-delete"
        assert fixture.look().value == old.value
        assert old.id in fixture.look().ids


def lag_behind(fixture: RotationFixture, seen: Seen) -> None:
    """Let each read of the current entry miss its newest version."""
    is_read = seen.exchange.method == "GET"
    if is_read and seen.exchange.path.endswith(fixture.accounts[NAME].vault_path):
        fixture.world.vault.stale_reads = 1
