"""Signatures of webhooks by Standard Webhooks 1.0: made with every key, accepted from any.

Source: github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md. A signature is
HMAC-SHA256 over `id.timestamp.body`; while a key is being replaced, a message has one by each.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from rotator.model import SecretValue

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
#: Begins a key that is written in base64.
PREFIX = "whsec_"
#: Keys in one file: one more while it is being replaced.
MOST_KEYS = 2
#: Length of an id that is accepted, and how many signatures are compared.
LONGEST_ID, MOST_SIGNATURES = 255, 16


class BadSignature(Exception):
    """A message is not signed as it must be. The text says why."""


@dataclass(frozen=True, kw_only=True)
class SigningKey:
    """One key, as a line of a file spells it."""

    line: SecretValue
    raw: bytes = field(repr=False)

    def sign(self, message_id: str, seconds: int, body: bytes) -> bytes:
        """Sign a body; `seconds` since 1970 say when it is sent."""
        signed = f"{message_id}.{seconds}.".encode() + body
        return hmac.digest(self.raw, signed, hashlib.sha256)


def keys_in(text: str) -> tuple[SigningKey, ...]:
    """Return the keys in a file's text, one on each line.

    Raises:
        ValueError: there is no key, more than two, or one that is not base64 after `whsec_`. The
            text continues a sentence that begins with the file, and has nothing of a key.
    """
    lines = [line for each in text.splitlines() if (line := each.strip())]
    if not lines:
        raise ValueError("is empty")
    if len(lines) > MOST_KEYS:
        raise ValueError(f"has more than {MOST_KEYS} lines, each of which is a key")
    return tuple(SigningKey(line=SecretValue(line), raw=_raw(line)) for line in lines)


def _raw(line: str) -> bytes:
    if not line.startswith(PREFIX):
        return line.encode()
    digits = line.removeprefix(PREFIX).rstrip("=")
    try:
        raw = base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if not raw:
        raise ValueError(f"has a key that is not base64 after {PREFIX}")
    return raw


def headers_for(
    keys: Sequence[SigningKey], message_id: str, body: bytes, at: datetime
) -> dict[str, str]:
    """Return the three headers of a message that is sent at the time `at`."""
    seconds = int(at.timestamp())
    made = (base64.b64encode(key.sign(message_id, seconds, body)).decode() for key in keys)
    return {
        ID: message_id,
        TIMESTAMP: str(seconds),
        SIGNATURE: " ".join(f"v1,{each}" for each in made),
    }


def verified_id(
    keys: Sequence[SigningKey],
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: datetime,
    tolerance: timedelta,
) -> str:
    """Return the id of a message that one of `keys` has signed, not longer ago than `tolerance`.

    Nor that much later than now. `headers` have their names in lower case. Nothing of the body is
    interpreted.

    Raises:
        BadSignature: the message is not to be believed.
    """
    message_id, sent = headers.get(ID, ""), headers.get(TIMESTAMP, "")
    if not re.fullmatch(rf"[!-~]{{1,{LONGEST_ID}}}", message_id):
        raise BadSignature(f"{ID} is not an id of at most {LONGEST_ID} printable characters")
    if not re.fullmatch(r"[0-9]{1,11}", sent):
        raise BadSignature(f"{TIMESTAMP} is not in seconds since 1970")
    given = _signatures(headers.get(SIGNATURE, ""))
    expected = [key.sign(message_id, int(sent), body) for key in keys]
    if not any(hmac.compare_digest(one, other) for one in expected for other in given):
        raise BadSignature(f"no {SIGNATURE} is by a known key")
    if abs(now.timestamp() - int(sent)) > tolerance.total_seconds():
        raise BadSignature(f"{TIMESTAMP} is too far from this machine's time")
    return message_id


def _signatures(header: str) -> list[bytes]:
    """Return the signatures of version 1; others are for other receivers."""
    found = []
    for each in header.split(" ")[:MOST_SIGNATURES]:
        version, _, digits = each.partition(",")
        if version == "v1":
            try:
                found.append(base64.b64decode(digits, validate=True))
            except (binascii.Error, ValueError):
                continue
    return found
