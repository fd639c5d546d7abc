"""When two states are the same: a text of everything that can still matter.

The text names secrets, values and rotations in the order in which it comes across them, and
tells times by their age. So two states that differ in names or dates alone are one state, which
is what lets the exploration come to an end. Ages beyond every limit in the rules count as equal.

A process is fingerprinted by its call stack: where in the engine's code it stands, and every
local variable there. Whatever the engine comes to remember is part of it by itself.
"""

import re
import sys
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from functools import cache
from pathlib import Path
from types import FrameType, FunctionType, MethodType, NoneType

import rotator
from rotator.means import Means
from rotator.model import Account, SecretValue
from rotator.observer import Observer
from rotator.protocol import MAX_DRAWS

#: The engine's code lies here.
HOME = str(Path(rotator.__file__).parent)
#: From what age on nothing changes any more by getting older, in seconds.
OLD = 200
OLDEST = dict.fromkeys(("seen_at", "current_live_at", "pending_live_at"), 61) | dict.fromkeys(
    ("sent_at", "pending_refused_since", "pending_refused_at", "since", "last"), 80
)
#: A bare number beyond this is a point on the clock.
CLOCK = 1e8
#: Counts that no rule tells apart from here on.
ENOUGH = {"draws": MAX_DRAWS, "stalls": 0}
#: What no rule looks at, or what a described neighbour tells already. A lease either has most of
#: its time left or has ended long ago, which the clock of the world tells.
IGNORED = frozenset(
    {"means", "account", "head", "ledger_head", "check", "created_at", "rotated_at", "opened_at"}
    | {"closed_at", "reason", "fields", "lease_until", "gate_retry_at"}
    | {"identity", "issuer", "vault_path"}
)
#: What is the same in every process, or is no more than its kind.
FIXED = (Means, Observer, Account, FunctionType, MethodType, type, BaseException)

_TOKEN = re.compile(r"@(\d+)/(\d+)|([svrl])#\d+")

#: Frozen things described lately, by identity, with their texts.
_TOLD: dict[int, tuple[object, str]] = {}
_MOST_TOLD = 10_000


def describe(thing: object) -> str:
    """Give a text of `thing`, the same for equal things."""
    return _way(type(thing))(thing)  # type: ignore[arg-type]  # a class is hashable


def stack() -> str:
    """Describe where the process stands: the engine's frames, from the innermost outwards.

    What is described already is only referred to.
    """
    seen: dict[str, int] = {}
    parts = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith(HOME):
            parts.append(f"{code.co_name}:{frame.f_lasti}")
            for name, thing in frame.f_locals.items():
                text = _item(name, thing)
                index = seen.setdefault(text, len(seen))
                parts.append(f"{name}={text if index == len(seen) - 1 else index}")
        frame = frame.f_back
    return "\n".join(parts)


def fingerprint(text: str, now: float) -> int:
    """Shorten `text`, told at the time `now`, to a number that equal states share."""
    names: dict[str, str] = {}

    def renamed(match: re.Match[str]) -> str:
        at, oldest, kind = match.groups()
        if at is not None:
            return f"@{min(int(now) - int(at), int(oldest))}"
        return names.setdefault(match[0], f"{kind}{len(names)}")

    return hash(_TOKEN.sub(renamed, text))


def _item(name: str, thing: object) -> str:
    """Describe what stands under `name`."""
    if name in ENOUGH and isinstance(thing, int):
        return str(min(thing, ENOUGH[name]))
    text = describe(thing)
    return f"{text[: text.index('/')]}/{OLDEST[name]}" if name in OLDEST and "/" in text else text


@cache
def _way(kind: type) -> Callable[[object], str]:  # one line for each kind
    """Give the way to describe things of a kind."""
    if issubclass(kind, Enum):
        return lambda thing: str(thing.value)  # type: ignore[attr-defined]
    if issubclass(kind, float):
        return _number
    if issubclass(kind, datetime):
        return lambda thing: _moment(thing.timestamp())  # type: ignore[attr-defined]
    if issubclass(kind, str | int | timedelta | NoneType):
        return str
    if issubclass(kind, SecretValue):
        return lambda thing: thing.reveal()  # type: ignore[attr-defined]
    if issubclass(kind, AbstractSet):
        return _set
    if issubclass(kind, tuple | list):
        return _sequence
    if issubclass(kind, Mapping):
        return _mapping
    if issubclass(kind, FIXED) or not is_dataclass(kind):
        return lambda thing: type(thing).__name__
    is_frozen = kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    return _frozen_record if is_frozen else _record


def _moment(at: float) -> str:
    return f"@{at:.0f}/{OLD}"


def _number(thing: object) -> str:
    return _moment(thing) if isinstance(thing, float) and thing > CLOCK else str(thing)


def _set(thing: object) -> str:
    parts = sorted(describe(item) for item in thing)  # type: ignore[attr-defined]
    return f"{{{','.join(parts)}}}"


def _sequence(thing: object) -> str:
    parts = [describe(item) for item in thing]  # type: ignore[attr-defined]
    return f"[{','.join(parts)}]"


def _mapping(thing: object) -> str:
    parts = [f"{name}={_item(name, item)}" for name, item in thing.items()]  # type: ignore[attr-defined]
    return f"({','.join(parts)})"


def _record(thing: object) -> str:
    parts = [_item(name, getattr(thing, name)) for name in _names(type(thing))]  # type: ignore[arg-type]
    return f"{type(thing).__name__}({','.join(parts)})"


def _frozen_record(thing: object) -> str:
    told = _TOLD.get(id(thing))
    if told and told[0] is thing:
        return told[1]
    if len(_TOLD) > _MOST_TOLD:
        _TOLD.clear()
    text = _record(thing)
    _TOLD[id(thing)] = (thing, text)
    return text


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if field.name not in IGNORED)
