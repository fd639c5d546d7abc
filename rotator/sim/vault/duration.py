"""Durations as Vault reads and writes them, in whole seconds."""

import re

_UNITS = {"h": 3600, "m": 60, "s": 1, "d": 86400, "": 1}
_PART = re.compile(r"(\d+)([dhms]?)")


def seconds(value: object) -> int:
    """Read `90`, `"90"`, `"90s"` or `"1h30m"`.

    Raises:
        ValueError: it is no duration; the text is Vault's.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return int(value)
    if isinstance(value, str) and re.fullmatch(rf"(?:{_PART.pattern})+", value):
        return sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(value))
    if negative := re.fullmatch(r"(-\d+)[hms]?", str(value)):
        raise ValueError(f"cannot provide negative value '{negative[1]}'")
    raise ValueError(f'time: invalid duration "{value}"')


def written(total: int) -> str:
    """Write seconds as Go's `time.Duration` does: `0s`, `1m30s`, `768h0m0s`."""
    minutes, rest = divmod(total, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
