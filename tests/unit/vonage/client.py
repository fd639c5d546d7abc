"""A transport as the tests make it: its credential, and answers to it."""

import base64
from collections.abc import Callable
from typing import Any

from rotator.model import Credential, SecretValue
from rotator.vonage import VonageClient

KEY, SECRET, VALUE = "abcd1234", "Current+Secret/1", "BrandNewSecret2"
CREDENTIAL = Credential(api_key=KEY, secret=SecretValue(SECRET))
PAIR = base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()
ONE = b'{"id": "one", "created_at": "2018-12-03T10:07:23Z"}'
LIST = b'{"_embedded": {"secrets": [' + ONE + b"]}}"
BALANCE = b'{"value": 10.28, "autoReload": false}'


def transport(url: str, clock: Callable[[], float], **changes: Any) -> VonageClient:  # noqa: ANN401
    """Return a client whose pauses are as long as they can be and take no real time."""
    settings: dict[str, Any] = {
        "api_url": url,
        "rest_url": url,
        "timeout": 15.0,
        "max_requests_per_second": 1000,
        "clock": clock,
        "sleep": getattr(clock, "sleep", None),
        "random": lambda: 1.0,
        "wall_clock": lambda: 1_700_000_000.0,
    }
    return VonageClient(**(settings | changes))
