import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

import pytest
from sqlalchemy import Engine, event, insert, select, update

from rotator.errors import Busy
from rotator.ledger import tables
from rotator.ledger.database import open_database
from rotator.ledger.holds import Holds
from rotator.ledger.leases import this_process
from rotator.ledger.reader import LedgerReader
from rotator.ledger.writer import LedgerWriter
from rotator.model import Actor, GateWait, Hold, Rotation, Step
from rotator.rotation.ports import AccountSnapshot, Lease, NewEntry
from tests.support.samples import NOW, rotation

HOUR = timedelta(hours=1)
DAY = 24 * HOUR
QUARTER = timedelta(minutes=15)
OPEN = rotation(account="a", opened_at=NOW - 48 * HOUR)


def put(
    writer: LedgerWriter, name: str, due_at: datetime | None, rotation: Rotation | None = None
) -> None:
    """Record an account with its due time and open rotation."""
    lease = writer.claim(name, NOW)
    snapshot = AccountSnapshot(
        listed_ids=(), current_id=None, current_since=None, next_due_at=due_at
    )
    if rotation:
        rotation = replace(rotation, account=name)
    writer.commit(lease, rotation=rotation, entries=[], snapshot=snapshot, now=NOW)
    writer.release(lease)


def due(writer: LedgerWriter, names: Iterable[str] = "abcdef", limit: int = 10) -> list[str]:
    """Claim what is due; name the accounts."""
    return [lease.account for lease in writer.claim_due([*names], limit=limit, now=NOW)]


def test_what_is_due_is_claimed_once(writer: LedgerWriter) -> None:
    """An account whose time has come is leased to the first that asks."""
    put(writer, "a", NOW)
    leases = writer.claim_due(["a"], limit=1, now=NOW)

    assert leases == [Lease(account="a", owner=writer.owner, token=2, seconds=60)]
    assert due(writer) == []
    with pytest.raises(Busy):
        writer.claim("a", NOW)


def test_due_times_follow_the_configuration(database: Engine, writer: LedgerWriter) -> None:
    """Those of accounts whose secret's age is known, and only where they differ."""
    for name in "abcd":
        put(writer, name, NOW)
    since = {"a": NOW - 40 * HOUR, "b": NOW - 30 * HOUR, "d": NOW - HOUR}
    with database.begin() as connection:
        for name, at in since.items():
            is_name = tables.account.c.name == name
            connection.execute(update(tables.account).where(is_name).values(current_since=at))
    # Nobody here knows of d.
    every = {"a": 40 * HOUR, "b": 31 * HOUR}

    def next_due(name: str, created_at: datetime) -> datetime | None:
        return created_at + every[name] if name in every else None

    changed = [writer.reschedule(next_due) for _ in range(2)]

    assert changed == [1, 0]
    assert due(writer) == ["a", "c", "d"]
    assert writer.due(NOW + HOUR)[-1].name == "b"


def test_what_is_rotated_on_request_has_no_due_time(database: Engine, writer: LedgerWriter) -> None:
    """One that an earlier policy left is removed, be the secret's age known or not."""
    for name in "ab":
        put(writer, name, NOW)
    with database.begin() as connection:
        is_a = tables.account.c.name == "a"
        connection.execute(update(tables.account).where(is_a).values(current_since=NOW - HOUR))

    changed = [writer.reschedule(lambda _name, _at: None, on_request={"a", "b"}) for _ in range(2)]

    assert changed == [2, 0]
    assert due(writer) == []
    assert {each.next_due_at for each in LedgerReader(database).accounts(["a", "b"])} == {None}


