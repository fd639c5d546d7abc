"""Whose things are: two hosts with one pending path, and accounts that are edited or renamed."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from typing import TYPE_CHECKING, Any, cast

import pytest
from sqlalchemy import Engine as DatabaseEngine
from sqlalchemy import update

from rotator.errors import LedgerError, Refused
from rotator.ledger import tables
from rotator.ledger.database import open_database
from rotator.ledger.reader import LedgerReader
from rotator.ledger.writer import LedgerWriter
from rotator.model import Account, Identity, Outcome, PassResult, Request, Rotation, State
from rotator.rotation.manual import manual_operation
from rotator.rotation.ports import Claimant, Ledger
from rotator.rotation.steps import bookkeeping
from tests.support.ledgers import another_ledger
from tests.support.legacy_ledger import rewrite, without_identity
from tests.support.port_interceptor import PortInterceptor
from tests.support.rotation_fixture import LEASE, NAME, SUB, RotationFixture, code
from tests.support.samples import ANN, NOW

if TYPE_CHECKING:
    from rotator.application import Application

#: Every call of a first rotation, to Vonage and Vault and to the ledger, and then some.
CALLS = [(system, number) for system in ("", "ledger.") for number in range(1, 13)]
EDITS: dict[str, dict[str, Any]] = {
    "api_key": {"api_key": "efgh5678"},
    "issuer": {"issuer": "api.example.com"},
    "mount": {"mount": "other"},
    "vault_path": {"vault_path": "vonage/other"},
    "pending_prefix": {"pending_path": "elsewhere/account-1"},
}
GRACE = timedelta(hours=1)


class Neighbour:
    """Another host: an account of the same name and pending path, with a ledger of its own."""

    def __init__(self, fixture: RotationFixture) -> None:
        """Set it up beside the fixture's own host."""
        self._fixture = fixture
        theirs = fixture.accounts[SUB]
        pending_path = fixture.accounts[NAME].pending_path
        self.account = replace(theirs, name=NAME, managed_by="", pending_path=pending_path)
        self._database = fixture._open(f"sqlite:///{another_ledger(fixture.folder)}")
        self._book = LedgerWriter(self._database, lease_seconds=LEASE)

    def attempt(self) -> PassResult:
        """Let it make one pass, watched as the fixture's own host is."""
        fixture = self._fixture
        ledger = cast("Ledger", PortInterceptor("ledger", self._book, fixture.calls))
        engine = replace(fixture.reconciler, ledger=ledger, accounts={NAME: self.account})
        with self._watched():
            return engine.attempt(self.account, Request(reason="asked"))

    @contextmanager
    def _watched(self) -> Iterator[None]:
        monitor = self._fixture.monitor
        before = monitor.accounts, monitor.entries
        monitor.accounts = {NAME: self.account}
        monitor.entries = lambda name: list(LedgerReader(self._database).entries(name))
        try:
            yield
        finally:
            monitor.accounts, monitor.entries = before


@pytest.mark.parametrize(("system", "number"), CALLS)
def test_hosts_with_one_pending_path_leave_each_other_alone(
    tmp_path: Path, system: str, number: int
) -> None:
    """Wherever one is killed, the other one neither sends, pushes nor removes what is pending."""
    with RotationFixture(tmp_path, subaccounts=1) as fixture:
        fixture.calls.plan("after", system, number, fixture.calls.kill)
        fixture.run_until_killed()
        fixture.restart()
        pending = fixture.look().pending
        neighbour = Neighbour(fixture)
        first = neighbour.attempt()
        kept = fixture.look().pending
        fixture.carry_on()
        fixture.restart()
        again = Neighbour(fixture).attempt()
        ours, theirs = ({one.value for one in fixture.history(name)} for name in (NAME, SUB))

        assert (code(first) == "pending-foreign") is bool(pending)
        assert kept == pending
        assert again.outcome is Outcome.COMPLETED
        assert not ours & theirs
        assert len(fixture.secrets()) == len(fixture.secrets(SUB)) == 1
        assert fixture.look().works
        assert fixture.look(SUB).works


