"""Rows that someone changed in the ledger's tables: nothing is deleted on their word.

What is written here is what anyone can write who may write to the database, and does not go to
the trouble of forging the chain of entries. Whether a stranger's secret was deleted, or one in
its grace, the fixture itself watches.
"""

import string
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from rotator.errors import Refused, Stopping
from rotator.ledger.holds import Holds
from rotator.ledger.mapping import IDENTITY
from rotator.ledger.reader import SummaryCache
from rotator.model import Hold, Outcome, Request
from rotator.model.notification import Event, Hook
from rotator.rotation.steps import bookkeeping
from tests.support.invariant_monitor import Seen
from tests.support.legacy_ledger import drop_triggers, rewrite, without_verification
from tests.support.rotation_fixture import NAME, RotationFixture, code
from tests.support.samples import ANN

GRACE = timedelta(hours=24)
#: Columns of a rotation that has been completed, and of one that was undone.
ROW = (
    "INSERT INTO rotation (account, id, reason, step, predecessor_id, new_id, grace_seconds, "
    "draws, rejected, vault_version, opened_at, verified_at, delete_due_at, closed_at, "
    "abort_code, outcome) SELECT account, $id, reason, $step, $old, $new, 0, 1, 0, $version, "
    "opened_at, $verified_at, $verified_at, $closed_at, $abort, $outcome FROM rotation LIMIT 1"
)


def tamper(fixture: RotationFixture, template: str, **values: str) -> None:
    """Write to the ledger's tables as someone else."""
    fixture.is_tampered_with = True
    with fixture.database.begin() as connection:
        connection.execute(text(string.Template(template).substitute(values)))


def unguarded(fixture: RotationFixture, statement: str) -> None:
    """Change entries, past the triggers."""
    drop_triggers(fixture.database)
    tamper(fixture, statement)


def row(**values: str) -> str:
    """Return a statement that makes up a rotation; `$stranger` stands for the secret it names."""
    nothing = dict.fromkeys(
        ("old", "new", "version", "verified_at", "closed_at", "abort", "outcome"), "NULL"
    )
    named = {"id": "'made-up'", "step": "'complete'"} | nothing | values
    return string.Template(ROW).substitute(named)


STRANGERS = {
    "a rotation that had replaced it": row(
        old="'$stranger'", verified_at="verified_at", closed_at="closed_at", outcome="'completed'"
    ),
    "a rotation that had replaced it, and is open": row(
        old="'$stranger'", verified_at="verified_at", step="'wait'", version="vault_version"
    ),
    "a rotation that had made it and was undone": row(
        new="'$stranger'", closed_at="closed_at", outcome="'failed'"
    ),
    "a rotation that made it and is being undone": row(
        new="'$stranger'", step="'abort'", abort="'new-secret-refused'"
    ),
    "another predecessor": "UPDATE rotation SET predecessor_id = '$stranger'",
    "another predecessor of a rotation that is open again": (
        "UPDATE rotation SET predecessor_id = '$stranger', closed_at = NULL, outcome = NULL, "
        "step = 'wait'"
    ),
    "another new secret of a rotation that failed": (
        "UPDATE rotation SET new_id = '$stranger', outcome = 'failed', vault_version = NULL"
    ),
    "another new secret of a rotation that is being undone": (
        "UPDATE rotation SET new_id = '$stranger', outcome = NULL, vault_version = NULL, "
        "closed_at = NULL, abort_code = 'new-secret-refused', step = 'abort', id = 'another'"
    ),
}


@pytest.mark.parametrize("statement", STRANGERS.values(), ids=STRANGERS)
def test_no_strangers_secret_is_deleted(tmp_path: Path, ledger_url: str, statement: str) -> None:
    """Whatever a row says of it; the pass is refused, and what differs can be found."""
    with RotationFixture(tmp_path, ledger_url=ledger_url) as fixture:
        fixture.attempt()
        stranger = fixture.make_foreign()
        tamper(fixture, statement, stranger=stranger)
        fixture.clock.advance(days=31)
        reports = [
            fixture.attempt(reason="due"),
            fixture.resume(),
            fixture.attempt(grace=timedelta()),
        ]
        faults = fixture.queries.verify(NAME).faults

        assert stranger in {secret.id for secret in fixture.secrets()}
        assert reports[0].outcome is Outcome.REFUSED
        assert faults
        assert any(
            "made-up" in fault or stranger in fault or "another" in fault for fault in faults
        )


