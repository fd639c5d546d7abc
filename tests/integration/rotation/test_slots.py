"""Accounts whose two slots are taken, and entries that cannot be worked on."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from rotator.errors import LedgerError
from rotator.ledger.holds import Holds
from rotator.model import Hold, OnForeign, Outcome, Step
from rotator.rotation.ports import NewEntry
from rotator.sim import Fault
from tests.support.clock import START
from tests.support.rotation_fixture import NAME, RotationFixture, code

HOLD = Hold(reason="moving house", by="ann", at=START)


def test_a_known_predecessor_is_evicted(tmp_path: Path) -> None:
    """A superseded secret that came back, as Vonage lost its deletion, makes room by itself."""
    with RotationFixture(tmp_path) as fixture:
        lost = fixture.world.vonage._accounts[fixture.accounts[NAME].api_key].secrets
        before = lost[0]
        first = fixture.attempt()
        lost[0] = before
        report = fixture.attempt()

        assert report.outcome is Outcome.COMPLETED
        assert "done evict" in fixture.events()
        assert report.old_secret_id == first.new_secret_id
        assert [secret.id for secret in fixture.secrets()] == [report.new_secret_id]


def test_a_foreign_secret_beside_a_noted_one_is_refused(tmp_path: Path) -> None:
    """Both slots taken and one a stranger's: nothing is touched, and the stranger is named."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        foreign = fixture.make_foreign()
        before = fixture.look()
        report = fixture.attempt()

        assert (code(report), report.exit_code) == ("foreign-secret", 3)
        assert report.error is not None
        assert foreign in report.error.message
        assert fixture.look() == before
        assert fixture.rotation() is not None
        assert fixture.events()[-1] == "refused"


def test_a_refusal_is_what_is_wrong(tmp_path: Path) -> None:
    """`status` names what keeps the account from being rotated, from the ledger alone."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        foreign = fixture.make_foreign()
        fixture.attempt()
        [record] = fixture.queries.accounts([NAME])

        assert record.trouble is not None
        assert record.trouble.code == "foreign-secret"
        assert foreign in record.trouble.why


def test_two_secrets_without_a_note_are_refused(tmp_path: Path) -> None:
    """Which of two is the current one cannot be told before the first rotation: no guess."""
    with RotationFixture(tmp_path) as fixture:
        fixture.make_foreign()
        report = fixture.attempt()

        assert (code(report), report.exit_code) == ("unknown-current", 3)
        assert len(fixture.history()) == 2


def test_evict_oldest_frees_the_slot(tmp_path: Path) -> None:
    """Where the policy allows it, the one that Vault does not hold is deleted."""
    with RotationFixture(
        tmp_path, on_foreign=OnForeign.EVICT_OLDEST, rotated_before=True
    ) as fixture:
        evicted = fixture.make_foreign()
        fixture.monitor.foreign.clear()
        current = fixture.look().value
        report = fixture.attempt()

        assert report.outcome is Outcome.COMPLETED
        assert "done evict" in fixture.events()
        assert evicted not in fixture.look().ids
        assert fixture.look().value != current


def test_evict_oldest_does_not_guess_either(tmp_path: Path) -> None:
    """The policy does not make it known which secret Vault holds."""
    with RotationFixture(tmp_path, on_foreign=OnForeign.EVICT_OLDEST) as fixture:
        fixture.make_foreign()
        report = fixture.attempt()

        assert code(report) == "unknown-current"
        assert len(fixture.secrets()) == 2


def test_evicting_with_a_stale_look_looks_again(tmp_path: Path) -> None:
    """Minutes after the look that showed it to be safe, a deletion is not safe any more."""
    with RotationFixture(
        tmp_path, on_foreign=OnForeign.EVICT_OLDEST, rotated_before=True
    ) as fixture:
        fixture.make_foreign()
        fixture.monitor.foreign.clear()
        fixture.calls.plan(
            "after", "issuer.list_secrets", 1, lambda: fixture.clock.advance(seconds=61)
        )
        report = fixture.attempt()
        lists = [name for name in fixture.calls.names if name == "issuer.list_secrets"]

        assert report.outcome is Outcome.COMPLETED
        assert len(lists) == 3


def test_a_slot_taken_between_look_and_creation_is_refused(tmp_path: Path) -> None:
    """Vonage's "full" is looked into: a stranger took the slot, and is left alone."""
    with RotationFixture(tmp_path, full_status=400) as fixture:
        fixture.calls.plan("before", "issuer.create_secret", 1, fixture.make_foreign)
        report = fixture.attempt()

        assert code(report) == "foreign-secret"
        assert len(fixture.history()) == 2
        assert "rejected create" in fixture.events()


