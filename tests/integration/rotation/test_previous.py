"""The replaced value beside the new one: where it is kept, and that it leaves before its secret."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rotator.errors import Refused, StoreForbidden, StoreUnavailable
from rotator.ledger.replay import Replay
from rotator.model import Outcome, Request
from rotator.model.times import rfc3339
from rotator.rotation import schedule
from rotator.rotation.manual import AccountSecrets, manual_operation
from tests.support.rotation_fixture import NAME, RotationFixture, code
from tests.support.samples import ANN

FIELD = "api_secret_previous"
GRACE = timedelta(hours=24)
NONE = timedelta()
#: An account whose consumers may try both values.
BOTH: dict[str, Any] = {"grace": GRACE, "previous_field": FIELD}


def destroy_versions(fixture: RotationFixture) -> None:
    """Destroy all versions of the entry but the newest, as Vault does where it keeps one."""
    path = fixture.accounts[NAME].vault_path
    fixture.world.vault.destroy(path, range(1, fixture.world.vault.current_version(path)))


def end_grace(fixture: RotationFixture) -> None:
    """Let the grace go by, and end the process."""
    fixture.restart()
    fixture.clock.advance(hours=25)


def note(fixture: RotationFixture) -> dict[str, Any]:
    """Return the note beside the current value."""
    found = fixture.fields()["rotator"]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("rotated_before", [False, True], ids=["first", "later"])
def test_the_old_value_is_beside_the_new_one_until_its_secret_is_deleted(
    tmp_path: Path, *, rotated_before: bool
) -> None:
    """Consumers may try both during the grace; after it, the entry has the new one alone."""
    with RotationFixture(tmp_path, **BOTH, rotated_before=rotated_before) as fixture:
        fixture.patch(team="sms")
        old = fixture.fields()["api_secret"]
        fixture.attempt()
        amid, live = fixture.fields(), fixture.look().live
        end_grace(fixture)
        report = fixture.resume()
        after = fixture.fields()

        assert live == {amid["api_secret"], amid[FIELD]}
        assert amid[FIELD] == old
        assert amid["rotator"]["previous_field"] == FIELD
        assert report.outcome is Outcome.COMPLETED
        assert FIELD not in after
        assert after["api_secret"] == amid["api_secret"]
        assert after["team"] == "sms"
        about = {"previous_field", "previous_check"}
        assert after["rotator"] == {
            key: fact for key, fact in amid["rotator"].items() if key not in about
        }
        assert fixture.events()[-5:] == [
            *("intent withdraw", "done withdraw", "intent delete", "done delete"),
            "closed complete",
        ]
        assert f'"field":"{FIELD}"' in fixture.entries()[-4].detail


def test_a_value_that_leaves_proves_the_death_of_its_secret(tmp_path: Path) -> None:
    """Vault need not have an older version of the entry for that."""
    with RotationFixture(tmp_path, **BOTH, prove_deletion=True) as fixture:
        fixture.attempt()
        end_grace(fixture)
        destroy_versions(fixture)
        report = fixture.resume()

        assert FIELD not in fixture.fields()
        assert report.outcome is Outcome.COMPLETED
        assert report.old_secret_dead_at is not None


def test_it_costs_no_call_to_vonage(tmp_path: Path) -> None:
    """Only Vault is written once more."""
    calls = []
    for field in ("", FIELD):
        with RotationFixture(tmp_path, grace=GRACE, previous_field=field) as fixture:
            fixture.attempt()
            end_grace(fixture)
            fixture.resume()
            calls.append(fixture.requests("vonage"))

    assert len(calls[0]) == len(calls[1])


@pytest.mark.parametrize(
    ("setting", "request_"),
    [
        ({"grace": GRACE}, Request(reason="asked")),
        ({"previous_field": FIELD}, Request(reason="asked")),
        (BOTH, Request(reason="asked", grace=NONE)),
        (BOTH, Request(reason="compromised", grace=GRACE)),
    ],
    ids=["unasked", "no grace", "no grace asked for", "leaked"],
)
def test_it_is_kept_only_where_it_is_of_use_and_secret(
    tmp_path: Path, setting: dict[str, Any], request_: Request
) -> None:
    """Not unless it is configured, without a grace, or where the old value leaked."""
    with RotationFixture(tmp_path, **setting) as fixture:
        written: list[dict[str, Any]] = []
        fixture.calls.plan(
            "after", "store.write_current", 1, lambda: written.append(fixture.fields())
        )
        fixture.attempt(reason=request_.reason, grace=request_.grace)

        assert len(written) == 1
        assert FIELD not in written[0]
        assert "previous_field" not in written[0]["rotator"]
        assert "intent withdraw" not in fixture.events()


def test_a_dead_value_is_not_kept(tmp_path: Path) -> None:
    """What the parent's credential replaces, no consumer can use."""
    name = "account-1-sub-1"
    with RotationFixture(tmp_path, **BOTH, subaccounts=1) as fixture:
        fixture.make_foreign(name)
        fixture.revoke(fixture.secrets(name)[0].id, name)
        fixture.monitor.excused.add("the value in Vault stopped working")
        fixture.attempt(name)

        assert fixture.look(name).works
        assert FIELD not in fixture.fields(name)


