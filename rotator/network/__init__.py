"""HTTP with a deadline over the whole exchange: for Vonage, Vault and webhooks alike.

Built on httpcore, below any client that keeps cookies, reads .netrc, follows redirects or logs
URLs. What is added is below it, too, in the network backend that it takes.
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