def test_a_rotation_goes_on_once_the_stranger_is_gone(tmp_path: Path) -> None:
    """The refused rotation is the one that is carried on, with the value it had staged."""
    with RotationFixture(tmp_path) as fixture:
        strangers: list[str] = []
        fixture.calls.plan(
            "before", "issuer.create_secret", 1, lambda: strangers.append(fixture.make_foreign())
        )
        first = fixture.attempt()
        fixture.revoke(strangers[0])
        again = fixture.attempt()

        assert (first.outcome, again.outcome) == (Outcome.REFUSED, Outcome.COMPLETED)
        assert first.rotation_id == again.rotation_id
        assert len(fixture.generated) == 1


def test_an_orphan_of_an_undone_rotation_is_evicted(tmp_path: Path) -> None:
    """What an aborted rotation left behind is rotator's own, and does not block the next."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        rotation = fixture.reconciler.new_id()
        orphan = fixture.world.vonage.add_secret(fixture.accounts[NAME].api_key, "Orphaned12")
        known = fixture.writer.load(NAME).expendable_ids
        _remember_orphan(fixture, rotation, orphan)
        report = fixture.attempt()

        assert orphan not in known
        assert report.outcome is Outcome.COMPLETED
        assert orphan not in fixture.look().ids


def _remember_orphan(fixture: RotationFixture, rotation_id: str, orphan: str) -> None:
    """Write a failed rotation into the ledger that had made `orphan`."""
    last = fixture.rotation()
    assert last is not None
    fixture.has_made_up_entries = True
    failed = type(last)(
        id=rotation_id,
        account=NAME,
        reason="asked",
        step=last.step,
        predecessor_id=None,
        grace=timedelta(),
        opened_at=fixture.clock.now() - timedelta(days=1),
        new_id=orphan,
        closed_at=fixture.clock.now() - timedelta(days=1),
        outcome="failed",
        error_code="new-secret-refused",
    )
    lease = fixture.writer.claim(NAME, fixture.clock.now())
    facts = {"reason": "asked", "predecessor_id": None, "grace_seconds": 0}
    ended = {"outcome": "failed", "code": "new-secret-refused"}
    drafts = [
        NewEntry(event="opened", step=Step.OPEN, detail=facts, rotation_id=rotation_id),
        NewEntry(
            event="done", step=Step.CREATE, detail={"secret_id": orphan}, rotation_id=rotation_id
        ),
        NewEntry(event="closed", step=Step.ABORT, detail=ended, rotation_id=rotation_id),
    ]
    fixture.writer.commit(
        lease, rotation=failed, entries=drafts, snapshot=None, now=fixture.clock.now()
    )
    fixture.writer.release(lease)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (RotationFixture.drop_current, "entry-missing"),
        (lambda fixture: fixture.world.vault.delete_latest("vonage/account-1"), "entry-missing"),
        (lambda fixture: fixture.drop_field("api_secret"), "field-missing"),
        (lambda fixture: fixture.patch(api_secret=""), "field-missing"),
        (lambda fixture: fixture.patch(api_secret=["a", "list"]), "field-missing"),
        (lambda fixture: fixture.patch(api_key="ffffffff"), "wrong-entry"),
        (lambda fixture: fixture.patch(api_secret="ByHand1234"), "current-refused"),
        (lambda fixture: fixture.spoil_pending(value=7), "vault-entry"),
    ],
)
def test_an_entry_that_cannot_be_worked_on_is_refused(
    tmp_path: Path, spoil: Callable[[RotationFixture], object], expected: str
) -> None:
    """Missing, without a value, somebody else's or dead: each has its name, and a hint."""
    with RotationFixture(tmp_path) as fixture:
        spoil(fixture)
        report = fixture.attempt()

        assert (report.outcome, report.exit_code) == (Outcome.REFUSED, 3)
        assert code(report) == expected
        assert report.error is not None
        assert report.error.hint
        assert len(fixture.history()) == 1
        assert fixture.generated == []


