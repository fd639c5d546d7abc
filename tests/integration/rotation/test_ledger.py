"""The ledger fails, is lost, or goes to another process."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from rotator.errors import LedgerError, LedgerFull, LedgerUnusable
from rotator.model import Outcome, Request
from tests.support.port_interceptor import MOMENTS, Moment
from tests.support.rotation_fixture import LEASE, NAME, RotationFixture, code

#: The ledger's part in an account's first rotation, without a grace: claim, load, register,
#: seven commits, a last look before each of five effects, release.
CALLS = range(1, 17)


def fail() -> None:
    """Fail as a ledger does whose server or disk is away."""
    raise LedgerError


def is_settled(fixture: RotationFixture) -> bool:
    """Whether the account is as a completed rotation leaves it."""
    seen = fixture.look()
    return len(seen.ids) == 1 and seen.value in seen.live and seen.pending is None


def test_the_ledger_is_called_as_often_as_the_tests_think(tmp_path: Path) -> None:
    """The ranges below cover every call there is."""
    with RotationFixture(tmp_path) as fixture:
        fixture.attempt()

        assert fixture.calls.count("ledger.") == len(CALLS)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("number", CALLS)
def test_a_failing_ledger_stops_everything(tmp_path: Path, moment: Moment, number: int) -> None:
    """Where the ledger fails, before or after it wrote, the pass ends; the next carries on."""
    with RotationFixture(tmp_path) as fixture:
        is_last = number == CALLS[-1]
        fixture.calls.plan(moment, "ledger.", number, fail)
        report = fixture.attempt()
        requests = len(fixture.requests())
        called = fixture.calls.names[-1]
        reports = fixture.carry_on()

        # To release the lease is good manners; it ends by itself.
        assert (report.outcome is Outcome.FAILED) is not is_last
        assert called == "ledger.release" or number == 1
        assert is_settled(fixture)
        assert len(fixture.history()) == 2
        # A claim whose answer was lost holds the account until it has run out.
        assert [it and it.outcome for it in reports] in (
            [],
            [Outcome.COMPLETED],
            [Outcome.BUSY, Outcome.COMPLETED],
        )
        assert len(fixture.requests()) - requests <= 3 * 11


@pytest.mark.parametrize("number", CALLS)
def test_no_request_follows_a_failed_commit(tmp_path: Path, number: int) -> None:
    """The request that a commit was to make way for is not sent."""
    with RotationFixture(tmp_path) as fixture:
        at: list[int] = []

        def fail_and_count() -> None:
            at.append(len(fixture.requests()))
            raise LedgerError

        fixture.calls.plan("before", "ledger.", number, fail_and_count)
        fixture.attempt()

        assert at == [len(fixture.requests())]


@pytest.mark.parametrize(
    ("error", "code", "exit_code"),
    [
        (LedgerError, "ledger-unavailable", 1),
        (LedgerFull, "ledger-full", 3),
        (LedgerUnusable, "ledger-unusable", 2),
    ],
)
@pytest.mark.parametrize("call", ["claim", "load", "commit"])
def test_each_failure_of_the_ledger_is_reported_as_what_it_is(
    tmp_path: Path, error: type[LedgerError], code: str, exit_code: int, call: str
) -> None:
    """A full disk, a read-only file and an absent server each have their code and exit code."""
    with RotationFixture(tmp_path) as fixture:

        def fail_so() -> None:
            fixture.calls.plan("before", f"ledger.{call}", 1, fail_so)
            raise error

        fixture.calls.plan("before", f"ledger.{call}", 1, fail_so)
        report = fixture.attempt()

        assert report.error is not None
        assert (report.error.code, report.exit_code) == (code, exit_code)


@pytest.mark.parametrize("error", [LedgerError, LedgerUnusable])
def test_a_lease_that_cannot_be_released_does_not_hide_the_result(
    tmp_path: Path, error: type[LedgerError]
) -> None:
    """The rotation is reported as completed; the lease ends by itself, and a warning says so."""
    with RotationFixture(tmp_path) as fixture:

        def fail_so() -> None:
            raise error

        fixture.calls.plan("before", "ledger.release", 1, fail_so)
        report = fixture.attempt()

        assert report.outcome is Outcome.COMPLETED
        assert any("lease not released" in line for line in fixture.ear.lines)


# -- The ledger is lost. -------------------------------------------------------------------


@pytest.mark.parametrize("number", range(1, 10))
def test_a_rotation_is_recovered_from_vault_alone(tmp_path: Path, number: int) -> None:
    """With the ledger gone, the pending entry tells enough to carry on the same rotation."""
    with RotationFixture(tmp_path) as fixture:
        fixture.calls.plan("after", "", number, fixture.calls.kill)
        fixture.run_until_killed()
        pending = fixture.look().pending or {}
        fixture.lose_ledger()
        refused = fixture.attempt() if pending else None
        report = fixture.attempt(takes_over=True)

        assert refused is None or code(refused) == "pending-unknown"
        assert is_settled(fixture) or number == 9
        assert len(fixture.history()) == 2
        if pending:
            assert report.rotation_id == pending["rotation_id"]
            assert fixture.look().value == pending["value"]
            (opened,) = [entry for entry in fixture.entries() if entry.event == "opened"]
            assert '"reason":"recovered"' in opened.detail


@pytest.mark.parametrize("number", range(4, 9))
def test_a_later_rotation_is_recovered_likewise(tmp_path: Path, number: int) -> None:
    """The note of an earlier rotation in the entry does not confuse the recovery."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        fixture.calls.plan("after", "", number, fixture.calls.kill)
        fixture.run_until_killed()
        fixture.lose_ledger()
        report = fixture.attempt(takes_over=True)

        assert report.outcome is Outcome.COMPLETED
        assert is_settled(fixture)
        assert len(fixture.history()) == 3


