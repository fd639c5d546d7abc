"""Bodies of webhooks: the facts as JSON, and messages for Slack, Teams and PagerDuty.

Sources: api.slack.com, "Formatting text"; Microsoft's schema of Adaptive Cards 1.4, as the
workflow "post to a channel when a webhook request is received" takes them; PagerDuty's Events API
v2, "Send an alert event".
"""

import json
from typing import Any

from rotator.hooks.payload import Payload
from rotator.model import State
from rotator.model.notification import Event, WebhookFormat
from rotator.model.times import rfc3339

#: Longest text in a message, in characters. Teams takes 28 KB in all, PagerDuty 1,024 of a summary.
_LONGEST = 1000
#: Longest key by which PagerDuty recognises an alert, in characters.
_LONGEST_KEY = 255

#: Colours of a card's title by event; all others are of what is wrong.
_COLOURS = {
    Event.PUSHED: "accent",
    Event.COMPLETED: "good",
    Event.RECOVERED: "good",
    Event.TEST: "accent",
    Event.FAILED: "warning",
    Event.BALANCE: "warning",
}

#: Severities by code, by the account's state and by event, the first that is known; all others are
#: errors.
_SEVERITIES: dict[str | None, str] = {
    # What leaked still works.
    "broken-deletion": "critical",
    State.BROKEN: "critical",
    State.FAILING: "warning",
    Event.FAILED: "warning",
    Event.BALANCE: "warning",
    Event.TEST: "info",
}
#: Alerts that end by themselves, by their event and by the codes that `recovered` has of them. All
#: others of an account are one alert: what ends one of them ends all.
_APART = {
    Event.OVERDUE: "overdue",
    Event.BALANCE: "balance",
    Event.TEST: "test",
    "overdue": "overdue",
    "late": "overdue",
    "low": "balance",
}


def body(payload: Payload, form: WebhookFormat, routing_key: str = "") -> bytes:
    """Return a webhook's body, UTF-8 JSON on one line; `routing_key` is PagerDuty's."""
    document: dict[str, Any]
    match form:
        case WebhookFormat.JSON:
            document = payload.facts()
        case WebhookFormat.SLACK:
            document = {"text": _escaped(payload.text())}
        case WebhookFormat.TEAMS:
            document = _card_message(payload)
        case WebhookFormat.PAGERDUTY:
            document = _alert(payload, routing_key)
    return json.dumps(document, separators=(",", ":")).encode()


def _escaped(text: str) -> str:
    """Escape what Slack would read as markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _card_message(payload: Payload) -> dict[str, Any]:
    """Return a message with one card: title, cause and cure.

    A text run shows a text as it is. In a text block, part of it could be read as Markdown.
    """
    event, hint = payload.notification.event, payload.facts()["hint"]
    title = {
        "text": f"{payload.subject}: {event}",
        "weight": "bolder",
        "color": _COLOURS.get(event, "attention"),
    }
    runs = [title, {"text": payload.sentence()}, *([{"text": f"Do: {hint}"}] if hint else [])]
    blocks = [
        {
            "type": "RichTextBlock",
            "inlines": [{"type": "TextRun", **run, "text": _shortened(run["text"])}],
        }
        for run in runs
    ]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": blocks,
    }
    kind = "application/vnd.microsoft.card.adaptive"
    attachment = {"contentType": kind, "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _alert(payload: Payload, routing_key: str) -> dict[str, Any]:
    """Return an event that triggers an alert, or resolves it."""
    about = payload.notification
    group = _APART.get(about.event) or _APART.get(about.code or "") or "rotation"
    of_host = f"{about.component} on {about.host}"
    key = f"rotator: {of_host}" if about.component else f"rotator: {about.account}: {group}"
    event: dict[str, Any] = {"routing_key": routing_key, "dedup_key": key[:_LONGEST_KEY]}
    if about.event is Event.RECOVERED:
        return event | {"event_action": "resolve"}
    known = (_SEVERITIES.get(each) for each in (about.code, about.state, about.event))
    severity = next(filter(None, known), "error")
    facts = payload.facts()
    return event | {
        "event_action": "trigger",
        "client": "rotator",
        "payload": {
            "summary": _shortened(payload.sentence()),
            "source": about.host or about.account,
            "severity": severity,
            "timestamp": rfc3339(about.at),
            "component": about.component or about.account,
            "group": group,
            "class": about.code or about.event.value,
            "custom_details": {name: fact for name, fact in facts.items() if fact is not None},
        },
    }


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
