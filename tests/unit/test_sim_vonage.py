import base64
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from rotator.sim import Exchange, Fault, Phase, SlotsFull, VonageSimulator

KEY, SECRET = "abcd1234", "FirstSecret0001"
OTHER, OTHER_SECRET = "ffff0000", "OtherSecret0001"
SUB, SUB_SECRET = "aaaa1111", "SubSecret00001"
SECOND, THIRD = "SecondSecret0002", "ThirdSecret00003"
OLD = datetime(2024, 3, 1, 10, 7, 23, 456789, tzinfo=UTC)
SECRETS = f"/accounts/{KEY}/secrets"


@dataclass
class Answer:
    """An answer, read to its end."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def document(self) -> Any:  # noqa: ANN401 - JSON
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def problem(self) -> tuple[int, str, str]:
        """Status, fragment of the type and title of a problem document."""
        fragment = self.document["type"].partition("#")[2]
        return self.status, fragment, self.document["title"]


@dataclass
class Clock:
    """A clock that a test sets."""

    now: int = 1_800_000_000 * 10**9

    def __call__(self) -> int:
        """Give the nanoseconds since the epoch."""
        return self.now

    def forward(self, seconds: float) -> None:
        """Let so much time pass."""
        self.now += int(seconds * 10**9)


def connect(simulator: VonageSimulator) -> http.client.HTTPConnection:
    """Make a client that connects with its first request."""
    return http.client.HTTPConnection(urlsplit(simulator.url).netloc, timeout=5)


def basic(key: str, secret: str) -> dict[str, str]:
    """Give the header of Basic auth."""
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


@pytest.fixture
def clock() -> Clock:
    """Time stands still until the test moves it."""
    return Clock()


@pytest.fixture
def vonage() -> Iterator[VonageSimulator]:
    """Three accounts: one, a stranger to it, and its suspended subaccount."""
    with VonageSimulator() as simulator:
        yield filled(simulator)


def filled(simulator: VonageSimulator) -> VonageSimulator:
    """Add the accounts that the tests know."""
    simulator.add_account(KEY, SECRET, created_at=OLD, name="main")
    simulator.add_account(OTHER, OTHER_SECRET)
    simulator.add_account(SUB, SUB_SECRET, parent=KEY, created_at=OLD, suspended=True)
    return simulator


def test_list_shows_ids_and_whole_seconds_but_no_value(vonage: VonageSimulator) -> None:
    """A list names each secret by id and creation time and never its value."""
    (only,) = vonage.secrets(KEY)

    answer = call(vonage, "GET", SECRETS)

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.document == {
        "_links": {"self": {"href": SECRETS}},
        "_embedded": {
            "secrets": [
                {
                    "_links": {"self": {"href": f"{SECRETS}/{only.id}"}},
                    "id": only.id,
                    "created_at": "2024-03-01T10:07:23Z",
                }
            ]
        },
    }


def test_create_answers_the_new_id_and_lists_the_newest_first(vonage: VonageSimulator) -> None:
    """A created secret is listed at once, before the older one."""
    answer = create(vonage, SECOND)

    listed = call(vonage, "GET", SECRETS).document["_embedded"]["secrets"]
    assert answer.status == 201
    assert set(answer.document) == {"_links", "id", "created_at"}
    assert listed[0]["id"] == answer.document["id"]
    assert [secret.value for secret in vonage.secrets(KEY)] == [SECOND, SECRET]


def test_an_older_secret_made_later_is_listed_last(vonage: VonageSimulator) -> None:
    """The order of the list is that of creation times."""
    older = vonage.add_secret(KEY, SECOND, created_at=OLD - timedelta(days=1))

    assert vonage.secrets(KEY)[1].id == older


def test_get_one_secret(vonage: VonageSimulator) -> None:
    """A secret can be looked up by its id."""
    (only,) = vonage.secrets(KEY)

    answer = call(vonage, "GET", f"{SECRETS}/{only.id}")

    assert (answer.status, answer.document["id"]) == (200, only.id)


def test_delete_revokes_at_once(vonage: VonageSimulator) -> None:
    """A deleted secret is unlisted, no longer authenticates and stays in the history."""
    old, _ = vonage.secrets(KEY)[0], create(vonage, SECOND)

    answer = call(vonage, "DELETE", f"{SECRETS}/{old.id}", auth=(KEY, SECOND))

    assert (answer.status, answer.body) == (204, b"")
    assert "Content-Length" not in answer.headers
    assert call(vonage, "GET", SECRETS).status == 401
    assert [secret.value for secret in vonage.history(KEY)] == [SECRET, SECOND]
    assert vonage.history(KEY)[0].revoked_at is not None


def test_the_last_secret_cannot_be_deleted(vonage: VonageSimulator) -> None:
    """The only secret is answered 403 and stays."""
    (only,) = vonage.secrets(KEY)

    answer = call(vonage, "DELETE", f"{SECRETS}/{only.id}")

    assert answer.problem == (403, "delete-last-secret", "Secret Deletion Forbidden")
    assert len(vonage.secrets(KEY)) == 1


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_id_is_404(vonage: VonageSimulator, method: str) -> None:
    """An id that is not listed is named in a 404."""
    answer = call(vonage, method, f"{SECRETS}/no-such-id")

    assert answer.problem == (404, "invalid-id", "Invalid ID")
    assert answer.document["detail"] == "ID 'no-such-id' could not be found"


@pytest.mark.parametrize(
    "value",
    ["Short1a", "Long" + "1" * 22, "NODIGITSbutlower", "nouppercase1", "NOLOWERCASE1", SECRET],
    ids=["short", "long", "no digit", "no upper", "no lower", "active"],
)
def test_a_refused_value_is_a_validation_problem(vonage: VonageSimulator, value: str) -> None:
    """A value that breaks the rules, or that the account has, is one and the same 400."""
    answer = create(vonage, value)

    assert answer.problem == (400, "validation", "Bad Request")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.document["invalid_parameters"] == [
        {"name": "secret", "reason": "Does not meet complexity requirements"}
    ]
    assert len(vonage.history(KEY)) == 1


@pytest.mark.parametrize("body", [{}, {"secret": 12345678}, ["secret"]])
def test_a_body_without_a_secret_is_a_validation_problem(
    vonage: VonageSimulator, body: object
) -> None:
    """A body of another shape is refused like a bad value."""
    assert call(vonage, "POST", SECRETS, body).problem[:2] == (400, "validation")


def test_a_body_that_is_no_json_is_refused(vonage: VonageSimulator) -> None:
    """What is not JSON has a problem of its own."""
    assert call(vonage, "POST", SECRETS, "{").problem[:2] == (400, "invalid-json")


def test_a_revoked_value_may_be_used_again(vonage: VonageSimulator) -> None:
    """Only active values are refused as too simple."""
    second = vonage.add_secret(KEY, SECOND)
    vonage.revoke(KEY, second)

    assert create(vonage, SECOND).status == 201


def test_a_third_secret_is_forbidden(vonage: VonageSimulator) -> None:
    """With both slots taken a good value is answered 403."""
    vonage.add_secret(KEY, SECOND)

    answer = create(vonage, THIRD)

    assert answer.problem == (403, "add-excess-secret", "Secret Addition Forbidden")
    assert answer.document["detail"] == "Account reached maximum number [2] of allowed secrets"


def test_validation_precedes_the_limit(vonage: VonageSimulator) -> None:
    """With both slots taken, re-posting an active value is still a validation problem."""
    vonage.add_secret(KEY, SECOND)

    assert create(vonage, SECOND).problem[:2] == (400, "validation")


def test_a_full_account_may_answer_400() -> None:
    """With full_status=400 only the detail tells the full account from a bad value."""
    with VonageSimulator(full_status=400) as simulator:
        filled(simulator).add_secret(KEY, SECOND)

        answer = create(simulator, THIRD)

    assert answer.problem == (400, "validation", "Bad Request")
    assert "maximum number [2]" in answer.document["detail"]


@pytest.mark.parametrize(
    "auth",
    [None, (KEY, "WrongSecret1"), ("nobody99", SECRET), (OTHER, SECRET)],
    ids=["none", "wrong secret", "unknown key", "another's secret"],
)
def test_wrong_credentials_are_401(vonage: VonageSimulator, auth: tuple[str, str] | None) -> None:
    """Whatever is wrong with the credentials, the answer is the same 401."""
    answer = call(vonage, "GET", SECRETS, auth=auth)

    assert answer.problem == (401, "unauthorized", "Unauthorized")
    assert answer.document["detail"] == "You did not provide correct credentials."


@pytest.mark.parametrize("header", ["Basic %%%", "Basic YWJj", "Bearer abc", "Basic"])
def test_unreadable_credentials_are_401(vonage: VonageSimulator, header: str) -> None:
    """Credentials that are no Basic auth count as none."""
    with closing(connect(vonage)) as connection:
        connection.request("GET", SECRETS, headers={"Authorization": header})

        assert connection.getresponse().status == 401


def test_the_secrets_calls_take_no_query_credentials(vonage: VonageSimulator) -> None:
    """Key and secret in the query are good for rest.nexmo.com only."""
    path = f"{SECRETS}?api_key={KEY}&api_secret={SECRET}"

    assert call(vonage, "GET", path, auth=None).problem[:2] == (401, "unauthorized")


def test_a_primary_account_manages_its_subaccounts_secrets(vonage: VonageSimulator) -> None:
    """The primary's credential works on a subaccount's path, for every call."""
    path = f"/accounts/{SUB}/secrets"

    created = call(vonage, "POST", path, {"secret": SECOND})
    listed = call(vonage, "GET", path)
    deleted = call(vonage, "DELETE", f"{path}/{created.document['id']}")

    assert [created.status, listed.status, deleted.status] == [201, 200, 204]
    assert len(listed.document["_embedded"]["secrets"]) == 2


@pytest.mark.parametrize(
    ("path_key", "auth"),
    [
        (OTHER, (KEY, SECRET)),
        ("nobody99", (KEY, SECRET)),
        (KEY, (SUB, SUB_SECRET)),
        (SUB, (OTHER, OTHER_SECRET)),
    ],
    ids=["stranger", "unknown", "own parent", "another's subaccount"],
)
def test_other_accounts_are_404(
    vonage: VonageSimulator, path_key: str, auth: tuple[str, str]
) -> None:
    """A key that is not the caller's is answered as if it did not exist."""
    answer = call(vonage, "GET", f"/accounts/{path_key}/secrets", auth=auth)

    assert answer.problem == (404, "invalid-api-key", "Invalid API Key")
    assert f"'{path_key}'" in answer.document["detail"]


