"""What the reconciler does without changing anything, and what it does not believe."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rotator.errors import Busy, CheckAndSetLost, CredentialRefused, LedgerError
from rotator.ledger.holds import Holds
from rotator.model import Hold, Outcome, Request
from rotator.rotation.observation import observe
from rotator.rotation.passes import Pass
from rotator.rotation.ports import NewEntry, StoredPending
from rotator.rotation.reconciler import Reconciler
from rotator.rotation.result import in_grace
from rotator.rotation.steps import Close, Create, Effect, Idle, Push
from rotator.sim import Fault
from tests.support.clock import START
from tests.support.rotation_fixture import AGE, NAME, SUB, RotationFixture, code

ASKED = Request(reason="asked")
NOTHING = StoredPending(version=0)


# -- A plan. -------------------------------------------------------------------------------


def test_a_plan_takes_no_lease(tmp_path: Path) -> None:
    """A dry run works while another process has the account."""
    with RotationFixture(tmp_path) as scene:
        scene.rival()
        report, _, observation = scene.engine.dry_run(scene.accounts[NAME], ASKED)

        assert report.outcome is Outcome.PLANNED
        assert observation is not None
        assert observation.listing.ids == scene.look().ids


def test_a_plan_sends_reads_only(tmp_path: Path) -> None:
    """Of Vonage and Vault alike."""
    with RotationFixture(tmp_path) as scene:
        scene.engine.dry_run(scene.accounts[NAME], ASKED)

        assert {request.split()[0] for request in scene.requests()} == {"GET"}
        assert scene.events() == []


def test_a_plan_that_would_be_refused_says_so(tmp_path: Path) -> None:
    """With the code, the hint and the exit code that the command itself would give."""
    with RotationFixture(tmp_path, rotated_before=True) as scene:
        scene.make_foreign()
        events = scene.events()
        report, actions, _ = scene.engine.dry_run(scene.accounts[NAME], ASKED)
        done = scene.attempt()

        assert (report.error, report.exit_code) == (done.error, done.exit_code)
        assert [type(action).__name__ for action in actions] == ["Refuse"]
        assert scene.events() == [*events, "refused"]


def test_a_plan_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    """A sealed Vault is an error of the plan's, too."""
    with RotationFixture(tmp_path) as scene:
        scene.world.vault.sealed = True
        report, actions, world = scene.engine.dry_run(scene.accounts[NAME], ASKED)

        assert (code(report), actions, world) == ("vault-sealed", [], None)


def test_resuming_within_a_grace_is_planned_as_waiting(tmp_path: Path) -> None:
    """Only a new rotation is refused there."""
    with RotationFixture(tmp_path, grace=timedelta(hours=1)) as scene:
        first = scene.attempt()
        report, _, _ = scene.engine.dry_run(scene.accounts[NAME], Request(reason=None))

        assert report.outcome is Outcome.PLANNED
        assert report.delete_due_at == first.delete_due_at


# -- A refreshed snapshot. -----------------------------------------------------------------


def test_a_refresh_is_kept_for_status(tmp_path: Path) -> None:
    """What Vonage lists, which of it Vault holds and since when, and the first due time."""
    with RotationFixture(tmp_path) as scene:
        secret = scene.secrets()[0]
        scene.engine.refresh(scene.accounts[NAME])
        [record] = scene.queries.accounts([NAME])

        assert (record.listed_ids, record.current_id) == ((secret.id,), secret.id)
        assert record.current_since == START - AGE
        assert record.next_due_at == START - AGE + timedelta(days=30)
        assert (record.seen_at, record.drift) == (START, None)


def test_a_refresh_changes_nothing_else(tmp_path: Path) -> None:
    """No entry, no rotation, no write to Vault or Vonage."""
    with RotationFixture(tmp_path) as scene:
        before = scene.look()
        scene.engine.refresh(scene.accounts[NAME])

        assert scene.look() == before
        assert scene.events() == []
        assert {request.split()[0] for request in scene.requests()} == {"GET"}


def test_a_refresh_names_drift(tmp_path: Path) -> None:
    """What a rotation would be refused for is known before one is due."""
    with RotationFixture(tmp_path, rotated_before=True) as scene:
        scene.patch(api_secret="ByHand1234")
        scene.engine.refresh(scene.accounts[NAME])
        [drifted] = scene.queries.accounts([NAME])
        scene.roll_back()
        scene.engine.refresh(scene.accounts[NAME])
        [cured] = scene.queries.accounts([NAME])

        assert drifted.drift is not None
        assert drifted.drift.startswith("drift: ")
        assert drifted.current_id is None
        assert cured.drift is None
        assert cured.current_id is not None


