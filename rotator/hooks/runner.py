"""Calls one hook once, of either kind."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rotator.errors import reason_of
from rotator.hooks import command, formats, webhook
from rotator.hooks.answer import Answer, failed
from rotator.hooks.payload import Payload
from rotator.model.notification import Event, Hook
from rotator.network import signatures
from rotator.network.signatures import SigningKey


class Unreadable(Exception):
    """A file of a hook is unusable. The message names the file and the reason."""


@dataclass(frozen=True, kw_only=True)
class HookRunner:
    """Calls one hook, once."""

    #: rotator's own environment.
    environ: Mapping[str, str]
    #: Asked while a hook runs: whether this process is to end, and the call with it.
    should_stop: Callable[[], bool] = lambda: False
    #: The ledger's file, whose owner is the daemon's user; None for a database server.
    ledger_file: Path | None = None

    def run(self, hook: Hook, payload: Payload, *, at: datetime) -> Answer:
        """Call `hook` with `payload` at the time `at`; return what comes back.

        A command succeeds by exiting with 0, a webhook by answering 2xx; a gate may say how many
        consumers use the new secret. Blocks for the hook's timeout at most.

        Raises:
            Stopping: this process is to end; the hook may still have been called.
        """
        is_gate = payload.notification.event is Event.GATE
        if hook.command:
            return command.run(
                hook.command,
                payload.environment(self.environ),
                timeout=hook.timeout,
                should_stop=self.should_stop,
                owner=command.Owner.of(self.ledger_file),
                is_gate=is_gate,
            )
        try:
            url, keys = address(hook), signing_keys(hook)
            body = formats.body(payload, hook.format, routing_key(hook))
        except Unreadable as error:
            return failed(str(error))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "rotator",
            "Rotator-Event": payload.notification.event.value,
            "Rotator-Delivery": payload.notification.id,
        }
        if keys:
            headers |= signatures.headers_for(keys, _message_id(payload, at), body, at)
            headers["Rotator-Signature"] = webhook.signature(keys[0], body, at)
        return webhook.post(
            url,
            body,
            headers,
            timeout=hook.timeout,
            should_stop=self.should_stop,
            is_gate=is_gate,
        )


def address(hook: Hook) -> str:
    """Return a hook's web address, read afresh from its file; it may hold a token.

    Raises:
        Unreadable: the file contains no URL.
    """
    if hook.url_file is None:
        return hook.url or ""
    url = _content(hook.url_file, "url_file")
    if not url.startswith("https://"):
        raise Unreadable("its url_file holds no https address")
    return url


def signing_keys(hook: Hook) -> tuple[SigningKey, ...]:
    """Return the keys that sign a hook's bodies, read afresh; none where it has no file.

    Raises:
        Unreadable: the file contains no key, or one that is no key.
    """
    if hook.secret_file is None:
        return ()
    try:
        return signatures.keys_in(_content(hook.secret_file, "secret_file"))
    except ValueError as error:
        raise Unreadable(f"its secret_file {error}") from None


def _message_id(payload: Payload, at: datetime) -> str:
    """Return the id by which a receiver recognises a message that it has had already.

    A gate is asked the same question until it opens, and each time anew: a receiver that answers
    what it has had with 200 would open it.
    """
    about = payload.notification
    return f"{about.id}_{at.timestamp():.6f}" if about.event is Event.GATE else about.id


def routing_key(hook: Hook) -> str:
    """Return the key by which PagerDuty knows a hook's service, read afresh; "" for no key.

    Raises:
        Unreadable: the file contains no key.
    """
    return _content(hook.routing_key_file, "routing_key_file") if hook.routing_key_file else ""


def _content(path: Path, key: str) -> str:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        reason = reason_of(error)
        raise Unreadable(f"its {key} cannot be read: {reason}") from None
    except UnicodeDecodeError:
        raise Unreadable(f"its {key} is not UTF-8") from None
    if not text:
        raise Unreadable(f"its {key} is empty")
    return text
