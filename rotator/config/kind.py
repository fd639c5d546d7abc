"""What a value may be, for keys of several tables.

Values are as typed as TOML makes them: "25" is no number.
"""

import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BeforeValidator

from rotator.config import path, url
from rotator.config.duration import duration, format_duration
from rotator.config.problem import Unfit

Ordered = TypeVar("Ordered", int, float, Decimal, timedelta)


def within(low: Ordered, high: Ordered) -> Callable[[Ordered], Ordered]:
    """Give what raises `Unfit` for a value outside these bounds, themselves within."""

    def check(value: Ordered) -> Ordered:
        if not low <= value <= high:
            raise Unfit(f"is not within {_plain(low)} to {_plain(high)}")
        return value

    return check


def at_least(low: Ordered) -> Callable[[Ordered], Ordered]:
    """Give what raises `Unfit` for a value below this bound."""

    def check(value: Ordered) -> Ordered:
        if not value >= low:
            raise Unfit(f"is less than {_plain(low)}")
        return value

    return check


def _plain(value: float | Decimal | timedelta) -> str:
    return format_duration(value) if isinstance(value, timedelta) else str(value)


def written_as(pattern: str, rule: str, text: str) -> str:
    """Give the text, or raise `Unfit` with `rule` where all of it does not match the pattern."""
    if not re.fullmatch(pattern, text):
        raise Unfit(rule)
    return text


def _field_name(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise Unfit("is empty or has control characters")
    if text == "rotator":
        raise Unfit("is the field where rotator keeps its own note")
    return text


Duration = Annotated[timedelta, BeforeValidator(duration)]
#: At least a second; for a duration that may be left out, too.
Some = AfterValidator(at_least(timedelta(seconds=1)))
Positive = Annotated[Duration, Some]
Timeout = Annotated[Duration, AfterValidator(within(timedelta(seconds=1), timedelta(minutes=5)))]
Patience = Annotated[Duration, AfterValidator(within(timedelta(), timedelta(minutes=10)))]
File = Annotated[Path | None, BeforeValidator(path.file_path)]
WebUrl = Annotated[str, AfterValidator(url.web_url)]
VaultPath = Annotated[str, AfterValidator(path.vault_path)]
FieldName = Annotated[str, AfterValidator(_field_name)]
ACCOUNT_NAME = r"[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9_-])?"
API_KEY = "[A-Za-z0-9]{1,64}"
Name = Annotated[
    str,
    AfterValidator(
        partial(
            written_as,
            ACCOUNT_NAME,
            "is no account name: at most 64 of a-z 0-9 . _ -, "
            "the first a letter or digit, the last no dot",
        )
    ),
]
ApiKey = Annotated[
    str,
    AfterValidator(partial(written_as, API_KEY, "is no api key: letters and digits, at most 64")),
]