def test_what_only_a_deletion_finds_stays_the_accounts_trouble(tmp_path: Path) -> None:
    """A look that follows no entry of an older rotation does not take it for mended."""
    with RotationFixture(tmp_path) as fixture:
        fixture.attempt()
        statement = STRANGERS["a rotation that had made it and was undone"]
        tamper(fixture, statement, stranger=fixture.make_foreign())
        fixture.clock.advance(days=31)
        fixture.attempt(reason="due")
        fixture.reconciler.refresh(fixture.accounts[NAME])
        (account,) = fixture.queries.accounts([NAME])

        assert account.trouble is not None
        assert account.trouble.code == "ledger-tampered"
        assert "trouble-over" not in fixture.events()


WAITING = {
    "verified earlier": "verified_at = '2020-01-01', delete_due_at = '2020-01-01'",
    "without a grace": "grace_seconds = 0, delete_due_at = verified_at",
    "as if over": "closed_at = verified_at, outcome = 'completed', step = 'complete'",
    "as if over long ago": (
        "closed_at = verified_at, outcome = 'completed', verified_at = '2020-01-01'"
    ),
    "as if undone": (
        "closed_at = verified_at, outcome = 'failed', vault_version = NULL, "
        "new_id = predecessor_id, predecessor_id = NULL, verified_at = NULL"
    ),
    "named otherwise": "id = 'another'",
}


@pytest.mark.parametrize("change", WAITING.values(), ids=WAITING)
def test_no_grace_is_ended(tmp_path: Path, ledger_url: str, change: str) -> None:
    """The predecessor lives on, be it that the grace looks over or the rotation."""
    with RotationFixture(tmp_path, ledger_url=ledger_url, grace=GRACE) as fixture:
        first = fixture.attempt()
        tamper(fixture, "UPDATE rotation SET $change", change=change)
        fixture.clock.advance(hours=1)
        reports = [fixture.resume(), fixture.attempt()]
        faults = fixture.queries.verify(NAME).faults

        assert first.old_secret_id in {secret.id for secret in fixture.secrets()}
        assert Outcome.REFUSED in {report.outcome for report in reports}
        assert faults


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("reason = 'compromised'", "its reason is compromised, and the entries say asked"),
        ("vault_version = 99", "its vault_version is 99, and the entries say 2"),
        ("new_id = NULL", "its new_id is nothing, and the entries say"),
        ("abort_code = 'overtaken'", "its abort_code is overtaken, and the entries say nothing"),
        ("error_code = 'overtaken'", "its error_code is overtaken"),
        ("verified_at = NULL", "its verified_at is nothing, and the entries say 2"),
        ("delete_due_at = '2020-01-01'", "its delete_due_at is not the end of its grace"),
        ("closed_at = verified_at", "the row has it closed, the entries open"),
        ("predecessor_id = new_id", "its predecessor_id is"),
    ],
)
def test_each_column_is_compared(tmp_path: Path, change: str, named: str) -> None:
    """Those that have a say in what is deleted, and when."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        fixture.attempt()
        whole = fixture.queries.verify(NAME).faults
        tamper(fixture, "UPDATE rotation SET $change", change=change)
        fault, *_ = fixture.queries.verify(NAME).faults

        assert whole == ()
        assert named in fault


def test_gates_are_asked_though_a_row_says_that_the_secret_leaked(tmp_path: Path) -> None:
    """Only an entry makes a rotation one whose predecessor goes without asking."""
    gate = Hook(name="gate", on=frozenset({Event.GATE}), command=("false",))
    with RotationFixture(tmp_path, grace=GRACE, hooks=(gate,)) as fixture:
        fixture.attempt()
        tamper(fixture, "UPDATE rotation SET reason = 'compromised'")
        fixture.clock.advance(hours=25)
        report = fixture.resume()

        assert code(report) == "ledger-tampered"
        assert len(fixture.secrets()) == 2


def test_a_rotation_that_was_removed_is_missed(tmp_path: Path, ledger_url: str) -> None:
    """Its secrets are nobody's then, and stay; its entries tell of it."""
    with RotationFixture(tmp_path, ledger_url=ledger_url, grace=GRACE) as fixture:
        first = fixture.attempt()
        tamper(fixture, "DELETE FROM rotation")
        fixture.clock.advance(days=31)
        report = fixture.attempt(reason="due")
        (fault,) = fixture.queries.verify(NAME).faults

        assert code(report) == "foreign-secret"
        assert fault == f"there are entries of rotation {first.rotation_id}, and its row is gone"


