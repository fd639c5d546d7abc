import base64
import gzip
import json
import re
import traceback
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from rotator.errors import IssuerError, RotatorError
from rotator.model import Credential, Secret, SecretValue
from rotator.vonage import Accounts, Secrets, SubaccountList, Subaccounts, VonageClient
from tests.support.scripted_server import ScriptedServer

KEY, SECRET, VALUE = "abcd1234", "CurrentSecret01", "BrandNewSecret2"
CREDENTIAL = Credential(api_key=KEY, secret=SecretValue(SECRET))
PAIR = base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()
IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
ONE = {"id": "ad6dc56f-07b5-46e1-a527-85530e625800", "created_at": "2018-12-03T10:07:23Z"}


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    """Yield a server that answers what it is told."""
    server = ScriptedServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def transport(server: ScriptedServer) -> Iterator[VonageClient]:
    """Yield a client of the server that never waits."""
    with VonageClient(
        api_url=server.url,
        rest_url=server.url,
        timeout=60,
        max_requests_per_second=1e9,
        sleep=lambda _: None,
    ) as transport:
        yield transport


def operations(transport: VonageClient) -> dict[str, Callable[[], object]]:
    """Return each operation by its name."""
    secrets, accounts = Secrets(transport), Accounts(transport)
    return {
        "list": lambda: secrets.list_secrets(CREDENTIAL, KEY),
        "create": lambda: secrets.create_secret(CREDENTIAL, KEY, SecretValue(VALUE)),
        "get": lambda: secrets.get_secret(CREDENTIAL, KEY, ONE["id"]),
        "delete": lambda: secrets.delete_secret(CREDENTIAL, KEY, ONE["id"]),
        "balance": lambda: accounts.balance(CREDENTIAL),
        "top-up": lambda: accounts.top_up(CREDENTIAL, "8ef2447e"),
        "settings": lambda: accounts.settings(CREDENTIAL),
        "update": lambda: accounts.update_callbacks(CREDENTIAL, inbound_sms_url=""),
        "subaccounts": lambda: Subaccounts(transport).list_subaccounts(CREDENTIAL),
    }


NAMES = st.sampled_from(sorted(operations(None)))  # type: ignore[arg-type]  # none is called

ACCOUNT: dict[str, Any] = {
    "api_key": "bbe6222f",
    "primary_account_api_key": KEY,
    "use_primary_account_balance": False,
    "name": "A",
    "balance": 1.5,
    "credit_limit": None,
    "suspended": False,
    "created_at": "2018-03-02T16:34:49.123Z",
}
LISTED = {"_embedded": {"secrets": [ONE, {**ONE, "id": "other"}]}}
SETTINGS = {"mo-callback-url": "https://example.com", "max-calls-per-second": 30}
PROMISED: dict[str, Any] = {
    "list": LISTED,
    "create": ONE,
    "get": ONE,
    "delete": {},
    "balance": {"value": 10.28, "autoReload": False},
    "top-up": {"error-code": "200", "error-code-label": "success"},
    "settings": SETTINGS,
    "update": SETTINGS,
    "subaccounts": {
        "total_balance": 1,
        "_embedded": {"primary_account": ACCOUNT, "subaccounts": [ACCOUNT]},
    },
}
COMPLAINTS: list[Any] = [
    {"error-code": "401", "error-code-label": "not auto-reload enabled"},
    {"type": "https://x/#invalid-id", "title": "Invalid ID", "detail": SECRET, "instance": PAIR},
    {"type": "https://x/#add-excess-secret", "title": f"{VALUE} {SECRET} {PAIR}"},
    {"title": "x", "invalid_parameters": [{"name": "secret", "reason": VALUE}, 1]},
]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.sampled_from([SECRET, VALUE, PAIR, f"\n{VALUE}\x00{SECRET}", "2018-12-03T10:07:23Z", "x#"])
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@st.composite
def changed(draw: st.DrawFn, document: Any) -> Any:  # noqa: ANN401  # JSON
    """Change a document in a few places, or nowhere."""
    if draw(st.integers(0, 9)) == 0:
        return draw(ANYTHING)
    if isinstance(document, dict):
        kept = {key: draw(changed(value)) for key, value in document.items() if value is not None}
        if draw(st.integers(0, 9)) == 0 and kept:
            del kept[draw(st.sampled_from(sorted(kept)))]
        return kept
    if isinstance(document, list):
        return [draw(changed(item)) for item in document] * draw(st.sampled_from([1, 1, 1, 2, 60]))
    return document


