"""The gate of endpoints: each consumer answers with the secret that it uses."""

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from urllib.parse import urlsplit

from rotator.errors import ConfigError
from rotator.gates.verdict import Consumer, NewSecret, Verdict
from rotator.network import Client, ExchangeFailed, HttpRequest, Route, Trust

#: Largest answer that is read, in bytes.
_LARGEST = 64 * 1024
#: Consumers that are asked at the same time.
_AT_ONCE = 8
_HEADERS = {"Accept": "application/json, text/plain;q=0.9, */*;q=0.1", "User-Agent": "rotator"}


def check(urls: Sequence[str], new: NewSecret, *, timeout: timedelta, ca_file: str = "") -> Verdict:
    """Return open if every URL answers 200 with the new secret's id or version.

    Each is asked once, with a GET, within one `timeout` for all; no redirect is followed. The id
    counts wherever it stands in the answer, unless the old secret's is there, too; a version only
    as `vault_version` of a JSON object.

    Raises:
        ConfigError: a URL is not valid.
    """
    trust = Trust(ca_file=ca_file)
    asked = [_Endpoint(number, url, trust) for number, url in enumerate(dict.fromkeys(urls), 1)]
    ends_at = time.monotonic() + timeout.total_seconds()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        left = lambda: ends_at - time.monotonic()  # noqa: E731  # one budget for all
        return Verdict.of(list(pool.map(partial(_Endpoint.consumer, new=new, left=left), asked)))


class _Endpoint:
    """One consumer's endpoint."""

    def __init__(self, number: int, url: str, trust: Trust) -> None:
        try:
            parts = urlsplit(url)
            self._route = Route(url, trust)
        except ValueError:
            # Not quoted: it may contain a token.
            raise ConfigError(
                f"URL {number} is not valid", hint="write http://HOST[:PORT]/PATH, or https://"
            ) from None
        except ExchangeFailed as error:
            raise ConfigError(f"the environment's proxy cannot be used: {error.detail}") from None
        if "@" in parts.netloc:
            raise ConfigError(
                f"URL {number} has a user name, which is not sent",
                hint="let the endpoint answer this machine without a login: it shows an id only",
            )
        #: Without the query, which may contain a token.
        self._name = f"{self._route.authority}{parts.path or '/'}"
        self._target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"

    def consumer(self, new: NewSecret, left: Callable[[], float]) -> Consumer:
        return Consumer(name=self._name, lag=self._lag(new, left))

    def _lag(self, new: NewSecret, left: Callable[[], float]) -> str | None:
        request = HttpRequest(method="GET", target=self._target, headers=_HEADERS)
        try:
            reply = Client(self._route).send(request, left=left, limit=_LARGEST)
            if reply.status != HTTPStatus.OK:
                return f"it answered {reply.status}"
            if reply.body is None:
                return "it answered more than 64 KiB"
            text = reply.content(_LARGEST).decode(errors="replace")
        except ExchangeFailed as error:
            return error.reason.code
        except ValueError:
            return "it answered what cannot be decompressed"
        return None if _has_version(text, new) else new.lag(text)


def _has_version(text: str, new: NewSecret) -> bool:
    """Return whether an answer is a JSON object with that version of the entry, or a later one."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return False
    version = document.get("vault_version") if isinstance(document, dict) else None
    if type(version) is not int or new.vault_version is None:
        return False
    return version >= new.vault_version
