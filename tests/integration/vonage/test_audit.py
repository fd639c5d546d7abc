"""Vonage's Audit API, as the client reads it and the simulator answers it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rotator.errors import Forbidden, IssuerError, IssuerUnavailable, UnexpectedAnswer
from rotator.model import Credential, SecretValue
from rotator.rotation.audit_trail import AuditEvent, AuditKind
from rotator.sim import Fault, VonageSimulator
from rotator.vonage import Audit, Secrets, VonageClient

KEY, SECRET, VALUE = "abcd1234", "FirstSecret0001", "SecondSecret0002"
CREDENTIAL = Credential(api_key=KEY, secret=SecretValue(SECRET))
NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
BOTH = (AuditKind.CREATED, AuditKind.DELETED)
PATH = "/beta/audit/events"


@pytest.fixture
def vonage() -> Iterator[VonageSimulator]:
    """Yield a simulated Vonage with one account."""
    with VonageSimulator() as vonage:
        vonage.add_account(KEY, SECRET, created_at=NOW - 30 * DAY)
        yield vonage


@pytest.fixture
def client(vonage: VonageSimulator) -> VonageClient:
    """Return a client of it that does not wait between tries."""
    return VonageClient(
        api_url=vonage.url,
        rest_url=vonage.url,
        timeout=60,
        max_requests_per_second=1e6,
        sleep=lambda _: None,
    )


def events(client: VonageClient, **changes: Any) -> tuple[AuditEvent, ...]:  # noqa: ANN401
    """Ask for the events of the last day."""
    usual: dict[str, Any] = {"kinds": BOTH, "since": NOW - DAY, "until": NOW + DAY}
    return Audit(client).events(CREDENTIAL, **usual | changes)


def answered(vonage: VonageSimulator, client: VonageClient, body: object) -> tuple[AuditEvent, ...]:
    """Return the events in an answer with this body."""
    vonage.faults.add(Fault("status", path=PATH, status=200, body=body))
    return events(client)


def test_events_say_who_where_and_when(vonage: VonageSimulator, client: VonageClient) -> None:
    """Of the dashboard with the user, of the API without; the newest first."""
    vonage.audit_names_secrets = True
    made = vonage.add_secret(KEY, VALUE, created_at=NOW - timedelta(hours=2))
    Secrets(client).delete_secret(CREDENTIAL, KEY, made)
    deleted, created = events(client)

    assert created == AuditEvent(
        kind=AuditKind.CREATED,
        at=NOW - timedelta(hours=2),
        account_id=KEY,
        ids=frozenset({KEY, made}),
        source="CD",
        user="operator@example.com",
        address="192.0.2.10",
        country="GB",
    )
    assert deleted.kind is AuditKind.DELETED
    assert (deleted.source, deleted.user, deleted.address) == ("DEVAPI", None, "127.0.0.1")
    assert deleted.words.startswith("through Vonage's API, from 127.0.0.1, at 20")


def test_only_what_is_asked_for_is_answered(vonage: VonageSimulator, client: VonageClient) -> None:
    """By kind and by time; the request is signed in with Basic and names no secret."""
    old = vonage.add_secret(KEY, VALUE, created_at=NOW - 9 * DAY)
    vonage.revoke(KEY, old)
    created, deleted, nothing = (
        events(client, kinds=(AuditKind.CREATED,), since=NOW - 10 * DAY),
        events(client),
        events(client, since=NOW - 8 * DAY, until=NOW - 7 * DAY),
    )
    exchange = vonage.exchanges[0]

    assert [event.kind for event in created] == [AuditKind.CREATED]
    assert [event.kind for event in deleted] == [AuditKind.DELETED]
    assert nothing == ()
    assert exchange.path == PATH
    assert exchange.query == {
        "event_type": "ACCOUNT_SECRET_CREATE",
        "date_from": f"{NOW - 10 * DAY:%Y-%m-%dT%H:%M:%S}",
        "date_to": f"{NOW + DAY:%Y-%m-%dT%H:%M:%S}",
        "page": "1",
        "size": "100",
    }
    assert exchange.api_key == KEY


def test_an_account_that_is_not_provisioned_is_refused(
    vonage: VonageSimulator, client: VonageClient
) -> None:
    """With Vonage's reason, and what to do; nothing is sent again."""
    vonage.not_audited.add(KEY)
    with pytest.raises(Forbidden) as caught:
        events(client)

    assert caught.value.message == (
        "Vonage's Audit API refuses the account (HTTP 403: Forbidden: The account is not "
        "provisioned to access the Audit API)"
    )
    assert caught.value.hint
    assert "audit = false" in caught.value.hint
    assert len(vonage.exchanges) == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404])
