"""Adopting a secret: what is proved, and what is written."""

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
from tests.support.port_interceptor import Killed
from tests.support.rotation_fixture import LEASE, NAME, RotationFixture

HOUR = timedelta(hours=1)
OTHER = "MadeByHand1"


#: More reads than anybody makes.
FOR_EVER = 10**6
SHOWN = "a standby of Vault lags: it shows version 2 of"


def restore_vault(fixture: RotationFixture) -> None:
    """Restore Vault to its state before the newest version of the entry."""
    key = fixture.world.vault._mounts["secret"].keys[fixture.accounts[NAME].vault_path]
    del key.versions[key.current]
    key.current -= 1


def by_hand(fixture: RotationFixture) -> list[str]:
    """Return the ledger's entries about adoptions, in short, but for who asked."""
    entries = [each for each in fixture.entries() if each.event not in ("requested", "not-begun")]
    return [f"{each.event} {each.step}" for each in entries if "adopt" in each.detail]


# -- Without an open rotation. -------------------------------------------------------------


def test_where_vault_has_no_entry_it_is_made(tmp_path: Path) -> None:
    """The value gets an entry, with a note by which it is known for certain, and rotates."""
    with RotationFixture(tmp_path) as fixture:
        (only,) = fixture.secrets()
        fixture.drop_current()
        adopted = fixture.adopt(only.value)
        record = fixture.queries.accounts([NAME])[0]

        assert (adopted.secret.id, adopted.vault_version, adopted.is_written) == (only.id, 1, True)
        assert fixture.fields().keys() == {"api_key", "api_secret", "rotator"}
        assert (record.current_id, record.trouble) == (only.id, None)
        assert by_hand(fixture) == ["intent push", "done push"]
        assert fixture.attempt().old_secret_id == only.id


@pytest.mark.parametrize("adopts", [True, False])
def test_what_a_standby_does_not_show_yet_is_not_evicted(tmp_path: Path, *, adopts: bool) -> None:
    """By Vault's old answer the policy names it expendable; the ledger knows what was written."""
    with RotationFixture(
        tmp_path, on_foreign=OnForeign.EVICT_OLDEST, rotated_before=True
    ) as fixture:
        foreign_id, old_id = fixture.make_foreign(), fixture.secrets()[0].id
        fixture.adopt(OTHER, secret_id=foreign_id)
        if not adopts:
            # Not even where someone took it out of Vault again: an operator decides.
            fixture.roll_back()
        fixture.world.vault.stale_reads = FOR_EVER if adopts else 0
        early = fixture.attempt()
        fixture.world.vault.stale_reads = 0

        assert early.error is not None
        assert (early.error.code, early.exit_code) == ("drift" if adopts else "unsafe-delete", 3)
        assert (SHOWN if adopts else foreign_id) in early.error.message
        assert {secret.id for secret in fixture.secrets()} == {old_id, foreign_id}
        if adopts:
            fixture.monitor.foreign.clear()
            late = fixture.attempt()
            assert late.outcome is Outcome.COMPLETED
            assert late.old_secret_id == foreign_id
            assert {secret.id for secret in fixture.secrets()} == {late.new_secret_id}


def test_a_standby_that_lags_behind_an_adoption_is_waited_for(tmp_path: Path) -> None:
    """To adopt a secret and to rotate it at once needs no pause in between."""
    with RotationFixture(
        tmp_path, on_foreign=OnForeign.EVICT_OLDEST, rotated_before=True
    ) as fixture:
        foreign_id = fixture.make_foreign()
        fixture.adopt(OTHER, secret_id=foreign_id)
        fixture.monitor.foreign.clear()
        fixture.world.vault.stale_reads = 6
        done = fixture.attempt()

        assert done.outcome is Outcome.COMPLETED
        assert done.old_secret_id == foreign_id


def test_a_vault_that_was_restored_is_named_until_something_is_adopted(tmp_path: Path) -> None:
    """It shows less than was written, for good; a write by check-and-set proves that it is so."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        (only,) = fixture.secrets()
        restore_vault(fixture)
        refused = fixture.attempt()
        (told,) = [entry for entry in fixture.entries() if entry.event == "refused"]
        adopted = fixture.adopt(only.value)
        done = fixture.attempt()

        assert refused.error is not None
        assert refused.error.code == "drift"
        assert "or Vault was restored" in refused.error.message
        assert '"code":"drift"' in told.detail
        assert adopted.is_written
        assert done.outcome is Outcome.COMPLETED


def test_what_a_restored_vault_has_with_its_note_is_written_all_the_same(tmp_path: Path) -> None:
    """A standby that lags would show it, too: only a write tells that this is what stands there."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        (only,) = fixture.secrets()
        fixture.patch(api_secret="NotTheSecret1")
        fixture.adopt(only.value)
        restore_vault(fixture)
        restore_vault(fixture)
        adopted, again = fixture.adopt(None), fixture.adopt(None)

        assert (adopted.is_written, again.is_written) == (True, False)
        assert fixture.attempt().outcome is Outcome.COMPLETED


