"""What the reconciler does without changing anything, and what it does not believe."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rotator.errors import Busy, CheckAndSetLost, CredentialRefused, LedgerError
from rotator.ledger.holds import Holds
from rotator.model import Hold, Outcome, Request, State
from rotator.rotation.observation import observe
from rotator.rotation.passes import Pass
from rotator.rotation.ports import NewEntry, StoredPending
from rotator.rotation.reconciler import Reconciler
from rotator.rotation.result import in_grace
from rotator.rotation.steps.base import Effect
from rotator.rotation.steps.bookkeeping import Close, Idle
from rotator.rotation.steps.issue import Create
from rotator.rotation.steps.publish import Push
from rotator.sim import Fault
from tests.support.clock import START
from tests.support.rotation_fixture import AGE, NAME, SUB, RotationFixture, code

ASKED = Request(reason="asked")
NOTHING = StoredPending(version=0)


# -- A plan. -------------------------------------------------------------------------------


def test_a_plan_takes_no_lease(tmp_path: Path) -> None:
    """A dry run works while another process has the account."""
    with RotationFixture(tmp_path) as fixture:
        fixture.rival()
        report, _, observation = fixture.reconciler.dry_run(fixture.accounts[NAME], ASKED)

        assert report.outcome is Outcome.PLANNED
        assert observation is not None
        assert observation.listing.ids == fixture.look().ids


def test_a_plan_sends_reads_only(tmp_path: Path) -> None:
    """Of Vonage and Vault alike."""
    with RotationFixture(tmp_path) as fixture:
        fixture.reconciler.dry_run(fixture.accounts[NAME], ASKED)

        assert {request.split()[0] for request in fixture.requests()} == {"GET"}
        assert fixture.events() == []


def test_a_plan_that_would_be_refused_says_so(tmp_path: Path) -> None:
    """With the code, the hint and the exit code that the command itself would give."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        fixture.make_foreign()
        events = fixture.events()
        report, actions, _ = fixture.reconciler.dry_run(fixture.accounts[NAME], ASKED)
        done = fixture.attempt()

        assert (report.error, report.exit_code) == (done.error, done.exit_code)
        assert [type(action).__name__ for action in actions] == ["Refuse"]
        assert fixture.events() == [*events, "secret-appeared", "refused"]


def test_a_plan_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    """A sealed Vault is an error of the plan's, too."""
    with RotationFixture(tmp_path) as fixture:
        fixture.world.vault.sealed = True
        report, actions, world = fixture.reconciler.dry_run(fixture.accounts[NAME], ASKED)

        assert (code(report), actions, world) == ("vault-sealed", [], None)


def test_resuming_within_a_grace_is_planned_as_waiting(tmp_path: Path) -> None:
    """Only a new rotation is refused there."""
    with RotationFixture(tmp_path, grace=timedelta(hours=1)) as fixture:
        first = fixture.attempt()
        report, _, _ = fixture.reconciler.dry_run(fixture.accounts[NAME], Request(reason=None))

        assert report.outcome is Outcome.PLANNED
        assert report.delete_due_at == first.delete_due_at


# -- A refreshed snapshot. -----------------------------------------------------------------


def test_a_refresh_is_kept_for_status(tmp_path: Path) -> None:
    """What Vonage lists, which of it Vault holds and since when, and the first due time."""
    with RotationFixture(tmp_path) as fixture:
        secret = fixture.secrets()[0]
        fixture.reconciler.refresh(fixture.accounts[NAME])
        [record] = fixture.queries.accounts([NAME])

        assert (record.listed_ids, record.current_id) == ((secret.id,), secret.id)
        assert record.current_since == START - AGE
        assert record.next_due_at == START - AGE + timedelta(days=30)
        assert (record.seen_at, record.trouble) == (START, None)


def test_a_refresh_changes_nothing_else(tmp_path: Path) -> None:
    """No entry, no rotation, no write to Vault or Vonage."""
    with RotationFixture(tmp_path) as fixture:
        before = fixture.look()
        fixture.reconciler.refresh(fixture.accounts[NAME])

        assert fixture.look() == before
        assert fixture.events() == []
        assert {request.split()[0] for request in fixture.requests()} == {"GET"}


