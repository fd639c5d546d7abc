"""Every surface says the same of an account: its state, the cause and the cure, word for word."""

import io
import json
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from datetime import datetime, tzinfo
from html import unescape
from pathlib import Path
from threading import Event as ThreadEvent
from typing import Any, Self
from unittest.mock import patch

import httpx
import pytest

from rotator.application import Application
from rotator.cli import main
from rotator.config import load
from rotator.daemon.alerts import OverdueCheck
from rotator.daemon.health import Health
from rotator.hooks.payload import Payload
from rotator.model import State
from rotator.model.times import format_duration
from rotator.telemetry.metrics import Metrics
from rotator.web.access import AccessControl
from rotator.web.app import Pulse, WebApp
from rotator.web.listener import ListenAddress, url_of
from rotator.web.server import Server
from tests.support.fleet import HOOK, Fleet

#: Modules that ask what time it is.
CLOCKS = (
    "rotator.cli.commands.status",
    "rotator.cli.commands.report",
    "rotator.daemon.alerts",
    "rotator.daemon.periodic",
    "rotator.reporting.verification",
    "rotator.telemetry.metrics",
    "rotator.web.app",
)
#: States in which hooks are notified; an operator who holds an account knows.
TOLD = (
    State.BROKEN,
    State.DRIFTED,
    State.REFUSED,
    State.OVERDUE,
    State.FAILING,
    State.UNMANAGED,
)


class Surfaces:
    """What each surface shows of the fleet, at one moment."""

    def __init__(self, fleet: Fleet) -> None:
        """Look at every surface."""
        self._fleet = fleet
        self.config = self._written()
        self.table = self._command("status")
        document = json.loads(self._command("status", "--json"))
        self.documents = {each["name"]: each for each in document["accounts"]}
        self.report = {
            each["name"]: each
            for each in json.loads(self._command("report", "--offline", "--format", "json"))[
                "accounts"
            ]
        }
        with ExitStack() as open_:
            application = open_.enter_context(Application(load(self.config, {}), {}))
            metrics = Metrics("1")
            pulse = Pulse(is_live=lambda: True, outages=dict)
            web = WebApp(metrics=metrics, pulse=pulse, version="1")
            web.show(application)
            address = ListenAddress(text="127.0.0.1:0")
            listening = address.listen()
            server = Server(AccessControl(web.app, address=address, token=None), listening)
            server.start()
            open_.callback(lambda: server.join(time.monotonic() + 60))
            open_.callback(server.stop)
            self._browser = open_.enter_context(
                httpx.Client(base_url=url_of(listening), timeout=60)
            )
            self.api = self._browser.get("/api/status").json()
            self.index = self._text("/")
            self.pages = {name: self._text(f"/accounts/{name}") for name in fleet.accounts}
            self.metrics = self._browser.get("/metrics").text
            self._find_overdue(application)
        self.payloads = {each["account"]: each for each in self._payloads()}

    def _written(self) -> Path:
        path = self._fleet.folder / "config.toml"
        tables = [
            "[[accounts]]\n"
            f'name = "{account.name}"\napi_key = "{account.api_key}"\n'
            f'vault_path = "{account.vault_path}"\njitter = "0s"\ngrace = "0s"\n'
            f'every = "{format_duration(account.policy.every)}"\n'
            f'max_age = "{format_duration(account.policy.max_age)}"\n'
            for account in self._fleet.accounts.values()
            if account.policy.every and account.policy.max_age
        ]
        events = json.dumps(sorted(HOOK.on))
        hook = f'[[hooks]]\nname = "{HOOK.name}"\non = {events}\ncommand = ["/bin/true"]\n'
        path.write_text(
            f'[vault]\naddress = "{self._fleet.world.vault.url}"\n'
            f'[ledger]\nurl = "sqlite:///{self._fleet.ledger_file}"\n' + "".join(tables) + hook
        )
        return path

    def _command(self, *words: str) -> str:
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = main.run("rotator", ["--config", str(self.config), *words])
        assert code == 0, err.getvalue()
        return out.getvalue()

    def _text(self, path: str) -> str:
        """Return the text of a page, without markup and in single spaces."""
        page = self._browser.get(path)
        assert page.status_code == 200, page.text
        return " ".join(unescape(re.sub(r"<[^>]*>", "", page.text)).split())

    def _find_overdue(self, application: Application) -> None:
        """Look for accounts that are overdue, as a daemon does."""
        times = [0.0]
        health = Health(clock=lambda: times[-1])
        # The daemon has run for long enough to have begun what was due at its start.
        times.append(7200.0)
        OverdueCheck(application, health=health, stopping=ThreadEvent()).check("overdue")

    def _payloads(self) -> Iterator[dict[str, Any]]:
        """Yield what hooks get, the oldest notification first."""
        fleet, now = self._fleet, self._fleet.clock.now()
        while delivery := fleet.deliveries.claim(
            [HOOK.name], accounts=None, longest=HOOK.timeout, due=now, now=now
        ):
            account = fleet.accounts[delivery.notification.account]
            payload = Payload(
                notification=delivery.notification, mount="secret", path=account.vault_path
            )
            yield payload.facts()
            fleet.deliveries.settle(delivery, None, now=now)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """An account in every state."""
    with Fleet(tmp_path_factory.mktemp("fleet")) as fleet:
        yield fleet


