"""The last line of defence: masks the values that are in memory in a text about to be shown.

Nothing that is logged should hold a value. This is for the day on which something does: it knows
the values themselves, not the names under which they might stand.
"""

import base64
import json
import re
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

from rotator.model import SecretValue

MASK = "***"
#: Anything shorter is no secret, and would be found in every text.
SHORTEST = 8


def redact(text: str) -> str:
    """Mask every value in memory, as it is or encoded: for JSON, a URL, Python, or in base64.

    Of base64 all that holds a value goes, so that of Basic credentials the api key goes, too.
    """
    for secret in SecretValue.alive():
        value = secret.reveal()
        if len(value) < SHORTEST:
            continue
        for form in _plain(value):
            if form in text:
                text = text.replace(form, MASK)
        for core in _encoded(value):
            if core in text:
                text = re.sub(rf"[A-Za-z0-9+/_-]*{re.escape(core)}[A-Za-z0-9+/_=-]*", MASK, text)
    return text


def _plain(value: str) -> Iterator[str]:
    yield value
    if not value.isalnum() or not value.isascii():
        yield json.dumps(value)[1:-1]
        yield json.dumps(value, ensure_ascii=False)[1:-1]
        yield quote(value)
        yield quote(value, safe="")
        yield quote_plus(value)
        yield repr(value)[1:-1]


def _encoded(value: str) -> Iterator[str]:
    """Give what base64 makes of the value whatever stands before and after it."""
    for before in range(3):
        raw = base64.b64encode(bytes(before) + value.encode()).decode().rstrip("=")
        # The first characters also depend on what stands before, the last one on what follows.
        core = raw[(0, 2, 3)[before] : -1]
        yield core
        if not core.isalnum():
            yield core.translate(_URL_SAFE)


_URL_SAFE = str.maketrans("+/", "-_")
