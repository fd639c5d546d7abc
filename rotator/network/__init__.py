"""HTTP with a deadline on the whole exchange: for Vonage, Vault and webhooks alike.

h11 implements the protocol. What a client library adds is deliberately absent: cookies, with which
one account's session could authenticate another's probe; .netrc; redirects, which would send a
token to another host; URLs in the log; leftovers of one answer that are read as the next.
"""

from rotator.network.client import Client, HttpRequest, Route
from rotator.network.connect import is_loopback
from rotator.network.exchange import ExchangeFailed, TransportFailure
from rotator.network.response import HttpResponse, http_date, retry_after
from rotator.network.tls import Trust

__all__ = [
    "Client",
    "ExchangeFailed",
    "HttpRequest",
    "HttpResponse",
    "Route",
    "TransportFailure",
    "Trust",
    "http_date",
    "is_loopback",
    "retry_after",
]
