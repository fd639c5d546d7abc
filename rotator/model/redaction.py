"""What may be shown: texts without a secret value, and without what a terminal obeys.

The last line of defence. Nothing that is shown or recorded should hold a value; this is for the
day on which something does. It knows the values themselves, in every spelling in which one may
come back, and not the names under which they might stand.
"""

import base64
import json
import re
from collections.abc import Iterator
from functools import partial
from urllib.parse import quote, quote_plus

from rotator.model.secret import SecretValue

MASK = "***"
#: Anything shorter is no secret, and would be found in every text.
SHORTEST = 8
#: So many characters of a value in a row are no accident: of a longer one, they tell too much.
_RUN = 12

_URL_SAFE = str.maketrans("+/", "-_")


def redact(text: str) -> str:
    """Mask every value in memory, in whatever spelling.

    Base64 that holds a value is masked whole: with Basic credentials, the api key goes, too.
    """
    # The longest first, as a shorter one may be its beginning.
    for value in sorted((secret.reveal() for secret in SecretValue.alive()), key=len, reverse=True):
        if len(value) >= SHORTEST:
            text = masked(text, value)
    return text


def masked(text: str, value: str) -> str:
    """Mask one value, however short, in whatever spelling."""
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
    """Whether a text that others gave is, holds, or is made from a value that is in memory.

    For what is to be recorded or shown as a name: an id, a title. A part of a value counts where it
    is too long to be an accident. Letters of the other case count as well.
    """
    return any(_reveals(text.lower(), secret.reveal()) for secret in SecretValue.alive())


def _reveals(folded: str, value: str) -> bool:
    if len(value) < SHORTEST:
        return folded == value.lower()
    runs = (value[at : at + _RUN] for at in range(len(value) - _RUN + 1))
    return any(form.lower() in folded for form in (*_spelled(value), *_encoded(value), *runs))


def _spelled(value: str) -> Iterator[str]:
    """Spell a value as it is and reversed; for JSON, a URL and Python; in hexadecimal and base32.

    The longer of two spellings comes first where one begins with the other.
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
    """Give what base64 makes of the value whatever stands before and after it."""
    for before in range(3):
        raw = base64.b64encode(bytes(before) + value.encode(errors="replace")).decode().rstrip("=")
        # The first characters also depend on what stands before, the last one on what follows.
        core = raw[(0, 2, 3)[before] : -1]
        if len(core) < SHORTEST:
            continue
        yield core
        if not core.isalnum():
            yield core.translate(_URL_SAFE)


def printable(text: str) -> str:
    """Put a text that others gave on one line, without what a terminal obeys.

    Blanks of every kind, line ends among them, become spaces. What has no picture of its own
    is replaced: escape sequences, controls, what turns the direction of a text, what has no width.
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else " " if each.isspace() else "\N{REPLACEMENT CHARACTER}"
        for each in text
    )


def printable_lines(text: str) -> str:
    """Make each line `printable`; lines end at line feeds alone."""
    return text if text.isprintable() else "\n".join(map(printable, text.split("\n")))


def escaped(document: str) -> str:
    """Escape in JSON what is not printable. Only strings can hold that, so it means the same."""
    if document.isprintable():
        return document
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in document)