def test_an_adoption_that_stood_still_for_too_long_writes_nothing(tmp_path: Path) -> None:
    """Another process may have deleted the secret since."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        (only,) = fixture.secrets()
        version = fixture.look().version
        fixture.patch(api_secret="NotTheSecret1")
        fixture.calls.plan(
            "after", "ledger.commit", 2, lambda: fixture.clock.advance(seconds=LEASE)
        )
        with pytest.raises(LeaseLost):
            fixture.adopt(only.value)

        assert fixture.look().version == version + 1
        assert fixture.adopt(only.value).vault_version == version + 2


def test_what_was_put_back_by_hand_may_be_adopted(tmp_path: Path) -> None:
    """From then on it is what was adopted last, though Vault had it with its note already."""
    with RotationFixture(
        tmp_path, on_foreign=OnForeign.EVICT_OLDEST, rotated_before=True
    ) as fixture:
        foreign_id, old_id = fixture.make_foreign(), fixture.secrets()[0].id
        fixture.adopt(OTHER, secret_id=foreign_id)
        fixture.roll_back()
        adopted, again = fixture.adopt(None), fixture.adopt(None)
        fixture.monitor.foreign.clear()
        done = fixture.attempt()

        assert (adopted.secret.id, adopted.is_written, again.is_written) == (old_id, True, False)
        assert done.outcome is Outcome.COMPLETED
        assert {secret.id for secret in fixture.secrets()} == {done.new_secret_id}


def test_what_is_adopted_again_is_not_evicted_as_what_was_replaced(tmp_path: Path) -> None:
    """A list that lagged had its rotation end without deleting it; a standby hides its return."""
    with RotationFixture(tmp_path, grace=HOUR, rotated_before=True) as fixture:
        fixture.attempt()
        old, new = fixture.secrets()
        made = f"{new.created_at:%Y-%m-%dT%H:%M:%SZ}"
        listed = {"_embedded": {"secrets": [{"id": new.id, "created_at": made}]}}
        fixture.world.vonage.faults.add(Fault("status", method="GET", status=200, body=listed))
        fixture.clock.advance(hours=2)
        done = fixture.resume()
        fixture.adopt(old.value, secret_id=old.id)
        fixture.world.vault.stale_reads = FOR_EVER
        refused = fixture.attempt()
        fixture.world.vault.stale_reads = 0

        assert done.outcome is Outcome.COMPLETED
        assert refused.error is not None
        assert refused.error.code == "drift"
        assert {secret.id for secret in fixture.secrets()} == {old.id, new.id}
        assert fixture.look().works


def test_other_fields_are_kept(tmp_path: Path) -> None:
    """What is not rotator's in the entry stays; a dead value is replaced."""
    with RotationFixture(tmp_path) as fixture:
        (only,) = fixture.secrets()
        fixture.patch(api_secret="NotTheSecret1", team="sms")
        fixture.adopt(only.value)

        assert fixture.fields()["team"] == "sms"
        assert fixture.fields()["note"] == "kept"


def test_a_deleted_entry_is_written_anew(tmp_path: Path) -> None:
    """An entry whose newest version was deleted wants that version named."""
    with RotationFixture(tmp_path) as fixture:
        (only,) = fixture.secrets()
        fixture.world.vault.delete_latest(fixture.accounts[NAME].vault_path)

        assert fixture.adopt(only.value).vault_version == 2


def test_what_vault_has_already_is_not_written_again(tmp_path: Path) -> None:
    """From Vault, a value gets its note once; doing it again changes nothing."""
    with RotationFixture(tmp_path) as fixture:
        first, second = fixture.adopt(None), fixture.adopt(None)

        assert (first.is_written, second.is_written) == (True, False)
        assert first.vault_version == second.vault_version == 2
        assert by_hand(fixture) == ["intent push", "done push"]


def test_a_value_that_does_not_work_changes_nothing(tmp_path: Path) -> None:
    """What Vonage refuses is not written, and not even intended."""
    with RotationFixture(tmp_path) as fixture:
        before = fixture.look()
        with pytest.raises(CredentialRefused, match="refuses the value"):
            fixture.adopt("NotTheSecret1")

        assert fixture.look() == before
        assert not by_hand(fixture)


def test_an_entry_of_another_key_is_not_overwritten(tmp_path: Path) -> None:
    """A path that is another account's is named as that."""
    with RotationFixture(tmp_path) as fixture:
        (only,) = fixture.secrets()
        fixture.patch(api_key="ffffffff")
        with pytest.raises(Refused, match="another text in field api_key than API key"):
            fixture.adopt(only.value)

        assert fixture.fields()["api_key"] == "ffffffff"