def test_an_outsider_meets_the_two_slots(vonage: VonageSimulator) -> None:
    """The dashboard cannot make a third secret either."""
    vonage.add_secret(KEY, SECOND)

    with pytest.raises(SlotsFull):
        vonage.add_secret(KEY, THIRD)


def test_revoking_what_is_not_there_fails(vonage: VonageSimulator) -> None:
    """An outsider can only revoke a live secret."""
    second = vonage.add_secret(KEY, SECOND)
    vonage.revoke(KEY, second)

    with pytest.raises(KeyError):
        vonage.revoke(KEY, second)


def test_accounts_are_checked(vonage: VonageSimulator) -> None:
    """A key is used once, subaccounts have one level and times a zone."""
    with pytest.raises(ValueError, match="exists"):
        vonage.add_account(KEY, SECRET)
    with pytest.raises(ValueError, match="no primary"):
        vonage.add_account("new00000", SECRET, parent=SUB)
    with pytest.raises(ValueError, match="time zone"):
        vonage.add_account("new00000", SECRET, created_at=datetime(2024, 1, 1))  # noqa: DTZ001


def test_propagation_delays_a_new_secret(clock: Clock) -> None:
    """A new secret is listed at once and authenticates only after the propagation time."""
    with VonageSimulator(propagation=30, clock=clock) as simulator:
        filled(simulator)
        created = create(simulator, SECOND)
        early = call(simulator, "GET", SECRETS, auth=(KEY, SECOND)).status
        known = simulator.authenticates(KEY, SECOND, ignoring_propagation=True)
        clock.forward(30)
        late = call(simulator, "GET", SECRETS, auth=(KEY, SECOND)).status

        assert (created.status, early, known, late) == (201, 401, True, 200)
        assert simulator.secrets(KEY)[0].active_from == datetime.fromtimestamp(
            clock.now / 10**9, UTC
        )


