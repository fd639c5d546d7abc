"""The trigger over real HTTP: what it believes, and the one thing that it does."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from rotator.application import Application
from rotator.config import load
from rotator.errors import LedgerError
from rotator.ledger.triggers import Triggers
from rotator.network.signatures import headers_for, keys_in
from rotator.web.listener import ListenAddress, url_of
from rotator.web.server import Server
from rotator.web.trigger import LONGEST_BODY, Refusal, Trigger

OLD, NEW = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
NOW = datetime(2026, 11, 23, 7, 28, tzinfo=UTC)
pytestmark = pytest.mark.parametrize("kind", ["sqlite"])

LEAK = {"account": "sms", "compromised": True, "reason": "found in a repository"}
CONFIG = """
[vault]
address = "http://127.0.0.1:1"
[ledger]
url = "{ledger}"
[trigger]
listen = "127.0.0.1:9471"
secret_file = "key"
max_per_hour = 2
[[accounts]]
name = "sms"
api_key = "abcd1234"
vault_path = "v/sms"
[[accounts]]
name = "voice"
api_key = "efgh5678"
vault_path = "v/voice"
"""


class Scanner:
    """A leak scanner, and the trigger that it asks."""

    def __init__(self, folder: Path, ledger_url: str) -> None:
        """Serve the trigger, on a clock of the test's own."""
        config = folder / "config.toml"
        config.write_text(CONFIG.format(ledger=ledger_url))
        self.now = NOW
        self.refused: list[tuple[str, int]] = []
        self.application = Application(load(config, {}), {})
        self.trigger = Trigger(
            self.application, keys_in(f"{OLD}\n{NEW}"), refused=self._note, now=lambda: self.now
        )
        listening = ListenAddress(text="127.0.0.1:0").listen()
        self.address = listening.getsockname()
        self.server = Server(self.trigger, listening)
        self.server.start()
        self.client = httpx.Client(base_url=url_of(listening), timeout=60)

    def _note(self, peer: str, refusal: Refusal) -> None:
        self.refused.append((peer, refusal.status))

    def ask(self, body: object, message_id: str = "msg_1", *, key: str = OLD) -> httpx.Response:
        """Ask, signed; a text is sent as it is."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = headers_for(keys_in(key), message_id, content, self.now)
        return self.client.post("/v1/rotate", content=content, headers=headers)

    def entries(self) -> list[dict[str, Any]]:
        """Return the entries that were recorded."""
        return [json.loads(entry.detail) for entry in self.application.ledger.reader.entries()]

    def close(self) -> None:
        """Stop serving."""
        self.client.close()
        self.server.stop()
        assert self.server.join(time.monotonic() + 60)
        self.application.close()


@pytest.fixture
def scanner(tmp_path: Path, ledger_url: str) -> Iterator[Scanner]:
    """Serve the trigger."""
    with ExitStack() as stack:
        scanner = Scanner(tmp_path, ledger_url)
        stack.callback(scanner.close)
        yield scanner


@pytest.mark.parametrize("key", [OLD, NEW])
def test_a_leak_is_recorded_before_it_is_answered(scanner: Scanner, key: str) -> None:
    """With either key; the answer holds only what was sent."""
    answer = scanner.ask(LEAK, key=key)
    [request] = scanner.application.ledger.triggers.pending(NOW)

    assert answer.status_code == 202
    assert answer.json() == {"id": "msg_1", "account": "sms", "compromised": True}
    assert answer.headers["cache-control"] == "no-store"
    assert (request.account, request.is_compromised) == ("sms", True)
    assert request.actor.facts() == {
        "by": "trigger",
        "from": "127.0.0.1",
        "because": "found in a repository",
    }


def test_an_api_key_names_an_account(scanner: Scanner) -> None:
    """A scanner knows no other name; without a word about a leak, the grace stays."""
    answer = scanner.ask({"api_key": "efgh5678"})

    assert answer.json() == {"id": "msg_1", "account": "voice", "compromised": False}
    assert scanner.entries() == [
        {
            "operation": "rotate",
            "reason": "asked",
            "trigger": "msg_1",
            "by": "trigger",
            "from": "127.0.0.1",
        }
    ]


def test_a_replay_is_answered_the_same_and_does_nothing(scanner: Scanner) -> None:
    """Also one that is signed anew, and one beyond the hour's bound."""
    answers = [scanner.ask(LEAK) for _ in range(3)]
    scanner.now += timedelta(days=1)
    answers.append(scanner.ask(LEAK))
    other = scanner.ask({**LEAK, "account": "voice"})

    assert {(answer.status_code, answer.text) for answer in answers} == {
        (202, '{"id":"msg_1","account":"sms","compromised":true}')
    }
    assert other.status_code == 409
    assert len(scanner.entries()) == 1


def test_an_hour_has_only_so_many(scanner: Scanner) -> None:
    """The answer says when the next one is taken; what was refused is not."""
    answers = [scanner.ask(LEAK, f"msg_{number}") for number in range(3)]

    assert [answer.status_code for answer in answers] == [202, 202, 429]
    assert answers[2].headers["retry-after"] == "3600"
    scanner.now += timedelta(hours=1)
    assert scanner.ask(LEAK, "msg_2").status_code == 202


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b"{", b"\xff", b"[" * 9000, {}, b'{"account":"sms","account":"voice"}']
    + [{**LEAK, **wrong} for wrong in ({"api_key": "abcd1234"}, {"grace": "0s"}, {"account": 1})]
    + [
        {**LEAK, **wrong} for wrong in ({"compromised": 1}, {"reason": None}, {"reason": "x" * 201})
    ],
    ids=str,
)
def test_nothing_else_can_be_asked_for(scanner: Scanner, body: object) -> None:
    """The answer says why, without a word of what was sent."""
    answer = scanner.ask(body)

    assert answer.status_code == 400
    assert set(answer.json()) == {"error"}
    assert scanner.entries() == []
    assert scanner.refused == [("127.0.0.1", 400)]


