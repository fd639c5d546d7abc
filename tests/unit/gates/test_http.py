"""The gate of endpoints: what counts as an answer."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from rotator.errors import ConfigError
from rotator.gates.http import check
from rotator.gates.verdict import NewSecret, Verdict
from tests.support.endless_server import BODIES, HEADS, EndlessServer
from tests.support.webhook_receiver import Answer, WebhookReceiver, content, receiving, status

NEW, OLD = "3b8f0a52-1a6c-4f0e-9d6e-2f5f3c1f7a10", "11111111-1a6c-4f0e-9d6e-2f5f3c1f7a10"
SECRET = NewSecret(secret_id=NEW, old_secret_id=OLD, vault_version=5)
PATIENT = timedelta(seconds=60)
#: Short, as every test that waits for it waits that long.
SHORT = timedelta(seconds=1)


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    """Yield a consumer."""
    with receiving() as made:
        yield made


def asked(*urls: str, timeout: timedelta = PATIENT, new: NewSecret = SECRET) -> Verdict:
    """Ask the gate."""
    return check(urls, new, timeout=timeout)


@pytest.mark.parametrize(
    "text",
    [
        NEW,
        f"uses {NEW}\n",
        f'{{"vonage": {{"secret_id": "{NEW}"}}}}',
        '{"vault_version": 5}',
        '{"vault_version": 6, "status": "ok"}',
    ],
)
def test_an_answer_with_the_new_secret_opens(receiver: WebhookReceiver, text: str) -> None:
    """Its id anywhere, or its version, or a later one, of which others wrote other fields."""
    receiver.answer = content(text)
    verdict = asked(f"{receiver.url}/vonage?token=t0k3n")
    [taken] = receiver.taken

    assert verdict.document() == {
        "open": True,
        "reason": "1 of 1 consumers use the new secret",
        "consumers": 1,
        "converged": 1,
        "behind": [],
    }
    assert taken.path == "/vonage?token=t0k3n"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (content(""), "it does not name the new secret"),
        (content(OLD), "it names the old secret"),
        (content(f"{OLD}, {NEW}"), "it names the old secret"),
        (content(f"{NEW}1"), "it does not name the new secret"),
        (content('{"vault_version": 4}'), "it does not name the new secret"),
        (content('{"vault_version": "5"}'), "it does not name the new secret"),
        (content('{"vault_version": true}'), "it does not name the new secret"),
        (content('{"version": 5}'), "it does not name the new secret"),
        (content('[{"vault_version": 5}]'), "it does not name the new secret"),
        (content("[" * 60_000), "it does not name the new secret"),
        (content(NEW + " " * 2**16), "it answered more than 64 KiB"),
        (content(NEW, Content_Encoding="gzip"), "it answered what cannot be decompressed"),
        (status(204), "it answered 204"),
        (status(503), "it answered 503"),
        (status(302, Location="/"), "it answered 302"),
    ],
)
def test_anything_else_is_behind(receiver: WebhookReceiver, answer: Answer, reason: str) -> None:
    """The reason is named, and the address without its query, which may have a token."""
    receiver.answer = answer
    verdict = asked(f"{receiver.url}/vonage?token=t0k3n")
    place = f"{receiver.url.removeprefix('http://')}/vonage"

    assert not verdict.is_open
    assert verdict.reason.endswith(f"not yet: {place} ({reason})")
    assert verdict.document()["behind"] == [place]
    assert len(receiver.taken) == 1


def test_a_truth_is_no_version(receiver: WebhookReceiver) -> None:
    """Python would count it as 1."""
    receiver.answer = content('{"vault_version": true}')

    assert not asked(receiver.url, new=replace(SECRET, vault_version=1)).is_open


def test_a_version_does_not_count_where_none_is_known(receiver: WebhookReceiver) -> None:
    """By hand, perhaps only the id is given."""
    receiver.answer = content('{"vault_version": 5}')

    assert not asked(receiver.url, new=NewSecret(secret_id=NEW)).is_open


def test_each_consumer_is_asked(receiver: WebhookReceiver) -> None:
    """One that cannot be reached is behind, and the others are asked all the same."""
    receiver.answer = content(NEW)
    urls = [f"{receiver.url}/{number}" for number in range(20)]
    verdict = asked("http://127.0.0.1:1/gone", *urls, urls[0])

    assert verdict.reason == (
        "20 of 21 consumers use the new secret; not yet: 127.0.0.1:1/gone (refused)"
    )
    assert len(receiver.taken) == 20


@pytest.mark.parametrize("part", ["silence", "headers", "chunks"])
def test_an_answer_without_end_is_given_up(part: str) -> None:
    """All in one time, however many are asked."""
    before = time.monotonic()
    with EndlessServer(*{**HEADS, **BODIES}[part]) as server:
        verdict = asked(*(f"{server.url}/{number}" for number in range(20)), timeout=SHORT)

    assert verdict.reason.startswith("0 of 20 consumers use the new secret; not yet: ")
    assert time.monotonic() - before < 30


@pytest.mark.parametrize(
    "url", ["", "x", "ftp://example.com", "http://", "http://[::1", "http://example.com:x/"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    """The command line is at fault, not a consumer; it is not repeated."""
    with pytest.raises(ConfigError, match=r"^URL 2 is not valid$"):
        asked("http://127.0.0.1:1/", url)


def test_a_user_name_is_refused() -> None:
    """It would not be sent, and everybody on the machine could read it."""
    with pytest.raises(ConfigError, match=r"^URL 1 has a user name, which is not sent$"):
        asked("http://ann:t0k3n@127.0.0.1:1/")


def test_certificates_that_cannot_be_read_are_behind(tmp_path: Path) -> None:
    """Nothing is asked without them."""
    verdict = check(
        ["https://127.0.0.1:1/"], SECRET, timeout=PATIENT, ca_file=str(tmp_path / "ca.pem")
    )

    assert verdict.reason.endswith("127.0.0.1:1/ (certificates)")
