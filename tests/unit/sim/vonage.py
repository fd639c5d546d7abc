"""What is asked of Vonage's simulator: its accounts, and requests in their name."""

import base64
import http.client
import json
from contextlib import closing
from datetime import UTC, datetime
from urllib.parse import urlsplit

from rotator.sim import VonageSimulator
from tests.unit.sim.answer import Answer

KEY, SECRET = "abcd1234", "FirstSecret0001"
OTHER, OTHER_SECRET = "ffff0000", "OtherSecret0001"
SUB, SUB_SECRET = "aaaa1111", "SubSecret00001"
SECOND, THIRD = "SecondSecret0002", "ThirdSecret00003"
OLD = datetime(2024, 3, 1, 10, 7, 23, 456789, tzinfo=UTC)
SECRETS = f"/accounts/{KEY}/secrets"


def connect(simulator: VonageSimulator) -> http.client.HTTPConnection:
    """Make a client that connects with its first request."""
    return http.client.HTTPConnection(urlsplit(simulator.url).netloc, timeout=60)


def basic(key: str, secret: str) -> dict[str, str]:
    """Return the header of Basic auth."""
    return {"Authorization": "Basic " + base64.b64encode(f"{key}:{secret}".encode()).decode()}


def call(
    simulator: VonageSimulator,
    method: str,
    path: str,
    body: object = None,
    *,
    auth: tuple[str, str] | None = (KEY, SECRET),
) -> Answer:
    """Make one request on a connection of its own."""
    with closing(connect(simulator)) as connection:
        return ask(connection, method, path, body, auth=auth)


def ask(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: object = None,
    *,
    auth: tuple[str, str] | None = (KEY, SECRET),
) -> Answer:
    """Make one request; a body that is no text is sent as JSON."""
    data = body if isinstance(body, str | None) else json.dumps(body)
    connection.request(method, path, data, basic(*auth) if auth else {})
    response = connection.getresponse()
    return Answer(response.status, response.headers, response.read())


def create(simulator: VonageSimulator, value: str) -> Answer:
    """Ask for a secret."""
    return call(simulator, "POST", SECRETS, {"secret": value})


def filled(simulator: VonageSimulator) -> VonageSimulator:
    """Add the accounts that the tests know."""
    simulator.add_account(KEY, SECRET, created_at=OLD, name="main")
    simulator.add_account(OTHER, OTHER_SECRET)
    simulator.add_account(SUB, SUB_SECRET, parent=KEY, created_at=OLD, suspended=True)
    return simulator


def statuses(simulator: VonageSimulator, *calls: tuple[str, str]) -> list[int]:
    """Make the calls and give their statuses."""
    return [call(simulator, method, path).status for method, path in calls]