def test_a_value_that_is_pending_for_another_account_authenticates_nowhere(tmp_path: Path) -> None:
    """Not even to see whether Vonage takes it, where no other credential works."""
    with RotationFixture(tmp_path, subaccounts=1) as fixture:
        fixture.calls.plan("after", "store.write_pending", 1, fixture.calls.kill)
        fixture.run_until_killed()
        fixture.monitor.excused.add("the value in Vault stopped working")
        neighbour = Neighbour(fixture)
        fixture.make_foreign(SUB)
        fixture.revoke(fixture.secrets(SUB)[0].id, SUB)
        requests = len(fixture.requests("vonage"))
        report = neighbour.attempt()

        # With its own dead value, twice.
        assert len(fixture.requests("vonage")) - requests == 2
        assert code(report) == "pending-foreign"


def edit(fixture: RotationFixture, **changes: Any) -> Account:  # noqa: ANN401  # of `Account`
    """Edit the configuration of the fixture's account; give what it was."""
    before = fixture.accounts[NAME]
    fixture.accounts[NAME] = replace(before, **changes)
    return before


@pytest.mark.parametrize("key", EDITS)
@pytest.mark.parametrize("call", ["store.write_pending", "issuer.create_secret", "ledger.release"])
def test_an_edit_under_an_open_rotation_is_refused(tmp_path: Path, key: str, call: str) -> None:
    """Nothing is asked or done, both values are named; put back, the rotation is finished."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        fixture.calls.plan("after", call, 1, fixture.calls.kill)
        fixture.run_until_killed()
        opened = fixture.rotation()
        before = edit(fixture, **EDITS[key])
        requests = len(fixture.requests())
        reports = [fixture.attempt(), fixture.resume(), fixture.attempt(grace=timedelta())]
        asked = len(fixture.requests()) - requests
        refusal = reports[0].error
        left = fixture.rotation()
        fixture.accounts[NAME] = before
        fixture.carry_on()
        ended = fixture.attempt(grace=timedelta())

        assert {code(report) for report in reports} == {"account-changed"}
        assert {report.exit_code for report in reports} == {3}
        assert asked == 0
        assert left == opened
        assert refusal
        difference = before.identity.differences(replace(before, **EDITS[key]).identity)[0]
        assert all(text in refusal.message for text in difference)
        assert ended.outcome is Outcome.COMPLETED
        assert len(fixture.secrets()) == 1


def test_a_look_says_that_the_account_was_edited(tmp_path: Path) -> None:
    """The daemon's drift check finds it, however long the grace lasts."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        fixture.attempt()
        before = edit(fixture, pending_path="elsewhere/account-1")
        fixture.reconciler.refresh(fixture.accounts[NAME])
        trouble = fixture.writer.load(NAME).trouble
        fixture.accounts[NAME] = before
        fixture.reconciler.refresh(before)

        assert trouble
        assert trouble.state is State.REFUSED
        assert trouble.code == "account-changed"
        assert fixture.writer.load(NAME).trouble is None


def test_nothing_is_adopted_under_the_rotation_of_another_account(tmp_path: Path) -> None:
    """Adopting would end the rotation, and what it made at the other account would be forgotten."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        fixture.attempt()
        before = edit(fixture, vault_path="vonage/other")
        with pytest.raises(Refused) as caught:
            fixture.adopt(fixture.secrets()[-1].value)
        fixture.accounts[NAME] = before

        assert caught.value.code == "account-changed"


@pytest.mark.parametrize("is_edited", [True, False])
def test_nothing_is_changed_by_hand_under_the_rotation_of_another_account(
    tmp_path: Path, *, is_edited: bool
) -> None:
    """Secrets are made and deleted by hand only where the account is what the ledger has it as."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        fixture.attempt()
        application = cast("Application", _Wiring(fixture))
        account = replace(fixture.accounts[NAME], **(EDITS["api_key"] if is_edited else {}))
        by_hand = manual_operation(application.reconciler(), account, "create", actor=ANN)
        if not is_edited:
            with by_hand as operation:
                assert operation.account == account
            return
        with pytest.raises(Refused) as caught, by_hand:
            pass

        assert caught.value.code == "account-changed"
        # The lease is given back.
        assert fixture.writer.claim(NAME, fixture.clock.now()).account == NAME


class _Wiring:
    """As much of it as work by hand takes."""

    def __init__(self, fixture: RotationFixture) -> None:
        self.reconciler = lambda: fixture.reconciler