def test_a_field_of_someone_else_stays(tmp_path: Path) -> None:
    """Where the configured field holds what rotator did not write, no old value is kept."""
    with RotationFixture(tmp_path, **BOTH) as fixture:
        fixture.patch(**{FIELD: "theirs"})
        fixture.attempt()
        amid = fixture.fields()
        end_grace(fixture)
        fixture.resume()

        assert amid[FIELD] == fixture.fields()[FIELD] == "theirs"
        assert "previous_field" not in amid["rotator"]
        assert fixture.look().live == {fixture.look().value}


def test_a_changed_configuration_leaves_nothing_behind(tmp_path: Path) -> None:
    """The field that the note names is removed, whatever the configuration names by then."""
    with RotationFixture(tmp_path, **BOTH) as fixture:
        fixture.attempt()
        account = fixture.accounts[NAME]
        fixture.accounts[NAME] = replace(account, previous_field="another")
        end_grace(fixture)
        fixture.resume()

        assert FIELD not in fixture.fields()
        assert "another" not in fixture.fields()


@pytest.mark.parametrize("name", ["api_secret", "api_key", "rotator", "team", ""])
def test_a_note_that_was_changed_costs_no_other_field(tmp_path: Path, name: str) -> None:
    """The field is known by its hash: another that the note names stays, and the right one goes."""
    with RotationFixture(tmp_path, **BOTH) as fixture:
        fixture.patch(team="sms")
        fixture.attempt()
        fixture.patch(rotator={**note(fixture), "previous_field": name})
        end_grace(fixture)
        report = fixture.resume()
        after = fixture.fields()

        assert report.outcome is Outcome.COMPLETED
        assert FIELD not in after
        assert after["team"] == "sms"
        assert after["api_key"] == fixture.accounts[NAME].api_key
        assert after["api_secret"] == fixture.look().value


def test_a_value_that_nothing_names_any_more_leaves(tmp_path: Path) -> None:
    """Its name went from the note and the configuration: the note's hash still finds it."""
    with RotationFixture(tmp_path, **BOTH) as fixture:
        fixture.attempt()
        unnamed = {key: fact for key, fact in note(fixture).items() if key != "previous_field"}
        fixture.patch(rotator=unnamed)
        account = fixture.accounts[NAME]
        fixture.accounts[NAME] = replace(account, previous_field="another")
        end_grace(fixture)
        report = fixture.resume()

        assert report.outcome is Outcome.COMPLETED
        assert FIELD not in fixture.fields()


def test_a_value_that_was_changed_by_hand_is_left_alone(tmp_path: Path) -> None:
    """It is not what rotator wrote, so that nobody knows what it is good for."""
    with RotationFixture(tmp_path, **BOTH) as fixture:
        fixture.attempt()
        fixture.patch(**{FIELD: "theirs"})
        end_grace(fixture)
        report = fixture.resume()

        assert report.outcome is Outcome.COMPLETED
        assert fixture.fields()[FIELD] == "theirs"
        assert "intent withdraw" not in fixture.events()


