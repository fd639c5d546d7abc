"""One transport for many calls: shared by clients and threads, counted, and kept apart."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from rotator.errors import CredentialRefused, UnexpectedAnswer
from rotator.model import SecretValue
from rotator.vonage import Accounts, Secrets, Subaccounts
from tests.support.clock import FakeTimer
from tests.support.observers import CallObserver
from tests.support.scripted_server import ScriptedServer, reply
from tests.unit.vonage.client import BALANCE, CREDENTIAL, KEY, LIST, VALUE, transport


def test_importing_the_package_imports_no_other_adapter() -> None:
    """The client costs h11, pydantic and structlog to import, and none of the large libraries."""
    code = (
        "import sys, rotator.vonage;"
        "large = {'httpx', 'hvac', 'sqlalchemy', 'typer', 'requests'};"
        "print(large & set(sys.modules),"
        " [name for name in sys.modules if name.startswith('rotator.')])"
    )
    root = Path(__file__).parents[3]
    printed = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    ).stdout

    assert printed.startswith("set()")
    assert "rotator.config" not in printed


def test_no_answer_is_taken_for_another_calls(server: ScriptedServer, secrets: Secrets) -> None:
    """What is left over on one call's connection does not answer the next call."""
    server.keep_alive = True
    kept = reply(200, LIST, Connection="keep-alive")
    server.replies = [kept + kept.replace(b"one", b"bad"), kept]
    answers = [secrets.list_secrets(CREDENTIAL, KEY) for _ in range(2)]

    assert [secret.id for answer in answers for secret in answer] == ["one", "one"]
    assert server.connections == 2


def test_the_pace_is_kept_over_all_clients_and_tries(
    server: ScriptedServer, clock: FakeTimer
) -> None:
    """Clients of one transport, and repetitions, share one rate limit."""
    server.replies = [reply(200, LIST), reply(503), reply(200, BALANCE)]
    shared = transport(server.url, clock, max_requests_per_second=1, random=lambda: 0.0)
    Secrets(shared).list_secrets(CREDENTIAL, KEY)
    Accounts(shared).balance(CREDENTIAL)

    assert clock.slept == [1, 0, 1]


def test_each_attempt_is_counted(server: ScriptedServer, clock: FakeTimer) -> None:
    """Metrics see every attempt with what came of it."""
    seen: list[tuple[str, str, float]] = []
    server.replies = [b"", reply(200, LIST), reply(401)]
    shared = transport(server.url, clock, observer=CallObserver(lambda *call: seen.append(call)))
    Secrets(shared).list_secrets(CREDENTIAL, KEY)
    with pytest.raises(CredentialRefused):
        Subaccounts(shared).list_subaccounts(CREDENTIAL)

    assert seen == [
        ("secrets.list", "dropped", 0),
        ("secrets.list", "200", 0),
        ("subaccounts.list", "401", 0),
    ]


def test_the_request_id_of_a_strange_answer_is_kept(
    server: ScriptedServer, secrets: Secrets
) -> None:
    """Vonage's support can be asked about an answer that made no sense."""
    server.replies = [reply(201, b"{}", X_Request_Id="b1946ac9")]
    with pytest.raises(UnexpectedAnswer) as caught:
        secrets.create_secret(CREDENTIAL, KEY, SecretValue(VALUE))

    assert caught.value.request_id == "b1946ac9"


def test_threads_share_a_transport(server: ScriptedServer, clock: FakeTimer) -> None:
    """Many threads get their own answers."""
    server.keep_alive = True
    server.replies = [reply(200, LIST, Connection="keep-alive")]
    got: list[str] = []
    shared = transport(server.url, clock)

    def read() -> None:
        got.extend(secret.id for secret in Secrets(shared).list_secrets(CREDENTIAL, KEY))

    threads = [threading.Thread(target=read) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert got == ["one"] * 16
