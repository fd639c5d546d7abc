import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, event, update

from rotator.errors import Busy, LeaseLost
from rotator.ledger import leases, tables
from rotator.ledger.database import writing
from rotator.ledger.holds import Holds
from rotator.ledger.reader import LedgerReader
from rotator.ledger.writer import LedgerWriter
from rotator.model import Hold
from rotator.rotation.ports import Lease, NewEntry
from tests.support.samples import ANN

NOW = datetime(2026, 11, 23, 7, 28, tzinfo=UTC)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
DRAFT = NewEntry(event="done", step=None, detail={})
#: Claims the account, says so, then waits to be killed.
CHILD = """
import sys
from datetime import UTC, datetime
from rotator.ledger.writer import LedgerWriter
from rotator.ledger.database import open_database
LedgerWriter(open_database(sys.argv[1]), lease_seconds=600).claim("a", datetime.now(UTC))
print(flush=True)
sys.stdin.read()
"""


@pytest.fixture
def rival(database: Engine) -> LedgerWriter:
    """Return the same ledger as another process sees it."""
    return LedgerWriter(database, lease_seconds=60, owner="there/boot/ns/2/200")


@pytest.fixture
def expire(database: Engine) -> Callable[[], None]:
    """Return a function that lets every lease run out."""

    def run_out() -> None:
        with writing(database) as connection:
            connection.execute(update(tables.account).values(lease_expires_at=LONG_AGO))

    return run_out