@st.composite
def answered(draw: st.DrawFn) -> tuple[str, int, Any]:
    """Draw an operation with a status and almost what the API promises, somewhere or there."""
    name = draw(NAMES)
    anywhere = st.sampled_from([*PROMISED.values(), *COMPLAINTS])
    document = draw(st.just(PROMISED[name]) | anywhere)
    return name, draw(STATUSES), draw(changed(document))


STATUSES = st.sampled_from([200, 200, 200, 201, 204, 302, 400, 401, 403, 404, 429, 500])
HEADER_NAMES = st.sampled_from(
    [
        "Retry-After",
        "X-RateLimit-Reset",
        "X-Request-Id",
        "Location",
        "Set-Cookie",
        "Content-Type",
        "Content-Encoding",
        "Transfer-Encoding",
        "Content-Length",
        "Connection",
    ]
)
HEADER_VALUES = st.sampled_from(
    [SECRET, PAIR, "gzip", "chunked", "keep-alive", "http://[", "0", "-1", "1e9", "é", "a=b; c"]
) | st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=20)
HEADERS = st.lists(st.tuples(HEADER_NAMES, HEADER_VALUES), max_size=2)


def spelled(status: int, headers: list[tuple[str, str]], body: bytes) -> bytes:
    """Spell an answer that ends with its connection."""
    lines = [f"HTTP/1.1 {status} {SECRET}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def shows_no_value(told: str, name: str) -> bool:
    """Whether a text holds none of the values that the operation sent, in any form."""
    sent = (SECRET, PAIR.rstrip("="), *([VALUE] if name == "create" else []))
    return not any(value in told for value in sent)


def caught(operation: Callable[[], object]) -> object:
    """Return what an operation returns or raises, as far as it may raise it."""
    try:
        return operation()
    except RotatorError as error:
        return error


def outcome(transport: VonageClient, name: str) -> object:
    """Perform an operation and check that neither its error nor the log shows a value."""
    with capture_logs() as events:
        result = caught(operations(transport)[name])
    assert events
    assert shows_no_value(str(events), name)
    if isinstance(result, RotatorError):
        assert isinstance(result, IssuerError)
        assert shows_no_value("".join(traceback.format_exception(result)), name)
        assert shows_no_value(f"{result!r} {vars(result)}", name)
        assert (result.__cause__, result.__context__) == (None, None)
    return result


def is_sound(value: object) -> bool:
    """Whether a value that an operation gave is one that the rest of rotator can use."""
    match value:
        case Secret():
            in_utc = value.created_at.utcoffset() == timedelta(0)
            sound = IDENTIFIER.fullmatch(value.id) is not None and in_utc
            return sound and value.id not in (SECRET, VALUE)
        case tuple():
            return len({secret.id for secret in value}) == len(value) and all(map(is_sound, value))
        case SubaccountList():
            keys = [account.api_key for account in value.subaccounts]
            return len(set(keys)) == len(keys)
        case _:
            return True


@settings(max_examples=400, deadline=None)
@given(answer=answered(), headers=HEADERS)
def test_any_document_is_a_value_or_an_error(
    server: ScriptedServer,
    transport: VonageClient,
    answer: tuple[str, int, Any],
    headers: list[tuple[str, str]],
) -> None:
    """Almost what is promised is either sound or an error of ours that shows no value."""
    name, status, document = answer
    body = json.dumps(document).encode()
    server.replies = [spelled(status, headers, body)]
    result = outcome(transport, name)

    assert isinstance(result, IssuerError) or is_sound(result)
    if isinstance(result, tuple):
        entries = json.loads(body)["_embedded"]["secrets"]
        assert [secret.id for secret in result] == [entry["id"] for entry in entries]


@settings(max_examples=200, deadline=None)
@given(
    name=NAMES,
    raw=st.binary(max_size=300)
    | st.builds(spelled, st.integers(0, 1999), HEADERS, st.binary(max_size=100)),
)
def test_any_bytes_are_an_error(
    server: ScriptedServer, transport: VonageClient, name: str, raw: bytes
) -> None:
    """What is no answer at all is an error, unless it is an empty one to a deletion."""
    server.replies = [raw]
    result = outcome(transport, name)

    assert isinstance(result, IssuerError) or name == "delete"


@settings(max_examples=200, deadline=None)
@given(cut=st.integers(0, 250), flip=st.integers(0, 250), bit=st.integers(0, 7), pack=st.booleans())
def test_a_damaged_list_is_no_other_list(  # noqa: PLR0913  # fixtures and draws
    server: ScriptedServer, transport: VonageClient, cut: int, flip: int, bit: int, *, pack: bool
) -> None:
    """A list that was cut off or unpacks badly is an error, never a shorter list."""
    body = json.dumps(LISTED).encode()
    packed = gzip.compress(body) if pack else body
    headers = [("Content-Encoding", "gzip")] if pack else []
    damaged = bytearray(packed)
    if pack:
        damaged[flip % len(damaged)] ^= 1 << bit
    server.replies = [spelled(200, headers, bytes(damaged[: len(damaged) - cut]))]
    result = outcome(transport, "list")

    assert isinstance(result, IssuerError) or (isinstance(result, tuple) and len(result) == 2)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"_embedded": {}},
        {"_embedded": {"secrets": None}},
        {"_embedded": {"secrets": {}}},
        {"_embedded": {"secrets": [[]]}},
        {"_embedded": {"secrets": [{"id": "x"}]}},
        {"_embedded": {"secrets": [{"created_at": ONE["created_at"]}]}},
        {"_embedded": {"secrets": [{**ONE, "id": 7}]}},
        {"_embedded": {"secrets": [{**ONE, "created_at": "now"}]}},
        {"_embedded": {"secrets": [{**ONE, "id": SECRET}]}},
        {"_embedded": {"secrets": [ONE, ONE]}},
        {"_embedded": {"secrets": [{**ONE, "id": f"id{n}"} for n in range(51)]}},
        {"secrets": [ONE]},
        [ONE],
    ],
)
def test_a_list_is_whole_or_not_at_all(
    server: ScriptedServer, transport: VonageClient, document: object
) -> None:
    """One entry that is not as promised spoils the list; none is left out silently."""
    server.replies = [spelled(200, [], json.dumps(document).encode())]
    result = outcome(transport, "list")

    assert isinstance(result, IssuerError)
    assert result.code == "unexpected-answer"


