"""PostgreSQL goes away, at every message of a commit and between two calls."""

import contextlib
import select
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url, text

from rotator.errors import LedgerError
from rotator.ledger.book import Book
from rotator.ledger.database import open_database
from rotator.ledger.queries import Queries
from rotator.model import Rotation, Step
from rotator.ports import Draft, Lease, Sighting

pytestmark = [pytest.mark.postgres, pytest.mark.parametrize("kind", ["postgresql"])]
NOW = datetime(2026, 11, 23, 7, 28, tzinfo=UTC)
SOCKET = ".s.PGSQL.5432"
ROTATION = Rotation(
    id="r",
    account="a",
    reason="due",
    step=Step.OPEN,
    predecessor_id=None,
    grace=timedelta(hours=1),
    opened_at=NOW,
)
SIGHTING = Sighting(listed_ids=(), current_id=None, current_since=None, drift=None)


class Proxy:
    """Stands between rotator and the server, and hangs up when told to."""

    def __init__(self, folder: Path, server: Path) -> None:
        self._server = server
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / SOCKET))
        self._listener.listen()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        #: How many messages of rotator's are still let through; None for all.
        self.left: int | None = None
        #: Whether the message that is not answered reaches the server all the same.
        self.delivers_last = False
        self.has_hung_up = False

    def hang_up_after(self, messages: int, *, delivers_last: bool) -> None:
        """Hang up once, after so many more messages of rotator's."""
        self.left, self.delivers_last, self.has_hung_up = messages, delivers_last, False

    def close(self) -> None:
        """Take no more connections and wait for those that are left to end."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                thread = threading.Thread(target=self._relay, args=[client])
                self._threads.append(thread)
                thread.start()

    def _relay(self, client: socket.socket) -> None:
        # Either side may hang up while it is being sent something.
        with client, socket.socket(socket.AF_UNIX) as server, contextlib.suppress(OSError):
            server.connect(str(self._server / SOCKET))
            while True:
                ready, _, _ = select.select([client, server], [], [])
                data = ready[0].recv(65536)
                if not data:
                    return
                if ready[0] is server:
                    client.sendall(data)
                elif self._is_last():
                    self.has_hung_up = True
                    if self.delivers_last:
                        server.sendall(data)
                    _end(server)
                    return
                else:
                    server.sendall(data)

    def _is_last(self) -> bool:
        """Count a message of rotator's."""
        if self.left is None:
            return False
        self.left -= 1
        if self.left >= 0:
            return False
        self.left = None
        return True


def _end(server: socket.socket) -> None:
    """Let the server know that nothing more comes, and wait until it has done with the rest."""
    server.shutdown(socket.SHUT_WR)
    # A server that was given half a message waits for the rest.
    server.settimeout(10)
    with contextlib.suppress(TimeoutError):
        while server.recv(65536):
            pass


@pytest.fixture
def proxy(ledger_url: str) -> Iterator[Proxy]:
    """Stand in front of the server."""
    with tempfile.TemporaryDirectory() as name:
        proxy = Proxy(Path(name), Path(str(make_url(ledger_url).query["host"])))
        yield proxy
        proxy.close()


@pytest.fixture
def far(proxy: Proxy, ledger_url: str) -> Iterator[Engine]:
    """Give the ledger as it is reached through the proxy."""
    folder = str(Path(proxy._listener.getsockname()).parent)
    url = make_url(ledger_url).update_query_dict({"host": folder})
    engine = open_database(url.render_as_string(hide_password=False))
    yield engine
    engine.dispose()


def commit(book: Book, lease: Lease, number: int) -> str:
    """Record a rotation's step, two entries and a sighting, each recognisable by `number`."""
    draft = Draft(event="done", step=None, detail={"n": number})
    return book.commit(
        lease,
        rotation=replace(ROTATION, draws=number),
        entries=[draft, draft],
        sighting=replace(SIGHTING, drift=str(number)),
        now=NOW,
    ).head


