"""Subaccounts that were found, of which Vault has nothing yet."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from rotator.model import Outcome, State
from rotator.sim import Fault
from tests.support.rotation_fixture import NAME, SUB, RotationFixture


@pytest.fixture
def fixture(tmp_path: Path) -> Iterator[RotationFixture]:
    """Yield a fixture with a discovered subaccount that has no entry in Vault."""
    with RotationFixture(tmp_path, subaccounts=1) as built:
        built.accounts[SUB] = replace(built.accounts[SUB], discovered=True)
        built.drop_current(SUB)
        yield built


def test_a_first_secret_is_made_under_the_parent(fixture: RotationFixture) -> None:
    """It is pushed as version 1; the secret that was there before is neither used nor deleted."""
    (stranger,) = fixture.secrets(SUB)
    report = fixture.attempt(SUB, reason="due")

    assert report.outcome is Outcome.COMPLETED
    assert (report.old_secret_id, report.vault_version) == (None, 1)
    assert fixture.look(SUB).works
    assert fixture.look(SUB).ids == {stranger.id, report.new_secret_id}


def test_the_stranger_is_reported_until_somebody_decides(fixture: RotationFixture) -> None:
    """The next rotation is refused, and a look says why."""
    fixture.attempt(SUB, reason="due")
    fixture.clock.advance(days=31)
    again = fixture.attempt(SUB, reason="due")
    fixture.reconciler.refresh(fixture.accounts[SUB])

    assert again.error is not None
    assert again.error.code == "foreign-secret"
    trouble = fixture.writer.load(SUB).trouble
    assert trouble
    assert (trouble.state, trouble.code) == (State.DRIFTED, "foreign-secret")


def test_it_is_due_at_once(fixture: RotationFixture) -> None:
    """Consumers have nothing yet, so that no age has to be waited for."""
    fixture.reconciler.refresh(fixture.accounts[SUB])
    (record,) = fixture.queries.accounts([SUB])

    assert record.next_due_at == fixture.clock.now()
    assert record.trouble is None


def test_an_entry_that_was_deleted_is_not_made_anew(fixture: RotationFixture) -> None:
    """Somebody took it away on purpose, or by mistake: that is for an operator to say."""
    path = fixture.accounts[SUB].vault_path
    fixture.world.vault.write(path, {"api_secret": "x"})
    fixture.world.vault.delete_latest(path)
    report = fixture.attempt(SUB, reason="due")

    assert report.error is not None
    assert report.error.code == "entry-missing"
    assert len(fixture.history(SUB)) == 1


def test_a_configured_account_gets_no_first_secret(fixture: RotationFixture) -> None:
    """Whoever names an account is expected to have put its secret into Vault."""
    fixture.accounts[SUB] = replace(fixture.accounts[SUB], discovered=False)
    report = fixture.attempt(SUB)

    assert report.error is not None
    assert report.error.code == "entry-missing"


def test_both_slots_taken(fixture: RotationFixture) -> None:
    """Nothing can be seen to work before one is freed, whatever the policy allows."""
    fixture.make_foreign(SUB)
    report = fixture.attempt(SUB, reason="due")

    assert report.error is not None
    assert report.error.code == "foreign-secret"
    assert len(fixture.look(SUB).ids) == 2


def test_a_dead_parent_is_named(fixture: RotationFixture) -> None:
    """Without its credential there is no way to begin."""
    fixture.patch(NAME, api_secret="NoLongerValid1")
    report = fixture.attempt(SUB, reason="due")

    assert report.error is not None
    assert report.error.code == "parent-refused"


def test_a_first_secret_that_is_refused_is_named_and_goes_on_by_itself(
    fixture: RotationFixture,
) -> None:
    """Nothing is deleted, a look keeps what a pass found, and once it works it is pushed."""
    fixture.propagate_in(3600)
    refused = fixture.attempt(SUB, reason="due")
    found = fixture.writer.load(SUB).trouble
    fixture.reconciler.refresh(fixture.accounts[SUB])
    fixture.clock.advance(hours=2)
    report = fixture.attempt(SUB, reason="due")

    assert refused.error is not None
    assert refused.error.code == "first-secret-refused"
    assert f"rotator secrets delete {SUB} {report.new_secret_id} --force" in refused.error.hint  # type: ignore[operator]
    assert found
    assert (found.state, found.code) == (State.REFUSED, "first-secret-refused")
    assert report.outcome is Outcome.COMPLETED
    assert len(fixture.history(SUB)) == 2
    assert fixture.events(SUB).count("trouble-over") == 0


def test_a_first_secret_that_never_works_is_replaced_once_it_is_deleted(
    fixture: RotationFixture,
) -> None:
    """As the refusal says: by hand, after which the next rotation makes another one."""
    fixture.propagate_in(10**9)
    fixture.attempt(SUB, reason="due")
    useless = fixture.secrets(SUB)[-1]
    fixture.revoke(useless.id, SUB)
    fixture.propagate_in(0)
    fixture.clock.advance(hours=1)
    given_up = fixture.attempt(SUB, reason="due")
    report = fixture.attempt(SUB, reason="due")

    assert given_up.error is not None
    assert given_up.error.code == "new-secret-revoked"
    assert report.outcome is Outcome.COMPLETED
    assert fixture.look(SUB).works


def test_a_first_secret_whose_value_was_removed_is_kept_and_named(fixture: RotationFixture) -> None:
    """It cannot be deleted by the rules: Vault has nothing that could be seen to work."""
    fixture.calls.plan("after", "issuer.create_secret", 1, lambda: fixture.drop_pending(SUB))
    fixture.propagate_in(3600)
    fixture.attempt(SUB, reason="due")
    report = fixture.attempt(SUB, reason="due")

    assert report.error is not None
    assert report.error.code == "first-secret-unused"
    assert len(fixture.look(SUB).ids) == 2


def test_the_only_secret_is_not_advised_to_be_deleted(fixture: RotationFixture) -> None:
    """Vonage keeps the last one: another has to be made first."""
    fixture.propagate_in(3600)
    refused = fixture.attempt(SUB, reason="due")
    fixture.revoke(fixture.secrets(SUB)[0].id, SUB)
    fixture.clock.advance(minutes=1)
    alone = fixture.attempt(SUB, reason="due")

    for report in (refused, alone):
        assert report.error
        assert report.error.code == "first-secret-refused"
    assert "make another secret in Vonage's dashboard, then" not in (refused.error.hint or "")  # type: ignore[union-attr]
    assert "make another secret in Vonage's dashboard, then" in (alone.error.hint or "")  # type: ignore[union-attr]


def test_an_answer_that_is_lost_makes_no_second_secret(fixture: RotationFixture) -> None:
    """As in every rotation: the value is in Vault before Vonage hears of it."""
    fixture.world.vonage.faults.add(Fault("drop-after", method="POST"))
    report = fixture.attempt(SUB, reason="due", grace=timedelta())

    assert report.outcome is Outcome.COMPLETED
    assert len(fixture.history(SUB)) == 2
