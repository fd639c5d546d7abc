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
    with RotationFixture(tmp_path) as scene:
        lost = scene.world.vonage._accounts[scene.accounts[NAME].api_key].secrets
        before = lost[0]
        first = scene.attempt()
        lost[0] = before
        report = scene.attempt()

        assert report.outcome is Outcome.COMPLETED
        assert "done evict" in scene.events()
        assert report.old_secret_id == first.new_secret_id
        assert [secret.id for secret in scene.secrets()] == [report.new_secret_id]


def test_a_foreign_secret_beside_a_noted_one_is_refused(tmp_path: Path) -> None:
    """Both slots taken and one a stranger's: nothing is touched, and the stranger is named."""
    with RotationFixture(tmp_path, rotated_before=True) as scene:
        foreign = scene.make_foreign()
        before = scene.look()
        report = scene.attempt()

        assert (code(report), report.exit_code) == ("foreign-secret", 3)
        assert report.error is not None
        assert foreign in report.error.message
        assert scene.look() == before
        assert scene.rotation() is not None
        assert scene.events()[-1] == "refused"


def test_a_refusal_is_shown_as_drift(tmp_path: Path) -> None:
    """`status` names what keeps the account from being rotated, from the ledger alone."""
    with RotationFixture(tmp_path, rotated_before=True) as scene:
        foreign = scene.make_foreign()
        scene.attempt()
        [record] = scene.queries.accounts([NAME])

        assert record.drift is not None
        assert record.drift.startswith("foreign-secret: ")
        assert foreign in record.drift


def test_two_secrets_without_a_note_are_refused(tmp_path: Path) -> None:
    """Which of two is the current one cannot be told before the first rotation: no guess."""
    with RotationFixture(tmp_path) as scene:
        scene.make_foreign()
        report = scene.attempt()

        assert (code(report), report.exit_code) == ("unknown-current", 3)
        assert len(scene.history()) == 2


def test_evict_oldest_frees_the_slot(tmp_path: Path) -> None:
    """Where the policy allows it, the one that Vault does not hold is deleted."""
    with RotationFixture(tmp_path, on_foreign=OnForeign.EVICT_OLDEST, rotated_before=True) as scene:
        evicted = scene.make_foreign()
        scene.witness.foreign.clear()
        current = scene.look().value
        report = scene.attempt()

        assert report.outcome is Outcome.COMPLETED
        assert "done evict" in scene.events()
        assert evicted not in scene.look().ids
        assert scene.look().value != current


def test_evict_oldest_does_not_guess_either(tmp_path: Path) -> None:
    """The policy does not make it known which secret Vault holds."""
    with RotationFixture(tmp_path, on_foreign=OnForeign.EVICT_OLDEST) as scene:
        scene.make_foreign()
        report = scene.attempt()

        assert code(report) == "unknown-current"
        assert len(scene.secrets()) == 2


def test_evicting_with_a_stale_look_looks_again(tmp_path: Path) -> None:
    """Minutes after the look that showed it to be safe, a deletion is not safe any more."""
    with RotationFixture(tmp_path, on_foreign=OnForeign.EVICT_OLDEST, rotated_before=True) as scene:
        scene.make_foreign()
        scene.witness.foreign.clear()
        scene.calls.plan("after", "issuer.list_secrets", 1, lambda: scene.clock.advance(seconds=61))
        report = scene.attempt()
        lists = [name for name in scene.calls.names if name == "issuer.list_secrets"]

        assert report.outcome is Outcome.COMPLETED
        assert len(lists) == 3


def test_a_slot_taken_between_look_and_creation_is_refused(tmp_path: Path) -> None:
    """Vonage's "full" is looked into: a stranger took the slot, and is left alone."""
    with RotationFixture(tmp_path, full_status=400) as scene:
        scene.calls.plan("before", "issuer.create_secret", 1, scene.make_foreign)
        report = scene.attempt()

        assert code(report) == "foreign-secret"
        assert len(scene.history()) == 2
        assert "rejected create" in scene.events()


def test_a_rotation_goes_on_once_the_stranger_is_gone(tmp_path: Path) -> None:
    """The refused rotation is the one that is carried on, with the value it had staged."""
    with RotationFixture(tmp_path) as scene:
        strangers: list[str] = []
        scene.calls.plan(
            "before", "issuer.create_secret", 1, lambda: strangers.append(scene.make_foreign())
        )
        first = scene.attempt()
        scene.revoke(strangers[0])
        again = scene.attempt()

        assert (first.outcome, again.outcome) == (Outcome.REFUSED, Outcome.COMPLETED)
        assert first.rotation_id == again.rotation_id
        assert len(scene.generated) == 1


def test_an_orphan_of_an_undone_rotation_is_evicted(tmp_path: Path) -> None:
    """What an aborted rotation left behind is rotator's own, and does not block the next."""
    with RotationFixture(tmp_path, rotated_before=True) as scene:
        rotation = scene.engine.new_id()
        orphan = scene.world.vonage.add_secret(scene.accounts[NAME].api_key, "Orphaned12")
        known = scene.book.load(NAME).expendable_ids
        _remember_orphan(scene, rotation, orphan)
        report = scene.attempt()

        assert orphan not in known
        assert report.outcome is Outcome.COMPLETED
        assert orphan not in scene.look().ids


