from datetime import UTC, datetime

from rotator.application import Observers
from rotator.daemon.health import Health, Heartbeat
from rotator.daemon.outages import Outages
from rotator.daemon.status_server import StatusServer
from rotator.daemon.workers import WorkerPool
from rotator.errors import AddressTaken, StoreUnavailable

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Server(StatusServer):
    """A status server that serves nothing, by a clock of the test's own."""

    def __init__(self) -> None:
        """Begin without anything known."""
        self.seconds = 0.0
        self.health = Health(clock=lambda: self.seconds)
        self.outages = Outages(pool=WorkerPool(), health=self.health)
        super().__init__(Heartbeat(), self.health, self.outages, Observers())

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