def test_an_entry_without_an_api_key_gets_one(tmp_path: Path) -> None:
    """The key field is rotator's to set, and need not have been there."""
    with RotationFixture(tmp_path) as fixture:
        fixture.drop_field("api_key")
        report = fixture.attempt()

        assert report.outcome is Outcome.COMPLETED
        assert (fixture.look().current or {})["api_key"] == fixture.accounts[NAME].api_key


def test_a_refused_account_recovers_by_itself(tmp_path: Path) -> None:
    """Once the entry is right again the next pass goes through; nothing has to be reset."""
    with RotationFixture(tmp_path) as fixture:
        fixture.patch(api_key="ffffffff")
        first = fixture.attempt()
        fixture.patch(api_key=fixture.accounts[NAME].api_key)
        again = fixture.attempt()
        [record] = fixture.queries.accounts([NAME])

        assert (first.outcome, again.outcome) == (Outcome.REFUSED, Outcome.COMPLETED)
        assert record.trouble is None


def test_an_account_unknown_to_vonage_fails_at_once(tmp_path: Path) -> None:
    """A 404 for the key is no reason to try again and again."""
    with RotationFixture(tmp_path) as fixture:
        fixture.world.vonage.faults.add(
            Fault(
                "status",
                status=404,
                times=None,
                body={
                    "type": "https://developer.nexmo.com/api-errors#invalid-api-key",
                    "title": "Invalid API Key",
                    "instance": "x",
                },
            )
        )
        report = fixture.attempt()

        assert code(report) == "account-not-found"
        assert len(fixture.requests("vonage")) == 1


def test_a_held_account_is_left_alone(tmp_path: Path) -> None:
    """An operator's hold refuses a rotation before anything is looked for or made."""
    with RotationFixture(tmp_path) as fixture:
        Holds(fixture.database).put(NAME, HOLD)
        report = fixture.attempt()
        [record] = fixture.queries.accounts([NAME])

        assert (code(report), report.exit_code) == ("held", 3)
        assert report.error is not None
        assert "moving house (ann)" in report.error.message
        assert record.trouble is None
        assert len(fixture.history()) == 1


def test_a_hold_in_the_grace_lets_the_rotation_finish(tmp_path: Path) -> None:
    """What has been pushed is finished, hold or not."""
    with RotationFixture(tmp_path, grace=timedelta(hours=1)) as fixture:
        report = fixture.attempt()
        Holds(fixture.database).put(NAME, HOLD)
        fixture.clock.advance(hours=2)
        resumed = fixture.resume()

        assert resumed.outcome is Outcome.COMPLETED
        assert report.old_secret_id not in fixture.look().ids


def test_a_rotation_overtaken_by_hand_is_given_up(tmp_path: Path) -> None:
    """Where somebody replaced the only secret by hand, what was staged before means nothing."""
    with RotationFixture(tmp_path) as fixture:
        fixture.calls.plan("after", "store.write_pending", 1, fixture.calls.kill)
        fixture.run_until_killed()
        old, made = fixture.secrets()[0].id, fixture.make_foreign()
        fixture.patch(api_secret="MadeByHand1")
        fixture.revoke(old)
        fixture.monitor.foreign.clear()
        given_up, again = fixture.attempt(), fixture.attempt()

        assert given_up.outcome is Outcome.FAILED
        assert again.outcome is Outcome.COMPLETED
        assert again.old_secret_id == made


def test_a_ledger_that_is_away_is_no_refusal(tmp_path: Path) -> None:
    """Where the ledger fails nothing is decided at all."""
    with RotationFixture(tmp_path) as fixture:

        def fail() -> None:
            raise LedgerError

        fixture.calls.plan("before", "ledger.load", 1, fail)
        report = fixture.attempt()

        assert (report.outcome, code(report)) == (Outcome.FAILED, "ledger-unavailable")
        assert fixture.requests() == []
