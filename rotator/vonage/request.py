"""One request to the API as data, before it is sent."""

import base64
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from urllib.parse import quote

from rotator.errors import ConfigError, CredentialRefused
from rotator.model import Credential, SecretValue
from rotator.model.redaction import is_unicode, masked, redact

#: Api keys and secret ids. Vonage documents no alphabet; its examples are hexadecimal and UUIDs. No
#: character here has a special meaning in a path, in a Basic user name or on a terminal.
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


class Host(Enum):
    """The two hosts of Vonage's API."""

    #: Secrets and subaccounts.
    API = "api"
    #: Balance, top-up and settings.
    REST = "rest"


class RestAuth(StrEnum):
    """How requests to the rest host authenticate. The api host accepts Basic only."""

    BASIC = "basic"
    #: `api_key` and `api_secret` in the URL, as the older API document requires. URLs end up in the
    #: access logs of proxies, so this is only for installations where Basic does not work.
    QUERY = "query"


def is_identifier(text: str) -> bool:
    """Return whether `text` can be an api key or a secret id."""
    return _IDENTIFIER.fullmatch(text) is not None


def path_segment(text: str, meaning: str) -> str:
    """Return `text` as one segment of a path.

    Raises:
        ConfigError: it cannot be an id. The error does not repeat it, as it may be a misplaced
            value.
    """
    if not is_identifier(text):
        raise ConfigError(
            f"this is not {meaning}, which has letters, digits, '.', '_' and '-', at most 128",
        )
    return quote(text, safe="")


@dataclass(frozen=True, kw_only=True)
class VonageRequest:
    """One request: what to send, with which credential, and which status means success."""

    #: Its name in metrics and logs: `secrets.list`.
    operation: str
    method: str
    host: Host
    #: Percent-encoded path from the root, without a query.
    path: str
    credential: Credential
    #: Api key of the account that the request concerns.
    api_key: str
    success: frozenset[int]
    #: What follows `?`, encoded; "" for nothing.
    query: str = ""
    body: bytes = field(default=b"", repr=False)
    content_type: str = ""
    #: The new secret in the body, if any.
    value: SecretValue | None = None
    #: Whether the path names one secret, so that "no such id" refers to it.
    names_secret: bool = False
    #: Whether a failed try is the last one, though the request only reads: nothing waits for it.
    is_tried_once: bool = False
    #: Called on an open connection right before the first byte of each request. Its exceptions
    #: propagate unchanged, and nothing was sent.
    before_send: Callable[[], object] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse a credential that cannot be sent in a header."""
        path_segment(self.credential.api_key, "an API key")
        if not is_unicode(self.credential.secret.reveal()):
            raise CredentialRefused("the credential is not text that Vonage could have issued")

    @property
    def reads(self) -> bool:
        """Whether it changes nothing at Vonage, so that a retry is always safe."""
        return self.method == "GET"

    def basic(self) -> str:
        """Return the Authorization header."""
        pair = f"{self.credential.api_key}:{self.credential.secret.reveal()}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"

    def mask(self, text: str) -> str:
        """Mask the values that this request sends, however short, and all other live values."""
        values = (value.reveal() for value in (self.credential.secret, self.value) if value)
        for value in sorted(values, key=len, reverse=True):
            text = masked(text, value)
        return redact(text)
