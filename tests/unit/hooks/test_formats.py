"""Messages of webhooks for other services than the user's own."""

import json
from pathlib import Path
from typing import Any

import pytest

from rotator.hooks.payload import Payload
from rotator.model.notification import Event, Notification, WebhookFormat
from tests.support.webhook_receiver import WebhookReceiver
from tests.unit.hooks.calling import NOTICE, NOW, call

KEY = "R0ut1ngK3y"
#: Text with what Slack, Markdown or HTML would read as markup.
REASON = "a <b> & [c](https://example.com) *d* snake_case_name"


def payload(event: Event, **facts: object) -> Payload:
    """Build a notification with a reason."""
    known: dict[str, Any] = {"code": "odd", "reason": REASON, "hint": "mend it", "since": NOW}
    notice = Notification(**vars(NOTICE) | known | {"event": event} | facts)
    return Payload(notification=notice, mount="secret", path="vonage/sms")


@pytest.fixture
def alert(receiver: WebhookReceiver, tmp_path: Path) -> Any:  # noqa: ANN401  # a function
    """Send a notification as PagerDuty's event, and return that."""
    (tmp_path / "key").write_text(f"{KEY}\n")

    def sent(event: Event, **facts: object) -> dict[str, Any]:
        receiver.taken.clear()
        reason = call(
            payload(event, **facts),
            url=receiver.url,
            format=WebhookFormat.PAGERDUTY,
            routing_key_file=tmp_path / "key",
        )
        assert reason is None
        document: dict[str, Any] = json.loads(receiver.taken[0].body)
        return document

    return sent


def test_teams_gets_a_card(receiver: WebhookReceiver) -> None:
    """With title, cause and cure as plain text, none of which is read as markup."""
    message = payload(Event.REFUSED)
    assert call(message, url=receiver.url, format=WebhookFormat.TEAMS) is None
    document = json.loads(receiver.taken[0].body)
    [attachment] = document["attachments"]
    card = attachment["content"]
    runs = [run for block in card["body"] for run in block["inlines"]]

    assert document["type"] == "message"
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert {block["type"] for block in card["body"]} == {"RichTextBlock"}
    assert [run["text"] for run in runs] == [
        "sms: refused",
        f"sms is refused (since 2026-11-24 07:28 UTC): {REASON} (odd)",
        "Do: mend it",
    ]
    assert runs[0]["color"] == "attention"


def test_a_card_has_no_cure_where_there_is_none_and_stays_small(receiver: WebhookReceiver) -> None:
    """Teams takes 28 KB, however long a reason is."""
    message = payload(Event.COMPLETED, reason="ä" * 50_000, hint=None)
    longer = payload(Event.REFUSED, reason="ä" * 50_000, hint="ö" * 50_000)
    for each in (message, longer):
        call(each, url=receiver.url, format=WebhookFormat.TEAMS)
    short, long = (taken.body for taken in receiver.taken)

    assert b"Do: " not in short
    assert b'"color":"good"' in short
    assert len(long) < 28_000


def test_pagerduty_is_alerted(alert: Any) -> None:  # noqa: ANN401
    """With the service's key, what is wrong, how bad it is, and every fact that is known."""
    event = alert(Event.REFUSED, state="broken")
    details = event["payload"].pop("custom_details")

    assert event == {
        "routing_key": KEY,
        "dedup_key": "rotator: sms: rotation",
        "event_action": "trigger",
        "client": "rotator",
        "payload": {
            "summary": f"sms is broken (since 2026-11-24 07:28 UTC): {REASON} (odd)",
            "source": "sms",
            "severity": "critical",
            "timestamp": "2026-11-24T07:28:00Z",
            "component": "sms",
            "group": "rotation",
            "class": "odd",
        },
    }
    assert details["hint"] == "mend it"
    assert None not in details.values()


