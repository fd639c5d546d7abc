"""Vonage's Audit API, as the simulator answers it."""

import json
from typing import Any

import pytest

from rotator.sim import Fault, VonageSimulator
from rotator.sim.vonage.audit import Source
from tests.unit.sim.vonage import (
    KEY,
    OTHER,
    OTHER_SECRET,
    SECOND,
    SECRETS,
    call,
)

EVENTS = "/beta/audit/events"


def events(vonage: VonageSimulator, query: str = "", **options: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    """Return the events in an answer."""
    document = call(vonage, "GET", f"{EVENTS}?{query}", **options).document
    found: list[dict[str, Any]] = document["_embedded"]["events"]
    return found


def test_what_a_program_does_is_recorded(vonage: VonageSimulator) -> None:
    """With its address, and without a user; no value, and no id unless that is wanted."""
    before = {secret.id for secret in vonage.secrets(KEY)}
    call(vonage, "POST", SECRETS, {"secret": SECOND})
    [made] = {secret.id for secret in vonage.secrets(KEY)} - before
    call(vonage, "DELETE", f"{SECRETS}/{made}")
    deleted, created = sorted(events(vonage), key=lambda event: event["event_type"], reverse=True)
    vonage.audit_names_secrets = True
    named = {event["context"].get("secretId") for event in events(vonage)}

    assert created["event_type"] == "ACCOUNT_SECRET_CREATE"
    assert deleted["event_type"] == "ACCOUNT_SECRET_DELETE"
    assert (created["source"], created["source_ip"]) == ("DEVAPI", "127.0.0.1")
    assert created["account_id"] == KEY
    assert "user_email" not in created
    assert "source_country" not in created
    assert created["created_at"][-1].isdigit()
    assert SECOND not in json.dumps([created, deleted])
    assert created["context"] == {"accountId": KEY}
    assert named == {made}


def test_what_the_dashboard_does_is_recorded_with_its_user(vonage: VonageSimulator) -> None:
    """Who that is can be set; each account has its own events."""
    vonage.dashboard = Source(code="CD", address="192.0.2.1", country="DE", user=("a@b.example", 7))
    made = vonage.add_secret(KEY, SECOND)
    vonage.revoke(KEY, made)
    found = events(vonage)

    assert {event["event_type"] for event in found} == {
        "ACCOUNT_SECRET_CREATE",
        "ACCOUNT_SECRET_DELETE",
    }
    assert {event["user_email"] for event in found} == {"a@b.example"}
    assert {event["source_country"] for event in found} == {"DE"}
    assert events(vonage, auth=(OTHER, OTHER_SECRET)) == []


def test_events_come_in_pages(vonage: VonageSimulator) -> None:
    """Of at most a hundred."""
    for number in range(3):
        vonage.revoke(KEY, vonage.add_secret(KEY, f"{SECOND}{number}"))
    first = call(vonage, "GET", f"{EVENTS}?size=4&event_type=").document
    second = call(vonage, "GET", f"{EVENTS}?size=4&page=2").document

    assert first["page"] == {"size": 4, "totalElements": 6, "totalPages": 2, "number": 1}
    assert [len(each["_embedded"]["events"]) for each in (first, second)] == [4, 2]


@pytest.mark.parametrize(
    "query", ["size=0", "size=101", "page=0", "size=x", "page=", "date_from=x", "date_to=1"]
)
def test_a_wrong_parameter_is_refused(vonage: VonageSimulator, query: str) -> None:
    """In the Audit API's own form of an error."""
    answer = call(vonage, "GET", f"{EVENTS}?{query}")

    assert answer.status == 400
    assert answer.document.keys() == {"status", "error", "message"}


def test_who_may_not_ask_hears_why(vonage: VonageSimulator) -> None:
    """Without credentials, without provision, with another method; and on a fault."""
    nobody = call(vonage, "GET", EVENTS, auth=None)
    wrong_method = call(vonage, "OPTIONS", EVENTS)
    vonage.not_audited.add(KEY)
    refused = call(vonage, "GET", EVENTS)
    vonage.faults.add(Fault("status", status=503))
    failed = call(vonage, "GET", EVENTS)
    answers = [nobody, wrong_method, refused, failed]

    assert [answer.status for answer in answers] == [401, 405, 403, 503]
    assert [answer.document["error"] for answer in answers] == [
        "Unauthorized",
        "Method Not Allowed",
        "Forbidden",
        "Service Unavailable",
    ]