def test_due_times_of_a_fleet_are_changed_by_a_few_short_transactions(
    database: Engine, writer: LedgerWriter
) -> None:
    """They are read at once and written some hundreds at a time, between which others write.

    A secret that has become the current one meanwhile keeps the due time that goes with it.
    """
    put(writer, "rival", NOW)
    names = [f"account-{number:04}" for number in range(1200)]
    with database.begin() as connection:
        row = dict(connection.execute(select(tables.account)).mappings().one())
        row |= {"current_since": NOW - DAY, "next_due_at": NOW}
        connection.execute(insert(tables.account), [row | {"name": name} for name in names])
    written: list[int] = []
    statements: list[str] = []

    def execute(*told: Any) -> None:  # noqa: ANN401  # of SQLAlchemy's event
        _, _, statement, parameters, _, is_many = told
        statements.append(statement)
        if statement.startswith("UPDATE") and is_many:
            written.append(len(parameters))

    def next_due(name: str, created_at: datetime) -> datetime:
        if name == names[-1]:
            with other.begin() as connection:
                renewed = {"current_since": NOW, "next_due_at": NOW + 30 * DAY}
                is_name = tables.account.c.name == name
                connection.execute(update(tables.account).where(is_name).values(renewed))
        return created_at + 3 * DAY

    other = open_database(database.url.render_as_string(hide_password=False))
    event.listen(database, "before_cursor_execute", execute)
    try:
        changed = writer.reschedule(next_due)
    finally:
        event.remove(database, "before_cursor_execute", execute)
        other.dispose()
    found = {each.name: each.next_due_at for each in LedgerReader(database).accounts(names)}

    assert (changed, sum(written)) == (len(names), len(names))
    assert max(written) <= 500
    assert len(statements) <= 12
    assert found[names[-1]] == NOW + 30 * DAY
    assert {found[name] for name in names[:-1]} == {NOW + 2 * DAY}


@pytest.mark.parametrize(
    ("due_at", "rotation", "is_due"),
    [
        (None, None, False),
        (NOW + HOUR, None, False),
        (NOW, None, True),
        (NOW - HOUR, None, True),
        # Interrupted: nothing to wait for, however it was started.
        (NOW + HOUR, OPEN, True),
        (None, OPEN, True),
        # In its grace, there is nothing to do even if its due time is past: it still is the
        # one for which the rotation was opened.
        (NOW - HOUR, replace(OPEN, verified_at=NOW - 23 * HOUR), False),
        (NOW + HOUR, replace(OPEN, verified_at=NOW - 23 * HOUR), False),
        (NOW + HOUR, replace(OPEN, verified_at=NOW - 24 * HOUR), True),
        (NOW + HOUR, replace(OPEN, verified_at=NOW - 25 * HOUR), True),
        # At a gate, it is asked again when it is time.
        (
            NOW + HOUR,
            replace(OPEN, verified_at=NOW - 25 * HOUR, waiting=GateWait(retry_at=NOW)),
            True,
        ),
        (
            NOW + HOUR,
            replace(OPEN, verified_at=NOW - 25 * HOUR, waiting=GateWait(retry_at=NOW + HOUR)),
            False,
        ),
        (
            NOW - HOUR,
            replace(OPEN, verified_at=NOW - 25 * HOUR, waiting=GateWait(retry_at=NOW + HOUR)),
            False,
        ),
        # Later than any gate is asked again: the clock that said so has been put right.
        (
            NOW + HOUR,
            replace(
                OPEN,
                verified_at=NOW - 25 * HOUR,
                waiting=GateWait(gate="g", retry_at=NOW + QUARTER),
            ),
            False,
        ),
        (
            NOW - HOUR,
            replace(
                OPEN, verified_at=NOW - 25 * HOUR, waiting=GateWait(gate="g", retry_at=NOW + HOUR)
            ),
            True,
        ),
        # Nor is a window waited for longer than one can be closed.
        (None, replace(OPEN, waiting=GateWait(retry_at=NOW + 14 * DAY)), False),
        (None, replace(OPEN, waiting=GateWait(retry_at=NOW + 60 * DAY)), True),
        # A grace does not begin later than a clock that is believed can tell.
        (NOW - HOUR, replace(OPEN, verified_at=NOW + DAY), False),
        (NOW + HOUR, replace(OPEN, verified_at=NOW + 60 * DAY), True),
        # A closed one is history.
        (NOW + HOUR, replace(OPEN, closed_at=NOW - HOUR), False),
        (NOW, replace(OPEN, verified_at=NOW, closed_at=NOW - HOUR), True),
    ],
)
def test_due_is_what_there_is_something_to_do_for(
    writer: LedgerWriter, due_at: datetime | None, rotation: Rotation | None, *, is_due: bool
) -> None:
    """The due time counts, unless an open rotation says what to wait for."""
    put(writer, "a", due_at, rotation)

    assert due(writer) == (["a"] if is_due else [])