def test_the_refusal_says_what_to_do_and_is_told_once(tmp_path: Path) -> None:
    """It is recorded, the account's trouble, and tried again later and later."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        first = fixture.attempt()
        tamper(fixture, "UPDATE rotation SET grace_seconds = 0")
        fixture.clock.advance(hours=1)
        report = fixture.resume()
        fixture.reconciler.refresh(fixture.accounts[NAME])
        fixture.reconciler.refresh(fixture.accounts[NAME])
        (account,) = fixture.queries.accounts([NAME])

        assert report.error is not None
        assert report.error.code == "ledger-tampered"
        assert report.error.message == (
            "the open rotation is not backed by the ledger's entries: "
            f"of rotation {first.rotation_id}, its grace_seconds is 0, and the entries say 86400"
        )
        assert report.error.hint is not None
        assert "`rotator ledger verify` names what differs" in report.error.hint
        assert report.exit_code == 3
        assert account.trouble is not None
        assert account.trouble.code == "ledger-tampered"
        assert account.retry_at is not None
        assert fixture.events()[-1] == "refused"
        assert "intent delete" not in fixture.events()


def test_what_is_put_right_goes_on(tmp_path: Path) -> None:
    """As the entries say it, and the rotation is completed."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        fixture.attempt()
        tamper(fixture, "UPDATE rotation SET reason = 'due'")
        fixture.clock.advance(hours=25)
        refused = fixture.resume()
        tamper(fixture, "UPDATE rotation SET reason = 'asked'")
        fixture.is_tampered_with = False
        report = fixture.resume()

        assert refused.outcome is Outcome.REFUSED
        assert report.outcome is Outcome.COMPLETED


def test_an_account_that_the_ledger_does_not_know_differs_in_nothing(tmp_path: Path) -> None:
    """There is neither a row nor an entry."""
    with RotationFixture(tmp_path) as fixture:
        assert fixture.queries.verify("unheard-of").faults == ()
        assert (
            fixture.queries.implausible_delays(NAME, fixture.accounts[NAME], fixture.clock.now())
            == ()
        )


# -- Holds. --------------------------------------------------------------------------------

LIFTED = "UPDATE account SET hold_reason = NULL, held_by = NULL, held_at = NULL"
FORGED = "UPDATE account SET hold_reason = 'because', held_by = 'eve', held_at = '2026-11-01'"
THAWED = "UPDATE account SET hold_freeze = 0"


def hold(fixture: RotationFixture, *, freeze: bool = False) -> None:
    """Hold the account as an operator does."""
    put = Hold(reason="moving house", by="ann", at=fixture.clock.now(), freeze=freeze)
    Holds(fixture.database).put(NAME, put)


def test_a_hold_that_was_lifted_in_the_tables_still_holds(tmp_path: Path, ledger_url: str) -> None:
    """Nothing is staged, created or deleted before an operator's `release` is in the entries."""
    with RotationFixture(tmp_path, ledger_url=ledger_url) as fixture:
        hold(fixture)
        tamper(fixture, LIFTED)
        before = len(fixture.requests())
        report = fixture.attempt()
        (fault,) = fixture.queries.verify(NAME).faults
        changing = [one for one in fixture.requests()[before:] if not one.startswith("GET")]

        assert code(report) == "ledger-tampered"
        assert changing == []
        assert fault == (
            "the account's row says that nobody holds it, and the entries say that it is held: "
            "moving house (ann)"
        )