@pytest.fixture
def holder(ledger_url: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process that holds the account `a` until it is killed."""
    command, pipe = [sys.executable, "-c", CHILD, ledger_url], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as child:
        assert child.stdout
        assert child.stdout.readline()
        yield child
        child.kill()


def append(writer: LedgerWriter, lease: Lease) -> str:
    """Append one entry."""
    committed = writer.commit(lease, rotation=None, entries=[DRAFT], snapshot=None, now=NOW)
    return committed.head


def owner_of(database: Engine) -> tuple[str | None, datetime | None, int]:
    """Read who holds the account `a`, until when, and the fencing token."""
    account = tables.account.c
    with database.connect() as connection:
        query = tables.account.select().where(account.name == "a")
        row = connection.execute(query).mappings().one()
    return row["lease_owner"], row["lease_expires_at"], row["fencing_token"]


def test_a_lease_names_account_owner_and_length(writer: LedgerWriter) -> None:
    """What a claim gives is what its holder needs to keep it."""
    lease = writer.claim("a", NOW)

    assert lease == Lease(account="a", owner="here/boot/ns/1/100", token=1, seconds=60)


def test_a_claim_is_for_one_account(writer: LedgerWriter, rival: LedgerWriter) -> None:
    """Others work on other accounts meanwhile."""
    writer.claim("a", NOW)

    assert rival.claim("b", NOW).token == 1


def test_a_leased_account_is_busy(writer: LedgerWriter, rival: LedgerWriter) -> None:
    """The second to come is told who works on it, and may try again (exit 75)."""
    writer.claim("a", NOW)
    with pytest.raises(Busy) as caught:
        rival.claim("a", NOW)

    assert caught.value.message == "process 1 on here is working on a"
    assert caught.value.exit_code == 75


def test_a_process_does_not_share_its_own_lease(writer: LedgerWriter) -> None:
    """Two threads of one process are two workers."""
    writer.claim("a", NOW)

    with pytest.raises(Busy):
        writer.claim("a", NOW)


def test_a_busy_claim_changes_nothing(
    database: Engine, writer: LedgerWriter, rival: LedgerWriter
) -> None:
    """Neither the owner nor the token moves when a claim is refused."""
    writer.claim("a", NOW)
    before = owner_of(database)
    with pytest.raises(Busy):
        rival.claim("a", NOW)

    assert owner_of(database) == before


def test_a_released_account_is_free(writer: LedgerWriter, rival: LedgerWriter) -> None:
    """A lease that is given up can be taken at once, with the next token."""
    writer.release(writer.claim("a", NOW))

    assert rival.claim("a", NOW).token == 2


def test_releasing_twice_does_no_harm(database: Engine, writer: LedgerWriter) -> None:
    """A release can be repeated when its answer was lost."""
    lease = writer.claim("a", NOW)
    writer.release(lease)
    writer.release(lease)

    assert owner_of(database) == (None, None, 1)


def test_an_expired_lease_is_taken_over(
    writer: LedgerWriter, rival: LedgerWriter, expire: Callable[[], None]
) -> None:
    """A holder that was not heard of for too long loses the account to the next one."""
    old = writer.claim("a", NOW)
    expire()
    new = rival.claim("a", NOW)

    assert (new.owner, new.token) == (rival.owner, old.token + 1)


def test_a_lease_ends_at_its_last_instant(database: Engine, rival: LedgerWriter) -> None:
    """A lease of no length is over when it begins."""
    LedgerWriter(database, lease_seconds=0, owner="here/boot/ns/1/100").claim("a", NOW)

    assert rival.claim("a", NOW).token == 2


def test_every_token_is_higher(writer: LedgerWriter, rival: LedgerWriter) -> None:
    """No token is ever given out twice, whoever gets it."""
    tokens = []
    for claimant in (writer, rival, writer, writer, rival):
        lease = claimant.claim("a", NOW)
        tokens.append(lease.token)
        claimant.release(lease)

    assert tokens == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("prolong", ["renew", "commit"])
def test_work_prolongs_the_lease(
    writer: LedgerWriter, rival: LedgerWriter, expire: Callable[[], None], prolong: str
) -> None:
    """Both a renewal and a commit keep the account, even of a lease that had just run out."""
    lease = writer.claim("a", NOW)
    expire()
    if prolong == "renew":
        writer.renew(lease, NOW)
    else:
        append(writer, lease)

    with pytest.raises(Busy):
        rival.claim("a", NOW)


@pytest.mark.parametrize("is_released", [False, True])
def test_a_lost_lease_can_do_nothing(
    database: Engine,
    writer: LedgerWriter,
    rival: LedgerWriter,
    expire: Callable[[], None],
    *,
    is_released: bool,
) -> None:
    """A process that slept through its lease neither writes nor renews, nor frees the account."""
    old = writer.claim("a", NOW)
    expire()
    new = rival.claim("a", NOW)
    append(rival, new)
    if is_released:
        rival.release(new)
    before = owner_of(database), list(LedgerReader(database).entries())
    attempts: tuple[Callable[[], object], ...] = (
        lambda: append(writer, old),
        lambda: writer.renew(old, NOW),
        lambda: writer.check(old),
        lambda: writer.register(old, None, NOW),
    )
    for attempt in attempts:
        with pytest.raises(LeaseLost):
            attempt()
    writer.release(old)

    assert (owner_of(database), list(LedgerReader(database).entries())) == before


def test_a_check_gives_the_hold_and_changes_nothing(database: Engine, writer: LedgerWriter) -> None:
    """Right before an effect a process learns whether an operator has said something else."""
    lease = writer.claim("a", NOW)
    free, before = writer.check(lease), owner_of(database)
    hold = Hold(reason="audit", by="ann", at=NOW, freeze=True)
    Holds(database).put("a", hold)

    assert (free, writer.check(lease)) == (None, hold)
    assert owner_of(database) == before


def test_a_lost_lease_names_the_winner(
    writer: LedgerWriter, rival: LedgerWriter, expire: Callable[[], None]
) -> None:
    """The loser can tell its operator who works on the account now."""
    old = writer.claim("a", NOW)
    expire()
    new = rival.claim("a", NOW)
    with pytest.raises(LeaseLost, match=r"^a: the lease went to 2 on there$"):
        writer.renew(old, NOW)
    rival.release(new)
    with pytest.raises(LeaseLost, match=r"^a: the lease went to nobody$"):
        writer.renew(old, NOW)


@pytest.mark.parametrize("change", [{"token": 2}, {"owner": "somebody"}])
def test_a_lease_is_owner_and_token(writer: LedgerWriter, change: dict[str, object]) -> None:
    """Neither another's token nor another's name opens the ledger."""
    lease = writer.claim("a", NOW)

    with pytest.raises(LeaseLost):
        append(writer, replace(lease, **change))  # type: ignore[arg-type]


def test_a_lease_of_another_ledger_is_lost(writer: LedgerWriter) -> None:
    """Where the ledger was replaced under a running process, its leases are gone with it."""
    stranger = Lease(account="a", owner=writer.owner, token=1, seconds=60)
    writer.release(stranger)

    with pytest.raises(LeaseLost, match="no longer has this account"):
        append(writer, stranger)


def test_one_of_many_wins(database: Engine) -> None:
    """However many claim an account at the same instant, one gets it."""
    books = [
        LedgerWriter(database, lease_seconds=60, owner=f"owner-{number}") for number in range(12)
    ]

    def claim(writer: LedgerWriter) -> str:
        try:
            return writer.claim("a", NOW).owner
        except Busy:
            return "busy"

    with ThreadPoolExecutor(len(books)) as pool:
        results = list(pool.map(claim, books))

    assert results.count("busy") == len(books) - 1


def test_an_owner_is_this_process_by_default(database: Engine) -> None:
    """Without another name, a lease tells which process to look for."""
    lease = LedgerWriter(database, lease_seconds=60).claim("a", NOW)

    assert lease.owner == leases.this_process()


def test_an_owner_may_have_any_name(database: Engine, rival: LedgerWriter) -> None:
    """A name that is no process's is shown as it is."""
    LedgerWriter(database, lease_seconds=60, owner="somebody").claim("a", NOW)

    with pytest.raises(Busy, match="process somebody is working on a"):
        rival.claim("a", NOW)


@pytest.mark.parametrize("kind", ["sqlite"])
def test_sqlite_measures_leases_by_the_callers_clock(
    writer: LedgerWriter, rival: LedgerWriter
) -> None:
    """All who share the file share the machine's clock."""
    writer.claim("a", NOW)
    with pytest.raises(Busy):
        rival.claim("a", NOW + timedelta(seconds=59, microseconds=999_999))

    assert rival.claim("a", NOW + timedelta(seconds=60)).token == 2


@pytest.mark.postgres
@pytest.mark.parametrize("kind", ["postgresql"])
def test_postgresql_measures_leases_by_its_own_clock(
    writer: LedgerWriter, rival: LedgerWriter
) -> None:
    """A machine whose clock is wrong neither steals an account nor keeps it for ever."""
    lease = writer.claim("a", LONG_AGO)
    for wrong in (LONG_AGO, NOW + timedelta(days=36500)):
        with pytest.raises(Busy):
            rival.claim("a", wrong)
    writer.renew(lease, LONG_AGO)

    with pytest.raises(Busy):
        rival.claim("a", NOW + timedelta(days=36500))


# -- Other processes. ----------------------------------------------------------------------


def test_a_living_holder_is_left_alone(
    holder: subprocess.Popen[bytes], rival: LedgerWriter
) -> None:
    """While the other process lives and its lease lasts, the account is its own."""
    with pytest.raises(Busy, match=rf"^process {holder.pid} on "):
        rival.claim("a", datetime.now(UTC))


@pytest.mark.parametrize("is_reaped", [True, False])
def test_a_dead_holder_is_followed_at_once(
    holder: subprocess.Popen[bytes], rival: LedgerWriter, *, is_reaped: bool
) -> None:
    """After `kill -9` the account is free, whether or not the corpse was reaped yet."""
    holder.kill()
    os.waitid(os.P_PID, holder.pid, os.WEXITED | (0 if is_reaped else os.WNOWAIT))

    assert rival.claim("a", datetime.now(UTC)).token == 2


def test_a_reused_pid_keeps_nothing(database: Engine, rival: LedgerWriter) -> None:
    """That some process has the pid now does not mean that it is the holder."""
    place, started = leases.this_process().rsplit("/", 1)
    LedgerWriter(database, lease_seconds=600, owner=f"{place}/{int(started) - 1}").claim("a", NOW)

    assert rival.claim("a", NOW).token == 2


def test_a_holder_on_another_machine_is_waited_for(
    database: Engine, holder: subprocess.Popen[bytes], rival: LedgerWriter
) -> None:
    """A pid that is dead here may well live where the lease was taken."""
    name, _, _ = owner_of(database)
    holder.kill()
    holder.wait()
    LedgerWriter(database, lease_seconds=600, owner=f"x{name}").claim("b", NOW)

    with pytest.raises(Busy):
        rival.claim("b", NOW)


# -- A clock that was ahead, and an operator who knows. -------------------------------------


FAR = timedelta(days=60)


def put_forward(database: Engine) -> None:
    """Let every lease end as if it were renewed while the clock was sixty days ahead."""
    at = datetime.now(UTC) + FAR
    with writing(database) as connection:
        connection.execute(update(tables.account).values(lease_expires_at=at))


@pytest.mark.parametrize("by", ["claim", "poll"])
def test_a_lease_is_not_waited_for_longer_than_it_lasts(
    database: Engine, writer: LedgerWriter, rival: LedgerWriter, by: str
) -> None:
    """Its owner may live, and has its whole length from now on to renew it."""
    now = datetime.now(UTC)
    lease = writer.claim("a", now)
    put_forward(database)
    if by == "claim":
        with pytest.raises(Busy):
            rival.claim("a", now)
    else:
        with writing(database) as connection:
            connection.execute(update(tables.account).values(next_due_at=NOW))
        assert rival.claim_due(["a"], limit=1, now=now) == []
    _, until, token = owner_of(database)

    assert until is not None
    assert now < until < now + timedelta(seconds=120)
    assert token == lease.token
    append(writer, lease)


def test_a_lease_that_lasts_longer_is_another_configurations(
    database: Engine, writer: LedgerWriter
) -> None:
    """Its own length counts, not that of who looks at it; of an old one, only that is known."""
    now = datetime.now(UTC)
    LedgerWriter(database, lease_seconds=6000, owner="there/boot/ns/2/200").claim("a", now)
    with pytest.raises(Busy):
        writer.claim("a", now)
    kept = owner_of(database)[1]
    with writing(database) as connection:
        connection.execute(update(tables.account).values(lease_seconds=None))
    with pytest.raises(Busy):
        writer.claim("a", now)
    shortened = owner_of(database)[1]

    assert kept is not None
    assert shortened is not None
    assert shortened < now + timedelta(minutes=10) < kept


def test_an_operator_ends_the_lease_of_a_process_that_is_dead(
    database: Engine, writer: LedgerWriter, rival: LedgerWriter
) -> None:
    """Who had it is told and recorded; should it live, it can write nothing more."""
    nobody = writer.end_lease("a", actor=ANN, now=NOW)
    lease = rival.claim("a", NOW)
    ended = writer.end_lease("a", actor=ANN, now=NOW)
    again = writer.end_lease("a", actor=ANN, now=NOW)
    with pytest.raises(LeaseLost):
        append(rival, lease)
    entries = list(LedgerReader(database).entries("a"))

    assert (nobody, ended, again) == (None, "2 on there", None)
    assert [(entry.event, entry.detail) for entry in entries] == [
        ("lease-ended", '{"by":"ann","from":"there","owner":"2 on there"}')
    ]
    assert writer.claim("a", NOW).token == lease.token + 2


def test_the_lease_of_a_process_that_runs_is_not_ended(
    database: Engine, writer: LedgerWriter
) -> None:
    """It has to be stopped first: what it does would go on."""
    here = LedgerWriter(database, lease_seconds=60, owner=leases.this_process())
    lease = here.claim("a", NOW)
    with pytest.raises(Busy, match=f"process {os.getpid()} on .* is running") as caught:
        writer.end_lease("a", actor=ANN, now=NOW)

    assert caught.value.hint is not None
    assert "stop it first" in caught.value.hint
    append(here, lease)


# -- What a process has left behind in the ledger. -------------------------------------------


@pytest.fixture
def revive(database: Engine) -> Callable[[Lease], None]:
    """Return a function that puts a released lease back, as a failover without its end does."""

    def put_back(lease: Lease) -> None:
        ends = datetime.now(UTC) + timedelta(hours=1)
        values = {"lease_owner": lease.owner, "lease_expires_at": ends}
        with writing(database) as connection:
            connection.execute(update(tables.account).values(values))

    return put_back


def test_a_process_takes_what_it_left_behind(
    writer: LedgerWriter, revive: Callable[[Lease], None]
) -> None:
    """A lease of its own that it does not use is free to it at once, and the old one is fenced."""
    left = writer.claim("a", NOW)
    writer.release(left)
    revive(left)
    lease = writer.claim("a", NOW)

    assert lease.token == left.token + 1
    with pytest.raises(LeaseLost):
        writer.renew(left, NOW)


def test_a_process_takes_what_is_due_and_left_behind(
    writer: LedgerWriter, database: Engine, revive: Callable[[Lease], None]
) -> None:
    """A daemon as well, which claims whatever is due."""
    left = writer.claim("a", NOW)
    writer.release(left)
    revive(left)
    with writing(database) as connection:
        connection.execute(update(tables.account).values(next_due_at=LONG_AGO))
    leases_taken = writer.claim_due(["a"], limit=1, now=NOW)

    assert [(lease.account, lease.token) for lease in leases_taken] == [("a", left.token + 1)]


def test_what_another_process_left_behind_is_not_taken(
    writer: LedgerWriter, rival: LedgerWriter, revive: Callable[[Lease], None]
) -> None:
    """It may be at work."""
    left = rival.claim("a", NOW)
    rival.release(left)
    revive(left)

    with pytest.raises(Busy):
        writer.claim("a", NOW)


def test_a_claim_that_fails_leaves_nothing_in_use(
    writer: LedgerWriter, database: Engine, revive: Callable[[Lease], None]
) -> None:
    """The ledger may have it all the same: then it is free to the process that failed."""

    def fail(*_: object) -> None:
        raise OSError

    event.listen(database, "commit", fail)
    with pytest.raises(OSError, match=r"^$"):
        writer.claim("a", NOW)
    event.remove(database, "commit", fail)
    writer.release(lease := writer.claim("a", NOW))
    revive(lease)

    assert writer.claim("a", NOW).token == lease.token + 1


def test_a_claim_that_fails_leaves_an_expired_lease_in_use(
    writer: LedgerWriter, database: Engine
) -> None:
    """The thread that has it can renew it: no other one of its process takes it from it then."""

    def fail(*_: object) -> None:
        raise OSError

    lease = writer.claim("a", NOW)
    later = NOW + timedelta(seconds=lease.seconds + 1)
    event.listen(database, "commit", fail)
    with pytest.raises(OSError, match=r"^$"):
        writer.claim("a", later)
    event.remove(database, "commit", fail)
    writer.renew(lease, later)

    with pytest.raises(Busy):
        writer.claim("a", later)


def test_a_process_without_proc_takes_no_lease_of_its_name(
    database: Engine, revive: Callable[[Lease], None]
) -> None:
    """A process in another container may have the same one, and be at work."""
    unsure = LedgerWriter(database, lease_seconds=60, owner="host/?/?/1/?")
    left = unsure.claim("a", NOW)
    unsure.release(left)
    revive(left)

    with pytest.raises(Busy):
        unsure.claim("a", NOW)