def test_a_refresh_within_a_grace_sees_what_stopped_working(tmp_path: Path) -> None:
    """Consumers read what was pushed: that it was revoked is not left for the grace's end."""
    with RotationFixture(tmp_path, grace=timedelta(days=1)) as scene:
        new = scene.attempt().new_secret_id
        scene.engine.refresh(scene.accounts[NAME])
        [fine] = scene.queries.accounts([NAME])
        scene.revoke(new or "")
        scene.engine.refresh(scene.accounts[NAME])
        [revoked] = scene.queries.accounts([NAME])

        assert fine.drift is None
        assert revoked.drift == "current-refused: Vonage refuses the value that Vault holds"


def test_a_hold_is_no_drift(tmp_path: Path) -> None:
    """An account that is held is looked at like any other."""
    with RotationFixture(tmp_path) as scene:
        scene.engine.refresh(scene.accounts[NAME])
        hold = Hold(reason="moving house", by="ann", at=scene.clock.now())
        Holds(scene.database).put(NAME, hold)
        scene.engine.refresh(scene.accounts[NAME])
        [record] = scene.queries.accounts([NAME])

        assert record.hold == hold
        assert record.drift is None


def test_an_account_in_work_is_not_refreshed(tmp_path: Path) -> None:
    """The process that works on it keeps what it sees itself."""
    with RotationFixture(tmp_path) as scene:
        scene.rival()
        with pytest.raises(Busy):
            scene.engine.refresh(scene.accounts[NAME])

        assert scene.requests() == []


def test_a_failed_refresh_releases_the_lease(tmp_path: Path) -> None:
    """The next process need not wait."""
    with RotationFixture(tmp_path) as scene:
        scene.calls.plan("after", "ledger.load", 1, _fail)
        with pytest.raises(LedgerError):
            scene.engine.refresh(scene.accounts[NAME])
        report = scene.attempt()

        assert report.outcome is Outcome.COMPLETED


def _fail() -> None:
    raise LedgerError


# -- Looking. ------------------------------------------------------------------------------


def test_the_pending_value_is_the_last_credential_that_is_tried(tmp_path: Path) -> None:
    """When the old secret is revoked amid a rotation, the new one, not pushed yet, still works."""
    with RotationFixture(tmp_path) as scene:
        scene.calls.plan("after", "issuer.create_secret", 1, scene.calls.kill)
        scene.run_until_killed()
        scene.revoke(scene.secrets()[0].id)
        observed = observe(scene.engine, scene.accounts[NAME])

        assert observed.observation.listing.ids == scene.look().ids
        assert observed.observation.pending.authenticated_at == scene.clock.now()
        assert observed.observation.current.authenticated_at is None


def test_where_no_credential_works_nothing_is_listed(tmp_path: Path) -> None:
    """That is a fact to decide on, not an error."""
    with RotationFixture(tmp_path, subaccounts=1) as scene:
        scene.calls.plan("before", "issuer.create_secret", 1, scene.calls.kill)
        scene.run_until_killed(name=SUB)
        for name in (SUB, NAME):
            scene.patch(name, api_secret="NoLongerValid1")
        observed = observe(scene.engine, scene.accounts[SUB])

        assert (observed.observation.listing.secrets, observed.credential) == (None, None)
        assert observed.observation.pending.authenticated_at is None


def test_a_parent_without_an_entry_is_no_credential(tmp_path: Path) -> None:
    """Nor is one without a value."""
    with RotationFixture(tmp_path, subaccounts=1) as scene:
        scene.patch(SUB, api_secret="NoLongerValid1")
        scene.drop_current(NAME)
        missing = scene.attempt(SUB)
        scene.patch(NAME, api_key=scene.accounts[NAME].api_key)
        empty = scene.attempt(SUB)

        assert (code(missing), code(empty)) == ("current-refused",) * 2


def test_a_version_that_is_not_ours_is_not_verified(tmp_path: Path) -> None:
    """What is read back has to be what was written, to the note and the value."""
    with RotationFixture(tmp_path) as scene:

        def forge() -> None:
            path = scene.accounts[NAME].vault_path
            mount = scene.world.vault._mounts["secret"]
            data = mount.keys[path].versions[2].data
            assert data is not None
            data["api_secret"] = "Forged12345"

        scene.calls.plan("after", "store.write_current", 1, forge)
        report = scene.attempt()
        rotation = scene.rotation()

        assert code(report) == "vault-entry"
        assert "version 2" in (report.error.message if report.error else "")
        assert rotation is not None
        assert rotation.verified_at is None
        assert len(scene.secrets()) == 2


