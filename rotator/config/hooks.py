"""`[[hooks]]`, and the rules between a hook, the other hooks and the accounts."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from rotator.config import urls
from rotator.config.accounts import Location
from rotator.config.errors import ConfigProblem, InvalidValue, did_you_mean
from rotator.config.types import File, Table, Timeout, written_as
from rotator.model import CLOCK
from rotator.model.notification import Event, Hook, WebhookFormat

_WAYS = ("command", "url", "url_file")
#: Keys that only a webhook can use.
_OF_WEB = ("secret_file", "format")


def _events(value: object) -> list[Event]:
    if not isinstance(value, list) or not value:
        raise InvalidValue("is not a list of events", hint=f"known are {', '.join(Event)}")
    return [_event(item) for item in value]


def _event(value: object) -> Event:
    for known in Event:
        if value == known:
            return known
    meant = did_you_mean(value, Event) if isinstance(value, str) else ""
    raise InvalidValue(f"names no event{meant}", hint=f"known are {', '.join(Event)}")


def _format(value: object) -> WebhookFormat:
    for known in WebhookFormat:
        if value == known:
            return known
    raise InvalidValue(f"is not one of {', '.join(WebhookFormat)}")


def _command(command: list[str]) -> list[str]:
    if not command or not command[0].startswith("/"):
        raise InvalidValue(
            "does not begin with the absolute path of a program",
            hint='write ["/usr/local/bin/PROGRAM", "ARGUMENT"]; there is no shell',
        )
    if any("\0" in word for word in command):
        raise InvalidValue("holds a zero byte")
    return command


def _hook_name(text: str) -> str:
    return written_as(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", _NO_HOOK_NAME, text)


_NO_HOOK_NAME = "is no name of a hook: at most 64 letters, digits, . _ -, the first no sign"

HookUrl = Annotated[str, AfterValidator(urls.hook_url)]


class HookTable(Table):
    """`[[hooks]]`: a command or a webhook that is called for events, or asked as a gate."""

    #: None: derived from the command or the URL.
    name: Annotated[str | None, AfterValidator(_hook_name)] = None
    on: Annotated[list[Event], BeforeValidator(_events)]
    #: None: see `url` and `url_file`.
    command: Annotated[list[str] | None, AfterValidator(_command)] = None
    url: HookUrl | None = None
    #: A file whose only line is the URL, for a URL that contains a token.
    url_file: File = None
    #: A file with the key for signing the body.
    secret_file: File = None
    format: Annotated[WebhookFormat, BeforeValidator(_format)] = WebhookFormat.JSON
    #: Names of accounts; empty for all.
    accounts: list[str] = Field(default_factory=list)
    #: For one call.
    timeout: Timeout = timedelta(seconds=30)

    def hook(self) -> Hook:
        """Build the hook from its table."""
        return Hook(
            name=self.name or self._own_name(),
            on=frozenset(self.on),
            accounts=frozenset(self.accounts),
            timeout=self.timeout,
            command=tuple(self.command or ()),
            url=self.url,
            url_file=self.url_file,
            secret_file=self.secret_file,
            format=self.format,
        )

    def _own_name(self) -> str:
        """Return a name for the hook: its program, its host or the file that holds its address."""
        if self.command:
            return Path(self.command[0]).name
        if self.url:
            return urlsplit(self.url).hostname or ""
        return self.url_file.name if self.url_file else ""


@dataclass(frozen=True, kw_only=True)
class LocatedHook:
    """A valid hook's table and its location."""

    place: Location
    table: HookTable


def hook_problems(hooks: Iterable[LocatedHook], accounts: Sequence[str]) -> Iterator[ConfigProblem]:
    """Yield the problems of hooks; `accounts` are the names of all accounts of the file."""
    seen: dict[str, LocatedHook] = {}
    for hook in hooks:
        yield from _way(hook)
        yield from _accounts(hook, accounts)
        yield from _gate(hook)
        name = hook.table.hook().name
        first = seen.setdefault(name, hook)
        if first is not hook and name:
            yield ConfigProblem(
                where=hook.place.key("name"),
                what=f"{name!r} is already that of {first.place.key()}",
                hint="give each of them a name of its own",
            )


def _way(hook: LocatedHook) -> Iterator[ConfigProblem]:
    """Check that exactly one target is set, with keys that fit it."""
    given = [key for key in _WAYS if getattr(hook.table, key)]
    if not given:
        hint = "give command, or url, or url_file"
        yield ConfigProblem(where=hook.place.key(), what="has nothing to call", hint=hint)
    if len(given) > 1:
        what = f"{' and '.join(given)} exclude each other; keep one"
        yield ConfigProblem(where=hook.place.key(), what=what)
    for key in _OF_WEB:
        if given == ["command"] and getattr(hook.table, key) not in (None, WebhookFormat.JSON):
            what = "has no meaning for a command, which is told by its environment"
            yield ConfigProblem(where=hook.place.key(key), what=what)


def _accounts(hook: LocatedHook, accounts: Sequence[str]) -> Iterator[ConfigProblem]:
    for name in hook.table.accounts:
        if name not in accounts:
            what = f"{name!r} is not configured{did_you_mean(name, accounts)}"
            yield ConfigProblem(where=hook.place.key("accounts"), what=what)


def _gate(hook: LocatedHook) -> Iterator[ConfigProblem]:
    """Refuse a gate in Slack's format, which accepts anything, or with the built-in gate's name."""
    if Event.GATE in hook.table.on and hook.table.format is WebhookFormat.SLACK:
        what = "a gate that answers like Slack would always be open"
        yield ConfigProblem(where=hook.place.key("format"), what=what)
    if Event.GATE in hook.table.on and hook.table.hook().name == CLOCK:
        what = f"{CLOCK!r} is the gate that waits for this machine's clock to be right"
        yield ConfigProblem(
            where=hook.place.key("name"), what=what, hint="give the hook another name"
        )