def test_propagation_delays_a_revocation(clock: Clock) -> None:
    """A revoked secret is unlisted at once and authenticates for the propagation time."""
    with VonageSimulator(propagation=30, clock=clock) as simulator:
        filled(simulator).add_secret(KEY, SECOND, created_at=OLD)
        simulator.revoke(KEY, simulator.history(KEY)[0].id)
        early = call(simulator, "GET", SECRETS)
        clock.forward(30)
        late = call(simulator, "GET", SECRETS)

        assert (early.status, late.status) == (200, 401)
        assert len(early.document["_embedded"]["secrets"]) == 1
        assert not simulator.authenticates(KEY, SECRET, ignoring_propagation=True)


def test_an_unknown_account_authenticates_nobody(vonage: VonageSimulator) -> None:
    """Asking for an account that is not there is no error."""
    assert not vonage.authenticates("nobody99", SECRET)


@pytest.mark.parametrize("auth", ["basic", "query"])
def test_balance_takes_basic_or_query_credentials(vonage: VonageSimulator, auth: str) -> None:
    """The rest host takes either way to authenticate."""
    query = f"?api_key={KEY}&api_secret={SECRET}" if auth == "query" else ""

    answer = call(
        vonage, "GET", f"/account/get-balance{query}", auth=None if query else (KEY, SECRET)
    )

    assert (answer.status, answer.document) == (200, {"value": 10.28, "autoReload": False})