def test_a_refresh_names_drift(tmp_path: Path) -> None:
    """What a rotation would be refused for is known before one is due."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        fixture.patch(api_secret="ByHand1234")
        fixture.reconciler.refresh(fixture.accounts[NAME])
        [drifted] = fixture.queries.accounts([NAME])
        fixture.roll_back()
        fixture.reconciler.refresh(fixture.accounts[NAME])
        [cured] = fixture.queries.accounts([NAME])

        assert drifted.trouble is not None
        assert drifted.trouble.code == "drift"
        assert drifted.current_id is None
        assert cured.trouble is None
        assert cured.current_id is not None


def test_a_refresh_within_a_grace_sees_what_stopped_working(tmp_path: Path) -> None:
    """Consumers read what was pushed: that it was revoked is not left for the grace's end."""
    with RotationFixture(tmp_path, grace=timedelta(days=1)) as fixture:
        new = fixture.attempt().new_secret_id
        fixture.reconciler.refresh(fixture.accounts[NAME])
        [fine] = fixture.queries.accounts([NAME])
        fixture.revoke(new or "")
        fixture.reconciler.refresh(fixture.accounts[NAME])
        [revoked] = fixture.queries.accounts([NAME])

        assert fine.trouble is None
        assert revoked.trouble is not None
        assert revoked.trouble.state is State.BROKEN
        assert revoked.trouble.code == "current-refused"
        assert revoked.trouble.why == (
            f"Vonage refuses secret {new}, as if someone else had revoked it: consumers read a "
            "secret that does not work"
        )
        # Vonage answers no list; the age is what it was.
        assert (revoked.listed_ids, revoked.current_id) == ((), None)
        assert revoked.current_since == fine.current_since is not None


def test_a_hold_is_no_drift(tmp_path: Path) -> None:
    """An account that is held is looked at like any other."""
    with RotationFixture(tmp_path) as fixture:
        fixture.reconciler.refresh(fixture.accounts[NAME])
        hold = Hold(reason="moving house", by="ann", at=fixture.clock.now())
        Holds(fixture.database).put(NAME, hold)
        fixture.reconciler.refresh(fixture.accounts[NAME])
        [record] = fixture.queries.accounts([NAME])

        assert record.hold == hold
        assert record.trouble is None


def test_an_account_in_work_is_not_refreshed(tmp_path: Path) -> None:
    """The process that works on it keeps what it sees itself."""
    with RotationFixture(tmp_path) as fixture:
        fixture.rival()
        with pytest.raises(Busy):
            fixture.reconciler.refresh(fixture.accounts[NAME])

        assert fixture.requests() == []


def test_a_failed_refresh_releases_the_lease(tmp_path: Path) -> None:
    """The next process need not wait."""
    with RotationFixture(tmp_path) as fixture:
        fixture.calls.plan("after", "ledger.load", 1, _fail)
        with pytest.raises(LedgerError):
            fixture.reconciler.refresh(fixture.accounts[NAME])
        report = fixture.attempt()

        assert report.outcome is Outcome.COMPLETED


def _fail() -> None:
    raise LedgerError


# -- Looking. ------------------------------------------------------------------------------


def test_the_pending_value_is_the_last_credential_that_is_tried(tmp_path: Path) -> None:
    """When the old secret is revoked amid a rotation, the new one, not pushed yet, still works."""
    with RotationFixture(tmp_path) as fixture:
        fixture.calls.plan("after", "issuer.create_secret", 1, fixture.calls.kill)
        fixture.run_until_killed()
        fixture.revoke(fixture.secrets()[0].id)
        observed = observe(fixture.reconciler, fixture.accounts[NAME])

        assert observed.observation.listing.ids == fixture.look().ids
        assert observed.observation.pending.authenticated_at == fixture.clock.now()
        assert observed.observation.current.authenticated_at is None


def test_where_no_credential_works_nothing_is_listed(tmp_path: Path) -> None:
    """That is a fact to decide on, not an error."""
    with RotationFixture(tmp_path, subaccounts=1) as fixture:
        fixture.calls.plan("before", "issuer.create_secret", 1, fixture.calls.kill)
        fixture.run_until_killed(name=SUB)
        for name in (SUB, NAME):
            fixture.patch(name, api_secret="NoLongerValid1")
        observed = observe(fixture.reconciler, fixture.accounts[SUB])

        assert (observed.observation.listing.secrets, observed.credential) == (None, None)
        assert observed.observation.pending.authenticated_at is None


def test_an_entry_that_vanishes_amid_an_observation_is_no_credential(tmp_path: Path) -> None:
    """It is read once more after Vonage refused its value, and may be gone by then."""
    with RotationFixture(tmp_path) as fixture:
        fixture.patch(api_secret="NoLongerValid1")
        fixture.calls.plan("before", "issuer.list_secrets", 1, fixture.drop_current)
        observed = observe(fixture.reconciler, fixture.accounts[NAME])

        assert (observed.observation.listing.secrets, observed.credential) == (None, None)
        assert observed.observation.current.entry is None


def test_a_parent_without_an_entry_is_no_credential(tmp_path: Path) -> None:
    """Nor is one without a value."""
    with RotationFixture(tmp_path, subaccounts=1) as fixture:
        fixture.patch(SUB, api_secret="NoLongerValid1")
        fixture.drop_current(NAME)
        missing = fixture.attempt(SUB)
        fixture.patch(NAME, api_key=fixture.accounts[NAME].api_key)
        empty = fixture.attempt(SUB)

        assert (code(missing), code(empty)) == ("current-refused",) * 2


