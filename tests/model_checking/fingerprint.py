"""When two states are the same: a text of everything that can still matter.

The text names secrets, values and rotations in the order in which it comes across them, and
tells times by their age. So two states that differ in names or dates alone are one state, which
is what lets the exploration come to an end. Ages beyond every limit in the rules count as equal.
How a value came to be pushed is left out once the ledger has the push; see `without_moot`.

A process is fingerprinted by its call stack: where in rotator's code it stands, and every
local variable there. Whatever that code comes to remember is part of it by itself.
"""

import re
import sys
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from functools import cache, lru_cache
from math import inf
from pathlib import Path
from types import FrameType, FunctionType, MethodType, NoneType
from typing import Any

import rotator
from rotator.model import Account, Rotation, SecretValue
from rotator.rotation.dependencies import Dependencies
from rotator.rotation.observation import Observation, Pending
from rotator.rotation.protocol.before_push import MAX_GENERATED
from rotator.rotation.steps.base import Site

#: rotator's code lies here.
HOME = str(Path(rotator.__file__).parent)
#: From what age on nothing changes any more by getting older, in seconds.
OLD = 200
#: Since when a secret is dead, is not asked, but whether it is.
OLDEST = (
    {"dead_at": 0}
    | dict.fromkeys(("seen_at", "authenticated_at"), 61)
    | dict.fromkeys(
        (
            *("sent_at", "refused_since", "refused_at", "since", "last"),
            *("deleted_at", "accepted_since", "accepted_at"),
        ),
        80,
    )
)
#: A bare number beyond this is a point on the clock.
CLOCK = 1e8
#: Times that entries hold as texts.
WRITTEN = frozenset({"verified_at", "dead_at", "authenticated_at"})
#: Counts that no rule tells apart from here on.
ENOUGH = {"values_generated": MAX_GENERATED, "pauses": 0, "dead_after": 0, "seconds": 0}
#: What no rule looks at, or what a described neighbour tells already. A lease either has most of
#: its time left or has ended long ago, which the clock of the world tells.
IGNORED = frozenset(
    {
        "dependencies",
        "account",
        "head",
        "ledger_head",
        "check",
        "created_at",
        "rotated_at",
        "opened_at",
    }
    | {"closed_at", "reason", "fields", "lease_until", "retry_at", "rule"}
    | {"identity", "issuer", "vault_path"}
    | {"previous_check", "old_valid_until", "next_rotation_at"}
    # Of a lease, all that is asked is whether its token is the newest one, which a process tells
    # of itself. Since when effects have failed is asked where the store is to be waited for, for
    # which explorations leave no time.
    | {"token", "failing_since"}
)
#: What is not described as it is.
_TREATED = frozenset({*ENOUGH, *OLDEST, *WRITTEN})
#: What is asked only until something else is known: here, by the passes of the loop.
UNTIL = {"remembered": "observed"}
#: What is the same in every process, or is no more than its kind.
FIXED = (Dependencies, Site, Account, FunctionType, MethodType, type, BaseException)

#: What no rule asks once the ledger has the push, and what it would be had it never happened.
MOOT: dict[type, dict[str, Any]] = {
    Rotation: {"sent_at": None, "rejected": False, "values_generated": 0},
    Pending: dict.fromkeys(("authenticated_at", "refused_since", "refused_at"))
    | dict.fromkeys(("is_unsent", "is_unrecorded", "equals_current"), False),
}
#: Where a rotation has pushed, its observation's pending entry is described apart, without those.
_APART: dict[type, frozenset[str]] = {Observation: frozenset({"pending"})}

#: Stands before and after each token: a point on the clock with the age that counts at most, or a
#: name. Splitting a text at it takes a tenth of the time that finding the tokens again would.
MARK = "\x1f"
_NAME = re.compile(r"[svrl]#\d+")

#: Things that never change, by identity, with their texts.
_TOLD: dict[int, tuple[object, str]] = {}
#: The same by equality: each run makes anew what another one had.
_EQUAL: dict[object, str] = {}
_MOST_TOLD = 20_000