@pytest.mark.parametrize("path", ["/account/get-balance", SECRETS])
def test_two_ways_to_authenticate_are_one_too_many(vonage: VonageSimulator, path: str) -> None:
    """Basic auth and a key in the query do not go together."""
    answer = call(vonage, "GET", f"{path}?api_key={KEY}&api_secret={SECRET}")

    assert answer.problem[:2] == (401, "multiple-auth-methods")


def test_the_rest_hosts_401_is_of_the_older_form(vonage: VonageSimulator) -> None:
    """Wrong credentials on rest.nexmo.com have its own error body."""
    answer = call(vonage, "GET", "/account/get-balance", auth=(KEY, "WrongSecret1"))

    assert answer.status == 401
    assert answer.document == {"error-code": "401", "error-code-label": "authentication failed"}


def test_a_top_up_needs_auto_reload(vonage: VonageSimulator) -> None:
    """Without auto-reload a top-up is refused, with it the balance grows by ten."""
    refused = call(vonage, "POST", "/account/top-up", "trx=1")
    vonage.auto_reload = True
    accepted = call(vonage, "POST", "/account/top-up", "trx=1")

    assert (refused.status, refused.document["error-code-label"]) == (
        401,
        "not auto-reload enabled",
    )
    assert accepted.document == {"error-code": "200", "error-code-label": "success"}
    assert vonage.balance(KEY) == 20.28
    assert call(vonage, "GET", "/account/get-balance").document["autoReload"] is True


def test_settings_are_saved_by_their_exact_names(vonage: VonageSimulator) -> None:
    """Known names are saved, a name in another case is ignored, an empty text unsets."""
    form = "moCallBackUrl=https%3A%2F%2Fa.example&drCallbackUrl=b&httpForwardMethod=POST_JSON"
    call(vonage, "POST", "/account/settings", form)
    saved = call(vonage, "POST", "/account/settings").document
    unset = call(vonage, "POST", "/account/settings", "moCallBackUrl=").document

    assert saved == {
        "mo-callback-url": "https://a.example",
        "dr-callback-url": "",
        "http-forward-method": "POST_JSON",
        "max-outbound-request": 30,
        "max-inbound-request": 30,
        "max-calls-per-second": 30,
    }
    assert unset["mo-callback-url"] == ""
    assert vonage.settings(KEY) == unset


@pytest.mark.parametrize("form", ["moCallBackUrl=http%3A%2F%2Fbad", "httpForwardMethod=SMOKE"])
def test_a_refused_setting_changes_nothing(form: str) -> None:
    """A callback that does not answer, or an unknown method, leaves all settings alone."""
    with VonageSimulator(callback_ok=lambda url: "bad" not in url) as simulator:
        filled(simulator)

        answer = call(
            simulator, "POST", "/account/settings", f"drCallBackUrl=http%3A%2F%2Fc&{form}"
        )

        assert answer.document["error-code"] == "420"
        assert simulator.settings(KEY)["dr-callback-url"] == ""


def test_subaccounts_are_listed(vonage: VonageSimulator) -> None:
    """A primary account sees its subaccounts, also suspended ones, with milliseconds."""
    answer = call(vonage, "GET", f"/accounts/{KEY}/subaccounts")

    (listed,) = answer.document["_embedded"]["subaccounts"]
    assert answer.document["_embedded"]["primary_account"]["name"] == "main"
    assert answer.document["total_balance"] == 20.56
    assert listed == {
        "api_key": SUB,
        "name": SUB,
        "balance": 10.28,
        "credit_limit": 0.0,
        "suspended": True,
        "created_at": "2024-03-01T10:07:23.456Z",
        "primary_account_api_key": KEY,
        "use_primary_account_balance": False,
    }
    assert call(vonage, "GET", f"/accounts/{KEY}/subaccounts/{SUB}").document == listed


