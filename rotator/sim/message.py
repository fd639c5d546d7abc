"""The request that a simulator read and the reply that it makes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Self

JSON = "application/json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One HTTP request, read to its end."""

    method: str
    #: percent-decoded, without the query
    path: str
    #: the first value of each name; blank values are kept
    query: Mapping[str, str]
    #: names in lower case; of a repeated header the last one
    headers: Mapping[str, str]
    body: bytes = b""
    keep_alive: bool = True
    #: the client's certificate in DER, over TLS
    certificate: bytes | None = None

    def document(self) -> object:
        """Give the body as JSON.

        Raises:
            ValueError: it is not JSON.
        """
        return json.loads(self.body)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """One HTTP response before it is sent."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    #: so many bytes at the body's end are announced in Content-Length and never sent
    withheld: int = 0

    @classmethod
    def json(cls, status: int, document: object, content_type: str = JSON) -> Self:
        """Make a reply whose body is `document` as JSON."""
        body = json.dumps(document, separators=(",", ":")).encode()
        return cls(status=status, body=body, headers={"Content-Type": content_type})

    def with_headers(self, headers: Mapping[str, str]) -> "Reply":
        """Give the same reply with `headers` added; they win over those of the same name."""
        return replace(self, headers={**self.headers, **headers})

    def with_defaults(self, headers: Mapping[str, str]) -> "Reply":
        """Give the same reply with those of `headers` added that it does not have."""
        return replace(self, headers={**headers, **self.headers})

    def encoded(self, method: str, *, keep_alive: bool) -> bytes:
        """Give the reply as the bytes that answer a request of `method`."""
        lines = [f"HTTP/1.1 {self.status} {_phrase(self.status)}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.status != HTTPStatus.NO_CONTENT:
            lines.append(f"Content-Length: {len(self.body)}")
        if not keep_alive:
            lines.append("Connection: close")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        if method == "HEAD":
            return head
        return head + self.body[: len(self.body) - self.withheld]


class Refused(Exception):
    """The call ends here, with this reply."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        # Vault's 472 to 474 and 530 are in no registry.
        return "Unknown"
