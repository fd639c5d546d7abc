"""What the real daemon serves."""

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from rotator.sim.clock import NANOSECONDS
from tests.acceptance.service import PATIENCE, Build, Service, building, get, until
from tests.support import leaks
from tests.support.commands import ENVIRONMENT

LISTEN = 'listen = "127.0.0.1:0"'
#: Seconds that a token lives, and that one has left which is soon to be renewed.
LIFE, LEFT = 60, 25

pytestmark = pytest.mark.parametrize("kind", ["sqlite"])


@pytest.fixture
def build(ledger_url: str, tmp_path: Path) -> Iterator[Build]:
    """Yield a builder of a world with one account, and of a service in it that listens."""
    with building(tmp_path, ledger_url, LISTEN) as build:
        yield build


def samples(url: str) -> dict[str, float]:
    """Read the metrics."""
    lines = get(f"{url}/metrics").text.splitlines()
    pairs = [line.rpartition(" ") for line in lines if not line.startswith("#")]
    return {name: float(value) for name, _, value in pairs}


def without_polls(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document of `status` without the times of polls, of which there is one a second."""
    for daemon in document["daemons"]:
        del daemon["polled_at"]
    return document


def test_a_daemon_shows_what_it_does(build: Build) -> None:
    """Its pages, documents and metrics tell of a rotation, and none of them shows a value."""
    run = build(accounts=2)
    run.start()
    url = run.url()
    until(run.are_done)
    until(lambda: samples(url)['rotator_rotations_total{account="account-2",outcome="completed"}'])
    paths = ("/", "/accounts/account-1", "/api/status", "/metrics", "/healthz", "/readyz")
    answers = {path: get(url + path) for path in paths}

    assert {answer.status_code for answer in answers.values()} == {200}
    printed = json.loads(run.run("status", "--json").stdout)
    assert without_polls(answers["/api/status"].json()) == without_polls(printed)
    assert answers["/readyz"].json() == {"ready": True, "ledger": "ok", "vault": "ok"}
    assert "All 2 accounts are well" in answers["/"].text
    assert "the chain is whole" in answers["/accounts/account-1"].text
    values = [
        secret.value
        for account in run.world.accounts
        for secret in run.world.vonage.history(account.api_key)
    ]
    texts = [answer.text for answer in answers.values()]
    assert not leaks.found(values, [], texts)


def test_metrics_count_what_was_done(build: Build) -> None:
    """Each request and each rotation once; gauges as the ledger has it."""
    run = build()
    run.start()
    url = run.url()
    until(run.are_done)
    until(lambda: samples(url)['rotator_rotations_total{account="account-1",outcome="completed"}'])
    found = samples(url)
    record = run.records()[0]

    created = 'rotator_api_requests_total{api="vonage",code="201",operation="secrets.create"}'
    assert found[created] == 1
    assert (
        found['rotator_api_requests_total{api="vault",code="200",operation="write-current"}'] == 1
    )
    assert found["rotator_rotation_duration_seconds_count"] == 1
    assert found['rotator_rotations_total{account="account-1",outcome="failed"}'] == 0
    assert found['rotator_active_secrets{account="account-1"}'] == 1
    assert found['rotator_account_held{account="account-1"}'] == 0
    assert record.next_due_at
    due = found['rotator_next_due_timestamp_seconds{account="account-1"}']
    assert due == pytest.approx(record.next_due_at.timestamp())


def test_an_idle_daemon_keeps_its_vault_token(build: Build) -> None:
    """With nothing due, a short token is renewed in time; the metrics say its end."""
    run = build(age=timedelta(0))
    run.token_file.write_text(aged_token(run))
    run.start()
    url = run.url()
    until(lambda: renewals(run) >= 1)
    until(lambda: left(url) > LEFT)

    assert left(url) < LIFE + 1
    assert run.logged("vault-token") == 0


def aged_token(run: Service) -> str:
    """Issue a token that has little more left of its life than when it is time to renew it."""
    token = run.world.vault.issue_token(ttl=LIFE)
    issued = run.world.vault._tokens[token]
    assert issued.expires
    issued.expires -= (LIFE - LEFT) * NANOSECONDS
    return token


def left(url: str) -> float:
    """Return the seconds that the token has left, by the metrics."""
    end = samples(url).get("rotator_vault_token_expiry_timestamp_seconds", 0)
    return end - datetime.now(UTC).timestamp()


def renewals(run: Service) -> int:
    """Count the renewals of a token that Vault was asked for."""
    return [each.path for each in run.world.vault.exchanges].count("/v1/auth/token/renew-self")


def test_it_says_what_is_not_ready(build: Build) -> None:
    """Without Vault the process is well and not ready, and says which is not; so does the page."""
    run = build(age=timedelta())
    # By default it has a minute's patience before it calls Vault unusable.
    run.start(ROTATOR_VAULT__PATIENCE="1s")
    url = run.url()
    run.world.vault.close()
    answer = get(f"{url}/readyz")

    assert answer.status_code == 503
    assert answer.json()["ledger"] == "ok"
    assert answer.json()["vault"] in ("vault-unavailable", "vault-not-ready")
    assert get(f"{url}/healthz").text == "ok\n"
    assert re.search(r"last poll [0-9 ms]+ ago by ", get(url).text)
    until(lambda: "<b>Vault cannot be used:</b>" in get(url).text)


def test_a_reload_keeps_the_address(build: Build) -> None:
    """The page stays where it is and shows the accounts of the new configuration."""
    run = build(accounts=2, age=timedelta())
    process = run.start()
    url = run.url()
    assert len(get(f"{url}/api/status").json()["accounts"]) == 2
    run.world.accounts.pop()
    run.configure(grace="0s")
    process.send_signal(signal.SIGHUP)
    until(lambda: run.logged('"reloaded"'))

    assert len(get(f"{url}/api/status").json()["accounts"]) == 1
    assert run.logged('"serving"') == 1
    assert run.stop(process) == 0
    with pytest.raises(httpx.ConnectError):
        get(url)


def test_a_daemon_tells_of_itself_what_alerts_need(build: Build) -> None:
    """Whether it polls, what it can use, and whether it refused its newest configuration."""
    run = build(age=timedelta())
    process = run.start()
    url = run.url()
    up = {f'rotator_up{{component="{each}"}}': 1 for each in ("ledger", "vault", "vonage")}
    until(lambda: up.items() <= samples(url).items())
    polled = samples(url)["rotator_last_poll_timestamp_seconds"]
    until(lambda: samples(url)["rotator_last_poll_timestamp_seconds"] > polled)
    before = samples(url)
    run.configure(grase="0s")
    process.send_signal(signal.SIGHUP)
    until(lambda: samples(url)["rotator_config_last_reload_successful"] == 0)
    refused = samples(url)
    run.configure()
    process.send_signal(signal.SIGHUP)
    until(lambda: samples(url)["rotator_config_last_reload_successful"] == 1)
    after = samples(url)

    assert before["rotator_poll_interval_seconds"] == 1
    assert before["rotator_config_last_reload_successful"] == 1
    at = "rotator_config_last_reload_success_timestamp_seconds"
    assert before[at] == refused[at] < after[at]
    assert 'rotator_account_state{account="account-1",state="healthy"}' in after


def test_a_reload_moves_to_another_address(build: Build, tmp_path: Path) -> None:
    """Where the new address cannot be had, the old configuration stays in effect."""
    run = build(age=timedelta())
    process = run.start()
    url = run.url()
    run.daemon = 'listen = "unix:/proc/http.sock"'
    run.configure(grace="0s")
    process.send_signal(signal.SIGHUP)
    until(lambda: run.logged("configuration refused"))
    assert get(f"{url}/healthz").status_code == 200
    until(lambda: "The new configuration is refused" in get(url).text)
    path = tmp_path / "http.sock"
    run.daemon = f'listen = "unix:{path}"'
    run.configure(grace="0s")
    process.send_signal(signal.SIGHUP)
    until(lambda: run.logged('"reloaded"'))
    transport = httpx.HTTPTransport(uds=str(path))
    with httpx.Client(transport=transport, base_url="http://localhost", timeout=PATIENCE) as client:
        assert client.get("/healthz").text == "ok\n"

    assert run.stop(process) == 0
    assert not path.exists()


def test_rotations_do_not_wait_for_an_address_that_is_taken(build: Build) -> None:
    """A daemon whose port another process has rotates all the same, and has it once it is free.

    Meanwhile a reload is about something else, and not refused for it.
    """
    with socket.create_server(("127.0.0.1", 0)) as taken:
        run = build(daemon=f'listen = "127.0.0.1:{taken.getsockname()[1]}"')
        process = run.start()
        until(run.are_done)
        process.send_signal(signal.SIGHUP)
        until(lambda: run.logged('"reloaded"'))
        assert run.logged("address-taken") == 1
        assert run.logged("address already in use") == 1
    url = run.url()

    assert get(f"{url}/readyz").status_code == 200
    assert run.stop(process) == 0


def test_an_address_that_may_not_be_had_is_an_error_at_start(build: Build) -> None:
    """A daemon that may not listen there ends at once, and says what to do."""
    run = build(daemon='listen = "unix:/proc/http.sock"', age=timedelta())

    assert run.start().wait(60) == 2
    text = run.log.read_text()
    assert "error: daemon.listen: cannot listen at unix:/proc/http.sock: " in text
    assert "hint: " in text


def test_beyond_this_machine_a_token_is_needed(build: Build, tmp_path: Path) -> None:
    """Everyone who can reach the address has to show the token that the file holds."""
    token = tmp_path / "listen-token"
    token.write_text("0123456789abcdef\n")
    run = build(daemon=f'listen = "0.0.0.0:0"\nlisten_token_file = "{token}"', age=timedelta())
    run.start()
    url = run.url().replace("0.0.0.0", "127.0.0.1")  # noqa: S104  # of the test's own daemon
    bearer = {"Authorization": "Bearer 0123456789abcdef"}

    assert get(url).status_code == 401
    assert get(url, headers={"Authorization": "Bearer x"}).status_code == 401
    assert get(url, headers=bearer).status_code == 200
    assert get(url, headers=bearer | {"Host": "rotator.monitoring.svc"}).status_code == 200
    assert get(url, auth=("me", "0123456789abcdef")).status_code == 200
    assert get(f"{url}/healthz").status_code == 200
    assert get(f"{url}/readyz", headers={"Host": "10.1.2.3:9470"}).json()["ready"] is True


def test_a_command_that_reads_the_ledger_loads_no_server(build: Build) -> None:
    """`status` imports nothing that only the page needs."""
    run = build(age=timedelta())
    script = (
        "import sys; from rotator.cli import main;"
        f"main.run('rotator', ['--config', {str(run.config)!r}, 'status']);"
        "print(sorted({'starlette','uvicorn','jinja2','prometheus_client'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )

    assert done.stdout.splitlines()[-1] == "[]", done.stderr