@pytest.mark.parametrize(
    ("path", "auth", "expected"),
    [
        (f"/accounts/{KEY}/subaccounts/{OTHER}", (KEY, SECRET), (404, "invalid-api-key")),
        (f"/accounts/{OTHER}/subaccounts", (KEY, SECRET), (404, "invalid-api-key")),
        (f"/accounts/{SUB}/subaccounts", (SUB, SUB_SECRET), (403, "unprovisioned")),
        (f"/accounts/{KEY}/subaccounts", None, (401, "unauthorized")),
    ],
)
def test_subaccount_errors(
    vonage: VonageSimulator, path: str, auth: tuple[str, str] | None, expected: tuple[int, str]
) -> None:
    """Strangers are not found, a subaccount is not provisioned, nobody is not let in."""
    assert call(vonage, "GET", path, auth=auth).problem[:2] == expected


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("PUT", SECRETS, 405),
        ("PUT", f"{SECRETS}/{{id}}", 405),
        ("POST", f"/accounts/{KEY}/subaccounts", 405),
        ("GET", "/account/nothing", 404),
        ("GET", "/account/settings", 405),
    ],
)
def test_unknown_calls(vonage: VonageSimulator, method: str, path: str, status: int) -> None:
    """What Vonage does not offer is 404 or 405, never a broken connection."""
    (only,) = vonage.secrets(KEY)

    assert call(vonage, method, path.format(id=only.id)).status == status


def test_every_answer_has_a_request_id(vonage: VonageSimulator) -> None:
    """X-Request-Id is on successes, refusals and faults, and never the same."""
    vonage.faults.add(Fault("status", nth=3))

    ids = [call(vonage, "GET", path).headers["X-Request-Id"] for path in (SECRETS, "/x", SECRETS)]

    assert all(ids)
    assert len(set(ids)) == 3


def test_a_rate_limit_answers_429(clock: Clock) -> None:
    """More than the limit is told when to come back, and each key has its own limit."""
    with VonageSimulator(rate_limit=2, clock=clock) as simulator:
        filled(simulator)
        statuses = [call(simulator, "GET", SECRETS).status for _ in range(2)]
        limited = call(simulator, "GET", SECRETS)
        other = call(simulator, "GET", f"/accounts/{SUB}/secrets", auth=(SUB, SUB_SECRET))
        clock.forward(0.5)
        later = call(simulator, "GET", SECRETS)

    assert (statuses, other.status, later.status) == ([200, 200], 200, 200)
    assert limited.problem == (429, "rate-limit", "Rate Limit Hit")
    assert limited.headers["Retry-After"] == "1"
    assert limited.headers["X-RateLimit-Limit"] == "2"
    assert limited.headers["X-RateLimit-Remaining"] == "0"
    assert limited.headers["X-RateLimit-Reset"] == "1800000001"


def test_a_connection_serves_many_requests(vonage: VonageSimulator) -> None:
    """HTTP/1.1 keep-alive: one connection, many requests, until the client closes it."""
    with closing(connect(vonage)) as connection:
        first = ask(connection, "GET", SECRETS)
        used = connection.sock
        second = ask(connection, "POST", SECRETS, {"secret": SECOND})

        assert (first.status, second.status) == (200, 201)
        assert connection.sock is used


def converse(simulator: VonageSimulator, sent: bytes) -> bytes:
    """Send raw bytes and give all that comes back."""
    host, port = urlsplit(simulator.url).netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=5) as client:
        client.sendall(sent)
        return b"".join(iter(lambda: client.recv(65536), b""))


def test_a_chunked_body_is_read(vonage: VonageSimulator) -> None:
    """A client may send its body in chunks, and ask before it sends it."""
    body = json.dumps({"secret": SECOND}).encode()
    head = (
        f"POST {SECRETS} HTTP/1.1\r\nAuthorization: {basic(KEY, SECRET)['Authorization']}\r\n"
        "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    ).encode()
    chunks = b"5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (body[:5], len(body) - 5, body[5:])

    answer = converse(vonage, head + chunks)

    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\n")


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"x" * 70000,
    ],
    ids=["no request", "no length", "negative length", "too long"],
)
def test_what_is_not_http_is_400(vonage: VonageSimulator, sent: bytes) -> None:
    """Bytes that are no request are answered 400 and the connection is closed."""
    assert converse(vonage, sent).startswith(b"HTTP/1.1 400 ")