def test_only_the_accounts_asked_for(writer: LedgerWriter) -> None:
    """An account that this process does not know, or that backs off, is nobody's but others'."""
    for name in "abc":
        put(writer, name, NOW)

    assert due(writer, "bx") == ["b"]
    assert due(writer, "") == []


def test_the_longest_due_come_first(writer: LedgerWriter) -> None:
    """With fewer workers than work, nobody is passed over for ever."""
    for name, age in (("a", 1), ("b", 3), ("c", 2), ("d", 3)):
        put(writer, name, NOW - age * HOUR)

    assert due(writer, limit=3) == ["b", "d", "c"]
    assert due(writer, limit=3) == ["a"]


PUSHED = replace(OPEN, step=Step.PUSH, vault_version=2)
IN_GRACE = replace(PUSHED, step=Step.WAIT, verified_at=NOW - 23 * HOUR)


@pytest.mark.parametrize(
    ("rotation", "expected"),
    [
        # Held, frozen, released:
        (None, "--a"),
        (OPEN, "--a"),
        (replace(OPEN, step=Step.CREATE, new_id="new"), "--a"),
        # Its answer may have been lost: only a look tells whether it has pushed.
        (replace(OPEN, step=Step.PUSH), "a-a"),
        (PUSHED, "a-a"),
        (IN_GRACE, "---"),
        (replace(IN_GRACE, verified_at=NOW - 24 * HOUR), "a-a"),
        # A closed one is history.
        (replace(PUSHED, closed_at=NOW - HOUR), "--a"),
    ],
)
def test_a_held_account_is_due_for_what_it_has_pushed(
    database: Engine, writer: LedgerWriter, rotation: Rotation | None, expected: str
) -> None:
    """A hold keeps a rotation from being begun, not from being finished; a freeze does both."""
    put(writer, "a", NOW, rotation)
    holds, hold = Holds(database), Hold(reason="audit", by="ops", at=NOW)
    holds.put("a", hold)
    held = [each.name for each in writer.due(NOW)]
    holds.put("a", replace(hold, freeze=True))
    frozen = [each.name for each in writer.due(NOW)]
    holds.lift("a", actor=Actor(by="ops", host="there"), now=NOW)
    released = [each.name for each in writer.due(NOW)]

    assert "".join(due[0] if due else "-" for due in (held, frozen, released)) == expected


def test_a_lease_that_ran_out_is_free(database: Engine, writer: LedgerWriter) -> None:
    """What a process had when it was lost is taken over by the others."""
    put(writer, "a", NOW)
    rival = LedgerWriter(database, lease_seconds=0, owner="there/boot/ns/2/200")
    rival.claim("a", NOW)

    assert due(writer) == ["a"]


def test_many_share_the_work(database: Engine) -> None:
    """Every due account goes to exactly one of those that ask at the same time."""
    books = [
        LedgerWriter(database, lease_seconds=60, owner=f"owner-{number}") for number in range(6)
    ]
    names = [f"a{number:02}" for number in range(40)]
    for name in names:
        put(books[0], name, NOW)

    def work(writer: LedgerWriter) -> list[str]:
        claimed = []
        while some := due(writer, names, limit=3):
            claimed += some
        return claimed

    with ThreadPoolExecutor(len(books)) as pool:
        shares = list(pool.map(work, books))

    assert sorted(chain.from_iterable(shares)) == names