def test_a_freeze_that_was_thawed_in_the_tables_still_freezes(tmp_path: Path) -> None:
    """The predecessor stays after its grace."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        fixture.attempt()
        hold(fixture, freeze=True)
        tamper(fixture, THAWED)
        fixture.clock.advance(hours=25)
        report = fixture.resume()

        assert code(report) == "ledger-tampered"
        assert len(fixture.secrets()) == 2


def test_a_hold_that_was_forged_is_found(tmp_path: Path) -> None:
    """It keeps the account from being rotated, which `verify` tells from a hold."""
    with RotationFixture(tmp_path) as fixture:
        fixture.attempt()
        tamper(fixture, FORGED)
        (fault,) = fixture.queries.verify(NAME).faults

        assert fault == (
            "the account's row says that it is held: because (eve), and the entries say that "
            "nobody holds it"
        )


@pytest.mark.parametrize("statement", [LIFTED, FORGED])
@pytest.mark.parametrize("cure", ["release", "hold"])
def test_a_hold_in_rows_or_entries_alone_is_refused_with_a_cure(
    tmp_path: Path, ledger_url: str, statement: str, cure: str
) -> None:
    """No hold is blamed that nobody put; either command makes both say the same."""
    with RotationFixture(tmp_path, ledger_url=ledger_url) as fixture:
        fixture.attempt()
        if statement == LIFTED:
            hold(fixture)
        tamper(fixture, statement)
        report = fixture.attempt()
        if cure == "hold":
            hold(fixture)
        held = fixture.attempt() if cure == "hold" else None
        released = Holds(fixture.database).lift(NAME, actor=ANN, now=fixture.clock.now())
        whole = fixture.queries.verify(NAME).faults
        again = fixture.attempt()

        assert report.error is not None
        assert report.error.code == "ledger-tampered"
        assert "the account's row says that" in report.error.message
        assert f"`rotator release {NAME}` ends" in (report.error.hint or "")
        assert f"`rotator hold {NAME} --reason TEXT`" in (report.error.hint or "")
        assert held is None or code(held) == "held"
        assert released is not None
        assert whole == ()
        assert again.outcome is Outcome.COMPLETED


def test_a_hold_that_is_forged_during_a_pass_stops_the_next_step(tmp_path: Path) -> None:
    """Between the looks of a pass, each intent is recorded only where row and entries agree."""
    with RotationFixture(tmp_path) as fixture:
        staged: list[Seen] = []

        def forge(seen: Seen) -> None:
            if seen.exchange.method == "POST" and "pending" in seen.exchange.path and not staged:
                staged.append(seen)
                tamper(fixture, FORGED)

        fixture.monitor.after.append(forge)
        report = fixture.attempt()

        assert code(report) == "ledger-tampered"
        assert "`rotator release" in (report.error.hint or "" if report.error else "")
        assert fixture.events()[-1] == "refused"
        assert "intent create" not in fixture.events()
        assert len(fixture.secrets()) == 1


def test_a_dry_run_and_status_tell_of_a_forged_hold(tmp_path: Path) -> None:
    """As the rotation itself would; nothing is asked of it that a look does not tell."""
    with RotationFixture(tmp_path) as fixture:
        fixture.attempt()
        tamper(fixture, FORGED)
        planned, _, _ = fixture.reconciler.dry_run(fixture.accounts[NAME], Request(reason="asked"))
        fixture.reconciler.refresh(fixture.accounts[NAME])
        (account,) = fixture.queries.accounts([NAME])

        assert code(planned) == "ledger-tampered"
        assert (account.trouble and account.trouble.code) == "ledger-tampered"


def test_a_grace_that_is_cut_before_it_begins_is_not_recorded(tmp_path: Path) -> None:
    """The verification would tell of it as if it had been asked for."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        fixture.calls.plan("after", "store.write_current", 1, fixture.calls.kill)
        fixture.run_until_killed()
        tamper(fixture, "UPDATE rotation SET grace_seconds = 0")
        refused = fixture.resume()
        tamper(fixture, "UPDATE rotation SET grace_seconds = 86400")
        fixture.is_tampered_with = False
        report = fixture.resume()

        assert code(refused) == "ledger-tampered"
        assert report.outcome is Outcome.AWAITING_DELETION
        assert len(fixture.secrets()) == 2


