"""The trigger of a real daemon, asked as the documentation says."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from rotator.network.signatures import headers_for, keys_in
from tests.acceptance.service import PATIENCE, Build, Service, building, until

PAGE = Path(__file__).parents[2] / "docs" / "trigger.md"
NAME = "account-1"
BODY = json.dumps({"account": NAME, "compromised": True, "reason": "found"}).encode()


@pytest.fixture
def build(ledger_url: str, tmp_path: Path) -> Iterator[Build]:
    """Yield a builder of a world with accounts that are not due, and of a service in it."""
    with building(tmp_path, ledger_url) as build:
        yield build


def triggered(build: Build) -> Service:
    """Build a service with a trigger, whose key the documentation's command makes."""
    service = build(accounts=1, subaccounts=0, age=timedelta())
    shell(service.folder, blocks()[0])
    service.daemon = (
        f'listen = ""\n[trigger]\nlisten = "127.0.0.1:0"\nsecret_file = "{key_of(service)}"'
    )
    service.configure(grace="0s", jitter="0s")
    return service


def blocks() -> list[str]:
    """Return the documentation's shell blocks, in their order."""
    found = re.findall(r"^( *)```sh\n(.*?)^ *```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return [re.sub(f"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


def shell(folder: Path, script: str) -> str:
    """Run a script, which must succeed; return what it writes."""
    known = {"PATH": os.environ["PATH"], "NO_PROXY": "*"}
    done = subprocess.run(
        ["sh", "-euc", script],
        cwd=folder,
        env=known,
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done
    return done.stdout


def key_of(service: Service) -> Path:
    """Return the file with the key."""
    return service.folder / "trigger-key"


def url_of(service: Service, start: int = 1) -> str:
    """Return where the daemon that was started last takes requests, once it does."""
    until(lambda: service.logged("taking requests") == start)
    lines = [line for line in service.log.read_text().splitlines() if "taking requests" in line]
    return str(json.loads(lines[-1])["url"])


def ask(service: Service, url: str) -> httpx.Response:
    """Ask for a rotation, with the same id each time."""
    keys = keys_in(key_of(service).read_text())
    headers = headers_for(keys, "leak-1", BODY, datetime.now(UTC))
    return httpx.post(f"{url}/v1/rotate", content=BODY, headers=headers, timeout=PATIENCE)


def details(service: Service, event: str) -> list[dict[str, Any]]:
    """Return the details of the entries of an event."""
    return [
        json.loads(entry.detail) for entry in service.queries.entries(NAME) if entry.event == event
    ]


def is_done(service: Service) -> bool:
    """Return whether the request was carried out, and its rotation is over."""
    return bool(details(service, "carried-out")) and service.are_done()


@pytest.mark.parametrize("kind", ["sqlite"])
def test_the_documentation_s_example_rotates_a_leaked_secret(build: Build) -> None:
    """Once, however often it is sent; the record says who asked, from where and why."""
    run = triggered(build)
    process = run.start()
    url = url_of(run)
    example = blocks()[1].replace("http://127.0.0.1:9471", url).replace("sms-prod", NAME)
    answer = json.loads(shell(run.folder, example))
    until(lambda: is_done(run))
    again = [ask(run, url) for _ in range(2)]
    until(lambda: len(details(run, "carried-out")) == 2)

    assert run.stop(process) == 0
    assert {**answer, "id": ""} == {"id": "", "account": NAME, "compromised": True}
    assert [(each.status_code, each.json()["id"]) for each in again] == [(202, "leak-1")] * 2
    [asked, _] = details(run, "requested")
    assert {**asked, "trigger": ""} == {
        "operation": "rotate",
        "reason": "compromised",
        "trigger": "",
        "by": "trigger",
        "from": "127.0.0.1",
        "because": "found in a public repository",
    }
    assert [each["reason"] for each in details(run, "opened")] == ["compromised"] * 2


def test_a_request_outlives_the_daemon_that_took_it(build: Build) -> None:
    """It was answered, so it is done: here by another daemon, after SIGKILL."""
    run = triggered(build)
    first = run.start()
    url = url_of(run)
    answer = ask(run, url)
    first.send_signal(signal.SIGKILL)
    first.wait(PATIENCE)
    second = run.start()
    until(lambda: is_done(run))
    again = ask(run, url_of(run, 2))

    assert run.stop(second) == 0
    assert (answer.status_code, answer.text) == (again.status_code, again.text) == (202, again.text)
    assert [each["reason"] for each in details(run, "opened")] == ["compromised"]


def is_refused(run: Service, url: str) -> bool:
    """Return whether nothing listens there."""
    try:
        ask(run, url)
    except httpx.ConnectError:
        return True
    except httpx.TransportError:
        pass  # cut off by its end
    return False


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_reload_turns_it_on_and_off(build: Build) -> None:
    """A key that is too short is refused, and what was in effect stays."""
    run = triggered(build)
    on, off = run.daemon, 'listen = ""'
    run.daemon = off
    run.configure(grace="0s", jitter="0s")
    process = run.start()
    until(lambda: run.logged("started"))

    def reload(lines: str) -> None:
        run.daemon = lines
        run.configure(grace="0s", jitter="0s")
        process.send_signal(signal.SIGHUP)

    reload(on)
    url = url_of(run)
    key = key_of(run).read_text()
    key_of(run).write_text("short")
    reload(on)
    until(lambda: run.logged("configuration refused"))
    key_of(run).write_text(key)
    answer = ask(run, url)
    until(lambda: is_done(run))
    reload(off)
    until(lambda: run.logged("reloaded") == 2)
    # Its server ends by itself, a moment later.
    until(lambda: is_refused(run, url))

    assert answer.status_code == 202
    assert run.stop(process) == 0
