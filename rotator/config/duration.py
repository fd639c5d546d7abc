"""Durations as an operator writes them: one whole number and one unit."""

import re
from datetime import timedelta

from rotator.config.problem import Unfit
from rotator.errors import ConfigError

#: Seconds in each unit, the largest first.
UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}

#: Nothing here is meant to last a century, and sums with a date must not overflow.
LONGEST = timedelta(days=36500)

HOW_TO_WRITE = "write one number and one unit: 90s, 15m, 24h or 30d"


def parse_duration(text: str) -> timedelta:
    """Read `90s`, `15m`, `24h` or `30d`.

    Raises:
        ConfigError: `text` is none of these, or longer than 36500d.
    """
    try:
        return duration(text)
    except Unfit as unfit:
        reason, hint = str(unfit), unfit.hint
    raise ConfigError(f"{text!r} {reason}", hint=hint)


def format_duration(duration: timedelta) -> str:
    """Write a duration in the largest unit that divides it; fractions of a second are dropped."""
    seconds = duration // timedelta(seconds=1)
    if seconds == 0:
        return "0s"
    unit = next(unit for unit, size in UNITS.items() if seconds % size == 0)
    return f"{seconds // UNITS[unit]}{unit}"


def duration(value: object) -> timedelta:
    """Turn a value of the file into a duration, or raise `Unfit`."""
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"([0-9]{1,12})([dhms])", value) if isinstance(value, str) else None
    if match is None:
        raise Unfit("is not a duration", hint=HOW_TO_WRITE)
    seconds = int(match[1]) * UNITS[match[2]]
    if seconds > LONGEST.total_seconds():
        raise Unfit(f"is longer than {format_duration(LONGEST)}")
    return timedelta(seconds=seconds)
