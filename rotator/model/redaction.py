"""Redaction: masks every live secret value, and removes terminal control characters.

The last line of defence. Nothing that is shown or recorded should contain a value; this is for the
day on which something does. It looks for the values themselves, in every encoding in which one may
come back, not for the names of fields.
"""

import base64
import json
import re
from collections.abc import Iterator
from functools import partial
from urllib.parse import quote, quote_plus

from rotator.model.secret import SecretValue

MASK = "***"
#: Anything shorter is no secret, and would match in any text.
SHORTEST = 8
#: A match of this many consecutive characters is no accident, and reveals too much of a longer
#: value.
_RUN = 12

_URL_SAFE = str.maketrans("+/", "-_")


def redact(text: str) -> str:
    """Mask every live value, in any encoding.

    Base64 that contains a value is masked whole: of Basic credentials, the api key as well.
    """
    folded = text.lower()
    found = [each.reveal() for each in SecretValue.alive() if _is_traced(folded, each)]
    # Longest first, as a shorter value may be a prefix of a longer one.
    for value in sorted(found, key=len, reverse=True):
        if len(value) >= SHORTEST:
            text = masked(text, value)
    return text


def masked(text: str, value: str) -> str:
    """Mask one value, however short, in any encoding."""
    if not value:
        return text
    folded = text.lower()
    for form in _spelled(value):
        if form.lower() in folded:
            text = text.replace(form, MASK)
            text = re.sub(re.escape(form), MASK, text, flags=re.IGNORECASE)
    for core in _encoded(value):
        if core in text:
            text = re.sub(rf"[A-Za-z0-9+/_-]*{re.escape(core)}[A-Za-z0-9+/_=-]*", MASK, text)
    return text


def reveals(text: str) -> bool:
    """Return whether an external text is, contains or is derived from a live secret value.

    For text that is recorded or shown as a name, such as an id or a title. A part of a value counts
    if it is too long to be an accident. Case is ignored.
    """
    return any(_reveals(text.lower(), secret) for secret in SecretValue.alive())


def _reveals(folded: str, secret: SecretValue) -> bool:
    value = secret.reveal()
    return folded == value.lower() if len(value) < SHORTEST else _is_traced(folded, secret)


def _is_traced(folded: str, secret: SecretValue) -> bool:
    return any(trace in folded for trace in secret.derived(_traces))


def _traces(value: str) -> tuple[str, ...]:
    """Return, in lower case, everything by which a text may reveal a value."""
    runs = (value[at : at + _RUN] for at in range(len(value) - _RUN + 1))
    return tuple({form.lower() for form in (*_spelled(value), *_encoded(value), *runs)})


def _spelled(value: str) -> Iterator[str]:
    """Yield `value` as it is and reversed; in JSON, URL, Python, hexadecimal and base32 encoding.

    Where one encoding is a prefix of another, the longer one comes first.
    """
    raw = value.encode(errors="surrogatepass")
    yield raw.hex()
    yield raw.hex(":")
    yield base64.b32encode(raw).decode().rstrip("=")
    if not value.isalnum() or not value.isascii():
        yield json.dumps(value)[1:-1]
        yield json.dumps(value, ensure_ascii=False)[1:-1]
        for quoted in (quote, partial(quote, safe=""), quote_plus):
            yield quoted(value, errors="replace")
        yield repr(value)[1:-1]
    yield value
    yield value[::-1]


def _encoded(value: str) -> Iterator[str]:
    """Yield the base64 forms of the value, whatever stands before and after it."""
    for before in range(3):
        raw = base64.b64encode(bytes(before) + value.encode(errors="replace")).decode().rstrip("=")
        # The first characters also depend on what precedes the value, the last one on what follows
        # it.
        core = raw[(0, 2, 3)[before] : -1]
        if len(core) < SHORTEST:
            continue
        yield core
        if not core.isalnum():
            yield core.translate(_URL_SAFE)


def printable(text: str) -> str:
    """Return external text on one line, without anything that a terminal interprets.

    Whitespace of every kind, line breaks included, becomes spaces. Invisible characters are
    replaced: escape sequences, controls, bidirectional overrides, characters without width.
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else " " if each.isspace() else "\N{REPLACEMENT CHARACTER}"
        for each in text
    )


def printable_lines(text: str) -> str:
    """Make each line `printable`; only line feeds end a line."""
    return text if text.isprintable() else "\n".join(map(printable, text.split("\n")))


def escaped(document: str) -> str:
    """Escape unprintable characters in JSON. They only occur in strings, so its meaning stays."""
    if document.isprintable():
        return document
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in document)


def is_unicode(text: str) -> bool:
    """Return whether `text` has no half of a surrogate pair, which JSON can spell and UTF-8 not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_plain(text: str) -> bool:
    """Return whether `text` is printable ASCII without spaces, so that a header can carry it."""
    return text.isascii() and text.isprintable() and " " not in text