def test_the_value_of_a_rotation_that_looks_undone_is_kept(tmp_path: Path) -> None:
    """It is the only copy: Vonage has it, and its answer was lost."""
    with RotationFixture(tmp_path) as fixture:
        fixture.calls.plan("after", "issuer.create_secret", 1, fixture.calls.kill)
        fixture.run_until_killed()
        tamper(fixture, "UPDATE rotation SET abort_code = 'overtaken', step = 'abort'")
        report = fixture.resume()

        assert code(report) == "ledger-tampered"
        assert fixture.look().pending_value in fixture.look().live


def test_nothing_is_appended_to_another_end_than_the_newest_entry(
    tmp_path: Path, ledger_url: str
) -> None:
    """Not even a hold: it would stand in a chain that forks."""
    with RotationFixture(tmp_path, ledger_url=ledger_url) as fixture:
        fixture.attempt()
        before = fixture.entries()
        tamper(fixture, "UPDATE account SET chain_seq = 3, chain_head = 'no hash'")

        with pytest.raises(Refused) as refused:
            hold(fixture)

        assert code(fixture.attempt()) == "ledger-tampered"
        assert fixture.entries() == before
        assert "ends its chain at entry 3" in str(refused.value)


ENDS = {
    "the newest entries are gone": "DELETE FROM entry WHERE seq > 3",
    "every entry is gone": "DELETE FROM entry",
    "the newest entry has another hash": (
        "UPDATE entry SET hash = prev_hash WHERE seq = (SELECT max(seq) FROM entry)"
    ),
    "the row names an earlier end": "UPDATE account SET chain_seq = chain_seq - 1",
    "the row names another head": "UPDATE account SET chain_head = 'ffff'",
}


@pytest.mark.parametrize("statement", ENDS.values(), ids=ENDS)
def test_an_account_whose_chain_ends_elsewhere_is_shown_as_such(
    tmp_path: Path, statement: str
) -> None:
    """No pass can record it, so whoever reads the ledger finds it by himself."""
    with RotationFixture(tmp_path) as fixture:
        fixture.attempt()
        page = SummaryCache(fixture.database)
        assert page.read()[NAME].trouble is None
        unguarded(fixture, statement)
        for summary in (fixture.queries.accounts([NAME])[0], page.read()[NAME]):
            trouble = summary.trouble
            assert trouble
            assert trouble.is_drift
            assert (trouble.code, trouble.since) == ("ledger-tampered", summary.seen_at)
            assert "ends its chain at entry" in trouble.why
            assert "rotator ledger verify" in str(trouble.hint)
        account = fixture.accounts[NAME]
        planned, _, _ = fixture.reconciler.dry_run(account, Request(reason="due"))
        seen = fixture.reconciler.refresh(account)

        assert seen
        assert seen.code == "ledger-tampered"
        assert code(planned) == "ledger-tampered"
        assert code(fixture.attempt()) == "ledger-tampered"


def test_what_was_adopted_is_compared(tmp_path: Path) -> None:
    """Nothing else keeps it from being evicted while a standby of Vault lags."""
    with RotationFixture(tmp_path) as fixture:
        fixture.attempt()
        fixture.adopt("AdoptedByHand1", secret_id=fixture.make_foreign(value="AdoptedByHand1"))
        whole = fixture.queries.verify(NAME).faults
        tamper(fixture, "UPDATE account SET adopted_id = NULL")
        (fault,) = fixture.queries.verify(NAME).faults

        assert whole == ()
        assert fault.startswith("its row says that nothing was adopted last, the entries")


