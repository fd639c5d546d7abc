"""Threads that write to SQLite at once share a commit."""

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
        shared = self.database.get_execution_options()["rotator_commits"]

        def hold(connection: Connection) -> None:
            has_turn.set()
            until(lambda: shared._waiting == others)
            work(connection)

        return hold


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[Crowd]:
    """Give a database that threads write to."""
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


def test_who_writes_at_once_shares_a_commit(crowd: Crowd) -> None:
    """All that wait are in one commit, and none goes on before it is on the disk."""
    seen = crowd.run(*map(put, range(6)))

    assert crowd.rows() == [0, 1, 2, 3, 4, 5]
    assert crowd.commits == 1
    assert seen == [6] * 6


def test_who_isalone_waits_for_nobody(crowd: Crowd) -> None:
    """A thread that nobody follows commits by itself."""
    seen = [crowd.run(put(number)) for number in range(3)]

    assert seen == [[1], [2], [3]]
    assert crowd.commits == 3


def test_a_crowd_is_not_endless(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many turns there is a commit, whoever is waiting."""
    monkeypatch.setattr("rotator.ledger.commits._MOST", 3)
    crowd.run(*map(put, range(6)))

    assert crowd.rows() == [0, 1, 2, 3, 4, 5]
    assert crowd.commits == 2


@pytest.mark.parametrize("place", range(4))
def test_what_one_gives_up_is_undonealone(crowd: Crowd, place: int) -> None:
    """An error undoes what its thread wrote and nothing of the others."""
    works = [put(number) for number in range(3)]
    works.insert(place, fail)
    seen = crowd.run(*works)

    assert crowd.rows() == [0, 1, 2]
    assert isinstance(seen[place], ArithmeticError)
    assert len([each for each in seen if isinstance(each, int)]) == 3


def test_a_commit_that_fails_fails_for_all(crowd: Crowd) -> None:
    """Where nothing could be committed, each thread that took part hears of it."""
    seen = crowd.run(put(0), put(1, follows=7), put(2))

    assert crowd.rows() == []
    assert ["FOREIGN KEY" in str(error) for error in seen] == [True] * 3
    assert crowd.run(put(1)) == [1]


def test_a_transaction_that_is_lost_is_lost_for_all(crowd: Crowd) -> None:
    """What SQLite undid by itself, no thread takes for written."""
    seen = crowd.run(put(0), vanish)

    assert crowd.rows() == []
    assert [type(error) for error in seen] == [LedgerError, ArithmeticError]
    assert crowd.run(put(1)) == [1]


def test_what_was_left_open_is_committed(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    """If whoever was to go on never comes, who waits commits by itself."""
    monkeypatch.setattr("rotator.ledger.commits._PATIENCE", 0.01)
    shared = crowd.database.get_execution_options()["rotator_commits"]
    shared._waiting += 1  # one that was interrupted
    waiting = threading.Thread(target=crowd.alone, args=[put(0)])
    waiting.start()
    until(lambda: shared._open and not shared._turn.locked())
    shared._waiting -= 1
    waiting.join(60)

    assert crowd.rows() == [0]


def test_an_interrupted_commit_is_not_taken_for_one(crowd: Crowd) -> None:
    """Where the commit is interrupted, nobody goes on as if it were done."""

    @event.listens_for(crowd.database, "commit")
    def _interrupt(_connection: Any) -> None:  # noqa: ANN401
        raise ArithmeticError

    seen = crowd.run(put(0), put(1))

    assert crowd.rows() == []
    assert [type(error) for error in seen] == [LedgerError, ArithmeticError]


def test_what_cannot_begin_begins_anew(crowd: Crowd) -> None:
    """A transaction that could not be begun is in nobody's way later."""
    with sqlite3.connect(crowd.path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        crowd.database.dispose()
        _impatient(crowd.database)
        with pytest.raises(LedgerError, match="keeps the ledger locked"), writing(crowd.database):
            pass
        other.execute("ROLLBACK")
    other.close()

    assert crowd.run(put(0)) == [1]


def _impatient(database: Engine) -> None:
    """Have connections from now on not wait for another process."""

    @event.listens_for(database, "connect")
    def _no_wait(connection: Any, _record: object) -> None:  # noqa: ANN401
        connection.execute("PRAGMA busy_timeout = 0")