def test_a_value_that_is_put_back_leaves_again(tmp_path: Path) -> None:
    """Somebody rolls the entry back while the deletion waits to be sent: it is not sent."""
    with RotationFixture(tmp_path, **BOTH) as fixture:
        fixture.attempt()
        end_grace(fixture)
        fixture.calls.plan("before", "issuer.delete_secret", 1, fixture.roll_back)
        report = fixture.resume()

        assert report.outcome is Outcome.COMPLETED
        assert FIELD not in fixture.fields()
        assert fixture.events().count("done withdraw") == 2
        assert "rejected delete" in fixture.events()


def test_a_secret_that_someone_else_deleted_leaves_no_value_behind(tmp_path: Path) -> None:
    """A completed rotation leaves the current value alone in the entry."""
    with RotationFixture(tmp_path, **BOTH) as fixture:
        old = fixture.secrets()[0].id
        fixture.attempt()
        fixture.revoke(old)
        end_grace(fixture)
        report = fixture.resume()

        assert report.outcome is Outcome.COMPLETED
        assert FIELD not in fixture.fields()


def test_a_value_of_an_abandoned_rotation_leaves_before_an_eviction(tmp_path: Path) -> None:
    """Whatever deletes a secret, no value beside the current one is about to die."""
    with RotationFixture(tmp_path, **BOTH) as fixture:
        fixture.attempt()
        end_grace(fixture)
        predecessor = fixture.secrets()[0].id
        fixture.resume()
        fixture.world.vonage.restore(fixture.accounts[NAME].api_key, predecessor)
        fixture.roll_back()
        fixture.monitor.doomed.clear()
        fixture.restart()
        fixture.clock.advance(days=31)
        report = fixture.attempt()
        events = fixture.events()

        assert report.outcome is Outcome.AWAITING_DELETION
        evicted = events.index("intent evict")
        assert events[evicted - 2 : evicted] == ["intent withdraw", "done withdraw"]


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_killed_process_is_replaced(tmp_path: Path, moment: Any) -> None:  # noqa: ANN401  # a literal
    """Whether the value had left or not, the next process does what is left to do."""
    with RotationFixture(tmp_path, **BOTH) as fixture:
        fixture.attempt()
        end_grace(fixture)
        fixture.calls.plan(moment, "store.withdraw_previous", 1, fixture.calls.kill)
        killed = fixture.run_until_killed(reason=None)
        report = fixture.resume()

        assert killed is None
        assert report.outcome is Outcome.COMPLETED
        assert FIELD not in fixture.fields()
        assert fixture.events().count("done withdraw") == (moment == "before")


def fail(fixture: RotationFixture, *, is_written: bool) -> None:
    """Lose the answer to a write, which took place or did not."""
    if is_written:
        fixture.drop_field(FIELD)
    raise StoreUnavailable


@pytest.mark.parametrize("is_written", [False, True])
def test_an_unknown_outcome_is_looked_at(tmp_path: Path, *, is_written: bool) -> None:
    """A lost answer is neither success nor failure: only what is seen counts."""
    with RotationFixture(tmp_path, **BOTH) as fixture:
        fixture.attempt()
        end_grace(fixture)
        fixture.calls.plan(
            "before", "store.withdraw_previous", 1, partial(fail, fixture, is_written=is_written)
        )
        report = fixture.resume()
        events = fixture.events()

        assert report.outcome is Outcome.COMPLETED
        assert "unknown withdraw" in events
        assert events.count("done withdraw") == (not is_written)
        assert FIELD not in fixture.fields()


def forbid() -> None:
    """Refuse as Vault does where a policy lacks a capability."""
    raise StoreForbidden


def test_a_vault_that_refuses_the_write_keeps_the_old_secret_alive(tmp_path: Path) -> None:
    """Nothing is deleted while its value is beside the current one."""
    with RotationFixture(tmp_path, **BOTH) as fixture:
        fixture.attempt()
        end_grace(fixture)
        fixture.calls.plan("before", "store.withdraw_previous", 1, forbid)
        report = fixture.resume()

        assert report.outcome is Outcome.FAILED
        assert code(report) == StoreForbidden.code
        assert len(fixture.look().ids) == 2
        assert FIELD in fixture.fields()


