"""When two states are the same: a text of everything that can still matter.

The text names secrets, values and rotations in the order in which it comes across them, and
tells times by their age. So two states that differ in names or dates alone are one state, which
is what lets the exploration come to an end. Ages beyond every limit in the rules count as equal.

A process is fingerprinted by its call stack: where in the engine's code it stands, and every
local variable there. Whatever the engine comes to remember is part of it by itself.
"""

import re
import sys
from collections.abc import Mapping, Set
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from functools import cache
from pathlib import Path
from types import FunctionType, MethodType

import rotator
from rotator.engine import Engine
from rotator.model import Account, SecretValue
from rotator.observer import Observer
from rotator.protocol import MAX_DRAWS

#: The engine's code lies here.
HOME = str(Path(rotator.__file__).parent)
#: From what age on nothing changes any more by getting older, in seconds.
OLD = 200
OLDEST = dict.fromkeys(("seen_at", "current_live_at", "pending_live_at"), 61) | dict.fromkeys(
    ("sent_at", "pending_refused_since", "refused_since", "since"), 80
)
#: A bare number beyond this is a point on the clock.
CLOCK = 1e8
#: What no rule looks at, or what a described neighbour tells already.
IGNORED = frozenset(
    {"engine", "account", "head", "ledger_head", "check", "created_at", "rotated_at", "opened_at"}
    | {"closed_at", "reason", "fields"}
)
#: Counts that no rule tells apart from here on.
ENOUGH = {"draws": MAX_DRAWS, "stalls": 0}
#: Objects that are the same in every process.
FIXED = (Engine, Observer, Account, FunctionType, MethodType, type)

_TOKEN = re.compile(r"@(\d+)/(\d+)|([svr])#\d+")


def describe(thing: object) -> str:  # noqa: C901, PLR0912  # one line for each kind of thing
    """Give a text of `thing`, the same for equal things."""
    if thing is None or isinstance(thing, bool):
        return str(thing)
    if isinstance(thing, float) and thing > CLOCK:
        return f"@{thing:.0f}/{OLD}"
    if isinstance(thing, Enum):
        return str(thing.value)
    if isinstance(thing, str | int | float):
        return str(thing)
    if isinstance(thing, datetime):
        return f"@{thing.timestamp():.0f}/{OLD}"
    if isinstance(thing, timedelta):
        return str(thing.total_seconds())
    if isinstance(thing, SecretValue):
        return thing.reveal()
    if isinstance(thing, Set):
        return f"{{{','.join(sorted(map(describe, thing)))}}}"
    if isinstance(thing, tuple | list):
        return f"[{','.join(map(describe, thing))}]"
    if isinstance(thing, Mapping):
        return f"({','.join(f'{name}={_item(name, thing[name])}' for name in thing)})"
    if isinstance(thing, FIXED) or isinstance(thing, BaseException):
        return type(thing).__name__
    if is_dataclass(thing):
        parts = [_item(name, getattr(thing, name)) for name in _names(type(thing))]
        return f"{type(thing).__name__}({','.join(parts)})"
    return type(thing).__name__


def stack() -> str:
    """Describe where the process stands: the engine's frames, from the innermost outwards."""
    parts = []
    frame = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith(HOME):
            variables = describe(frame.f_locals)
            parts.append(f"{code.co_name}:{frame.f_lasti}{variables}")
        frame = frame.f_back  # type: ignore[assignment]  # None ends the loop
    return "\n".join(parts)


def fingerprint(text: str, now: float) -> int:
    """Shorten `text`, told at the time `now`, to a number that equal states share."""
    names: dict[str, str] = {}

    def renamed(match: re.Match[str]) -> str:
        at = match[1]
        if at is not None:
            return f"@{min(int(now) - int(at), int(match[2]))}"
        name = match[0]
        return names.setdefault(name, f"{match[3]}{len(names)}")

    return hash(_TOKEN.sub(renamed, text))


def _item(name: str, thing: object) -> str:
    """Describe what stands under `name`."""
    if name in ENOUGH and isinstance(thing, int):
        return str(min(thing, ENOUGH[name]))
    text = describe(thing)
    if name in OLDEST and text.startswith("@"):
        return text.replace(f"/{OLD}", f"/{OLDEST[name]}")
    if name == "lease_until" and text.startswith("@"):
        return "_"
    return text


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if field.name not in IGNORED)