def test_fifty_secrets_are_still_a_list(server: ScriptedServer, transport: VonageClient) -> None:
    """Vonage may raise its limit; a list is taken in whatever order it comes."""
    entries = [{**ONE, "id": f"id{n}"} for n in range(50)]
    server.replies = [spelled(200, [], json.dumps({"_embedded": {"secrets": entries}}).encode())]
    result = outcome(transport, "list")

    assert isinstance(result, tuple)
    assert [secret.id for secret in result] == [entry["id"] for entry in entries]


@pytest.mark.parametrize(
    ("status", "document"),
    [
        (202, ONE),
        (204, None),
        (206, ONE),
        (201, {**ONE, "id": VALUE}),
        (201, {"id": "x"}),
        (201, [ONE]),
        (201, {"error": "x"}),
    ],
)
def test_a_creation_is_done_only_with_an_id(
    server: ScriptedServer, transport: VonageClient, status: int, document: object
) -> None:
    """Whatever else is answered to a creation, its outcome is unknown."""
    server.replies = [
        spelled(status, [], b"" if document is None else json.dumps(document).encode())
    ]
    result = outcome(transport, "create")

    assert isinstance(result, IssuerError)
    assert result.definite is False


@pytest.mark.parametrize("status", [200, 201])
def test_a_creation_that_is_done(
    server: ScriptedServer, transport: VonageClient, status: int
) -> None:
    """A created secret is one whether it comes with 201 or 200."""
    server.replies = [spelled(status, [], json.dumps(ONE).encode())]
    result = outcome(transport, "create")

    assert isinstance(result, Secret)
    assert result.id == ONE["id"]