@pytest.mark.parametrize("body", ["no JSON", [], {"status": 1, "error": 2}, {"error": " "}])
def test_a_refusal_needs_no_reason(
    vonage: VonageSimulator, client: VonageClient, status: int, body: object
) -> None:
    """A proxy's page says nothing; the status does."""
    vonage.faults.add(Fault("status", path=PATH, status=status, body=body))
    with pytest.raises(Forbidden, match=rf"\(HTTP {status}"):
        events(client)

    assert len(vonage.exchanges) == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("status", status=503), IssuerUnavailable),
        (Fault("status", status=429), IssuerError),
        (Fault("drop-before"), IssuerUnavailable),
        (Fault("garbage"), UnexpectedAnswer),
        (Fault("truncate"), IssuerError),
        (Fault("empty"), UnexpectedAnswer),
        (Fault("huge"), UnexpectedAnswer),
    ],
)
def test_a_failed_try_is_the_last_one(
    vonage: VonageSimulator, client: VonageClient, fault: Fault, error: type[IssuerError]
) -> None:
    """It would cost calls that rotations need; the next look asks anew."""
    vonage.faults.add(fault)
    with pytest.raises(error):
        events(client)

    assert len(vonage.exchanges) == 1


def usual(**changes: object) -> dict[str, object]:
    """Return an event as Vonage sends it."""
    return {
        "event_type": "ACCOUNT_SECRET_CREATE",
        "created_at": "2026-11-29T12:00:00",
        "account_id": KEY,
    } | changes


@pytest.mark.parametrize(
    "broken",
    [
        None,
        7,
        "text",
        [],
        usual(event_type="USER_LOGIN"),
        usual(event_type=None),
        usual(created_at=None),
        usual(created_at="yesterday"),
        usual(user_email=["a"]),
        usual(source_ip={"a": 1}),
    ],
)
def test_an_event_that_cannot_be_read_hides_no_other(
    vonage: VonageSimulator, client: VonageClient, broken: object
) -> None:
    """It is left out."""
    found = answered(vonage, client, {"_embedded": {"events": [broken, usual()]}})

    assert [event.at for event in found] == [datetime(2026, 11, 29, 12, tzinfo=UTC)]


@pytest.mark.parametrize("body", [{}, {"_embedded": {}}, {"_embedded": {"events": []}}])
def test_no_events_are_no_error(
    vonage: VonageSimulator, client: VonageClient, body: object
) -> None:
    """However the empty list is spelled."""
    assert answered(vonage, client, body) == ()


@pytest.mark.parametrize(
    "body",
    [{"_embedded": None}, {"_embedded": {"events": {}}}, {"_embedded": {"events": [1] * 1001}}],
)
def test_what_is_no_page_of_events_is_refused(
    vonage: VonageSimulator, client: VonageClient, body: object
) -> None:
    """A list without end is none, either."""
    with pytest.raises(UnexpectedAnswer):
        answered(vonage, client, body)


@pytest.mark.parametrize(
    ("context", "ids"),
    [
        (None, set()),
        ("the-id", {"the-id"}),
        ('{"secret": {"id": "the-id"}}', {"the-id"}),
        ('{"secret": ', set()),
        ({"a": ["the-id", 1, None, "no id"], "b": {"c": "other"}}, {"the-id", "other"}),
        ({"a": {"a": {"a": {"a": {"a": {"a": {"a": "too-deep"}}}}}}}, set()),
    ],
)
def test_a_context_is_searched_for_ids(
    vonage: VonageSimulator, client: VonageClient, context: object, ids: set[str]
) -> None:
    """Its form is not documented: an object, or a text with one."""
    [event] = answered(vonage, client, {"_embedded": {"events": [usual(context=context)]}})

    assert event.ids == ids


def test_a_huge_context_is_searched_only_so_far(
    vonage: VonageSimulator, client: VonageClient
) -> None:
    """However much it contains, in whatever depth."""
    wide = {"a": [f"id-{number}" for number in range(5000)]}
    deep: object = "id"
    for _ in range(200):
        deep = [deep]
    found = answered(
        vonage, client, {"_embedded": {"events": [usual(context=wide), usual(context=deep)]}}
    )

    assert [len(event.ids) <= 100 for event in found] == [True, True]


def test_what_an_event_says_is_shown_as_text(vonage: VonageSimulator, client: VonageClient) -> None:
    """Without values, without what a terminal obeys, and not at any length."""
    event = usual(
        user_email=f"\x1b[31m{SECRET}",
        source_ip="1" * 5000,
        source_country="",
        source="DEVAPI",
        context={"secret": SECRET},
    )
    [found] = answered(vonage, client, {"_embedded": {"events": [event]}})

    assert found.user
    assert SECRET not in repr(found.user) + found.words
    assert "\x1b" not in found.words
    assert len(found.words) < 300
    assert found.country is None
    assert SECRET not in json.dumps(sorted(found.ids))


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({"source": "CD", "user": "a@b"}, "in Vonage's dashboard by a@b, at "),
        ({"source": "DEVAPI", "address": "::1"}, "through Vonage's API, from ::1, at "),
        ({"source": "NEW", "country": "GB"}, "at Vonage, from GB, at "),
        ({}, "at Vonage, at "),
    ],
)
def test_words_say_what_is_known(event: dict[str, Any], words: str) -> None:
    """And nothing of what is not."""
    found = AuditEvent(kind=AuditKind.CREATED, at=NOW, **event)

    assert found.words == f"{words}{NOW:%Y-%m-%d %H:%M:%S} UTC"