def describe(thing: object) -> str:
    """Return a text of `thing`, the same for equal things."""
    return _way(type(thing))(thing)  # type: ignore[arg-type]  # a class is hashable


def described(thing: object) -> str:
    """Return `describe(thing)` of something that never changes, nor does what it holds."""
    return _told(thing, describe)


def without_moot(observation: Observation) -> Observation:
    """Return `observation` without what no rule asks any more once the ledger has the push.

    From then on a rotation only rolls forward, however often its value was sent or refused before.
    The explorations see with each decision that it is the same without these facts.
    """
    rotation = observation.rotation
    if rotation is None or rotation.vault_version is None:
        return observation
    pending = replace(observation.pending, **MOOT[Pending])
    return replace(observation, pending=pending).with_rotation(replace(rotation, **MOOT[Rotation]))


def stack() -> str:
    """Describe where the process stands: rotator's frames, from the innermost outwards.

    What is described already is only referred to.
    """
    seen: dict[str, int] = {}
    known: dict[int, int] = {}
    parts = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if _is_engine(code.co_filename):
            parts.append(f"{code.co_name}:{frame.f_lasti}")
            for name, thing in frame.f_locals.items():
                is_plain = name not in _TREATED
                if is_plain and (index := known.get(id(thing))) is not None:
                    parts.append(f"{name}={index}")
                    continue
                text = _way(type(thing))(thing) if is_plain else _item(name, thing)  # type: ignore[arg-type]
                index = seen.setdefault(text, len(seen))
                parts.append(f"{name}={text if index == len(seen) - 1 else index}")
                if is_plain:
                    known[id(thing)] = index
        frame = frame.f_back
    return "\n".join(parts)


@cache
def _is_engine(path: str) -> bool:
    return path.startswith(HOME)


class Names(dict[str, str]):
    """What the tokens of texts stand for at a time: ages, and names in the order of their coming.

    Made anew for each text, or copied where a text continues another one.
    """

    def __init__(self, now: float) -> None:
        """Begin with none."""
        super().__init__()
        self._now = int(now)
        self._count = 0

    def __missing__(self, token: str) -> str:
        """Take in what was not met before."""
        if token[0] == "@":
            at, oldest = token[1:].split("/")
            told = f"@{min(self._now - int(at), int(oldest))}"
        else:
            told = f"{token[0]}{self._count}"
            self._count += 1
        self[token] = told
        return told

    def copy(self) -> "Names":
        """Return names that go on apart from these."""
        twin = Names(self._now)
        twin.update(self)
        twin._count = self._count
        return twin

    def told(self, text: str) -> str:
        """Return `text` as equal states have it."""
        parts = text.split(MARK)
        parts[1::2] = [self[token] for token in parts[1::2]]
        return "".join(parts)


def fingerprint(text: str, now: float) -> int:
    """Shorten `text`, told at the time `now`, to a number that equal states share."""
    return hash(Names(now).told(text))


def _item(name: str, thing: object) -> str:
    """Describe what stands under `name`."""
    if name in ENOUGH and isinstance(thing, int):
        return str(min(thing, ENOUGH[name]))
    if name in WRITTEN and isinstance(thing, str):
        thing = datetime.fromisoformat(thing)
    text = describe(thing)
    if name in OLDEST and "/" in text:
        return f"{text[: text.index('/')]}/{OLDEST[name]}{MARK}"
    return text


@cache
def _way(kind: type) -> Callable[[object], str]:  # one line for each kind
    """Return the way to describe things of a kind."""
    if issubclass(kind, Enum):
        return lambda thing: str(thing.value)  # type: ignore[attr-defined]
    if issubclass(kind, float):
        return _number
    if issubclass(kind, datetime):
        return _date
    if issubclass(kind, str):
        return _text
    if issubclass(kind, int | timedelta | NoneType):
        return str
    if issubclass(kind, SecretValue):
        return lambda thing: _text(thing.reveal())  # type: ignore[attr-defined]
    if issubclass(kind, AbstractSet):
        return _set
    if issubclass(kind, tuple | list):
        return _sequence
    if issubclass(kind, Mapping):
        return _mapping
    return _way_to_record(kind)