def test_a_rotation_from_before_the_upgrade_goes_on(tmp_path: Path) -> None:
    """Neither the ledger nor the pending entry says what it was opened for."""
    with RotationFixture(tmp_path) as fixture:
        fixture.calls.plan("after", "issuer.create_secret", 1, fixture.calls.kill)
        fixture.run_until_killed()
        forget_identities(fixture.database)
        pending = fixture.look().pending or {}
        older = {"value", "rotation_id", "listed", "predecessor_id"}
        fixture.world.vault.write(
            fixture.accounts[NAME].pending_path,
            {key: value for key, value in pending.items() if key in older},
        )

        assert fixture.resume().outcome is Outcome.COMPLETED
        assert len(fixture.secrets()) == 1


def forget_identities(database: DatabaseEngine, *, is_in_entries: bool = False) -> None:
    """Leave the ledger as an upgrade does, or its rows alone."""
    if not is_in_entries:
        rewrite(database, NAME, without_identity)
    nothing = dict.fromkeys(("api_key", "issuer", "vault_path", "pending_path"))
    with database.begin() as connection:
        for table in (tables.account, tables.rotation):
            connection.execute(update(table).values(nothing))


def test_what_an_account_is_stands_in_entries(tmp_path: Path) -> None:
    """From its first rotation on, and each change of it; what a row says otherwise is named."""
    with RotationFixture(tmp_path) as fixture:
        fixture.attempt()
        first = fixture.entries()[0]
        fixture.accounts[NAME] = replace(fixture.accounts[NAME], pending_path="elsewhere/account-1")
        fixture.reconciler.refresh(fixture.accounts[NAME])
        change = fixture.entries()[-1]
        whole = fixture.queries.verify(NAME).faults
        forget_identities(fixture.database, is_in_entries=True)
        (fault, _, _, _, _) = fixture.queries.verify(NAME).faults
        fixture.is_tampered_with = True

        assert (
            json.loads(first.detail)["vault_path"] == f"secret/{fixture.accounts[NAME].vault_path}"
        )
        assert change.event == "registered"
        assert json.loads(change.detail) == vars(fixture.accounts[NAME].identity)
        assert whole == ()
        assert fault.startswith("its row says that it is nothing, and the entries say API key")


def test_what_is_forgotten_is_recorded_when_it_is_taken_up_again(tmp_path: Path) -> None:
    """In between, no entry says what the account is."""
    with RotationFixture(tmp_path) as fixture:
        fixture.attempt()
        lease, now = fixture.writer.claim(NAME, fixture.clock.now()), fixture.clock.now()
        drafts = [bookkeeping.forgotten(ANN)]
        fixture.writer.commit(lease, rotation=None, entries=drafts, snapshot=None, now=now)
        fixture.writer.register(lease, None, now)
        fixture.writer.release(lease)
        nothing = fixture.queries.verify(NAME).faults
        fixture.reconciler.refresh(fixture.accounts[NAME])

        assert nothing == ()
        assert fixture.entries()[-1].event == "registered"


def test_one_path_in_two_vaults_is_refused_with_cures_that_work(tmp_path: Path) -> None:
    """A ledger does not know which Vault a path is in."""
    with RotationFixture(tmp_path, subaccounts=1) as fixture:
        fixture.attempt()
        before = fixture.accounts[SUB]
        shared = fixture.accounts[NAME].vault_path
        fixture.accounts[SUB] = replace(before, vault_path=shared)
        refused = fixture.attempt(SUB)
        fixture.accounts[SUB] = before
        report = fixture.attempt(SUB)

        assert refused.error is not None
        assert "would write over what the other one keeps there" in refused.error.message
        assert "give one of them another path, or each Vault a ledger" in (refused.error.hint or "")
        assert report.outcome is Outcome.COMPLETED


# -- One api key, or one path, under two names. --------------------------------------------


@pytest.mark.parametrize(("shared", "what"), [("api_key", "API key"), ("vault_path", "Vault path")])
def test_what_another_account_has_is_refused(tmp_path: Path, shared: str, what: str) -> None:
    """A second name for it, from whichever configuration, does nothing and asks nobody."""
    with RotationFixture(tmp_path, subaccounts=1) as fixture:
        fixture.attempt()
        mine = fixture.accounts[NAME]
        fixture.accounts[SUB] = replace(fixture.accounts[SUB], **{shared: getattr(mine, shared)})
        planned, _, _ = fixture.reconciler.dry_run(fixture.accounts[SUB], Request(reason="asked"))
        mine_planned, _, _ = fixture.reconciler.dry_run(mine, Request(reason="asked"))
        requests = len(fixture.requests())
        report = fixture.attempt(SUB)
        asked = len(fixture.requests()) - requests
        fixture.reconciler.refresh(fixture.accounts[SUB])
        trouble = fixture.writer.load(SUB).trouble

        assert (code(planned), code(mine_planned)) == ("account-taken", None)
        assert (code(report), report.exit_code) == ("account-taken", 3)
        assert report.error
        assert f"{what} " in report.error.message
        assert f"of {SUB} is that of account {NAME} already" in report.error.message
        assert f"rotator forget {NAME}" in (report.error.hint or "")
        assert asked == 0
        assert trouble
        assert trouble.state is State.REFUSED
        assert trouble.code == "account-taken"
        assert len(fixture.history()) == 2