def test_entries_and_row_agree_after_it(tmp_path: Path) -> None:
    """The step of the row stays, so that a deletion that was begun before is not forgotten."""
    with RotationFixture(tmp_path, **BOTH) as fixture:
        fixture.attempt()
        end_grace(fixture)
        fixture.calls.plan("before", "issuer.delete_secret", 1, fixture.calls.kill)
        fixture.run_until_killed(reason=None)
        rotation = fixture.rotation()
        replay = Replay.of(fixture.entries())

        assert rotation is not None
        assert replay.difference(rotation) is None
        assert replay.newest_version == fixture.writer.load(NAME).written.version
        assert fixture.resume().outcome is Outcome.COMPLETED


def test_a_deletion_that_was_begun_is_not_forgotten(tmp_path: Path) -> None:
    """Its request may still arrive: nobody can adopt the secret, whatever was begun since."""
    with RotationFixture(tmp_path, **BOTH) as fixture:
        old = fixture.fields()["api_secret"]
        fixture.attempt()
        end_grace(fixture)
        fixture.calls.plan("before", "issuer.delete_secret", 1, fixture.calls.kill)
        fixture.run_until_killed(reason=None)
        fixture.roll_back()
        fixture.calls.plan("before", "store.withdraw_previous", 1, fixture.calls.kill)
        fixture.run_until_killed(reason=None)
        with pytest.raises(Refused) as caught:
            fixture.adopt(old)

        assert caught.value.code == "rotation-open"
        assert fixture.resume().outcome is Outcome.COMPLETED


# -- By hand. ------------------------------------------------------------------------------


def delete_by_hand(fixture: RotationFixture, choose: Callable[[AccountSecrets], str]) -> None:
    """Delete a secret as `rotator secrets delete` does."""
    account = fixture.accounts[NAME]
    with manual_operation(fixture.reconciler, account, "delete", actor=ANN) as operation:
        view = operation.observe()
        secret_id = choose(view)
        view = operation.withdraw(view, secret_id)
        operation.perform(
            lambda look: fixture.reconciler.issuer.delete_secret(
                view.credential, account.api_key, secret_id, before_send=look
            ),
            secret_id,
            seen=view,
        )


def old_one(view: AccountSecrets) -> str:
    """Return the secret that is not in Vault."""
    return next(one.id for one in view.secrets if one.id != view.current_secret_id)


def current_one(view: AccountSecrets) -> str:
    """Return the one that is."""
    assert view.current_secret_id
    return view.current_secret_id


def test_a_deletion_by_hand_takes_the_value_away_first(tmp_path: Path) -> None:
    """A person deletes the old secret within its grace."""
    with RotationFixture(tmp_path, **BOTH) as fixture:
        fixture.attempt()
        delete_by_hand(fixture, old_one)

        assert FIELD not in fixture.fields()
        assert len(fixture.look().ids) == 1
        assert fixture.events()[-4:] == ["intent withdraw", "done withdraw", "intent", "done"]
        assert not fixture.queries.verify(NAME).faults


def test_a_deletion_by_hand_of_the_current_secret_leaves_the_other_value(tmp_path: Path) -> None:
    """What is beside it is then all that still works."""
    with RotationFixture(tmp_path, **BOTH) as fixture:
        fixture.attempt()
        fixture.monitor.excused |= {
            "the value in Vault stopped working",
            "the secret in Vault was deleted",
        }
        delete_by_hand(fixture, current_one)

        assert {fixture.fields()[FIELD]} == fixture.look().live


def test_an_unknown_outcome_by_hand_deletes_nothing(tmp_path: Path) -> None:
    """The person tries again."""
    with RotationFixture(tmp_path, **BOTH) as fixture:
        fixture.attempt()
        fixture.calls.plan(
            "before", "store.withdraw_previous", 1, partial(fail, fixture, is_written=False)
        )
        with pytest.raises(StoreUnavailable):
            delete_by_hand(fixture, old_one)
        between = fixture.look()
        delete_by_hand(fixture, old_one)

        assert len(between.ids) == 2
        assert FIELD not in fixture.fields()