def test_a_version_that_is_not_ours_is_not_verified(tmp_path: Path) -> None:
    """What is read back has to be what was written, to the note and the value."""
    with RotationFixture(tmp_path) as fixture:

        def forge() -> None:
            path = fixture.accounts[NAME].vault_path
            mount = fixture.world.vault._mounts["secret"]
            data = mount.keys[path].versions[2].data
            assert data is not None
            data["api_secret"] = "Forged12345"

        fixture.calls.plan("after", "store.write_current", 1, forge)
        report = fixture.attempt()
        rotation = fixture.rotation()

        assert code(report) == "vault-entry"
        assert "version 2" in (report.error.message if report.error else "")
        assert rotation is not None
        assert rotation.verified_at is None
        assert len(fixture.secrets()) == 2


def test_waiting_goes_on_after_a_lost_answer(tmp_path: Path) -> None:
    """`--wait` sits the grace out, too, where the clean-up's answer was lost."""
    with RotationFixture(tmp_path, grace=timedelta(hours=1)) as fixture:
        fixture.world.vault.faults.add(Fault("drop-after", method="DELETE"))
        report = fixture.attempt(wait=True)

        assert report.outcome is Outcome.COMPLETED
        assert fixture.clock.now() >= START + timedelta(hours=1)


# -- What cannot be. -----------------------------------------------------------------------


def the_pass(fixture: RotationFixture) -> Pass:
    """Return a pass that has looked at a rotation killed before its push."""
    fixture.calls.plan("before", "store.write_current", 1, fixture.calls.kill)
    fixture.run_until_killed()
    subject = new_pass(fixture)
    subject.remembered = fixture.writer.load(NAME).rotation
    subject._observe()
    return subject


def new_pass(fixture: RotationFixture) -> Pass:
    """Return a pass that has just begun."""
    session = fixture.reconciler.session(fixture.writer.claim(NAME, fixture.clock.now()))
    account = fixture.accounts[NAME]
    return Pass(dependencies=fixture.reconciler, account=account, session=session, request=ASKED)


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
    with RotationFixture(tmp_path) as fixture:
        subject = the_pass(fixture)
        assert subject.observed is not None

        with pytest.raises(AssertionError, match="handled in the loop"):
            subject._take(action, subject.observed)


def test_nothing_is_done_for_a_rotation_that_is_not_open(tmp_path: Path) -> None:
    """A decision about one that is not there is a bug, and stops the pass."""
    with RotationFixture(tmp_path) as fixture:
        subject = new_pass(fixture)

        with pytest.raises(AssertionError, match="no rotation"):
            subject._open_rotation()


def test_a_push_needs_an_entry_to_write_over(tmp_path: Path) -> None:
    """Without one, or without the new id, nothing is written."""
    with RotationFixture(tmp_path) as fixture:
        subject = the_pass(fixture)
        before = fixture.look()

        with pytest.raises(CheckAndSetLost):
            perform(subject, Push(), current=None)
        with pytest.raises(CheckAndSetLost):
            perform(subject, Push(), rotation={"new_id": None})
        assert fixture.look() == before


def test_nothing_is_sent_without_a_credential_or_a_value(tmp_path: Path) -> None:
    """Values come from Vault as it was read, or not at all."""
    with RotationFixture(tmp_path) as fixture:
        subject = the_pass(fixture)
        number = len(fixture.requests())

        with pytest.raises(AssertionError, match="not there"):
            perform(subject, Push(), pending=NOTHING)
        with pytest.raises(CredentialRefused):
            perform(subject, Create(), credential=None)
        assert len(fixture.requests()) == number


def test_a_refusal_without_a_time_says_later(tmp_path: Path) -> None:
    """A rotation in its grace has a time, but no message depends on it."""
    with RotationFixture(tmp_path) as fixture:
        assert "until later" in in_grace(fixture.accounts[NAME], None).message


def test_the_default_clock_is_aware(tmp_path: Path) -> None:
    """Outside of tests, times are of the present, in UTC."""
    with RotationFixture(tmp_path) as fixture:
        engine = Reconciler(
            issuer=fixture.reconciler.issuer,
            store=fixture.reconciler.store,
            ledger=fixture.reconciler.ledger,
            accounts=fixture.accounts,
            propagation_timeout=timedelta(minutes=2),
        )
        engine.observer.entry_recorded(NAME, NewEntry(event="refused", step=None, detail={}))

        assert datetime.now(UTC) - engine.now() < timedelta(minutes=1)
        assert engine.new_id() != engine.new_id()