def test_a_request_that_breaks_off_is_not_carried_out(vonage: VonageSimulator) -> None:
    """A client that is killed within its request leaves no exchange, and hurts nobody."""
    host, port = urlsplit(vonage.url).netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=5) as client:
        client.sendall(f"POST {SECRETS} HTTP/1.1\r\nContent-Length: 9\r\n\r\n".encode())

    assert call(vonage, "GET", SECRETS).status == 200
    assert len(vonage.exchanges) == 1


def test_http_1_0_closes(vonage: VonageSimulator) -> None:
    """An HTTP/1.0 client that does not ask for more gets one answer."""
    answer = converse(vonage, b"HEAD /nowhere HTTP/1.0\r\n\r\n")

    assert b"Connection: close" in answer
    assert answer.endswith(b"\r\n\r\n")


def test_exchanges_record_what_came(vonage: VonageSimulator) -> None:
    """Each request is recorded with its number, key, query, headers, status and fault."""
    vonage.faults.add(Fault("status", status=500, nth=2))
    call(vonage, "GET", f"{SECRETS}?a=1&a=2&b=")
    call(vonage, "GET", "/account/get-balance", auth=None)

    first, second = vonage.exchanges
    assert (first.number, first.method, first.path, first.api_key) == (1, "GET", SECRETS, KEY)
    assert (first.query, first.status, first.fault) == ({"a": "1", "b": ""}, 200, None)
    assert first.request_headers["authorization"].startswith("Basic ")
    assert (second.number, second.api_key, second.status) == (2, "", 500)
    assert second.fault == "status"
    assert first.at <= second.at


def test_observers_see_before_and_after(vonage: VonageSimulator) -> None:
    """An observer is called before anything is done and after the effect, with the answer held."""
    seen: list[tuple[Phase, int | None, int]] = []
    vonage.observers.append(
        lambda phase, exchange: seen.append((phase, exchange.status, len(vonage.secrets(KEY))))
    )

    create(vonage, SECOND)

    assert seen == [("before", None, 1), ("after", 201, 2)]


def test_an_observer_may_fail(vonage: VonageSimulator) -> None:
    """What an observer raises is kept and the answer goes out."""

    def fail(phase: Phase, _exchange: Exchange) -> None:
        raise RuntimeError(phase)

    vonage.observers.append(fail)

    assert call(vonage, "GET", SECRETS).status == 200
    assert [str(error) for error in vonage.observer_errors] == ["before", "after"]


def test_latency_is_slept_before_the_effect() -> None:
    """Every request takes the latency."""
    with VonageSimulator(latency=0.03) as simulator:
        filled(simulator)
        started = time.monotonic()
        call(simulator, "GET", SECRETS)

        assert time.monotonic() - started >= 0.03


def test_a_status_fault_replaces_the_effect(vonage: VonageSimulator) -> None:
    """The status is answered with its headers, and nothing is done."""
    vonage.faults.add(Fault("status", status=503, headers={"Retry-After": "2"}))

    answer = create(vonage, SECOND)

    assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
    assert answer.document["title"] == "Service Unavailable"
    assert len(vonage.secrets(KEY)) == 1


def test_a_status_after_fault_comes_after_the_effect(vonage: VonageSimulator) -> None:
    """The effect is applied although the answer denies it."""
    vonage.faults.add(Fault("status-after", status=500))

    assert create(vonage, SECOND).problem == (500, "internal-error", "Internal Error")
    assert len(vonage.secrets(KEY)) == 2


@pytest.mark.parametrize(
    ("path", "status", "expected"),
    [
        (SECRETS, 429, {"title": "Rate Limit Hit"}),
        (SECRETS, 400, {"title": "Bad Request"}),
        (SECRETS, 401, {"title": "Unauthorized"}),
        ("/account/get-balance", 401, {"error-code-label": "authentication failed"}),
        ("/account/get-balance", 503, {"error-code": "503"}),
    ],
)
def test_a_status_fault_speaks_as_the_api_does(
    vonage: VonageSimulator, path: str, status: int, expected: dict[str, str]
) -> None:
    """Without a body of its own a fault answers what Vonage says with that status."""
    vonage.faults.add(Fault("status", status=status))

    answer = call(vonage, "GET", path)

    assert answer.status == status
    assert expected.items() <= answer.document.items()


@pytest.mark.parametrize(("body", "expected"), [("text", b"text"), ({"a": 1}, b'{"a": 1}')])
def test_a_status_fault_may_have_a_body(
    vonage: VonageSimulator, body: object, expected: bytes
) -> None:
    """A given body is sent as it is, or as JSON."""
    vonage.faults.add(Fault("status", body=body))

    assert call(vonage, "GET", SECRETS).body == expected