def test_a_ledger_lost_in_the_grace_leaves_a_stranger(tmp_path: Path) -> None:
    """Nobody knows the predecessor any more: it is not deleted, and the operator is asked."""
    with RotationFixture(tmp_path, grace=timedelta(hours=1)) as fixture:
        first = fixture.attempt()
        fixture.lose_ledger()
        fixture.clock.advance(hours=2)
        resumed, asked = fixture.resume(), fixture.attempt()

        assert resumed.outcome is Outcome.IDLE
        assert asked.error is not None
        assert asked.error.code == "foreign-secret"
        assert first.old_secret_id in fixture.look().ids


def test_resume_does_not_recover(tmp_path: Path) -> None:
    """`resume` carries on what the ledger has open, and starts nothing from what Vault has."""
    with RotationFixture(tmp_path) as fixture:
        fixture.calls.plan("after", "issuer.create_secret", 1, fixture.calls.kill)
        fixture.run_until_killed()
        fixture.lose_ledger()

        assert fixture.resume().outcome is Outcome.IDLE
        assert fixture.look().pending is not None


# -- The ledger is restored: it goes back, while Vonage and Vault do not. --------------------


def test_what_a_later_rotation_replaced_outlives_its_grace(tmp_path: Path) -> None:
    """To the backup it is what the open rotation made, and has to take back."""
    with RotationFixture(tmp_path, rotated_before=True, grace=timedelta(hours=1)) as fixture:
        fixture.calls.plan("before", "issuer.list_secrets", 2, fixture.calls.kill)
        fixture.run_until_killed()
        backup = fixture.keep_ledger()
        fixture.resume()
        fixture.clock.advance(hours=2)
        fixture.resume()
        later = fixture.attempt()
        fixture.restore_ledger(backup)
        refused = fixture.resume()

        assert later.outcome is Outcome.AWAITING_DELETION
        assert refused.error is not None
        assert refused.error.code == "unsafe-delete"
        assert later.old_secret_id in fixture.look().ids


