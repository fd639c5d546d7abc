"""Threads that write to SQLite at once take turns."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text

from rotator.errors import LedgerError
from rotator.ledger.database import open_database, writing
from tests.acceptance.service import until

#: Whether rows refer to others is looked at by the commit.
TABLE = """CREATE TABLE t
    (n INTEGER PRIMARY KEY, follows INTEGER REFERENCES t DEFERRABLE INITIALLY DEFERRED)"""

Work = Callable[[Connection], object]


class Crowd:
    """Threads of which the first has its turn until all others wait for theirs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = open_database(f"sqlite:///{path}")
        self.commits = 0
        with writing(self.database) as connection:
            connection.execute(text(TABLE))

        @event.listens_for(self.database, "commit")
        def _count(_connection: Any) -> None:  # noqa: ANN401
            self.commits += 1

    def run(self, *works: Work) -> list[BaseException | int]:
        """Do each in a thread; give its error, or how many rows others saw when it went on."""
        with ThreadPoolExecutor(len(works)) as pool:
            first, *others = works
            has_turn = threading.Event()
            futures = [pool.submit(self.alone, self._holding(first, has_turn, len(others)))]
            assert has_turn.wait(60)
            futures += [pool.submit(self.alone, work) for work in others]
            return [future.result() for future in futures]

    def rows(self) -> list[int]:
        """Read what is on the disk, as another process would."""
        with sqlite3.connect(self.path) as connection:
            found = [row[0] for row in connection.execute("SELECT n FROM t ORDER BY n")]
        connection.close()
        return found

    def alone(self, work: Work) -> BaseException | int:
        """Do it in this thread; give its error, or how many rows others see when it goes on."""
        try:
            with writing(self.database) as connection:
                work(connection)
        except (LedgerError, ArithmeticError) as error:
            return error
        return len(self.rows())

    def _holding(self, work: Work, has_turn: threading.Event, others: int) -> Work:
        def hold(connection: Connection) -> None:
            has_turn.set()
            self.wait_for(others)
            work(connection)

        return hold

    def wait_for(self, waiting: int) -> None:
        """Wait until so many threads wait for their turn."""
        turns = self.database.get_execution_options()["rotator_turns"]
        until(lambda: len(turns._waiting) == waiting)


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[Crowd]:
    """Yield a database that threads write to."""
    made = Crowd(tmp_path / "ledger.db")
    yield made
    made.database.dispose()


def put(number: int, *, follows: int | None = None) -> Work:
    """Insert a row."""
    row = {"n": number, "follows": follows}
    return lambda connection: connection.execute(text("INSERT INTO t VALUES (:n, :follows)"), row)


def fail(connection: Connection) -> None:
    """Insert a row, and fail."""
    put(99)(connection)
    raise ArithmeticError


def vanish(connection: Connection) -> None:
    """Insert a row, have SQLite undo all of the transaction, as a full disk makes it, and fail."""
    put(99)(connection)
    connection.exec_driver_sql("ROLLBACK")
    raise ArithmeticError


def test_each_goes_on_once_its_rows_are_on_the_disk(crowd: Crowd) -> None:
    """Whoever waits has a commit of its own, and others see it when it goes on."""
    seen = crowd.run(*map(put, range(6)))

    assert crowd.rows() == [0, 1, 2, 3, 4, 5]
    assert crowd.commits == 6
    assert [number for number in seen if isinstance(number, int) and number > 0] == seen
    assert max(map(int, map(str, seen))) == 6


def test_who_has_waited_for_longest_is_next(crowd: Crowd) -> None:
    """Turns come in the order in which they were asked for, and nobody cuts in."""
    done: list[int] = []
    threads = [
        threading.Thread(target=crowd.alone, args=[lambda _connection, n=n: done.append(n)])
        for n in range(6)
    ]
    with writing(crowd.database):
        for number, thread in enumerate(threads):
            thread.start()
            crowd.wait_for(number + 1)
    for thread in threads:
        thread.join(60)

    assert done == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("place", range(4))
def test_what_one_gives_up_is_undone_alone(crowd: Crowd, place: int) -> None:
    """An error undoes what its thread wrote and nothing of the others."""
    works = [put(number) for number in range(3)]
    works.insert(place, fail)
    seen = crowd.run(*works)

    assert crowd.rows() == [0, 1, 2]
    assert isinstance(seen[place], ArithmeticError)
    assert len([each for each in seen if isinstance(each, int)]) == 3


def test_a_commit_that_fails_is_undone_alone(crowd: Crowd) -> None:
    """Where it could not be committed, its thread hears of it, and the next one goes on."""
    seen = crowd.run(put(0), put(1, follows=7), put(2))

    assert crowd.rows() == [0, 2]
    assert ["FOREIGN KEY" in str(error) for error in seen] == [False, True, False]
    assert crowd.run(put(1)) == [3]


def test_a_transaction_that_the_database_undid_is_lost_alone(crowd: Crowd) -> None:
    """What SQLite undid by itself is in nobody's way."""
    seen = crowd.run(put(0), vanish, put(1))

    assert crowd.rows() == [0, 1]
    assert isinstance(seen[1], ArithmeticError)


def test_an_interrupted_commit_is_not_taken_for_one(crowd: Crowd) -> None:
    """Where commits are interrupted, nobody goes on as if they were done, or waits for ever."""

    @event.listens_for(crowd.database, "commit")
    def _interrupt(_connection: Any) -> None:  # noqa: ANN401
        raise ArithmeticError

    seen = crowd.run(put(0), put(1))

    assert crowd.rows() == []
    assert [type(error) for error in seen] == [ArithmeticError, ArithmeticError]


def test_what_cannot_begin_begins_anew(crowd: Crowd) -> None:
    """A transaction that could not be begun is in nobody's way later."""
    with sqlite3.connect(crowd.path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        crowd.database.dispose()
        _impatient(crowd.database)
        with (
            pytest.raises(LedgerError, match=r"keeps the ledger file .* locked"),
            writing(crowd.database),
        ):
            pass
        other.execute("ROLLBACK")
    other.close()

    assert crowd.run(put(0)) == [1]


def _impatient(database: Engine) -> None:
    """Make connections from now on not wait for another process."""

    @event.listens_for(database, "connect")
    def _no_wait(connection: Any, _record: object) -> None:  # noqa: ANN401
        connection.execute("PRAGMA busy_timeout = 0")