@pytest.mark.parametrize(
    ("kind", "error", "secrets"),
    [
        ("drop-before", ConnectionResetError, 1),
        ("drop-after", http.client.RemoteDisconnected, 2),
        ("timeout-before", http.client.RemoteDisconnected, 1),
        ("timeout-after", http.client.RemoteDisconnected, 2),
    ],
)
def test_faults_without_an_answer(
    vonage: VonageSimulator, kind: str, error: type[Exception], secrets: int
) -> None:
    """Drops and timeouts end the connection, before or after the effect."""
    vonage.faults.add(Fault(kind, seconds=0.02))

    with pytest.raises(error):
        create(vonage, SECOND)

    assert len(vonage.secrets(KEY)) == secrets
    assert (vonage.exchanges[0].status, vonage.exchanges[0].fault) == (None, kind)


@pytest.mark.parametrize("kind", ["delay", "timeout-before"])
def test_faults_that_take_their_time(vonage: VonageSimulator, kind: str) -> None:
    """A delay and a timeout hold the connection for their seconds."""
    vonage.faults.add(Fault(kind, seconds=0.03))
    started = time.monotonic()

    status = None
    with suppress(http.client.RemoteDisconnected):
        status = call(vonage, "GET", SECRETS).status

    assert time.monotonic() - started >= 0.03
    assert status == (200 if kind == "delay" else None)


def test_garbage_hides_a_success(vonage: VonageSimulator) -> None:
    """The effect is applied and a page comes back under its status."""
    vonage.faults.add(Fault("garbage", times=2))

    created = create(vonage, SECOND)
    deleted = call(vonage, "DELETE", f"{SECRETS}/{vonage.history(KEY)[0].id}")

    assert (created.status, deleted.status) == (201, 200)
    assert created.headers["Content-Type"].startswith("text/html")
    assert created.body.startswith(b"<html>")
    assert [secret.value for secret in vonage.secrets(KEY)] == [SECOND]


def test_truncate_breaks_off(vonage: VonageSimulator) -> None:
    """More bytes are announced than sent, and the connection ends."""
    vonage.faults.add(Fault("truncate"))

    with pytest.raises(http.client.IncompleteRead) as caught:
        create(vonage, SECOND)

    assert caught.value.partial.startswith(b'{"_links"')
    assert len(vonage.secrets(KEY)) == 2


def test_empty_says_nothing(vonage: VonageSimulator) -> None:
    """The effect is applied and its status comes without a body."""
    vonage.faults.add(Fault("empty"))

    answer = create(vonage, SECOND)

    assert (answer.status, answer.body) == (201, b"")
    assert len(vonage.secrets(KEY)) == 2


def test_huge_says_too_much(vonage: VonageSimulator) -> None:
    """The effect is applied and 10 MB of JSON come back."""
    vonage.faults.add(Fault("huge"))

    assert len(create(vonage, SECOND).body) > 10_000_000
    assert len(vonage.secrets(KEY)) == 2


def statuses(simulator: VonageSimulator, *calls: tuple[str, str]) -> list[int]:
    """Make the calls and give their statuses."""
    return [call(simulator, method, path).status for method, path in calls]


def test_a_fault_counts_its_matching_requests(vonage: VonageSimulator) -> None:
    """A fault is met from its nth match on, so many times, and then gone."""
    vonage.faults.add(Fault("status", method="get", path="secrets$", nth=2, times=2))
    pending = vonage.faults.pending()

    lists = ("GET", SECRETS)
    got = statuses(vonage, lists, ("GET", "/account/get-balance"), lists, lists, lists)

    assert got == [200, 200, 503, 503, 200]
    assert (len(pending), vonage.faults.pending()) == (1, [])


def test_a_fault_may_last(vonage: VonageSimulator) -> None:
    """Without a number of times a fault stays until it is cleared."""
    vonage.faults.add(Fault("status", times=None))
    during = statuses(vonage, *[("GET", SECRETS)] * 3)
    vonage.faults.clear()

    assert during == [503] * 3
    assert statuses(vonage, ("GET", SECRETS)) == [200]