@pytest.mark.parametrize(("status", "body"), [(204, b""), (200, b""), (200, b" {}\n")])
def test_a_deletion_that_is_done(
    server: ScriptedServer, transport: VonageClient, status: int, body: bytes
) -> None:
    """A deletion is done with 204, or with a 200 that says nothing else."""
    server.replies = [spelled(status, [], body)]

    assert outcome(transport, "delete") is None


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>log in</html>"),
        (200, b'{"status": "error"}'),
        (202, b""),
        (301, b""),
        (404, b""),
        (404, b"<html>"),
        (404, b'{"title": "Not Found"}'),
        (404, b'{"type": "https://proxy/#invalid-id-format", "title": "x"}'),
    ],
)
def test_a_deletion_that_is_not_known_to_be_done(
    server: ScriptedServer, transport: VonageClient, status: int, body: bytes
) -> None:
    """Neither a login page nor a proxy's 404 ends a rotation."""
    server.replies = [spelled(status, [], body)]
    result = outcome(transport, "delete")

    assert isinstance(result, IssuerError)
    assert result.code == "unexpected-answer"


def test_another_secret_than_asked_for(server: ScriptedServer, transport: VonageClient) -> None:
    """A secret with another id is no answer."""
    server.replies = [spelled(200, [], json.dumps({**ONE, "id": "other"}).encode())]
    result = outcome(transport, "get")

    assert isinstance(result, IssuerError)


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("balance", {"value": "10", "autoReload": False}),
        ("balance", {"value": 10, "autoReload": "false"}),
        ("balance", {"error-code": "401", "error-code-label": "x"}),
        ("top-up", {}),
        ("top-up", {"error-code": "401", "error-code-label": "authentication failed"}),
        ("settings", {}),
        ("settings", {"value": 10}),
        ("settings", {"mo-callback-url": 7}),
        ("settings", {"max-calls-per-second": "30"}),
        ("update", {"error-code": "200"}),
        ("subaccounts", {"_embedded": {"subaccounts": []}}),
        ("subaccounts", {"_embedded": {"primary_account": ACCOUNT}}),
        (
            "subaccounts",
            {"_embedded": {"primary_account": ACCOUNT, "subaccounts": [ACCOUNT, ACCOUNT]}},
        ),
    ],
)
def test_a_foreign_document_is_no_value(
    server: ScriptedServer, transport: VonageClient, name: str, document: object
) -> None:
    """A 200 with something else in it is not what the API promises."""
    server.replies = [spelled(200, [], json.dumps(document).encode())]
    result = outcome(transport, name)

    assert isinstance(result, IssuerError)
    assert result.code == "unexpected-answer"


MADE_FROM: dict[str, Callable[[str], str]] = {
    "itself": lambda value: value,
    "in other case": str.swapcase,
    "reversed": lambda value: value[::-1],
    "with something around it": lambda value: f"id-{value}.1",
    "cut short": lambda value: value[:-2],
    "in hexadecimal": lambda value: value.encode().hex(),
    "in base64": lambda value: base64.urlsafe_b64encode(value.encode()).decode().rstrip("="),
}
#: The value of a pending entry: in memory, and not sent with a list.
STAGED = "Staged1Staged2Staged3"


@pytest.mark.parametrize("made", MADE_FROM)
@pytest.mark.parametrize("value", [VALUE, STAGED])
def test_no_id_is_made_from_a_value(
    server: ScriptedServer, transport: VonageClient, value: str, made: str
) -> None:
    """Ids, api keys and names are recorded: one that tells a value is no answer, nor repeated."""
    staged, echo = SecretValue(STAGED), MADE_FROM[made](value)
    documents = {
        "list": {"_embedded": {"secrets": [ONE, {**ONE, "id": echo}]}},
        "create": {**ONE, "id": echo},
        "subaccounts": {
            "_embedded": {"primary_account": ACCOUNT, "subaccounts": [{**ACCOUNT, "name": echo}]},
        },
    }
    # Only the call that makes a secret has its value in memory.
    names = ["list", "create", "subaccounts"] if value == STAGED else ["create"]
    for name in names:
        server.replies = [spelled(201 if name == "create" else 200, [], text(documents[name]))]
        result = outcome(transport, name)

        assert isinstance(result, IssuerError)
        assert result.code == "unexpected-answer"
        assert echo not in result.message
    assert staged.reveal() == STAGED


def text(document: object) -> bytes:
    """Write a document."""
    return json.dumps(document).encode()
