"""The way to Vault: straight or through a proxy, and whom to trust on it."""

import os
from dataclasses import dataclass

from requests import Request
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies


@dataclass(frozen=True, kw_only=True)
class Trust:
    """Files that say who is trusted, and who rotator is, in TLS. "" for none."""

    #: Certificate authorities for Vault's certificate; "" for the system's.
    ca_file: str = ""
    #: rotator's own certificate, for a server that wants one.
    client_cert_file: str = ""
    #: Its key; "" where it is in the same file.
    client_key_file: str = ""

    @property
    def client(self) -> str | tuple[str, str] | None:
        """The client certificate as requests wants it."""
        if self.client_key_file:
            return self.client_cert_file, self.client_key_file
        return self.client_cert_file or None


class Way:
    """One connection to one address. requests finds the way, so that it is the usual one."""

    def __init__(self, address: str, trust: Trust) -> None:
        """Look up proxy and certificates of the environment, once; connect to nothing yet.

        Raises:
            OSError: a file of certificates is not there.
            ValueError: the address cannot be connected to.
            urllib3.exceptions.HTTPError: the environment's proxy cannot be used.
        """
        of_environment = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        trusted = trust.ca_file or of_environment or True
        request, proxies = Request("GET", address).prepare(), get_environ_proxies(address)
        adapter = HTTPAdapter(pool_maxsize=1)
        #: Sends requests, one at a time.
        self.pool = adapter.get_connection_with_tls_context(
            request, trusted, proxies=proxies, cert=trust.client
        )
        adapter.cert_verify(self.pool, address, trusted, trust.client)
        #: What a path is appended to: all of the address where a proxy has to be told it.
        self.base = adapter.request_url(request, proxies).rstrip("/")