def test_an_account_may_be_edited_between_rotations(tmp_path: Path) -> None:
    """The ledger keeps what it is now, and what it was is free for another one."""
    with RotationFixture(tmp_path, subaccounts=1) as fixture:
        fixture.attempt()
        mine, other = fixture.accounts[NAME], fixture.accounts[SUB]
        fixture.accounts[NAME] = replace(other, name=NAME, pending_path=mine.pending_path)
        fixture.accounts[SUB] = replace(mine, name=SUB, pending_path=other.pending_path)
        edited, freed = fixture.attempt(), fixture.attempt(SUB)
        fixture.accounts.update({NAME: mine, SUB: other})

        assert code(edited) is None
        assert code(freed) is None


@pytest.mark.parametrize("call", ["store.write_pending", "issuer.create_secret"])
def test_what_was_abandoned_is_taken_up_again(tmp_path: Path, call: str) -> None:
    """Its value is still pending: under the same name it is recovered, and not written over."""
    with RotationFixture(tmp_path) as fixture:
        fixture.calls.plan("after", call, 1, fixture.calls.kill)
        fixture.run_until_killed()
        opened = abandon(fixture)
        idle, report = fixture.resume(), fixture.attempt()

        assert idle.outcome is Outcome.IDLE
        assert report.outcome is Outcome.COMPLETED
        assert report.rotation_id == opened.id
        assert len(fixture.generated) == 1
        assert len(fixture.secrets()) == 1


def test_what_was_abandoned_is_open_again_whenever_it_is_killed(tmp_path: Path) -> None:
    """Its value was sent by then: another rotation would write over the only copy."""
    with RotationFixture(tmp_path) as fixture:
        fixture.calls.plan("after", "store.write_pending", 1, fixture.calls.kill)
        fixture.run_until_killed()
        opened = abandon(fixture)
        fixture.calls.plan("after", "issuer.create_secret", 1, fixture.calls.kill)
        fixture.run_until_killed()
        report = fixture.attempt()

        assert report.outcome is Outcome.COMPLETED
        assert report.rotation_id == opened.id
        assert len(fixture.generated) == 1


def test_what_was_abandoned_knows_its_secret_again(tmp_path: Path) -> None:
    """Until then it was an orphan, to be removed for the next rotation."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        fixture.calls.plan("before", "issuer.list_secrets", 2, fixture.calls.kill)
        fixture.run_until_killed()
        opened = abandon(fixture)
        made = fixture.secrets()[-1].id
        report = fixture.attempt()

        assert opened.new_id == report.new_secret_id == made
        assert report.outcome is Outcome.COMPLETED


def test_what_was_abandoned_while_it_was_pushed_is_not_taken_for_an_orphan(tmp_path: Path) -> None:
    """Its value may have come to where the account was before: it is left alone, for what it is."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        fixture.calls.plan("before", "store.write_current", 1, fixture.calls.kill)
        fixture.run_until_killed()
        abandon(fixture)
        moved = replace(fixture.accounts[NAME], pending_path="elsewhere/account-1")
        fixture.accounts[NAME] = moved
        report = fixture.attempt()

        assert code(report) == "foreign-secret"
        assert len(fixture.secrets()) == 2


def abandon(fixture: RotationFixture) -> Rotation:
    """End the open rotation as it stands, as `rotator forget --abandon` does; return it."""
    lease, opened = fixture.writer.claim(NAME, fixture.clock.now()), fixture.rotation()
    assert opened
    ended, entry = bookkeeping.abandoned(opened, fixture.clock.now())
    forgotten = bookkeeping.forgotten(ANN)
    fixture.writer.commit(
        lease, rotation=ended, entries=[entry, forgotten], snapshot=None, now=ended.opened_at
    )
    fixture.writer.register(lease, None, fixture.clock.now())
    fixture.writer.release(lease)
    return opened