@pytest.mark.postgres
@pytest.mark.parametrize("kind", ["postgresql"])
def test_an_account_being_claimed_is_passed_over(writer: LedgerWriter, ledger_url: str) -> None:
    """PostgreSQL: nobody waits for a row that another process has just locked."""
    for name in "ab":
        put(writer, name, NOW)
    other = open_database(ledger_url)
    with other.begin() as connection:
        is_a = tables.account.c.name == "a"
        connection.execute(select(tables.account).where(is_a).with_for_update())
        claimed = due(writer)
    other.dispose()

    assert claimed == ["b"]


def test_a_dead_process_needs_no_expiry(database: Engine, writer: LedgerWriter) -> None:
    """On the same machine the kernel tells that an owner is gone, and others take over."""
    put(writer, "a", NOW)
    with subprocess.Popen(["true"]) as gone:
        dead = this_process().split("/")
        dead[-2] = str(gone.pid)
    LedgerWriter(database, lease_seconds=600, owner="/".join(dead)).claim("a", NOW)

    assert due(writer) == ["a"]


def test_what_is_due_is_named_whoever_works_on_it(writer: LedgerWriter) -> None:
    """A parent waits for a child that another process rotates, so that one is named as well."""
    for name in "abc":
        put(writer, name, NOW)
    writer.claim("b", NOW)

    assert [each.name for each in writer.due(NOW)] == ["a", "b", "c"]
    assert writer.due(NOW - HOUR) == []


# -- After failures. -----------------------------------------------------------------------


def passed(writer: LedgerWriter, event: str, step: Step | None = None, now: datetime = NOW) -> None:
    """Record that a pass over account "a" ended in `event`."""
    lease = writer.claim("a", now)
    entry = NewEntry(event=event, step=step, detail={})
    writer.commit(lease, rotation=None, entries=[entry], snapshot=None, now=now)
    writer.release(lease)


def tries(database: Engine) -> tuple[int, datetime | None]:
    """Read how often account "a" failed, and when it is tried again."""
    account = tables.account.c
    with database.connect() as connection:
        row = connection.execute(select(account.failures, account.retry_at)).one()
    return row.failures, row.retry_at


@pytest.mark.parametrize("event", ["failed", "refused"])
def test_a_failure_puts_the_next_try_off(
    database: Engine, writer: LedgerWriter, event: str
) -> None:
    """What failed is tried again, later each time, with all processes counting together."""
    put(writer, "a", NOW)
    passed(writer, event)
    first = tries(database)
    passed(writer, event)
    second = tries(database)

    assert (first[0], second[0]) == (1, 2)
    assert first[1] is not None
    assert second[1] is not None
    assert NOW < first[1] < second[1]
    assert due(writer) == []
    assert [each.account for each in writer.claim_due(["a"], limit=1, now=second[1])] == ["a"]


def test_a_next_try_that_a_clock_ahead_has_told_is_not_waited_for(writer: LedgerWriter) -> None:
    """Nothing is put off for longer than seven hours and a half."""
    put(writer, "a", NOW)
    passed(writer, "failed", now=NOW + 60 * DAY)

    assert due(writer) == ["a"]


@pytest.mark.parametrize(
    ("event", "step"),
    [("done", Step.VERIFY), ("closed", Step.COMPLETE), ("trouble-over", None)],
)
def test_a_success_forgets_the_failures(
    database: Engine, writer: LedgerWriter, event: str, step: Step | None
) -> None:
    """Once it works, or what was in its way is mended, the next failure is a first one."""
    put(writer, "a", NOW)
    passed(writer, "failed")
    passed(writer, event, step)

    assert tries(database) == (0, None)
    assert due(writer) == ["a"]


def test_a_step_on_the_way_is_no_success(database: Engine, writer: LedgerWriter) -> None:
    """A pass that gets as far as the last one did has not overcome what ended that."""
    put(writer, "a", NOW)
    passed(writer, "failed")
    passed(writer, "intent", Step.CREATE)

    assert tries(database)[0] == 1