@pytest.fixture(scope="module")
def surfaces(fleet: Fleet) -> Iterator[Surfaces]:
    """What they show, all at the fleet's own time."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromtimestamp(fleet.clock.now().timestamp(), tz)

    with ExitStack() as patched:
        for module in CLOCKS:
            patched.enter_context(patch(f"{module}.datetime", Clock))
        yield Surfaces(fleet)


def plain(text: str) -> str:
    """Return a text as a page shows it: without the marks of code, in single spaces."""
    return " ".join(text.replace("`", "").split())


def test_every_surface_says_the_same(fleet: Fleet, surfaces: Surfaces) -> None:
    """State, cause and cure of each account, in every state there is."""
    assert {each["state"] for each in surfaces.documents.values()} == {*State}
    assert surfaces.api["accounts"] == list(surfaces.documents.values())
    for state, name in fleet.name_of.items():
        document = surfaces.documents[name]
        assert document["state"] == state
        code, why, hint = (document[key] or "" for key in ("code", "why", "hint"))
        row = next(line for line in surfaces.table.splitlines() if line.startswith(f"{name} "))
        assert row.split()[1] == state
        assert why in row or state is State.ROTATING
        assert code in row or state is State.HELD
        assert not hint or f"{name} is {state}: {hint}" in surfaces.table.splitlines()
        page = surfaces.pages[name]
        assert state in page
        for words in (code, why, hint):
            assert plain(words) in page
        assert plain(why) in surfaces.index
        assert f'rotator_account_state{{account="{name}",state="{state}"}} 1' in surfaces.metrics
        report = surfaces.report[name]["present"]
        assert [report[key] or "" for key in ("state", "code", "why", "hint")] == [
            state,
            code,
            why,
            hint,
        ]


def test_what_was_known_of_a_broken_account_is_still_shown(
    fleet: Fleet, surfaces: Surfaces
) -> None:
    """Its age and the secret that rotator has put into Vault, though Vonage answers no list."""
    name = fleet.name_of[State.BROKEN]
    [summary] = fleet.queries.accounts([name])
    document, page = surfaces.documents[name], surfaces.pages[name]

    assert summary.last_rotation
    new_id = summary.last_rotation.new_id
    assert new_id
    assert (document["secret_ids"], document["current_secret_id"]) == ([], None)
    assert document["current_since"]
    assert "10d of 45d" in page
    assert f"current{new_id} not known" in page
    assert re.search(rf"^{name} +broken +{new_id[:8]} +10d ", surfaces.table, re.MULTILINE)
    assert "by rotator's own record: Vonage accepts no credential" in page


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (State.BROKEN, "nothing until what is wrong is mended"),
        (State.REFUSED, "nothing until an operator decides"),
        (State.HELD, "nothing while held"),
        (State.UNMANAGED, "nothing until it is adopted"),
        (State.WAITING, "deletion of the old secret in 1d"),
        (State.HEALTHY, "rotation in 19d"),
    ],
)
def test_the_page_says_what_is_next_or_waited_for(
    fleet: Fleet, surfaces: Surfaces, state: State, text: str
) -> None:
    """Of each account; the one that comes first of all leads the overview."""
    assert f"Next (UTC){text}" in surfaces.pages[fleet.name_of[state]]
    assert f"Next: {fleet.name_of[State.WAITING]}, deletion of" in surfaces.index


def test_hooks_are_told_the_same(fleet: Fleet, surfaces: Surfaces) -> None:
    """Of everything that is wrong, once, in the words of the status."""
    assert {*surfaces.payloads} == {fleet.name_of[state] for state in TOLD}
    for state in TOLD:
        name = fleet.name_of[state]
        document, payload = surfaces.documents[name], surfaces.payloads[name]
        assert payload["state"] == state
        for key in ("code", "hint", "since"):
            assert payload[key] == document[key]
        assert payload["reason"] == document["why"]
