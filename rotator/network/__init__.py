"""HTTP with a deadline over the whole exchange: for Vonage, Vault and webhooks alike.

h11 knows the protocol. What a client above it adds is not wanted here: cookies, by which one
account's session could authenticate another's probe; .netrc; redirects, by which a token would go
to another host; URLs in the log; answers left over from one request for the next.
"""

from rotator.network.client import Client, Reply, Request, Way, unpacked
from rotator.network.failure import ExchangeFailed, NoAnswer
from rotator.network.proxy import is_loopback
from rotator.network.tls import Trust

__all__ = [
    "Client",
    "ExchangeFailed",
    "NoAnswer",
    "Reply",
    "Request",
    "Trust",
    "Way",
    "is_loopback",
    "unpacked",
]
