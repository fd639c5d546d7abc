import socket
import threading
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from rotator.application import Application, Observers
from rotator.config import Settings, load
from rotator.daemon.health import Health, Heartbeat
from rotator.daemon.outages import Outages
from rotator.daemon.service import Daemon
from rotator.daemon.status_server import StatusServer
from rotator.daemon.workers import WorkerPool
from rotator.errors import AddressTaken, StoreUnavailable
from rotator.web.app import PageData

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Server(StatusServer):
    """A status server that serves nothing, by a clock of the test's own."""

    def __init__(self) -> None:
        """Begin without anything known."""
        self.seconds = 0.0
        self.health = Health(clock=lambda: self.seconds)
        self.pool = WorkerPool()
        self.outages = Outages(pool=self.pool, health=self.health)
        super().__init__(Heartbeat(), self.health, self.outages, Observers(), pool=self.pool)

    def up(self) -> dict[str, bool]:
        """Return what is told of each component."""
        self.outages.observe(NOW)
        return dict(self._vitals().components)


def test_a_component_is_up_as_soon_as_it_answers() -> None:
    """As the log says; that it may come and go is for alerts and hooks to wait for."""
    server = Server()
    told = [server.up()]
    server.health.mark_up("vault", "ledger")
    told.append(server.up())
    server.health.mark_down("vault", StoreUnavailable())
    told.append(server.up())
    server.health.mark_up("vault")
    told.append(server.up())

    up, down = {"vault": True, "ledger": True}, {"vault": False, "ledger": True}
    assert told == [{}, up, down, up]


def test_the_page_is_no_component() -> None:
    """Nobody could read that it is down."""
    server = Server()
    server.health.mark_down("page", AddressTaken())

    assert server.up() == {}


def test_a_refused_configuration_is_told_until_one_is_accepted() -> None:
    """With the time since which the present one is in effect."""
    server = Server()
    before = server._vitals()
    server.note_reload(is_accepted=False)
    refused = server._vitals()
    server.note_reload(is_accepted=True)
    after = server._vitals()

    assert [each.is_newer_refused for each in (before, refused, after)] == [False, True, False]
    assert before.configured_at == refused.configured_at
    assert after.configured_at
    assert after.configured_at >= (refused.configured_at or NOW)


def served(folder: Path) -> Settings:
    """Return the settings of a page on a free port."""
    config = folder / "config.toml"
    config.write_text(
        '[daemon]\nlisten = "127.0.0.1:0"\n[vault]\naddress = "http://127.0.0.1:1"\n'
        f'[ledger]\nurl = "sqlite:///{folder / "ledger.db"}"\n'
        '[[accounts]]\nname = "a"\napi_key = "00000001"\nvault_path = "a"\n'
    )
    return load(config, {})


def test_a_page_is_served_where_no_thread_can_be_had_for_reading_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a reload would end half-way, with an open socket that nothing serves."""
    server = Server()

    def refuse(*_arguments: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(server.pool, "start", refuse)
    with Application(served(tmp_path), {"VAULT_TOKEN": "t"}) as application:
        server.show(application)

        assert server._server
        assert server.close(time.monotonic() + 60)


def test_an_application_is_in_use_while_its_accounts_are_read_for_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it could be closed meanwhile, and what is read then would stay open."""
    may_end = threading.Event()
    monkeypatch.setattr(PageData, "warm_up", lambda _self: may_end.wait())
    server = Server()
    with Application(served(tmp_path), {"VAULT_TOKEN": "t"}) as application:
        server.show(application)
        used = [server.pool.uses(application)]
        may_end.set()
        assert server.pool.join(time.monotonic() + 60)
        used.append(server.pool.uses(application))
        assert server.close(time.monotonic() + 60)

    assert used == [True, False]


def test_what_a_refused_reload_has_opened_is_closed(tmp_path: Path) -> None:
    """The page may have read its accounts already when another address was refused."""
    config = tmp_path / "config.toml"
    content = (
        '[daemon]\nlisten = "{listen}"\n[vault]\naddress = "http://127.0.0.1:1"\n'
        f'[ledger]\nurl = "sqlite:///{tmp_path / "ledger.db"}"\n'
        '[[accounts]]\nname = "a"\napi_key = "00000001"\nvault_path = "a"\n'
    )
    config.write_text(content.replace("{listen}", ""))
    daemon = Daemon(partial(load, config, {}), {"VAULT_TOKEN": "t"})
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config.write_text(content.replace("{listen}", f"127.0.0.1:{taken.getsockname()[1]}"))
        daemon._reload()
    [refused] = daemon._retired
    closed: list[str] = []
    refused._cleanup.callback(closed.append, "closed")
    daemon._close_retired()

    assert closed == ["closed"]
    assert daemon._retired == []