def recorded(database: Engine) -> tuple[int, int, str | None]:
    """Tell what of the commits is there: entries, the rotation's number, the sighting's."""
    queries = Queries(database)
    [account] = queries.accounts(["a"])
    assert queries.verify("a").fault is None
    assert account.last_rotation
    return queries.verify("a").entries, account.last_rotation.draws, account.drift


@pytest.mark.parametrize("delivers_last", [False, True])
def test_a_commit_that_loses_its_connection_anywhere(
    database: Engine,
    far: Engine,
    proxy: Proxy,
    caplog: pytest.LogCaptureFixture,
    *,
    delivers_last: bool,
) -> None:
    """At whichever message it is lost, all or nothing is recorded, and the next commit works."""
    book = Book(far, lease_seconds=60)
    lease = book.claim("a", NOW)
    commit(book, lease, 0)
    lost: list[bool] = []
    number, before = 0, recorded(database)
    while True:
        number += 1
        proxy.hang_up_after(number, delivers_last=delivers_last)
        try:
            head = commit(book, lease, number)
        except LedgerError:
            after = recorded(database)
            all_of_it = (before[0] + 2, number, str(number))
            assert after in (before, all_of_it)
            lost.append(after == all_of_it)
        else:
            if not proxy.has_hung_up:
                break
            assert head == book.recall("a").head
        commit(book, lease, number)
        before = recorded(database)

    assert len(lost) >= 5
    # Only the last message, the COMMIT, is one whose answer can be missing from a record.
    assert lost == [False] * (len(lost) - 1) + [delivers_last]
    assert proxy.left is not None
    # A library's warning would reach the operator's terminal.
    assert caplog.records == []


CALLS: dict[str, Callable[[Book, Lease], object]] = {
    "recall": lambda book, _lease: book.recall("a"),
    "knows_rotation": lambda book, _lease: book.knows_rotation("a", "r"),
    "claim": lambda book, _lease: book.claim("b", NOW),
    "claim_due": lambda book, _lease: book.claim_due(["a", "b"], limit=9, now=NOW),
    "renew": lambda book, lease: book.renew(lease, NOW),
    "release": lambda book, lease: book.release(lease),
    "commit": lambda book, lease: commit(book, lease, 1),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_any_call_after_a_loss_works(
    far: Engine, proxy: Proxy, call: Callable[[Book, Lease], object]
) -> None:
    """The same ledger object goes on as soon as the server is back."""
    book = Book(far, lease_seconds=60)
    lease = book.claim("a", NOW)
    proxy.hang_up_after(3, delivers_last=False)
    with contextlib.suppress(LedgerError):
        book.renew(lease, NOW)

    assert proxy.has_hung_up
    call(book, lease)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_any_call_after_the_server_was_restarted_works(
    database: Engine, far: Engine, call: Callable[[Book, Lease], object]
) -> None:
    """A connection that died while idle is replaced before anything is asked of it."""
    book = Book(far, lease_seconds=60)
    lease = book.claim("a", NOW)
    with database.connect() as connection:
        others = text(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
        ended = connection.execute(others).all()

    assert len(ended) == 1
    call(book, lease)


def test_a_terminated_transaction(database: Engine, far: Engine) -> None:
    """The server may end a transaction in its middle; nothing of it is recorded."""
    book = Book(far, lease_seconds=60)
    lease = book.claim("a", NOW)
    commit(book, lease, 1)
    before = recorded(database)
    with database.begin() as connection:
        connection.execute(text(TERMINATES_ITSELF))
        connection.execute(
            text("CREATE TRIGGER ends BEFORE INSERT ON entry EXECUTE FUNCTION ends()")
        )
    with pytest.raises(LedgerError):
        commit(book, lease, 2)
    with database.begin() as connection:
        connection.execute(text("DROP TRIGGER ends ON entry"))

    assert recorded(database) == before
    assert commit(book, lease, 3) == book.recall("a").head


TERMINATES_ITSELF = """
CREATE FUNCTION ends() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$
"""