def identity(number: int = 1, **changes: str) -> Identity:
    """Return the identity of an account."""
    usual = Identity(
        api_key=f"key{number}",
        issuer="api.nexmo.com",
        vault_path=f"secret/{number}",
        pending_path=f"secret/rotator/pending/{number}",
    )
    return replace(usual, **changes)


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (identity(2), None),
        (identity(2, api_key="key1"), ("API key", "key1")),
        (identity(2, api_key="KEY1"), None),
        (identity(2, api_key="key1", issuer="api.example.com"), None),
        (identity(2, vault_path="secret/1"), ("Vault path", "secret/1")),
        (identity(2, vault_path="kv/1"), None),
        (
            identity(2, pending_path="secret/rotator/pending/1"),
            ("Vault path", "secret/rotator/pending/1"),
        ),
        (
            identity(2, vault_path="secret/rotator/pending/1"),
            ("Vault path", "secret/rotator/pending/1"),
        ),
        (identity(2, pending_path="secret/1"), ("Vault path", "secret/1")),
    ],
)
def test_two_accounts_have_nothing_in_common(
    writer: LedgerWriter, second: Identity, expected: tuple[str, str] | None
) -> None:
    """Neither api key nor path; keys of other hosts, and of another spelling, are others."""
    lease, other = writer.claim("a", NOW), writer.claim("b", NOW)
    first = writer.register(lease, identity(1), NOW)
    found = writer.register(other, second, NOW)

    assert first is None
    assert found == (expected and Claimant(name="a", what=expected[0], which=expected[1]))
    assert writer.load("b").identity == (None if expected else second)
    assert writer.load("a").identity == identity(1)
    assert writer.register(lease, identity(1), NOW) is None


def test_what_is_let_go_is_free(writer: LedgerWriter) -> None:
    """Registered as nothing, an account keeps no other from what it was."""
    lease, other = writer.claim("a", NOW), writer.claim("b", NOW)
    writer.register(lease, identity(1), NOW)
    writer.register(lease, None, NOW)

    assert writer.load("a").identity is None
    assert writer.register(other, identity(1), NOW) is None


def test_of_two_at_once_one_is_refused(ledger_url: str) -> None:
    """Two processes that register one api key under two names at once do not both have it."""
    databases = [open_database(ledger_url) for _ in range(2)]
    books = [LedgerWriter(database, lease_seconds=60) for database in databases]
    rounds = [_registered(books, number) for number in range(10)]
    for database in databases:
        database.dispose()

    assert [sum(claimant is None for claimant in each) for each in rounds] == [1] * 10


def _registered(books: list[LedgerWriter], number: int) -> list[Claimant | None]:
    """Register one api key from both at once, each under a name of its own."""
    barrier = Barrier(2)

    def register(writer: LedgerWriter, name: str) -> Claimant | None:
        lease = writer.claim(name, NOW)
        barrier.wait()
        return writer.register(lease, identity(number), NOW)

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(register, books, (f"a{number}", f"b{number}")))


@pytest.mark.parametrize(
    "setting",
    [
        "UPDATE account SET api_key = 'k', issuer = 'i' WHERE name = '{}'",
        "UPDATE account SET vault_path = 'p' WHERE name = '{}'",
    ],
    ids=["api key", "path"],
)
def test_the_database_itself_keeps_them_apart(
    database: DatabaseEngine, writer: LedgerWriter, setting: str
) -> None:
    """Whatever does not ask first is stopped by an index."""
    for name in "ab":
        writer.claim(name, NOW)
    with database.begin() as connection:
        connection.exec_driver_sql(setting.format("a"))

    with pytest.raises(Exception, match=r"(?i)unique"), database.begin() as connection:
        connection.exec_driver_sql(setting.format("b"))


def test_a_ledger_that_fails_registers_nothing(tmp_path: Path) -> None:
    """The pass ends before anything is asked; the next one goes on."""
    with RotationFixture(tmp_path) as fixture:

        def fail() -> None:
            raise LedgerError

        fixture.calls.plan("before", "ledger.register", 1, fail)
        failed, requests = fixture.attempt(), len(fixture.requests())
        again = fixture.attempt()

        assert (failed.outcome, requests) == (Outcome.FAILED, 0)
        assert again.outcome is Outcome.COMPLETED