def test_an_account_that_is_not_configured_is_not_found(scanner: Scanner) -> None:
    """Neither by its name nor by its key; the answer does not repeat it."""
    answers = [scanner.ask({"account": "s3cret"}), scanner.ask({"api_key": "sms"})]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert "s3cret" not in answers[0].text


def test_only_one_path_is_answered_and_one_method(scanner: Scanner) -> None:
    """There is no page, and no list of accounts."""
    paths = ("/", "/healthz", "/metrics", "/api/status", "/v1/rotate/", "/v1")

    assert [scanner.client.get(path).status_code for path in paths] == [404] * len(paths)
    assert scanner.client.get("/v1/rotate").status_code == 405
    assert scanner.client.post("/", content=b"{}").status_code == 404


UNSIGNED: dict[str, Callable[[dict[str, str]], object]] = {
    "unsigned": dict.clear,
    "another id": lambda headers: headers.update({"webhook-id": "msg_2"}),
    "another time": lambda headers: headers.update({"webhook-timestamp": "1"}),
    "another key": lambda headers: headers.update(headers_for(keys_in("k" * 24), "m", b"{}", NOW)),
    "no signature": lambda headers: headers.pop("webhook-signature"),
}


@pytest.mark.parametrize("change", UNSIGNED)
def test_what_is_not_signed_is_not_even_read(scanner: Scanner, change: str) -> None:
    """The answer is the same whatever it asks for, so that nobody learns what there is."""
    answers = []
    for content in (json.dumps(LEAK).encode(), b'{"account":"nobody"}', b"no JSON"):
        headers = headers_for(keys_in(OLD), "msg_1", content, NOW)
        UNSIGNED[change](headers)
        answers.append(scanner.client.post("/v1/rotate", content=content, headers=headers))

    assert [answer.status_code for answer in answers] == [401] * 3
    assert len({answer.text for answer in answers}) == 1
    assert scanner.entries() == []


@pytest.mark.parametrize("late", [timedelta(seconds=301), timedelta(seconds=-301)])
def test_an_old_request_is_not_believed(scanner: Scanner, late: timedelta) -> None:
    """Whoever has recorded one can do nothing with it later."""
    content = json.dumps(LEAK).encode()
    headers = headers_for(keys_in(OLD), "msg_1", content, NOW)
    scanner.now += late
    answer = scanner.client.post("/v1/rotate", content=content, headers=headers)

    assert answer.status_code == 401
    assert scanner.entries() == []


def test_a_long_body_is_not_read_to_its_end(scanner: Scanner) -> None:
    """Whether its length is told before or not."""
    told = scanner.client.post("/v1/rotate", content=b" " * (LONGEST_BODY + 1))
    chunks = scanner.client.post("/v1/rotate", content=iter([b" " * 4096] * 5))

    assert [told.status_code, chunks.status_code] == [413, 413]


def test_slow_senders_keep_nobody_waiting(scanner: Scanner) -> None:
    """However many have begun a request and do not end it."""
    with ExitStack() as stack:
        for _ in range(100):
            slow = stack.enter_context(socket.create_connection(scanner.address))
            slow.sendall(b"POST /v1/rotate HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")

        assert scanner.ask(LEAK).status_code == 202


def test_a_reason_may_hold_no_value(scanner: Scanner) -> None:
    """A scanner that names what it has found: the record would keep it for good."""
    value = "aB3dE5gH7jK9mN1pQ3sT5vX7z"
    scanner.ask({**LEAK, "reason": f"found {value}\nin \u202ea file"})
    [entry] = scanner.entries()

    assert entry["because"] == "found *** in \ufffda file"


def test_what_cannot_be_recorded_is_not_accepted(
    scanner: Scanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sender is told to try again, and nothing of the ledger."""

    def fail(*_: object, **__: object) -> None:
        raise LedgerError("disk full at /var/lib")

    monkeypatch.setattr(Triggers, "accept", fail)
    answer = scanner.ask(LEAK)

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "15"
    assert "/var/lib" not in answer.text


def test_a_socket_of_this_machine_has_no_address(scanner: Scanner, tmp_path: Path) -> None:
    """The record says so; a proxy beside the daemon may be whoever asks."""
    listening = ListenAddress(text=f"unix:{tmp_path / 'trigger.sock'}").listen()
    server = Server(scanner.trigger, listening)
    server.start()
    transport = httpx.HTTPTransport(uds=str(tmp_path / "trigger.sock"))
    with httpx.Client(base_url="http://trigger", transport=transport, timeout=60) as client:
        scanner.client.close()
        scanner.client = client
        answer = scanner.ask(LEAK)
    server.stop()

    assert server.join(time.monotonic() + 60)
    assert answer.status_code == 202
    assert [entry["from"] for entry in scanner.entries()] == ["a socket of this machine"]
