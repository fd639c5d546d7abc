"""SQLite's transactions: begun at the right time, and committed for several threads at once.

SQLite has one writer at a time, and a commit that is to outlive a loss of power waits for the
disk. So threads take turns in one transaction: who is done leaves it open if another one is
waiting for its turn, else commits it for all who took part. Each goes on only once the commit is
on the disk, and what one of them gives up is undone without the others.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from rotator.errors import LedgerError

#: Turns in one transaction: more would spare few commits, and let the first wait for too long.
_MOST = 8
#: Seconds after which those who wait see for themselves whether anybody is there to commit.
_PATIENCE = 1.0


def begin(connection: Connection, statement: str) -> None:
    """Begin a transaction on SQLite, by `BEGIN` or one of its variants.

    Here and not when SQLAlchemy says that one begins: with a single listener for its events, it
    goes through all of them at each statement, which takes longer than the statement.

    Raises:
        sqlite3.Error: it is not begun.
    """
    connection.connection.cursor().execute(statement)


class SharedCommits:
    """The transactions of all threads that write to one SQLite database."""

    def __init__(self) -> None:
        """Begin nothing yet."""
        self._turn = Lock()
        #: How many wait for their turn, and what guards that number.
        self._waiting, self._counting = 0, Lock()
        #: What the next turn is in; None for a new one.
        self._open: _Shared | None = None

    @contextmanager
    def writing(self, engine: Engine) -> Iterator[Connection]:
        """Give a transaction; committed on return, and undone on any error.

        Raises:
            sqlite3.Error: it could not be begun.
            SQLAlchemyError: it could not be committed.
        """
        self._take_turn()
        try:
            transaction = self._open = self._open or _Shared(engine)
            with transaction.turn() as connection:
                yield connection
        finally:
            self._end_turn()
        while not transaction.wait(_PATIENCE):
            # Who was to commit it was interrupted on the way.
            self._take_turn()
            self._end_turn()
        if transaction.error:
            raise transaction.error

    def _take_turn(self) -> None:
        with self._counting:
            self._waiting += 1
        try:
            self._turn.acquire()
        finally:
            with self._counting:
                self._waiting -= 1

    def _end_turn(self) -> None:
        """Commit what is open, if nobody waits to go on with it."""
        try:
            if self._open and (self._waiting == 0 or not self._open.takes_more()):
                self._open.end()
        finally:
            if self._open and self._open.is_over:
                self._open = None
            self._turn.release()


class _Shared:
    """One transaction, in which threads take turns."""

    def __init__(self, engine: Engine) -> None:
        """Begin it.

        IMMEDIATE takes the write lock now: a transaction that has read does not fail when it
        comes to write.
        """
        self._connection = engine.connect()
        try:
            begin(self._connection, "BEGIN IMMEDIATE")
        except BaseException:
            self._connection.close()
            raise
        self._whole = self._connection.begin()
        self._turns = 0
        #: It is committed, or `error` says why it is not.
        self.is_over = False
        self.error: BaseException | None = None
        #: Held until it is over; an `Event` takes longer to make than most have to wait.
        self._over = Lock()
        self._over.acquire()

    def wait(self, seconds: float) -> bool:
        """Wait until it is over, for so many seconds; give whether it is."""
        if self.is_over or not self._over.acquire(timeout=seconds):
            return self.is_over
        self._over.release()
        return True

    def takes_more(self) -> bool:
        """Whether another turn may be taken."""
        return self._turns < _MOST and self.error is None

    def end(self) -> None:
        """Commit it, unless it has ended already. `error` says whether that failed."""
        if self.is_over:
            return
        try:
            self._whole.commit()
        except BaseException as error:
            # SQLite keeps open what it could not commit.
            self._undo(error, whole=True)
            if not isinstance(error, SQLAlchemyError):
                raise
        else:
            self._close(None)

    @contextmanager
    def turn(self) -> Iterator[Connection]:
        """Give the connection; what is done with it is undone alone if it fails."""
        is_first = self._turns == 0
        self._turns += 1
        try:
            if not is_first:
                self._run("SAVEPOINT turn")
            yield self._connection
            if not is_first:
                self._run("RELEASE turn")
        except BaseException as error:
            self._undo(error, whole=is_first)
            # Who fails may come back at once, again and again, and the others wait.
            self._turns = _MOST
            raise

    def _undo(self, cause: BaseException, *, whole: bool) -> None:
        try:
            if whole:
                # There is nobody else's work in it.
                self._whole.rollback()
            else:
                self._run("ROLLBACK TO turn")
                self._run("RELEASE turn")
        except (SQLAlchemyError, sqlite3.Error) as error:
            # SQLite has undone all of it by itself, as it does when the disk is full.
            self._close(cause if isinstance(cause, SQLAlchemyError) else error)
        else:
            if whole:
                self._close(cause)

    def _run(self, statement: str) -> None:
        """Execute a statement that has no result, without what SQLAlchemy does around it."""
        self._connection.connection.cursor().execute(statement)

    def _close(self, error: BaseException | None) -> None:
        is_known = error is None or isinstance(error, SQLAlchemyError | sqlite3.Error)
        self.error = error if is_known else LedgerError("the ledger was interrupted")
        self._connection.close()
        self.is_over = True
        self._over.release()