def test_nothing_is_adopted_from_an_empty_entry(tmp_path: Path) -> None:
    """From Vault, there has to be a value."""
    with RotationFixture(tmp_path) as fixture:
        fixture.drop_field("api_secret")
        with pytest.raises(Refused, match="has no value at vonage/account-1, field api_secret"):
            fixture.adopt(None)


def test_of_two_secrets_the_operator_says_which(tmp_path: Path) -> None:
    """Vonage does not tell whose value it is, so it is not guessed."""
    with RotationFixture(tmp_path) as fixture:
        old = fixture.secrets()[0]
        fixture.make_foreign()
        with pytest.raises(Refused, match=f"lists {old.id} ") as refused:
            fixture.adopt(None)
        with pytest.raises(Refused, match="not that of the secret that is asked for"):
            fixture.adopt(None, secret_id="nobody")
        adopted = fixture.adopt(None, secret_id=old.id)

        assert "--secret-id" in str(refused.value.hint)
        assert adopted.secret.id == old.id


def test_a_note_that_matches_knows_better(tmp_path: Path) -> None:
    """A value that its note is bound to is that secret, whatever else is said."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        (current,) = fixture.secrets()
        foreign = fixture.make_foreign()
        with pytest.raises(Refused, match=f"of secret {current.id}, not of {foreign}"):
            fixture.adopt(None, secret_id=foreign)

        assert fixture.adopt(None).secret.id == current.id


def test_a_secret_that_is_being_revoked_is_not_adopted(tmp_path: Path) -> None:
    """A value that still works, but whose secret is no longer listed, is about to die."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        (current,) = fixture.secrets()
        fixture.make_foreign()
        fixture.propagate_in(60)
        fixture.revoke(current.id)
        with pytest.raises(Refused, match="was revoked and stops working soon"):
            fixture.adopt(None)


def test_a_busy_account_is_left_alone(tmp_path: Path) -> None:
    """One writer per account: while another process works on it, nothing is adopted."""
    with RotationFixture(tmp_path) as fixture:
        fixture.rival()
        with pytest.raises(Busy):
            fixture.adopt(None)


# -- Lost answers and deaths. --------------------------------------------------------------


def test_a_lost_answer_is_looked_up_by_the_next_try(tmp_path: Path) -> None:
    """A write whose answer was lost is recorded as unknown, and found to be done."""
    with RotationFixture(tmp_path) as fixture:
        fixture.world.vault.faults.add(Fault("drop-after", method="POST"))
        with pytest.raises(StoreUnavailable):
            fixture.adopt(None)
        again = fixture.adopt(None)

        assert again.is_written is False
        assert by_hand(fixture) == ["intent push", "unknown push"]


def test_a_write_that_was_overtaken_is_recorded_as_that(tmp_path: Path) -> None:
    """Someone else's write in between is not overwritten."""
    with RotationFixture(tmp_path) as fixture:
        fixture.calls.plan("before", "store.write_current", 1, lambda: fixture.patch(team="sms"))
        with pytest.raises(CheckAndSetLost):
            fixture.adopt(None)

        assert by_hand(fixture) == ["intent push", "rejected push"]
        assert fixture.adopt(None).is_written


def test_what_someone_put_back_is_written_again_for_the_record(tmp_path: Path) -> None:
    """The entries name it as the secret in use, though Vault had it with a note of its own."""
    with RotationFixture(tmp_path, grace=HOUR, rotated_before=True) as fixture:
        old, new = fixture.secrets()[0], fixture.attempt().new_secret_id
        fixture.revoke(new or "")
        fixture.roll_back()
        adopted = fixture.adopt(None)

        assert (adopted.secret.id, adopted.is_written) == (old.id, True)
        assert by_hand(fixture) == ["intent push", "done push"]
        assert fixture.adopt(None).is_written is False


def test_killed_after_the_write_it_is_finished_by_the_next_try(tmp_path: Path) -> None:
    """What the dead process wrote is found, and ends the rotation that it was to end."""
    with RotationFixture(tmp_path, grace=HOUR) as fixture:
        fixture.attempt()
        old, new = fixture.secrets()
        fixture.revoke(new.id)
        fixture.calls.plan("after", "store.write_current", 1, fixture.calls.kill)
        with pytest.raises(Killed):
            fixture.adopt(old.value)
        fixture.clock.advance(days=1)
        fixture.restart()
        stuck, again = fixture.resume(), fixture.adopt(None)
        ended = fixture.rotation()

        assert stuck.error
        assert stuck.error.code == "drift"
        assert again.is_written is False
        assert ended
        assert (ended.outcome, ended.error_code) == ("failed", "superseded")
