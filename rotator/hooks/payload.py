"""Payloads of hooks: facts, a command's environment, and the notification in a sentence.

Ids, versions, codes and reasons. None contains a secret's value, as no `Notification` does.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from rotator.model import State
from rotator.model.notification import Event, Notification, outage_title
from rotator.model.redaction import printable
from rotator.model.times import rfc3339

#: The only variables of rotator's environment that a command gets: others may contain a token.
_PASSED_ON = ("LANG", "PATH")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

#: What is wrong with an account, and what is to be done about it.
_WRONG = "{account} is {state} (since {moment}): {reason} ({code})"
_SENTENCES = {
    Event.PUSHED: "{account}: a new secret is in Vault, at {place} version {vault_version}",
    Event.GATE: "{account}: may secret {old_secret_id} be deleted?",
    Event.COMPLETED: "{account}: rotated: secret {old_secret_id} is deleted, {secret_id} took its "
    "place",
    Event.FAILED: _WRONG,
    Event.REFUSED: _WRONG,
    Event.BROKEN: _WRONG,
    Event.DRIFT: _WRONG,
    Event.OVERDUE: _WRONG,
    Event.BALANCE: "{account}: balance: {reason}",
    Event.RECOVERED: "{place_of} has recovered: {reason} ({code})",
    Event.OUTAGE: "{title} on {host} (since {moment}): {reason} ({code})",
    Event.TEST: "{account}: a test of this hook; nothing has happened",
}
#: States of accounts in notifications that an older version of rotator has recorded.
_STATES = {
    Event.FAILED: State.FAILING,
    Event.REFUSED: State.REFUSED,
    Event.BROKEN: State.BROKEN,
    Event.DRIFT: State.DRIFTED,
    Event.OVERDUE: State.OVERDUE,
}
#: Cures that do not depend on the cause.
_CURES = {Event.BALANCE: "add funds in Vonage's dashboard, or lower `min_balance`"}


@dataclass(frozen=True, kw_only=True)
class Payload:
    """A notification, and the location of its account's secret in Vault."""

    notification: Notification
    mount: str
    #: Path of the current entry below the mount.
    path: str
    #: Vault's namespace; "" for the root.
    namespace: str = ""

    def facts(self) -> dict[str, str | int | list[str] | None]:
        """Return all facts of the notification."""
        notification = self.notification
        return {
            "event": notification.event.value,
            "id": notification.id,
            "account": notification.account or None,
            "at": rfc3339(notification.at),
            "rotation_id": notification.rotation_id,
            "secret_id": notification.secret_id,
            "old_secret_id": notification.old_secret_id,
            "vault_namespace": self.namespace,
            "vault_mount": self.mount,
            "vault_path": self.path,
            "vault_version": notification.vault_version,
            "code": notification.code,
            "reason": notification.reason,
            "state": notification.state or _STATES.get(notification.event),
            "hint": notification.hint or _CURES.get(notification.event),
            "since": rfc3339(notification.since),
            "tries": notification.tries,
            "next_try_at": rfc3339(notification.next_try_at),
            "consumers": notification.consumers,
            "converged": notification.converged,
            "behind": None if notification.behind is None else list(notification.behind),
            "component": notification.component,
            "host": notification.host,
        }

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """Return a command's whole environment; `environ` is rotator's own."""
        passed_on = {name: environ[name] for name in _PASSED_ON if environ.get(name)}
        own = {
            f"ROTATOR_{name.upper()}": "" if fact is None else printable(_as_text(fact))
            for name, fact in self.facts().items()
        }
        return {"PATH": _PATH} | passed_on | own

    @property
    def subject(self) -> str:
        """What it is about: an account, or a component of a daemon's host."""
        about = self.notification
        return about.account or f"{about.component} on {about.host}"

    def text(self) -> str:
        """Return the notification as a text, with the cure."""
        hint = self.facts()["hint"]
        return printable(f"{self.sentence()}. Do: {hint}" if hint else self.sentence())

    def sentence(self) -> str:
        """Return the notification in one sentence, without the cure."""
        about = self.notification
        known = self.facts()
        facts = {name: "unknown" if fact is None else fact for name, fact in known.items()}
        sentence = _SENTENCES[about.event].format(
            place=f"{self.mount}/{self.path}",
            place_of=self.subject,
            title=outage_title(str(facts["component"])),
            moment=f"{about.since or about.at:%Y-%m-%d %H:%M} UTC",
            **facts,
        )
        return printable(sentence)


def _as_text(fact: str | int | list[str]) -> str:
    return ", ".join(fact) if isinstance(fact, list) else str(fact)