def test_waiting_goes_on_after_a_lost_answer(tmp_path: Path) -> None:
    """`--wait` sits the grace out, too, where the clean-up's answer was lost."""
    with RotationFixture(tmp_path, grace=timedelta(hours=1)) as scene:
        scene.world.vault.faults.add(Fault("drop-after", method="DELETE"))
        report = scene.attempt(wait=True)

        assert report.outcome is Outcome.COMPLETED
        assert scene.clock.now() >= START + timedelta(hours=1)


# -- What cannot be. -----------------------------------------------------------------------


def the_pass(scene: RotationFixture) -> Pass:
    """Return a pass that has looked at a rotation killed before its push."""
    scene.calls.plan("before", "store.write_current", 1, scene.calls.kill)
    scene.run_until_killed()
    subject = new_pass(scene)
    subject.remembered = scene.book.load(NAME).rotation
    subject._observe()
    return subject


def new_pass(scene: RotationFixture) -> Pass:
    """Return a pass that has just begun."""
    session = scene.engine.session(scene.book.claim(NAME, scene.clock.now()))
    account = scene.accounts[NAME]
    return Pass(dependencies=scene.engine, account=account, session=session, request=ASKED)


def perform(subject: Pass, step: Effect[Any], **changes: Any) -> None:  # noqa: ANN401
    """Perform `step` where what the pass sees has `changes`."""
    assert subject.observed is not None
    assert subject.rotation is not None
    rotation = replace(subject.rotation, **changes.pop("rotation", {}))
    site = subject._site(replace(subject.observed, **changes))
    step.perform(site, rotation, partial(subject.session.last_look, None))


@pytest.mark.parametrize("action", [Idle(), Close()])
def test_the_loop_keeps_what_is_its_own(tmp_path: Path, action: Idle | Close) -> None:
    """What ends a pass is not something to be done."""
    with RotationFixture(tmp_path) as scene:
        subject = the_pass(scene)
        assert subject.observed is not None

        with pytest.raises(AssertionError, match="loop's own"):
            subject._take(action, subject.observed)


def test_nothing_is_done_for_a_rotation_that_is_not_open(tmp_path: Path) -> None:
    """A decision about one that is not there is a bug, and stops the pass."""
    with RotationFixture(tmp_path) as scene:
        subject = new_pass(scene)

        with pytest.raises(AssertionError, match="no rotation"):
            subject._open_rotation()


def test_a_push_needs_an_entry_to_write_over(tmp_path: Path) -> None:
    """Without one, or without the new id, nothing is written."""
    with RotationFixture(tmp_path) as scene:
        subject = the_pass(scene)
        before = scene.look()

        with pytest.raises(CheckAndSetLost):
            perform(subject, Push(), current=None)
        with pytest.raises(CheckAndSetLost):
            perform(subject, Push(), rotation={"new_id": None})
        assert scene.look() == before


def test_nothing_is_sent_without_a_credential_or_a_value(tmp_path: Path) -> None:
    """Values come from Vault as it was read, or not at all."""
    with RotationFixture(tmp_path) as scene:
        subject = the_pass(scene)
        number = len(scene.requests())

        with pytest.raises(AssertionError, match="not there"):
            perform(subject, Push(), pending=NOTHING)
        with pytest.raises(CredentialRefused):
            perform(subject, Create(), credential=None)
        assert len(scene.requests()) == number


def test_a_refusal_without_a_time_says_later(tmp_path: Path) -> None:
    """A rotation in its grace has a time, but no message depends on it."""
    with RotationFixture(tmp_path) as scene:
        assert "until later" in in_grace(scene.accounts[NAME], None).message


def test_the_default_clock_is_aware(tmp_path: Path) -> None:
    """Outside of tests, times are of the present, in UTC."""
    with RotationFixture(tmp_path) as scene:
        engine = Reconciler(
            issuer=scene.engine.issuer,
            store=scene.engine.store,
            ledger=scene.engine.ledger,
            accounts=scene.accounts,
            propagation_timeout=timedelta(minutes=2),
        )
        engine.observer.entry_recorded(NAME, NewEntry(event="refused", step=None, detail={}))

        assert datetime.now(UTC) - engine.now() < timedelta(minutes=1)
        assert engine.new_id() != engine.new_id()