def test_faults_are_met_one_at_a_time(vonage: VonageSimulator) -> None:
    """Of two faults that are due the first one is met, and the other by the next request."""
    vonage.faults.add(Fault("status", status=500))
    vonage.faults.add(Fault("status", status=502))

    assert statuses(vonage, *[("GET", SECRETS)] * 3) == [500, 502, 200]


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "explode"},
        {"kind": "status", "path": "("},
        {"kind": "status", "nth": 0},
        {"kind": "status", "times": 0},
        {"kind": "status", "status": 99},
        {"kind": "delay", "seconds": -1},
    ],
)
def test_a_fault_is_checked(options: dict[str, Any]) -> None:
    """A fault that could never be met, or means nothing, cannot be made."""
    with pytest.raises(ValueError, match=r"\w"):
        Fault(**options)


def test_faults_can_be_added_over_http(vonage: VonageSimulator) -> None:
    """A user of `rotator sim` adds and clears faults without Python, unrecorded."""
    added = call(vonage, "POST", "/_sim/faults", {"kind": "status", "status": 500, "times": None})
    during = statuses(vonage, ("GET", SECRETS))
    cleared = call(vonage, "DELETE", "/_sim/faults")

    assert (added.status, during, cleared.status) == (204, [500], 204)
    assert statuses(vonage, ("GET", SECRETS)) == [200]
    assert len(vonage.exchanges) == 2


@pytest.mark.parametrize(
    "body",
    ["{", [1], {}, {"kind": "x"}, {"kind": "status", "if": 1}, {"kind": "status", "headers": []}],
)
def test_a_bad_fault_over_http_is_400(vonage: VonageSimulator, body: object) -> None:
    """What is wrong with a fault is said in the answer."""
    answer = call(vonage, "POST", "/_sim/faults", body)

    assert answer.status == 400
    assert answer.document["error"]
    assert vonage.faults.pending() == []


def test_state_and_exchanges_over_http(vonage: VonageSimulator) -> None:
    """The simulator tells all it knows, values included."""
    call(vonage, "GET", SECRETS)

    state = call(vonage, "GET", "/_sim/state").document
    exchanges = call(vonage, "GET", "/_sim/exchanges").document
    first = state["accounts"][0]

    assert (first["api_key"], first["secrets"][0]["value"]) == (KEY, SECRET)
    assert first["secrets"][0]["id"] == vonage.secrets(KEY)[0].id
    assert first["secrets"][0]["live"] is True
    assert [(each["path"], each["status"]) for each in exchanges] == [(SECRETS, 200)]
    assert call(vonage, "GET", "/_sim/other").status == 404


def test_close_ends_everything() -> None:
    """Closing breaks connections that wait or sleep, at once, and leaves no thread."""
    others = set(threading.enumerate())
    vonage = filled(VonageSimulator())
    vonage.start()
    vonage.faults.add(Fault("delay", seconds=30, path="secrets"))
    with closing(connect(vonage)) as idle, closing(connect(vonage)) as sleeping:
        ask(idle, "GET", "/account/get-balance")
        sleeping.request("POST", SECRETS, json.dumps({"secret": SECOND}), basic(KEY, SECRET))
        wait_until(lambda: len(vonage.exchanges) == 2)
        started = time.monotonic()
        vonage.close()
        took = time.monotonic() - started

        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            sleeping.getresponse()

    assert took < 1
    assert len(vonage.secrets(KEY)) == 1
    assert set(threading.enumerate()) <= others
    with pytest.raises(ConnectionRefusedError):
        call(vonage, "GET", SECRETS)


def test_an_observer_may_close_the_simulator(vonage: VonageSimulator) -> None:
    """An outage may begin at a precise moment: after the effect, before the answer."""
    vonage.observers.append(lambda phase, _: vonage.close() if phase == "after" else None)

    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        create(vonage, SECOND)

    assert len(vonage.secrets(KEY)) == 2


def test_a_simulator_can_be_started_again(vonage: VonageSimulator) -> None:
    """After an outage the same port answers from the same state."""
    before = vonage.url
    vonage.close()
    vonage.close()
    vonage.start()

    assert vonage.url == before
    assert statuses(vonage, ("GET", SECRETS)) == [200]


def test_a_simulator_has_no_url_before_its_start() -> None:
    """Asking too early is an error and not a made-up port."""
    with pytest.raises(RuntimeError, match="not started"):
        _ = VonageSimulator().url


def test_many_clients_at_once(vonage: VonageSimulator) -> None:
    """Requests of many connections are all answered and numbered without a gap."""

    def work() -> None:
        with closing(connect(vonage)) as connection:
            for _ in range(20):
                ask(connection, "GET", SECRETS)

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert [exchange.number for exchange in vonage.exchanges] == list(range(1, 161))
    assert {exchange.status for exchange in vonage.exchanges} == {200}


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for another thread's doing."""
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.001)
