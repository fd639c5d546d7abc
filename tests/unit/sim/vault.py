"""What is asked of Vault's simulator: one key, and requests about it."""

import http.client
import json
from collections.abc import Mapping
from contextlib import closing
from urllib.parse import urlsplit

from rotator.sim import VaultSimulator
from tests.unit.sim.answer import Answer

PATH = "vonage/sms"
DATA = f"/v1/secret/data/{PATH}"
ONE, TWO, THREE = {"api_secret": "one"}, {"api_secret": "two"}, {"api_secret": "three"}
DENIED = "1 error occurred:\n\t* permission denied\n\n"


def call(  # noqa: PLR0913 - a request has as many parts
    simulator: VaultSimulator,
    method: str,
    path: str,
    body: object = None,
    *,
    token: str | None = "root",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Make one request; a body that is no text is sent as JSON."""
    sent = {**(headers or {}), **({"X-Vault-Token": token} if token else {})}
    with closing(http.client.HTTPConnection(urlsplit(simulator.url).netloc, timeout=60)) as client:
        client.request(method, path, body if isinstance(body, str) else json.dumps(body), sent)
        response = client.getresponse()
        return Answer(response.status, response.headers, response.read())


def write(simulator: VaultSimulator, data: object, **options: object) -> Answer:
    """Write a version, with check-and-set if `cas` is given."""
    return call(simulator, "POST", DATA, {"options": options, "data": data})
