"""Payloads of hooks: environment, JSON, Slack.

Ids, versions, codes and reasons. None contains a secret's value, as no `Notification` does.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from rotator.model.notification import Event, Notification, WebhookFormat
from rotator.model.redaction import printable
from rotator.model.times import rfc3339

#: The only variables of rotator's environment that a command gets: others may contain a token.
_PASSED_ON = ("LANG", "PATH")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_SENTENCES = {
    Event.PUSHED: "a new secret is in Vault, at {place} version {vault_version}",
    Event.GATE: "may secret {old_secret_id} be deleted?",
    Event.COMPLETED: "rotated: secret {old_secret_id} is deleted, {secret_id} took its place",
    Event.FAILED: "a rotation failed ({code})",
    Event.REFUSED: "rotation refused, an operator must decide: {reason} ({code})",
    Event.DRIFT: "drift: {reason} ({code})",
    Event.OVERDUE: "overdue: {reason}",
    Event.BALANCE: "balance: {reason}",
}


@dataclass(frozen=True, kw_only=True)
class Payload:
    """A notification, and the location of its account's secret in Vault."""

    notification: Notification
    mount: str
    #: Path of the current entry below the mount.
    path: str

    def facts(self) -> dict[str, str | int | None]:
        """Return all facts of the notification."""
        notification = self.notification
        return {
            "event": notification.event.value,
            "id": notification.id,
            "account": notification.account,
            "at": rfc3339(notification.at),
            "rotation_id": notification.rotation_id,
            "secret_id": notification.secret_id,
            "old_secret_id": notification.old_secret_id,
            "vault_mount": self.mount,
            "vault_path": self.path,
            "vault_version": notification.vault_version,
            "code": notification.code,
            "reason": notification.reason,
        }

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return a command's whole environment; `environ` is rotator's own."""
        passed_on = {name: environ[name] for name in _PASSED_ON if environ.get(name)}
        own = {
            f"ROTATOR_{name.upper()}": "" if fact is None else printable(str(fact))
            for name, fact in self.facts().items()
        }
        return {"PATH": _PATH} | passed_on | own

    def body(self, form: WebhookFormat) -> bytes:
        """Return a webhook's body, UTF-8 JSON on one line."""
        document = {"text": self.text()} if form is WebhookFormat.SLACK else self.facts()
        return json.dumps(document, separators=(",", ":")).encode()

    def text(self) -> str:
        """Return the notification as one sentence for Slack, with Slack's markup escaped.

        Source: api.slack.com, "Formatting text": `&`, `<` and `>` are replaced by entities.
        """
        facts = {name: "unknown" if fact is None else fact for name, fact in self.facts().items()}
        sentence = _SENTENCES[self.notification.event].format(
            place=f"{self.mount}/{self.path}", **facts
        )
        text = printable(f"{self.notification.account}: {sentence}")
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