def test_the_secret_in_use_is_replaced_whatever_the_backup_has(tmp_path: Path) -> None:
    """An open rotation whose predecessor is long gone takes the secret that Vault holds for it."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        fixture.calls.plan("before", "store.write_pending", 1, fixture.calls.kill)
        fixture.run_until_killed()
        backup = fixture.keep_ledger()
        fixture.resume()
        in_use = fixture.attempt().new_secret_id
        fixture.restore_ledger(backup)
        report = fixture.resume()

        assert report.outcome is Outcome.COMPLETED
        assert report.old_secret_id == in_use
        assert is_settled(fixture)


@pytest.mark.parametrize("propagation", [0, 60])
def test_a_replica_that_lacks_the_last_commits_costs_no_value(
    tmp_path: Path, propagation: int
) -> None:
    """What was sent is found, though to the ledger it was not, and the list may lag."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        fixture.calls.plan("after", "store.write_pending", 1, fixture.calls.kill)
        fixture.run_until_killed()
        replica = fixture.keep_ledger()
        fixture.propagate_in(propagation)
        fixture.calls.plan("after", "issuer.create_secret", 1, fixture.calls.kill)
        assert fixture.run_until_killed(reason=None) is None
        made = {secret.id for secret in fixture.secrets()}
        fixture.restore_ledger(replica)
        report = fixture.resume()

        assert report.outcome is Outcome.COMPLETED
        assert report.new_secret_id in made
        assert is_settled(fixture)


def test_a_replica_that_lacks_a_rotation_s_end_is_not_stopped_by_the_next_one(
    tmp_path: Path,
) -> None:
    """What the next one has staged is not its own value, and is the only copy of a live one."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        fixture.calls.plan("before", "store.read_version", 1, fixture.calls.kill)
        fixture.run_until_killed()
        replica = fixture.keep_ledger()
        fixture.resume()
        fixture.clock.advance(days=31)
        fixture.calls.plan("after", "issuer.create_secret", 1, fixture.calls.kill)
        fixture.run_until_killed()
        made = {secret.id for secret in fixture.secrets()}
        fixture.restore_ledger(replica)
        ended = fixture.resume()
        is_kept = fixture.look().pending is not None
        recovered = fixture.attempt()

        assert ended.outcome is Outcome.COMPLETED
        assert is_kept
        assert recovered.outcome is Outcome.COMPLETED
        assert recovered.new_secret_id in made
        assert is_settled(fixture)


def test_a_replica_that_lacks_a_whole_push_says_that_rotator_made_it(tmp_path: Path) -> None:
    """The next rotation's value is in Vault: nobody else changed it, and it is what to keep."""
    with RotationFixture(tmp_path, rotated_before=True, grace=timedelta(hours=1)) as fixture:
        fixture.attempt()
        fixture.clock.advance(hours=2)
        fixture.calls.plan("after", "issuer.delete_secret", 1, fixture.calls.kill)
        fixture.run_until_killed(reason=None)
        replica = fixture.keep_ledger()
        fixture.resume()
        fixture.clock.advance(days=31)
        later = fixture.attempt()
        fixture.restore_ledger(replica)
        refused = fixture.resume()
        before = fixture.look()
        adopted = fixture.adopt(None)

        assert refused.error is not None
        assert refused.error.code == "drift"
        assert refused.error.message == (
            "the ledger has no record of what rotator last wrote to "
            f"{fixture.accounts[NAME].vault_path} (its last commits are lost, or another "
            "ledger has the account): consumers still read a secret that works"
        )
        assert refused.error.hint == (
            f"this deletes nothing; `rotator adopt {NAME} --from-vault` keeps what Vault "
            "has, and ends the rotation"
        )
        assert {later.old_secret_id, later.new_secret_id} == before.ids == fixture.look().ids
        assert adopted.secret.id == later.new_secret_id
        assert fixture.look().value == before.value


# -- The lease. ----------------------------------------------------------------------------


def test_an_account_in_work_is_busy(tmp_path: Path) -> None:
    """While another process has the lease nothing is done, and the exit code says try later."""
    with RotationFixture(tmp_path) as fixture:
        fixture.rival()
        report = fixture.attempt()

        assert (report.outcome, report.exit_code) == (Outcome.BUSY, 75)
        assert report.error is not None
        assert report.error.code == "busy"
        assert fixture.requests() == []
        assert fixture.events() == []


