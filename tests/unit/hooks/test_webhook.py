"""Hooks that are web addresses: what is posted, signed and given up."""

import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from rotator.errors import Stopping
from rotator.hooks.payload import Payload
from rotator.model.notification import Event, Notification, WebhookFormat
from rotator.sim.http import Port
from tests.support.endless_server import BODIES, HEADS, EndlessServer
from tests.support.webhook_receiver import Answer, WebhookReceiver, receiving, status
from tests.unit.hooks.calling import MESSAGE, NOTICE, NOW, SHORT, call

OLD_AND_NEW = ["a key of twenty-four bytes", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"]
CAUSE_AND_CURE = "(since 2026-11-24 07:28 UTC): a &lt;b&gt; &amp; c (odd). Do: mend it"


def test_a_webhook_posts_json(receiver: WebhookReceiver) -> None:
    """Path and query are those of the address; the event stands in a header, too."""
    reason = call(url=f"{receiver.url}/hook?a=b")
    [taken] = receiver.taken

    assert reason is None
    assert taken.path == "/hook?a=b"
    assert taken.headers["Content-Type"] == "application/json"
    assert taken.headers["Rotator-Event"] == "pushed"
    assert taken.headers["Rotator-Delivery"] == "n1"
    assert not {"Rotator-Signature", "webhook-signature"} & {*taken.headers}
    assert json.loads(taken.body) == {
        "event": "pushed",
        "id": "n1",
        "account": "sms",
        "at": "2026-11-24T07:28:00Z",
        "rotation_id": "r1",
        "secret_id": "new",
        "old_secret_id": "old",
        "vault_namespace": "team",
        "vault_mount": "secret",
        "vault_path": "vonage/sms",
        "vault_version": 5,
        "code": None,
        "reason": None,
        "state": None,
        "hint": None,
        "since": None,
        "tries": None,
        "next_try_at": None,
        "consumers": None,
        "converged": None,
        "behind": None,
        "component": None,
        "host": None,
    }


@pytest.mark.parametrize("keys", [["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], OLD_AND_NEW])
def test_a_body_is_signed_by_standard_webhooks(
    receiver: WebhookReceiver, tmp_path: Path, keys: list[str]
) -> None:
    """The project's own library accepts it with each of the keys, and with no other."""
    (tmp_path / "key").write_text("\n".join(keys))
    reason = call(url=receiver.url, secret_file=tmp_path / "key", at=datetime.now(UTC))
    [taken] = receiver.taken

    assert reason is None
    assert taken.headers["webhook-id"] == "n1"
    for key in keys:
        known = Webhook(key if key.startswith("whsec_") else key.encode())
        assert known.verify(taken.body, taken.headers)["id"] == "n1"
    with pytest.raises(WebhookVerificationError, match="No matching signature"):
        Webhook(b"another key").verify(taken.body, taken.headers)


def test_a_gate_is_asked_anew_each_time(receiver: WebhookReceiver, tmp_path: Path) -> None:
    """A receiver that answers what it has had already with 200 would open it."""
    (tmp_path / "key").write_text("k3y")
    question = replace(MESSAGE, notification=replace(NOTICE, event=Event.GATE))
    for seconds in (0, 60):
        at = NOW + timedelta(seconds=seconds)
        call(question, url=receiver.url, secret_file=tmp_path / "key", at=at)
    first, second = (taken.headers["webhook-id"] for taken in receiver.taken)

    assert first != second
    assert [json.loads(taken.body)["id"] for taken in receiver.taken] == ["n1", "n1"]


def test_a_body_is_signed_for_older_receivers(receiver: WebhookReceiver, tmp_path: Path) -> None:
    """With the first key as the file spells it; the line end is no part of it."""
    (tmp_path / "key").write_text("k3y\nnewer\n")
    call(url=receiver.url, secret_file=tmp_path / "key")
    [taken] = receiver.taken
    seconds, _, digest = taken.headers["Rotator-Signature"].partition(",v1=")
    signed = seconds.removeprefix("t=").encode() + b"." + taken.body

    assert seconds == f"t={int(NOW.timestamp())}"
    assert digest == hmac.new(b"k3y", signed, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (status(200), None),
        (status(204), None),
        (status(400), "answered 400"),
        (status(500), "answered 500"),
        (status(503), "answered 503"),
    ],
)
def test_a_webhook_succeeds_by_its_status(
    receiver: WebhookReceiver, answer: Answer, reason: str | None
) -> None:
    """Anything but 2xx is a failure."""
    receiver.answer = answer

    assert call(url=receiver.url) == reason
    assert len(receiver.taken) == 1


def test_a_redirect_is_never_followed(receiver: WebhookReceiver) -> None:
    """The body stays with the host that is configured."""
    with receiving() as other:
        receiver.answer = status(307, Location=f"{other.url}/")

        assert call(url=receiver.url) == "answered 307, and no redirect is followed"
        assert other.taken == []


@pytest.mark.parametrize("way", ["hang", "drip"])
def test_a_server_that_does_not_answer_is_given_up(receiver: WebhookReceiver, way: str) -> None:
    """In time, even if it sends a byte now and then."""
    receiver.answer = getattr(receiver, way)

    assert call(url=receiver.url, timeout=SHORT) == "timed out after 1 s"


@pytest.mark.parametrize("part", sorted(HEADS))
def test_an_answer_without_end_is_given_up(part: str) -> None:
    """In whatever part of its head it does not end; of a body nothing is read."""
    with EndlessServer(*HEADS[part]) as server:
        assert call(url=server.url, timeout=SHORT) == "timed out after 1 s"


@pytest.mark.parametrize("part", sorted(BODIES))
def test_a_body_is_not_waited_for(part: str) -> None:
    """The status says it all."""
    with EndlessServer(*BODIES[part]) as server:
        assert call(url=server.url) is None


@pytest.mark.parametrize("way", ["hang", "drip"])
def test_a_server_is_given_up_when_rotator_ends(receiver: WebhookReceiver, way: str) -> None:
    """Though it may have got all of it."""
    receiver.answer = getattr(receiver, way)
    with pytest.raises(Stopping):
        call(
            url=receiver.url,
            timeout=timedelta(minutes=5),
            should_stop=lambda: bool(receiver.taken),
        )

    assert len(receiver.taken) == 1


def test_a_dropped_connection_is_a_failure(receiver: WebhookReceiver) -> None:
    """What is not answered did not arrive, for all that is known."""
    receiver.answer = receiver.drop

    assert call(url=receiver.url) == "no usable answer came"


def test_an_address_that_nobody_listens_at_is_a_failure() -> None:
    """The reason does not repeat the address."""
    nobody = Port()

    assert call(url=f"http://127.0.0.1:{nobody.number}/T0KEN") == "the connection was refused"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://no-such-host.invalid/T0KEN", "its host name cannot be resolved"),
        ("https://a..b/T0KEN", "its URL is not valid"),
    ],
)
def test_an_address_that_leads_nowhere_is_a_failure(url: str, reason: str) -> None:
    """Likewise."""
    assert call(url=url) == reason


def test_a_server_without_tls_is_a_failure(receiver: WebhookReceiver) -> None:
    """Nothing is sent to one that cannot prove who it is."""
    reason = call(url=receiver.url.replace("http:", "https:"))

    assert "the TLS handshake failed: " in str(reason)
    assert receiver.taken == []


def test_another_machine_is_called_through_the_proxy(
    receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is shown its own password, and not what is sent."""
    monkeypatch.setenv("https_proxy", receiver.url.replace("//", "//user:pa%20ss@"))
    receiver.answer = status(403)
    reason = call(url="https://example.com/T0KEN")
    [taken] = receiver.taken

    assert reason == "the proxy refused to connect to it"
    assert taken.path == "example.com:443"
    assert taken.headers["Proxy-Authorization"] == "Basic dXNlcjpwYSBzcw=="
    assert "T0KEN" not in str(taken)


def test_this_machine_is_called_without_a_proxy(
    receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be shown the address and the body."""
    with receiving() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("all_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "")

        assert call(url=receiver.url) is None
        assert proxy.taken == []


def test_a_proxy_is_not_asked_for_what_is_exempt(
    receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As NO_PROXY has it."""
    monkeypatch.setenv("https_proxy", receiver.url)
    monkeypatch.setenv("no_proxy", "no-such-host.invalid")

    assert call(url="https://no-such-host.invalid") == "its host name cannot be resolved"
    assert receiver.taken == []


def test_an_address_may_stand_in_a_file(tmp_path: Path) -> None:
    """What is wrong with the file is said, and nothing of what it holds."""
    file = tmp_path / "url"
    missing = call(url_file=file)
    file.write_text("")
    empty = call(url_file=file)
    file.write_text("http://example.com/T0KEN")
    plain = call(url_file=file)
    file.write_bytes(b"\xff")
    garbled = call(url_file=file)

    assert missing == "its url_file cannot be read: no such file or directory"
    assert empty == "its url_file is empty"
    assert plain == "its url_file holds no https address"
    assert garbled == "its url_file is not UTF-8"


def test_a_key_that_is_missing_sends_nothing(receiver: WebhookReceiver, tmp_path: Path) -> None:
    """An unsigned body would be refused, or worse, believed."""
    key = tmp_path / "key"
    missing = call(url=receiver.url, secret_file=key)
    key.write_text("a\nb\nc")
    many = call(url=receiver.url, secret_file=key)
    key.write_text("whsec_no base64!")
    garbled = call(url=receiver.url, secret_file=key)

    assert missing == "its secret_file cannot be read: no such file or directory"
    assert many == "its secret_file has more than 2 lines, each of which is a key"
    assert garbled == "its secret_file has a key that is not base64 after whsec_"
    assert receiver.taken == []


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Event.PUSHED, "sms: a new secret is in Vault, at secret/vonage/sms version 5"),
        (Event.COMPLETED, "sms: rotated: secret old is deleted, new took its place"),
        (Event.GATE, "sms: may secret old be deleted?"),
        (Event.REFUSED, f"sms is refused {CAUSE_AND_CURE}"),
        (Event.BROKEN, f"sms is broken {CAUSE_AND_CURE}"),
        (Event.OUTAGE, f"Vault cannot be used on h {CAUSE_AND_CURE}"),
        (Event.RECOVERED, "sms has recovered: a &lt;b&gt; &amp; c (odd)"),
    ],
)
def test_slack_gets_a_sentence(receiver: WebhookReceiver, event: Event, text: str) -> None:
    """With cause and cure, as {"text": …}; what Slack would read as markup is escaped."""
    facts: dict[str, Any] = {"code": "odd", "reason": "a <b> & c"}
    if event in (Event.REFUSED, Event.BROKEN, Event.OUTAGE):
        facts |= {"hint": "mend it", "since": NOW}
    if event is Event.OUTAGE:
        facts |= {"account": "", "component": "vault", "host": "h"}
    notice = Notification(**vars(NOTICE) | {"event": event} | facts)
    message = Payload(notification=notice, mount="secret", path="vonage/sms")
    assert call(message, url=receiver.url, format=WebhookFormat.SLACK) is None

    assert json.loads(receiver.taken[0].body) == {"text": text}


def test_every_event_has_a_sentence() -> None:
    """Also where nothing is known but the event itself."""
    for event in Event:
        notice = Notification(id="n", event=event, account="sms", at=NOW)

        assert (
            Payload(notification=notice, mount="m", path="").text().startswith(("sms", "unknown"))
        )


def test_what_is_no_account_s_names_no_account() -> None:
    """And the cure of a low balance is known whatever was recorded."""
    outage = Notification(id="n", event=Event.OUTAGE, account="", at=NOW, host="h", since=NOW)
    low = Notification(id="n", event=Event.BALANCE, account="sms", at=NOW)
    found, facts = (
        Payload(notification=each, mount="m", path="").facts() for each in (outage, low)
    )

    assert (found["account"], found["since"]) == (None, "2026-11-24T07:28:00Z")
    assert str(facts["hint"]).startswith("add funds")