def _remember_orphan(scene: RotationFixture, rotation_id: str, orphan: str) -> None:
    """Write a failed rotation into the ledger that had made `orphan`."""
    last = scene.rotation()
    assert last is not None
    failed = type(last)(
        id=rotation_id,
        account=NAME,
        reason="asked",
        step=last.step,
        predecessor_id=None,
        grace=timedelta(),
        opened_at=scene.clock.now() - timedelta(days=1),
        new_id=orphan,
        closed_at=scene.clock.now() - timedelta(days=1),
        outcome="failed",
        error_code="new-secret-refused",
    )
    lease = scene.book.claim(NAME, scene.clock.now())
    facts = {"reason": "asked", "predecessor_id": None, "grace_seconds": 0}
    ended = {"outcome": "failed", "code": "new-secret-refused"}
    drafts = [
        NewEntry(event="opened", step=Step.OPEN, detail=facts, rotation_id=rotation_id),
        NewEntry(
            event="done", step=Step.CREATE, detail={"secret_id": orphan}, rotation_id=rotation_id
        ),
        NewEntry(event="closed", step=Step.ABORT, detail=ended, rotation_id=rotation_id),
    ]
    scene.book.commit(lease, rotation=failed, entries=drafts, snapshot=None, now=scene.clock.now())
    scene.book.release(lease)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (RotationFixture.drop_current, "entry-missing"),
        (lambda scene: scene.world.vault.delete_latest("vonage/account-1"), "entry-missing"),
        (lambda scene: scene.drop_field("api_secret"), "field-missing"),
        (lambda scene: scene.patch(api_secret=""), "field-missing"),
        (lambda scene: scene.patch(api_secret=["a", "list"]), "field-missing"),
        (lambda scene: scene.patch(api_key="ffffffff"), "wrong-entry"),
        (lambda scene: scene.patch(api_secret="ByHand1234"), "current-refused"),
        (lambda scene: scene.spoil_pending(value=7), "vault-entry"),
    ],
)
def test_an_entry_that_cannot_be_worked_on_is_refused(
    tmp_path: Path, spoil: Callable[[RotationFixture], object], expected: str
) -> None:
    """Missing, without a value, somebody else's or dead: each has its name, and a hint."""
    with RotationFixture(tmp_path) as scene:
        spoil(scene)
        report = scene.attempt()

        assert (report.outcome, report.exit_code) == (Outcome.REFUSED, 3)
        assert code(report) == expected
        assert report.error is not None
        assert report.error.hint
        assert len(scene.history()) == 1
        assert scene.generated == []


def test_an_entry_without_an_api_key_gets_one(tmp_path: Path) -> None:
    """The key field is rotator's to set, and need not have been there."""
    with RotationFixture(tmp_path) as scene:
        scene.drop_field("api_key")
        report = scene.attempt()

        assert report.outcome is Outcome.COMPLETED
        assert (scene.look().current or {})["api_key"] == scene.accounts[NAME].api_key


def test_a_refused_account_recovers_by_itself(tmp_path: Path) -> None:
    """Once the entry is right again the next pass goes through; nothing has to be reset."""
    with RotationFixture(tmp_path) as scene:
        scene.patch(api_key="ffffffff")
        first = scene.attempt()
        scene.patch(api_key=scene.accounts[NAME].api_key)
        again = scene.attempt()
        [record] = scene.queries.accounts([NAME])

        assert (first.outcome, again.outcome) == (Outcome.REFUSED, Outcome.COMPLETED)
        assert record.drift is None


def test_an_account_unknown_to_vonage_fails_at_once(tmp_path: Path) -> None:
    """A 404 for the key is no reason to try again and again."""
    with RotationFixture(tmp_path) as scene:
        scene.world.vonage.faults.add(
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
        report = scene.attempt()

        assert code(report) == "account-not-found"
        assert len(scene.requests("vonage")) == 1


def test_a_held_account_is_left_alone(tmp_path: Path) -> None:
    """An operator's hold refuses a rotation before anything is looked for or made."""
    with RotationFixture(tmp_path) as scene:
        Holds(scene.database).put(NAME, HOLD)
        report = scene.attempt()
        [record] = scene.queries.accounts([NAME])

        assert (code(report), report.exit_code) == ("held", 3)
        assert report.error is not None
        assert "moving house (ann)" in report.error.message
        assert record.drift is None
        assert len(scene.history()) == 1


def test_a_hold_in_the_grace_lets_the_rotation_finish(tmp_path: Path) -> None:
    """What has been pushed is finished, hold or not."""
    with RotationFixture(tmp_path, grace=timedelta(hours=1)) as scene:
        report = scene.attempt()
        Holds(scene.database).put(NAME, HOLD)
        scene.clock.advance(hours=2)
        resumed = scene.resume()

        assert resumed.outcome is Outcome.COMPLETED
        assert report.old_secret_id not in scene.look().ids


def test_a_rotation_overtaken_by_hand_is_given_up(tmp_path: Path) -> None:
    """Where somebody replaced the only secret by hand, what was staged before means nothing."""
    with RotationFixture(tmp_path) as scene:
        scene.calls.plan("after", "store.write_pending", 1, scene.calls.kill)
        scene.run_until_killed()
        old, made = scene.secrets()[0].id, scene.make_foreign()
        scene.patch(api_secret="MadeByHand1")
        scene.revoke(old)
        scene.witness.foreign.clear()
        given_up, again = scene.attempt(), scene.attempt()

        assert given_up.outcome is Outcome.FAILED
        assert again.outcome is Outcome.COMPLETED
        assert again.old_secret_id == made


def test_a_ledger_that_is_away_is_no_refusal(tmp_path: Path) -> None:
    """Where the ledger fails nothing is decided at all."""
    with RotationFixture(tmp_path) as scene:

        def fail() -> None:
            raise LedgerError

        scene.calls.plan("before", "ledger.load", 1, fail)
        report = scene.attempt()

        assert (report.outcome, code(report)) == (Outcome.FAILED, "ledger-unavailable")
        assert scene.requests() == []