def test_an_adoption_takes_the_value_away(tmp_path: Path) -> None:
    """A person puts the old secret back: it is the current one, and beside it there is none."""
    with RotationFixture(tmp_path, **BOTH) as fixture:
        old = fixture.fields()["api_secret"]
        fixture.attempt()
        fixture.adopt(old)

        assert fixture.fields()["api_secret"] == old
        assert FIELD not in fixture.fields()
        assert "previous_field" not in note(fixture)


# -- What consumers are told. --------------------------------------------------------------


def test_the_note_has_the_times_that_consumers_may_rely_on(tmp_path: Path) -> None:
    """When the old secret may go at the earliest, and when the account is due again."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        before = fixture.clock.now()
        fixture.attempt()
        told, rotation = note(fixture), fixture.rotation()
        current = fixture.secrets()[-1]

        assert rotation is not None
        assert rotation.delete_due_at is not None
        assert rfc3339(before + GRACE) <= told["old_valid_until"]
        assert told["old_valid_until"] <= rfc3339(rotation.delete_due_at)
        due_at = fixture.queries.accounts([NAME])[0].next_due_at
        assert due_at is not None
        assert told["next_rotation_at"] == rfc3339(due_at)
        assert current.id == told["secret_id"]


def test_the_note_knows_windows(tmp_path: Path) -> None:
    """Neither time is outside of the account's windows."""
    with RotationFixture(tmp_path, grace=GRACE, window=("sun 02:00-03:00",)) as fixture:
        fixture.attempt()
        told = note(fixture)

        for key in ("old_valid_until", "next_rotation_at"):
            assert "T02:" in told[key]


def test_a_secret_without_a_predecessor_has_no_time_for_it(tmp_path: Path) -> None:
    """Nothing is deleted after the cure of an account whose secret is dead."""
    name = "account-1-sub-1"
    with RotationFixture(tmp_path, grace=GRACE, subaccounts=1) as fixture:
        fixture.make_foreign(name)
        fixture.revoke(fixture.secrets(name)[0].id, name)
        fixture.monitor.excused.add("the value in Vault stopped working")
        fixture.attempt(name)
        told = fixture.fields(name)["rotator"]

        assert "old_valid_until" not in told
        assert "next_rotation_at" in told


def test_an_adoption_tells_when_the_account_is_due(tmp_path: Path) -> None:
    """By the age of the secret that was adopted; one that is due already is due now."""
    with RotationFixture(tmp_path) as fixture:
        account, secret = fixture.accounts[NAME], fixture.secrets()[0]
        fixture.adopt(fixture.fields()["api_secret"])
        late = note(fixture)
        fixture.accounts[NAME] = replace(
            account, policy=replace(account.policy, every=timedelta(days=90))
        )
        fixture.drop_field("rotator")
        fixture.adopt(fixture.fields()["api_secret"])
        young = note(fixture)

        assert late["next_rotation_at"] == late["rotated_at"].partition(".")[0] + "Z"
        made_at = fixture.queries.accounts([NAME])[0].current_since
        assert made_at is not None
        due_at = schedule.next_due(fixture.accounts[NAME], made_at)
        assert young["next_rotation_at"] == rfc3339(due_at)
        assert "old_valid_until" not in young
        assert secret.id == young["secret_id"]


def test_what_the_note_tells_decides_nothing(tmp_path: Path) -> None:
    """A person may write anything there: neither is the entry drifted, nor the grace shorter."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        fixture.attempt()
        told = {**note(fixture), "old_valid_until": "2001-01-01T00:00:00Z", "next_rotation_at": 5}
        fixture.patch(rotator=told)
        fixture.restart()
        waiting = fixture.resume()
        both = len(fixture.look().ids)
        end_grace(fixture)
        report = fixture.resume()

        assert waiting.outcome is Outcome.AWAITING_DELETION
        assert both == 2
        assert report.outcome is Outcome.COMPLETED
