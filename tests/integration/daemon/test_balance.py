"""The daemon's watch over balances, against a simulated Vonage and Vault."""

import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from rotator.application import Application
from rotator.config import load
from rotator.daemon.alerts import BalanceCheck
from rotator.daemon.health import Health
from rotator.rotation.ports import Observer
from rotator.sim import Environment


@pytest.fixture
def world() -> Iterator[Environment]:
    """Two accounts with 10.28 euros each."""
    with Environment.build(accounts=2, subaccounts=0) as world:
        yield world


@pytest.fixture
def application(world: Environment, tmp_path: Path) -> Iterator[Application]:
    """Yield rotator on that world, watching the first account's balance at every run."""
    (tmp_path / "token").write_text(world.vault.token)
    text = world.config(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path / "token")
    text = text.replace('name = "account-1"\n', 'name = "account-1"\nmin_balance = 20.5\n')
    (tmp_path / "config.toml").write_text(text)
    settings = load(tmp_path / "config.toml", {})
    with Application(settings, {}, observer=Balances()) as application:
        yield application


class Balances(Observer):
    """Keeps the balances that it hears of."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, Decimal]] = []

    def balance_read(self, account: str, euros: Decimal) -> None:
        """Keep it."""
        self.heard.append((account, euros))


class Watch:
    """A check, and what it says."""

    def __init__(self, application: Application, world: Environment) -> None:
        self.stopping = threading.Event()
        self.world = world
        self.check = BalanceCheck(application, health=Health(), stopping=self.stopping)

    def look(self, euros: float) -> list[str]:
        """Let the check run, and be due, when the balance has become `euros`."""
        self.world.vonage._accounts[self.world.accounts[0].api_key].balance = euros
        self.check._turns.clear()
        self.check._has_begun = False
        return self.run()

    def run(self) -> list[str]:
        """Let the check run; return the events logged."""
        with capture_logs() as logged:
            self.check.run()
        return [entry["event"] for entry in logged if entry["log_level"] == "warning"]

    def asked(self) -> int:
        """Return how often Vonage was asked."""
        return len(self.world.vonage.exchanges)


@pytest.fixture
def watch(application: Application, world: Environment) -> Watch:
    """Return a check that did not run yet."""
    return Watch(application, world)


def test_a_low_balance_is_said_once(watch: Watch) -> None:
    """A balance under its minimum is one warning until it has recovered."""
    events = [watch.look(euros) for euros in (20.5, 20.49, 5.0, 30.0, 1.0)]

    assert events == [[], ["balance low"], [], ["balance recovered"], ["balance low"]]


def test_each_balance_is_told_to_observers(watch: Watch, application: Application) -> None:
    """Low or not, for the metrics."""
    for euros in (30.0, 5.25):
        watch.look(euros)

    assert isinstance(application.observer, Balances)
    assert application.observer.heard == [
        ("account-1", Decimal(30)),
        ("account-1", Decimal("5.25")),
    ]


def test_only_watched_accounts_are_read_and_only_in_their_turn(watch: Watch) -> None:
    """Vonage is asked for those with `min_balance`, and not again within the interval."""
    watch.look(30.0)
    watch.run()

    assert watch.asked() == 1


def test_a_balance_that_cannot_be_read_is_said_once(watch: Watch, world: Environment) -> None:
    """An account whose value is gone from Vault is a warning, not the end of the check."""
    world.vault.delete_latest("vonage/account-1")

    assert [watch.look(30.0) for _ in range(2)] == [["balance not read"], []]
    assert watch.asked() == 0


def test_a_secret_that_is_refused_is_read_again(watch: Watch, world: Environment) -> None:
    """It may have been rotated in between: Vonage is asked twice before that is a failure."""
    world.vault.write("vonage/account-1", {"api_secret": "NotTheSecret1"})

    assert watch.look(30.0) == ["balance not read"]
    assert watch.asked() == 2


def test_nothing_is_read_while_stopping(watch: Watch) -> None:
    """A daemon that ends asks nobody any more."""
    watch.stopping.set()

    assert watch.look(1.0) == []
    assert watch.asked() == 0
