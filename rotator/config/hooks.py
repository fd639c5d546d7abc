"""`[[hooks]]`, and the rules between a hook, the other hooks and the accounts."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from rotator.config import urls
from rotator.config.errors import ConfigProblem, InvalidValue, Located, Location, did_you_mean
from rotator.config.types import File, Table, Timeout, form, member_of, written_as
from rotator.model import CLOCK
from rotator.model.notification import Event, Hook, WebhookFormat

#: `test` is sent to every hook that an operator tries.
EVENTS = [event for event in Event if event is not Event.TEST]


def _events(value: object) -> list[Event]:
    known = f"known are {', '.join(EVENTS)}"
    if not isinstance(value, list) or not value:
        raise InvalidValue("is not a list of events", hint=known)
    for item in value:
        if item not in EVENTS:
            meant = did_you_mean(item, EVENTS) if isinstance(item, str) else ""
            raise InvalidValue(f"has an unknown event{meant}", hint=known)
    return [Event(item) for item in value]


def _command(command: list[str]) -> list[str]:
    if not command or not command[0].startswith("/"):
        raise InvalidValue(
            "does not begin with the absolute path of a program",
            hint='write ["/usr/local/bin/PROGRAM", "ARGUMENT"]; there is no shell',
        )
    if any("\0" in word for word in command):
        raise InvalidValue("contains a zero byte")
    return command


_NO_HOOK_NAME = "is not a hook name: at most 64 letters, digits, . _ -, the first a letter or digit"
_NAME_FORM = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
_hook_name = partial(written_as, _NAME_FORM, _NO_HOOK_NAME)

#: Where PagerDuty takes events, other than those of accounts in its European region.
_PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"
#: Events that are no alerts, which PagerDuty would show for ever.
NO_ALERTS = frozenset({Event.PUSHED, Event.COMPLETED})

HookUrl = Annotated[str, AfterValidator(urls.hook_url), form(urls.HOOK_FORM)]

_WORD = {"type": "string", "pattern": r"^[^\x00]*$"}
_COMMAND = WithJsonSchema(
    {
        "type": "array",
        "items": [_WORD | {"pattern": r"^/[^\x00]*$"}],
        "additionalItems": _WORD,
        "minItems": 1,
    }
)
_ON = WithJsonSchema(
    {"type": "array", "items": {"type": "string", "enum": list(EVENTS)}, "minItems": 1}
)


class HookTable(Table):
    """`[[hooks]]`: a command or a webhook that is called for events, or asked as a gate."""

    #: None: derived from the command or the URL.
    name: Annotated[str | None, AfterValidator(_hook_name), form(_NAME_FORM)] = None
    on: Annotated[list[Event], BeforeValidator(_events), _ON]
    #: None: see `url` and `url_file`.
    command: Annotated[list[str] | None, AfterValidator(_command), _COMMAND] = None
    url: HookUrl | None = None
    #: A file whose only line is the URL, for a URL that contains a token.
    url_file: File = None
    #: A file with the key for signing the body.
    secret_file: File = None
    #: A file with the key of a service at PagerDuty.
    routing_key_file: File = None
    format: Annotated[WebhookFormat, member_of(WebhookFormat)] = WebhookFormat.JSON
    #: Names of accounts; empty for all.
    accounts: list[str] = Field(default_factory=list)
    #: For one call.
    timeout: Timeout = timedelta(seconds=30)

    def hook(self) -> Hook:
        """Build the hook from its table."""
        return Hook(
            **{
                **dict(self),
                "name": self.name or self._own_name(),
                "url": self.target,
                "on": frozenset(self.on),
                "accounts": frozenset(self.accounts),
                "command": tuple(self.command or ()),
            }
        )

    @property
    def target(self) -> str | None:
        """The URL that is called; None where `url_file` contains it, or for a command."""
        is_known = self.command or self.url_file or self.format is not WebhookFormat.PAGERDUTY
        return self.url if self.url or is_known else _PAGERDUTY

    def _own_name(self) -> str:
        """Return a name for the hook: its program, its host or the file that holds its address."""
        if self.command:
            return Path(self.command[0]).name
        if self.target:
            return urlsplit(self.target).hostname or ""
        return self.url_file.name if self.url_file else ""


def hook_problems(
    hooks: Iterable[Located[HookTable]], accounts: Iterable[str]
) -> Iterator[ConfigProblem]:
    """Yield the problems of hooks; `accounts` are the names of all accounts of the file."""
    accounts = list(accounts)
    seen: dict[str, Location] = {}
    for hook in hooks:
        place, table, name = hook.place, hook.table, hook.table.hook().name
        yield from _target_problems(place, table)
        for account in table.accounts:
            if account not in accounts:
                what = f"{account!r} is not configured{did_you_mean(account, accounts)}"
                yield place.problem("accounts", what)
        if Event.GATE in table.on and table.format is not WebhookFormat.JSON:
            what = f"a gate that answers like {table.format} would always be open"
            yield place.problem("format", what)
        if Event.GATE in table.on and name == CLOCK:
            what = f"{CLOCK!r} is the gate that waits for this machine's clock to be right"
            yield place.problem("name", what, "give the hook another name")
        first = seen.setdefault(name, place)
        if first is not place and name:
            what = f"{name!r} is already that of {first.key()}"
            yield place.problem("name", what, "give each of them a name of its own")


def _target_problems(place: Location, table: HookTable) -> Iterator[ConfigProblem]:
    """Check that exactly one target is set, with keys that fit it."""
    given = [key for key in ("command", "url", "url_file") if getattr(table, key)]
    yield from _alert_problems(place, table)
    if not given and not table.target:
        hint = "set command, url or url_file"
        yield place.problem("", "has nothing to call", hint)
    if len(given) > 1:
        yield place.problem("", f"{' and '.join(given)} exclude each other; keep one")
    for key in ("secret_file", "format"):
        if given == ["command"] and getattr(table, key) not in (None, WebhookFormat.JSON):
            what = "has no meaning for a command, which gets everything in its environment"
            yield place.problem(key, what)


def _alert_problems(place: Location, table: HookTable) -> Iterator[ConfigProblem]:
    """Check what PagerDuty needs, and no other format."""
    if table.format is not WebhookFormat.PAGERDUTY:
        if table.routing_key_file:
            yield place.problem("routing_key_file", 'has no meaning unless format is "pagerduty"')
        return
    if not table.routing_key_file:
        hint = "name the file that contains the integration key of a service's Events API v2"
        yield place.problem("routing_key_file", 'is required by format "pagerduty"', hint)
    if others := [event for event in table.on if event in NO_ALERTS]:
        what = (
            f'has {" and ".join(others)}, and format "pagerduty" is for what is wrong, and its end'
        )
        yield place.problem("on", what, "use another hook for them")