def test_a_lease_ends_by_itself(tmp_path: Path) -> None:
    """A process that died on another machine blocks the account for no longer than its lease."""
    with RotationFixture(tmp_path) as fixture:
        fixture.rival()
        fixture.clock.advance(seconds=3 * LEASE + 1)
        report = fixture.attempt()

        assert report.outcome is Outcome.COMPLETED


COMMITS = range(1, 8)


@pytest.mark.parametrize("number", COMMITS)
def test_a_lost_lease_stops_the_pass(tmp_path: Path, number: int) -> None:
    """Fencing: once another process has the account, this one commits nothing and sends nothing."""
    with RotationFixture(tmp_path) as fixture:
        at: list[int] = []

        def lose() -> None:
            at.append(len(fixture.requests()))
            fixture.rival()

        fixture.calls.plan("before", "ledger.commit", number, lose)
        report = fixture.attempt()

        assert (report.outcome, report.exit_code) == (Outcome.BUSY, 75)
        assert report.error is not None
        assert report.error.code == "lease-lost"
        assert at == [len(fixture.requests())]


@pytest.mark.parametrize("number", COMMITS)
def test_two_processes_end_with_one_rotation(tmp_path: Path, number: int) -> None:
    """A process that stalls while another carries its rotation on does no harm when it wakes."""
    with RotationFixture(tmp_path) as fixture:
        stalled, outcomes = fixture.reconciler, []

        def stall() -> None:
            fixture.clock.advance(seconds=2 * LEASE)
            fixture.restart()
            # As from another machine, where nobody can tell that the first one still runs.
            fixture.writer._owner = "elsewhere/x/y/1/2"
            outcomes.append(fixture.attempt().outcome)

        fixture.calls.plan("before", "ledger.commit", number, stall)
        late = stalled.attempt(fixture.accounts[NAME], Request(reason="asked"))

        assert outcomes == [Outcome.COMPLETED]
        assert late.outcome is Outcome.BUSY
        assert is_settled(fixture)
        assert len(fixture.history()) == 2


@pytest.mark.parametrize("number", COMMITS)
def test_a_paused_process_does_not_act_on_an_old_lease(tmp_path: Path, number: int) -> None:
    """Between the commit of an intent and its effect the lease is looked at by the clock."""
    with RotationFixture(tmp_path) as fixture:
        at: list[int] = []

        def pause() -> None:
            at.append(len(fixture.requests()))
            fixture.clock.advance(seconds=LEASE / 2 + 1)

        fixture.calls.plan("after", "ledger.commit", number, pause)
        report = fixture.attempt()
        effects = [
            seen for seen in fixture.monitor.requests[at[0] :] if seen.exchange.method != "GET"
        ]
        is_intent = fixture.events()[-1].startswith("intent")

        assert is_intent == (report.outcome is Outcome.BUSY)
        assert not (is_intent and effects)


def test_a_lease_is_renewed_while_something_has_to_settle(tmp_path: Path) -> None:
    """Probing for longer than a lease lasts does not lose it."""
    patience = timedelta(seconds=4 * LEASE)
    with RotationFixture(tmp_path, propagation=3 * LEASE, propagation_timeout=patience) as fixture:
        report = fixture.attempt()

        assert report.outcome is Outcome.COMPLETED
        assert fixture.calls.count("ledger.renew") > 3


@pytest.mark.parametrize("action", [RotationFixture.rival, lambda _fixture: fail()])
def test_a_lease_lost_while_waiting_ends_the_pass(
    tmp_path: Path, action: Callable[[RotationFixture], object]
) -> None:
    """When the lease cannot be renewed the pass stops, without another request."""
    with RotationFixture(tmp_path, propagation=30.0) as fixture:
        at: list[int] = []

        def lose() -> None:
            at.append(len(fixture.requests()))
            action(fixture)

        fixture.calls.plan("before", "ledger.renew", 2, lose)
        report = fixture.attempt()

        assert report.outcome in (Outcome.BUSY, Outcome.FAILED)
        assert at == [len(fixture.requests())]
