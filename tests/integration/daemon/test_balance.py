"""The daemon's watch over balances, against a simulated Vonage and Vault."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from rotator.application import Application
from rotator.config import load
from rotator.daemon.balance import BalanceCheck
from rotator.daemon.health import Health
from rotator.model import Account
from rotator.sim import Environment


@pytest.fixture
def world() -> Iterator[Environment]:
    """Two accounts with 10.28 euros each."""
    with Environment.build(accounts=2, subaccounts=0) as world:
        yield world


@pytest.fixture
def application(world: Environment, tmp_path: Path) -> Iterator[Application]:
    """Yield rotator on that world, watching the first account's balance."""
    (tmp_path / "token").write_text(world.vault.token)
    text = world.config(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path / "token")
    text = text.replace('name = "account-1"\n', 'name = "account-1"\nmin_balance = 20.5\n')
    (tmp_path / "config.toml").write_text(text)
    with Application(load(tmp_path / "config.toml", {}), {}) as application:
        yield application


class Watch:
    """A check that is always due, and what it told."""

    def __init__(self, application: Application, world: Environment) -> None:
        self.told: list[tuple[str, str | None]] = []
        self.stopping = threading.Event()
        self.world = world
        self.check = BalanceCheck(
            application, health=Health(), stopping=self.stopping, on_balance=self.hear
        )

    def hear(self, account: Account, why: str | None) -> None:
        """Take what hooks would be told."""
        self.told.append((account.name, why))

    def look(self, euros: float) -> list[str]:
        """Read the balance anew, after it has become `euros`; give the events logged."""
        self.world.vonage._accounts[self.world.accounts[0].api_key].balance = euros
        self.check._read_at.clear()
        with capture_logs() as logged:
            self.check.run()
        return [entry["event"] for entry in logged if entry["log_level"] == "warning"]


def test_a_low_balance_is_said_once(application: Application, world: Environment) -> None:
    """A balance under its minimum is one warning until it has recovered."""
    watch = Watch(application, world)
    events = [watch.look(euros) for euros in (20.5, 20.49, 5.0, 30.0, 1.0)]

    assert events == [[], ["balance low"], [], ["balance recovered"], ["balance low"]]
    assert [why for _, why in watch.told][:2] == [None, "20.49 EUR are left, less than 20.5"]


def test_only_watched_accounts_are_read_and_only_in_their_turn(
    application: Application, world: Environment
) -> None:
    """Vonage is asked for those with `min_balance`, and not again within the interval."""
    watch = Watch(application, world)
    watch.look(30.0)
    watch.check._read_at["account-1"] = datetime.now(UTC)
    watch.check.run()

    assert [name for name, _ in watch.told] == ["account-1"]


def test_a_balance_that_cannot_be_read_is_said(
    application: Application, world: Environment
) -> None:
    """An account whose value is gone from Vault is a warning, not the end of the check."""
    world.vault.delete_latest("vonage/account-1")
    watch = Watch(application, world)

    assert watch.look(30.0) == ["balance not read"]
    assert watch.told == []


def test_nothing_is_read_while_stopping(application: Application, world: Environment) -> None:
    """A daemon that ends asks nobody any more."""
    watch = Watch(application, world)
    watch.stopping.set()

    assert watch.look(1.0) == []