@pytest.mark.parametrize(
    ("event", "facts", "severity"),
    [
        (Event.BROKEN, {"state": "broken"}, "critical"),
        (Event.DRIFT, {"state": "drifted"}, "error"),
        (Event.REFUSED, {"state": "refused"}, "error"),
        (Event.FAILED, {"state": "failing"}, "warning"),
        (Event.FAILED, {}, "warning"),
        (Event.FAILED, {"state": "failing", "code": "broken-deletion"}, "critical"),
        (Event.OVERDUE, {"state": "overdue"}, "error"),
        (Event.BALANCE, {}, "warning"),
        (Event.OUTAGE, {"account": "", "component": "vault", "host": "h"}, "error"),
        (Event.TEST, {}, "info"),
    ],
)
def test_an_alert_is_as_severe_as_what_is_wrong(
    alert: Any,  # noqa: ANN401
    event: Event,
    facts: dict[str, object],
    severity: str,
) -> None:
    """The account's state counts more than the event, which may be a weaker one."""
    sent = alert(event, **facts)

    assert sent["payload"]["severity"] == severity
    assert sent["payload"]["source"] == ("h" if event is Event.OUTAGE else "sms")


@pytest.mark.parametrize(
    ("event", "wrong", "over"),
    [
        (Event.DRIFT, {"code": "drift"}, {"code": "drift"}),
        # A hook is told once of the end of several causes: with the code of the worst.
        (Event.REFUSED, {"code": "wrong-entry"}, {"code": "drift"}),
        (Event.FAILED, {"code": "store-unavailable"}, {"code": "store-unavailable"}),
        (Event.OVERDUE, {"code": "late"}, {"code": "overdue"}),
        (Event.OVERDUE, {"code": "overdue"}, {"code": "overdue"}),
        (Event.BALANCE, {"code": "low"}, {"code": "low"}),
        (
            Event.OUTAGE,
            {"account": "", "component": "vault", "host": "h", "code": "a"},
            {"account": "", "component": "vault", "host": "h", "code": "b"},
        ),
    ],
)
def test_what_is_over_resolves_its_alert(
    alert: Any,  # noqa: ANN401
    event: Event,
    wrong: dict[str, object],
    over: dict[str, object],
) -> None:
    """The key is the one that triggered it, whatever has become of the cause since."""
    triggered = alert(event, **wrong)
    resolved = alert(Event.RECOVERED, **over)

    assert resolved == {
        "routing_key": KEY,
        "dedup_key": triggered["dedup_key"],
        "event_action": "resolve",
    }


def test_alerts_of_different_things_have_different_keys(alert: Any) -> None:  # noqa: ANN401
    """What one ends, the other outlasts."""
    events = (Event.REFUSED, Event.OVERDUE, Event.BALANCE, Event.TEST)
    keys = [alert(event)["dedup_key"] for event in events]
    keys += [alert(Event.REFUSED, account="other")["dedup_key"]]
    for host in ("a", "b"):
        facts = {"account": "", "component": "vault", "host": host}
        keys.append(alert(Event.OUTAGE, **facts)["dedup_key"])

    assert len(set(keys)) == len(keys)


def test_an_alert_stays_within_pagerduty_s_limits(alert: Any) -> None:  # noqa: ANN401
    """1,024 characters of a summary, 255 of a key."""
    facts = {"account": "", "component": "vault", "host": "h" * 500}
    event = alert(Event.OUTAGE, reason="x" * 5000, **facts)

    assert len(event["payload"]["summary"]) <= 1024
    assert len(event["dedup_key"]) <= 255


def test_without_its_key_nothing_is_sent(receiver: WebhookReceiver, tmp_path: Path) -> None:
    """PagerDuty would refuse it, and the reason names the file."""
    reason = call(
        url=receiver.url, format=WebhookFormat.PAGERDUTY, routing_key_file=tmp_path / "key"
    )

    assert reason == "its routing_key_file cannot be read: no such file or directory"
    assert receiver.taken == []
