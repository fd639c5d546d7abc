"""What must hold between a hook, the other hooks and the accounts."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rotator.config.accounts import Place
from rotator.config.problem import Problem, did_you_mean
from rotator.config.tables import HookTable
from rotator.notice import Event, Format

_WAYS = ("command", "url", "url_file")
#: What only a web address can use.
_OF_WEB = ("secret_file", "format")


@dataclass(frozen=True, kw_only=True)
class PlacedHook:
    """A valid hook's table and its place."""

    place: Place
    table: HookTable


def hook_problems(hooks: Iterable[PlacedHook], accounts: Sequence[str]) -> Iterator[Problem]:
    """Find what is wrong with hooks; `accounts` has the name of every account of the file."""
    seen: dict[str, PlacedHook] = {}
    for hook in hooks:
        yield from _way(hook)
        yield from _accounts(hook, accounts)
        yield from _gate(hook)
        name = hook.table.hook().name
        first = seen.setdefault(name, hook)
        if first is not hook and name:
            yield Problem(
                where=hook.place.key("name"),
                what=f"{name!r} is already that of {first.place.key()}",
                hint="give each of them a name of its own",
            )


def _way(hook: PlacedHook) -> Iterator[Problem]:
    """See that it is known what to call."""
    given = [key for key in _WAYS if getattr(hook.table, key)]
    if not given:
        hint = "give command, or url, or url_file"
        yield Problem(where=hook.place.key(), what="has nothing to call", hint=hint)
    if len(given) > 1:
        what = f"{' and '.join(given)} exclude each other; keep one"
        yield Problem(where=hook.place.key(), what=what)
    for key in _OF_WEB:
        if given == ["command"] and getattr(hook.table, key) not in (None, Format.JSON):
            what = "has no meaning for a command, which is told by its environment"
            yield Problem(where=hook.place.key(key), what=what)


def _accounts(hook: PlacedHook, accounts: Sequence[str]) -> Iterator[Problem]:
    for name in hook.table.accounts:
        if name not in accounts:
            what = f"{name!r} is not configured{did_you_mean(name, accounts)}"
            yield Problem(where=hook.place.key("accounts"), what=what)


def _gate(hook: PlacedHook) -> Iterator[Problem]:
    """A message is no question: Slack accepts whatever it is sent."""
    if Event.GATE in hook.table.on and hook.table.format is Format.SLACK:
        what = "a gate that answers like Slack would always be open"
        yield Problem(where=hook.place.key("format"), what=what)