# -- Entries that do not hold together. ------------------------------------------------------


BROKEN = {
    "an entry was changed": (
        "UPDATE entry SET detail = replace(detail, '\"due\"', '\"compromised\"') "
        "WHERE event = 'opened'"
    ),
    "an entry is missing": "DELETE FROM entry WHERE event = 'done' AND step = 'push'",
    "the opening is missing": "DELETE FROM entry WHERE event = 'opened' OR seq < 3",
    "the beginning is missing": "DELETE FROM entry WHERE seq < 4",
    "the end is another": (
        "UPDATE entry SET hash = prev_hash WHERE seq = (SELECT max(seq) FROM entry)"
    ),
    "the row names another end": "UPDATE account SET chain_head = 'ffff'",
    "an entry is no JSON": "UPDATE entry SET detail = '{' WHERE event = 'opened'",
}


@pytest.mark.parametrize("statement", BROKEN.values(), ids=BROKEN)
def test_nothing_is_deleted_on_the_word_of_a_broken_chain(tmp_path: Path, statement: str) -> None:
    """From the opening of the rotation on, each entry has to follow the one before."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        fixture.attempt(reason="due")
        unguarded(fixture, statement)
        fixture.clock.advance(hours=25)
        report = fixture.resume()

        assert code(report) == "ledger-tampered"
        assert len(fixture.secrets()) == 2
        assert fixture.queries.verify(NAME).fault


def test_a_hold_whose_entry_was_changed_is_none_to_trust(tmp_path: Path) -> None:
    """The newest entry about a hold has to be whole."""
    with RotationFixture(tmp_path) as fixture:
        hold(fixture)
        unguarded(fixture, "UPDATE entry SET event = 'released' WHERE event = 'held'")
        tamper(fixture, LIFTED)

        assert code(fixture.attempt()) == "ledger-tampered"


# -- Entries of older versions. ----------------------------------------------------------------


def test_what_older_versions_recorded_is_enough(tmp_path: Path) -> None:
    """Their entries have no time of verification, and no grace: within an hour it is believed."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        fixture.attempt()
        rewrite(fixture.database, NAME, without_verification)
        fixture.is_tampered_with = fixture.has_made_up_entries = True
        whole = fixture.queries.verify(NAME)
        fixture.clock.advance(hours=25)
        report = fixture.resume()
        fixture.is_tampered_with = False

        assert (whole.fault, whole.differences) == (None, ())
        assert report.outcome is Outcome.COMPLETED


def stop() -> None:
    """End the pass before its next step."""
    raise Stopping


def test_what_an_older_version_opened_and_an_operator_abandoned_goes_on(
    tmp_path: Path, ledger_url: str
) -> None:
    """It is opened once more, and its row says for what, as its new entry does."""
    with RotationFixture(tmp_path, ledger_url=ledger_url) as fixture:
        fixture.calls.plan("before", "issuer.create_secret", 1, stop)
        fixture.attempt()
        nothing = ", ".join(f"{each} = NULL" for each in IDENTITY)
        tamper(fixture, "UPDATE rotation SET $nothing", nothing=nothing)
        opened = fixture.rotation()
        lease = fixture.writer.claim(NAME, fixture.clock.now())
        assert opened
        ended, new = bookkeeping.abandoned(opened, fixture.clock.now())
        fixture.writer.commit(
            lease, rotation=ended, entries=[new], snapshot=None, now=ended.opened_at, last=True
        )
        fixture.is_tampered_with = False
        report = fixture.attempt()

        assert report.outcome is Outcome.COMPLETED
        assert report.rotation_id == opened.id


def test_but_not_a_much_earlier_time(tmp_path: Path) -> None:
    """A grace cannot be cut by more than that."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        fixture.attempt()
        rewrite(fixture.database, NAME, without_verification)
        tamper(fixture, "UPDATE rotation SET $change", change=WAITING["verified earlier"])
        report = fixture.resume()

        assert code(report) == "ledger-tampered"
