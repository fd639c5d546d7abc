"""`[[freeze]]`: times in which nothing begins and nothing is deleted, and what they apply to."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from rotator.config.errors import ConfigProblem, InvalidValue, Located, did_you_mean
from rotator.config.types import Patterns, Table, form
from rotator.model import Freeze
from rotator.model.actor import LONGEST

#: A longer pause is a hold, which somebody ends. It also keeps sums with a time from overflowing.
MOST = timedelta(days=366)
_YEARS = range(2000, 3000)
_HOW_TO_WRITE = "write a date, a time and its offset: 2026-12-18T18:00:00+01:00, or Z for UTC"


def _instant(value: object) -> datetime:
    """Accept a date-time of TOML, or its text, that has an offset."""
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        at = None
    if not isinstance(at, datetime):
        raise InvalidValue("is not a date with a time", hint=_HOW_TO_WRITE)
    if at.tzinfo is None:
        raise InvalidValue("has no offset from UTC", hint=_HOW_TO_WRITE)
    if at.year not in _YEARS:
        raise InvalidValue("is not within the years 2000 to 2999", hint=_HOW_TO_WRITE)
    return at.astimezone(UTC)


def _reason(text: str) -> str:
    text = text.strip()
    if not text or not text.isprintable() or len(text) > LONGEST:
        raise InvalidValue(f"is not one line of 1 to {LONGEST} printable characters")
    return text


_REASON_FORM = rf"\s*\S([^\x00-\x1f]{{0,{LONGEST - 2}}}\S)?\s*"

#: A text of ISO 8601 with a time and an offset.
_TEXT = r"^2[0-9]{3}-?(W[0-9]{2}(-?[0-9])?|[0-9]{2}-?[0-9]{2}).[0-9:.,]+(Z|[+-][0-9:.]+)$"

#: A date-time of TOML is a text of that format to a validator of JSON.
Instant = Annotated[
    datetime,
    BeforeValidator(_instant),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "date-time", "pattern": "^2"},
                {"type": "string", "pattern": _TEXT},
            ]
        }
    ),
]


class FreezeTable(Table):
    """`[[freeze]]`: a change freeze of all accounts, or of some."""

    since: Instant = Field(alias="from")
    until: Instant = Field(alias="to")
    reason: Annotated[str, AfterValidator(_reason), form(_REASON_FORM)]
    #: Patterns for the names of accounts, of which one must match.
    accounts: Annotated[Patterns, Field(json_schema_extra={"minItems": 1})] = ("*",)

    def freezes(self, name: str) -> bool:
        """Return whether it applies to the account of that name."""
        return any(fnmatchcase(name, pattern) for pattern in self.accounts)


def freezes_of(name: str, tables: Iterable[FreezeTable]) -> tuple[Freeze, ...]:
    """Return the change freezes of the account of that name, by their beginnings."""
    found = (
        Freeze(since=table.since, until=table.until, reason=table.reason)
        for table in tables
        if table.freezes(name)
    )
    return tuple(sorted(found, key=lambda freeze: (freeze.since, freeze.until)))


def freeze_problems(
    freezes: Sequence[Located[FreezeTable]], accounts: Iterable[str], *, is_discovering: bool
) -> Iterator[ConfigProblem]:
    """Yield the problems of change freezes; `accounts` are the names of all accounts of the file.

    If `is_discovering`, there are others, so that a pattern may match none of these.
    """
    accounts = list(accounts)
    for freeze in freezes:
        place, table = freeze.place, freeze.table
        if table.until <= table.since:
            yield place.problem("to", "is not after from")
        elif table.until - table.since > MOST:
            hint = "`rotator hold --all --reason TEXT` pauses accounts until somebody releases them"
            yield place.problem("to", f"is more than {MOST.days} days after from", hint)
        if not table.accounts:
            hint = "name some, or leave the key out for all accounts"
            yield place.problem("accounts", "is empty, so nothing would be frozen", hint)
        for pattern in table.accounts:
            is_matched = any(fnmatchcase(name, pattern) for name in accounts)
            if not is_matched and not is_discovering:
                what = f"{pattern!r} matches no account{did_you_mean(pattern, accounts)}"
                yield place.problem("accounts", what)
