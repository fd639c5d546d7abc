"""Signatures of webhooks: whose are believed, and for how long."""

from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks.webhooks import Webhook

from rotator.network.signatures import BadSignature, headers_for, keys_in, verified_id

NOW = datetime(2026, 11, 24, 7, 28, tzinfo=UTC)
TOLERANCE = timedelta(minutes=5)
OLD, NEW = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
BODY = b'{"account":"sms"}'


def check(
    headers: dict[str, str], *, keys: str = f"{OLD}\n{NEW}", body: bytes = BODY, late: float = 0
) -> str:
    """Check a message, `late` seconds after it was sent."""
    now = NOW + timedelta(seconds=late)
    return verified_id(keys_in(keys), headers, body, now=now, tolerance=TOLERANCE)


@pytest.mark.parametrize("key", [OLD, NEW])
@pytest.mark.parametrize("late", [-300, 0, 300])
def test_what_the_library_signs_is_believed(key: str, late: float) -> None:
    """With either key, and for as long as the tolerance says."""
    signature = Webhook(key).sign("msg_1", NOW, BODY.decode())
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(NOW.timestamp())),
        "webhook-signature": f"v1a,AAAA v1,AAAA {signature}",
    }

    assert check(headers, late=late) == "msg_1"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"webhook-id": ""}, "is not an id"),
        ({"webhook-id": "msg 1"}, "is not an id"),
        ({"webhook-id": "x" * 256}, "is not an id"),
        ({"webhook-id": "msg_2"}, "by a known key"),
        ({"webhook-timestamp": ""}, "is not in seconds"),
        ({"webhook-timestamp": "1.5"}, "is not in seconds"),
        ({"webhook-timestamp": "\u0661"}, "is not in seconds"),
        ({"webhook-timestamp": str(int(NOW.timestamp()) + 1)}, "by a known key"),
        ({"webhook-signature": ""}, "by a known key"),
        ({"webhook-signature": "v1"}, "by a known key"),
        ({"webhook-signature": "v1,é"}, "by a known key"),
    ],
)
def test_what_was_changed_is_not_believed(change: dict[str, str], why: str) -> None:
    """Each of the three headers counts."""
    headers = headers_for(keys_in(OLD), "msg_1", BODY, NOW) | change

    with pytest.raises(BadSignature, match=why):
        check(headers)


def test_neither_another_body_nor_another_key_is_believed() -> None:
    """Nor one of which only a part is the same."""
    headers = headers_for(keys_in(OLD), "msg_1", BODY, NOW)
    for body in (b"", BODY + b" "):
        with pytest.raises(BadSignature, match="by a known key"):
            check(headers, body=body)
    with pytest.raises(BadSignature, match="by a known key"):
        check(headers, keys=NEW)


@pytest.mark.parametrize("late", [-301, 301])
def test_an_old_message_is_not_believed(late: float) -> None:
    """Whoever has recorded one cannot send it again later; nor one for later."""
    headers = headers_for(keys_in(OLD), "msg_1", BODY, NOW)

    with pytest.raises(BadSignature, match="too far from this machine's time"):
        check(headers, late=late)


def test_a_key_may_lack_its_padding() -> None:
    """As the project's own library takes it."""
    padded, bare = keys_in("whsec_YWI=\nwhsec_YWI")

    assert padded.raw == bare.raw == b"ab"
    assert "ab" not in repr(padded)
    assert "YWI" not in repr(padded)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (" \n", "is empty"),
        ("a\nb\n\nc", "has more than 2 lines"),
        ("whsec_", "is not base64"),
        ("a\nwhsec_a b", "is not base64"),
        ("whsec_a", "is not base64"),
    ],
)
def test_what_is_no_key_is_refused(text: str, why: str) -> None:
    """Without a word of it."""
    with pytest.raises(ValueError, match=why):
        keys_in(text)