def _way_to_record(kind: type) -> Callable[[object], str]:
    if issubclass(kind, FIXED) or not is_dataclass(kind):
        return lambda thing: type(thing).__name__
    if not kind.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        return _record
    # What equal ones may differ in is described of each.
    is_compared = all(each.compare for each in fields(kind) if each.name not in IGNORED)
    return _equal_record if is_compared else _frozen_record


@lru_cache(maxsize=10_000)
def _text(text: str) -> str:
    return _NAME.sub(rf"{MARK}\g<0>{MARK}", text)


@cache
def _date(at: datetime) -> str:
    return _moment(at.timestamp())


def _moment(at: float) -> str:
    return f"{MARK}@{at:.0f}/{OLD}{MARK}"


def _number(thing: object) -> str:
    return _moment(thing) if isinstance(thing, float) and CLOCK < thing < inf else str(thing)


def _set(thing: object) -> str:
    parts = sorted(describe(item) for item in thing) if thing else ()  # type: ignore[attr-defined]
    return f"{{{','.join(parts)}}}"


def _sequence(thing: object) -> str:
    parts = [_way(type(item))(item) for item in thing]  # type: ignore[arg-type, attr-defined]
    return f"[{','.join(parts)}]"


def _mapping(thing: object) -> str:
    parts = [f"{name}={_item(name, item)}" for name, item in thing.items()]  # type: ignore[attr-defined]
    return f"({','.join(parts)})"


def _record(thing: object) -> str:
    if isinstance(thing, Rotation) and thing.vault_version is not None:
        return _fields(thing, is_bare=True)
    if isinstance(thing, Observation):
        rotation = thing.rotation
        if rotation is not None and rotation.vault_version is not None:
            return f"{_fields(thing, is_bare=True)}{_fields(thing.pending, is_bare=True)}"
    return _fields(thing)


def _fields(thing: object, *, is_bare: bool = False) -> str:
    kind = type(thing)
    parts = []
    for name, is_plain in _names(kind, is_bare):  # type: ignore[arg-type]  # a class is hashable
        if name in UNTIL and getattr(thing, UNTIL[name]) is not None:
            continue
        item = getattr(thing, name)
        parts.append(_way(type(item))(item) if is_plain else _item(name, item))  # type: ignore[arg-type]
    return f"{kind.__name__}({','.join(parts)})"


def _frozen_record(thing: object) -> str:
    return _told(thing, _record)


def _equal_record(thing: object) -> str:
    return _told(thing, _told_of_an_equal)


def _told_of_an_equal(thing: object) -> str:
    try:
        told = _EQUAL.get(thing)
    except TypeError:  # it holds something that cannot be hashed
        return _record(thing)
    if told is None:
        if len(_EQUAL) > _MOST_TOLD:
            _EQUAL.clear()
        told = _EQUAL[thing] = _record(thing)
    return told


def _told(thing: object, way: Callable[[object], str]) -> str:
    told = _TOLD.get(id(thing))
    if told and told[0] is thing:
        return told[1]
    if len(_TOLD) > _MOST_TOLD:
        _TOLD.clear()
    text = way(thing)
    _TOLD[id(thing)] = (thing, text)
    return text


@cache
def _names(kind: type, is_bare: bool) -> tuple[tuple[str, bool], ...]:  # noqa: FBT001  # cached
    """Return the fields of a record that count, and of each whether it is described as it is.

    Of a bare one, those that are moot or described apart do not.
    """
    moot = {*MOOT.get(kind, ()), *_APART.get(kind, ())} if is_bare else set()
    left_out = IGNORED | moot
    names = [each.name for each in fields(kind) if each.name not in left_out]
    return tuple((name, name not in ENOUGH and name not in OLDEST) for name in names)
