"""A list that lags and shows a secret once more that was just deleted, as if it were new."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rotator.errors import Refused
from rotator.model import OnForeign, Outcome
from rotator.rotation.observation import Observation
from rotator.rotation.ports import NewEntry
from rotator.rotation.protocol.facts import Facts
from rotator.sim import Fault
from tests.support.rotation_fixture import NAME, RotationFixture


def evict(fixture: RotationFixture) -> str:
    """Put an outsider's secret into the second slot, for the rotation to evict."""
    stranger = fixture.make_foreign()
    fixture.monitor.foreign.clear()
    return stranger


def delete_by_hand(fixture: RotationFixture) -> str:
    """Delete an outsider's secret as an operator does, under rotator's record."""
    stranger = fixture.make_foreign()
    lease = fixture.writer.claim(NAME, fixture.clock.now())
    for event in ("intent", "done"):
        detail = {"by": "operator", "operation": "delete", "secret_id": stranger}
        fixture.writer.commit(
            lease,
            rotation=None,
            entries=[NewEntry(event=event, step=None, detail=detail)],
            snapshot=None,
            now=fixture.clock.now(),
        )
    fixture.writer.release(lease)
    fixture.revoke(stranger)
    return stranger


def lose_answer(fixture: RotationFixture, stranger: str) -> None:
    """Lose the answer that names the new secret, and have the next two lists show a dead one."""
    (current,) = fixture.secrets()
    fixture.world.vonage.faults.add(Fault("drop-after", method="POST"))
    fixture.world.vonage.faults.add(listing(fixture, current.id, stranger, times=2))


def listing(fixture: RotationFixture, *ids: str, times: int) -> Fault:
    """Make Vonage list these secrets."""
    at = f"{fixture.clock.now():%Y-%m-%dT%H:%M:%SZ}"
    secrets = [{"id": secret_id, "created_at": at} for secret_id in ids]
    body: dict[str, Any] = {"_embedded": {"secrets": secrets}}
    return Fault("status", method="GET", path="secrets$", status=200, body=body, times=times)


def relisted(observation: Observation) -> frozenset[str]:
    """Return the ids that are listed though they were deleted, or may have been."""
    ledger = observation.ledger
    return observation.listing.ids & (ledger.deleted_ids | ledger.perhaps_deleted_ids)


def stuck(fixture: RotationFixture, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make a rotation push a note with a dead id, as one did before deletions were kept."""
    aware: Callable[[Facts], list[str]] = vars(Facts)["new_ids"].fget
    with monkeypatch.context() as patch:
        patch.setattr(
            Facts,
            "new_ids",
            property(lambda facts: sorted({*aware(facts), *relisted(facts.observation)})),
        )
        stranger = evict(fixture)
        fixture.calls.plan(
            "before", "issuer.create_secret", 1, lambda: lose_answer(fixture, stranger)
        )
        fixture.attempt()
    fixture.clock.advance(hours=2)
    assert fixture.fields()["rotator"]["secret_id"] == stranger
    return stranger


@pytest.mark.parametrize("delete", [evict, delete_by_hand])
def test_it_is_not_taken_for_the_new_secret(
    tmp_path: Path, delete: Callable[[RotationFixture], str]
) -> None:
    """Where the answer that named the new one was lost, the list is looked at again."""
    with RotationFixture(
        tmp_path, on_foreign=OnForeign.EVICT_OLDEST, rotated_before=True
    ) as fixture:
        stranger = delete(fixture)
        fixture.calls.plan(
            "before", "issuer.create_secret", 1, lambda: lose_answer(fixture, stranger)
        )
        report = fixture.attempt()
        (new,) = fixture.secrets()

        assert report.outcome is Outcome.COMPLETED
        assert report.new_secret_id == new.id != stranger
        assert fixture.fields()["rotator"]["secret_id"] == new.id


@pytest.mark.parametrize("grace", [timedelta(), timedelta(hours=1)])
def test_an_operator_corrects_a_note_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grace: timedelta
) -> None:
    """Rotation, the one that is open or the next, then goes on with the right id."""
    with RotationFixture(
        tmp_path, on_foreign=OnForeign.EVICT_OLDEST, rotated_before=True, grace=grace
    ) as fixture:
        stranger = stuck(fixture, monkeypatch)
        new = fixture.secrets()[-1]
        fixture.restart()
        refused = fixture.attempt()
        with pytest.raises(Refused, match=f"of secret {stranger}: it was revoked") as unnamed:
            fixture.adopt(None)
        adopted = fixture.adopt(None, secret_id=new.id)
        fixture.restart()
        fixture.clock.advance(hours=2)
        report = fixture.resume() if grace else fixture.attempt()

        assert refused.error
        assert (refused.error.code, "--secret-id" in str(refused.error.hint)) == ("drift", True)
        assert "--secret-id" in str(unnamed.value.hint)
        assert (adopted.secret.id, adopted.is_written) == (new.id, True)
        assert report.outcome is Outcome.COMPLETED
        assert [secret.id for secret in fixture.secrets()] == [report.new_secret_id]
        assert new.id in (report.old_secret_id, report.new_secret_id)


def test_not_even_an_operator_makes_it_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What rotator has deleted is dead, whatever a list shows and a note says."""
    with RotationFixture(
        tmp_path, on_foreign=OnForeign.EVICT_OLDEST, rotated_before=True
    ) as fixture:
        stranger = stuck(fixture, monkeypatch)
        before = fixture.look()
        new = fixture.secrets()[-1]
        for secret_id in (stranger, None):
            fixture.world.vonage.faults.add(listing(fixture, stranger, new.id, times=1))
            with pytest.raises(Refused) as caught:
                fixture.adopt(None, secret_id=secret_id)
            assert caught.value.code == "unknown-current"

        assert fixture.look() == before


def test_what_may_have_been_deleted_is_not_guessed_to_be_the_current_one(tmp_path: Path) -> None:
    """Where a request may be on its way, an operator has to say that it did not arrive."""
    with RotationFixture(tmp_path) as fixture:
        (only,) = fixture.secrets()
        lease = fixture.writer.claim(NAME, fixture.clock.now())
        detail = {"by": "operator", "operation": "delete", "secret_id": only.id}
        begun = [NewEntry(event="intent", step=None, detail=detail)]
        fixture.writer.commit(
            lease, rotation=None, entries=begun, snapshot=None, now=fixture.clock.now()
        )
        fixture.writer.release(lease)
        with pytest.raises(Refused, match="which of them") as refused:
            fixture.adopt(None)
        adopted = fixture.adopt(None, secret_id=only.id)

        assert "--secret-id" in str(refused.value.hint)
        assert adopted.secret.id == only.id
