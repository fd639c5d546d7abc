"""When an account may be worked on: windows in local time, and change freezes. Pure.

A window is a time of day on some days of the week: `sun 02:00-05:00`, `mon-fri 22:00-04:00` (the
days on which it opens; it closes the following night), `02:00-05:00` (every day). Local time in its
zone counts. An hour that occurs twice is inside twice. One that the clocks skip does not exist, so
that a window within it opens the next time: the promise is that nothing happens outside of a
window.

A change freeze closes all windows from one instant to another. What an operator asks for passes
windows, and no freeze, unless a secret leaked.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from rotator.model import Freeze, Policy, Rotation

#: In the order of `datetime.weekday`.
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
#: Reasons of rotations that an operator requested, which start at once.
BY_HAND = ("asked", "compromised")
#: The reason of those that replace a secret that leaked.
LEAKED = "compromised"

_MINUTES = 24 * 60
_DAY, _SECOND = timedelta(days=1), timedelta(seconds=1)
#: Number of openings to look ahead: each window opens once a week, unless the clocks skip it.
_HORIZON = 16


@dataclass(frozen=True, kw_only=True)
class Window:
    """A time of day on some days of the week."""

    #: The days on which it opens, 0 for Monday.
    days: frozenset[int]
    #: Minute of the day at which it opens.
    opens: int
    #: Minute of the day at which it closes, exclusive; of the next day where it is not after
    #: `opens`.
    closes: int

    def has(self, local: datetime) -> bool:
        """Return whether the local time `local` is inside."""
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if self.opens < self.closes:
            return day in self.days and self.opens <= minute < self.closes
        if minute >= self.opens:
            return day in self.days
        return minute < self.closes and (day - 1) % len(DAYS) in self.days


@lru_cache(maxsize=1024)
def parse(text: str) -> Window:
    """Parse a window.

    Raises:
        ValueError: it is not a window; the text continues a sentence that begins with the window.
    """
    match = re.fullmatch(
        r"(?:([a-z,-]+) )?([0-9]{2}):([0-5][0-9])-([0-9]{2}):([0-5][0-9])", text.lower()
    )
    if match is None:
        raise ValueError("is not a window")
    opens = int(match[2]) * 60 + int(match[3])
    closes = int(match[4]) * 60 + int(match[5])
    if opens >= _MINUTES or closes > _MINUTES:
        raise ValueError("has a time that no day has")
    if opens == closes:
        raise ValueError("begins when it ends")
    return Window(days=frozenset(_days(match[1])), opens=opens, closes=closes)


def opens_at(policy: Policy, at: datetime) -> datetime:
    """Return the first instant from `at` on that is in a window and in no change freeze (UTC).

    Without a window, the policy has one that never closes.
    """
    opening = _window_opens_at(policy, thaws_at(policy, at))
    while (thawing := thaws_at(policy, opening)) != opening:
        opening = _window_opens_at(policy, thawing)
    return opening


def thaws_at(policy: Policy, at: datetime) -> datetime:
    """Return the first instant from `at` on that is in no change freeze (UTC)."""
    while freeze := freeze_at(policy, at):
        at = freeze.until
    return at.astimezone(UTC)


def freeze_at(policy: Policy, at: datetime) -> Freeze | None:
    """Return the change freeze that `at` is in, of several the one that lasts longest."""
    found = (freeze for freeze in policy.freezes if freeze.has(at))
    return max(found, key=lambda freeze: freeze.until, default=None)


def _window_opens_at(policy: Policy, at: datetime) -> datetime:
    windows = [parse(text) for text in policy.window]
    zone = ZoneInfo(policy.timezone)
    if not windows or _is_in(windows, at.astimezone(zone)):
        return at.astimezone(UTC)
    openings = _openings(windows, at, zone)
    return min(
        instant
        for instant in (*openings, *clock_changes(at, zone))
        if instant >= at and _is_in(windows, instant.astimezone(zone))
    )


def delayed(opens: Callable[[datetime], datetime], base: datetime, delay: timedelta) -> datetime:
    """Return when to do what is due at `base`, delayed, and put off to a window where `opens` does.

    `opens` returns the first instant from one on that is in a window. What is put off is delayed
    after the opening again, if the window is that long.
    """
    opening = opens(base + delay)
    if opening == base + delay or opens(opening + delay) != opening + delay:
        return opening
    return opening + delay


def deletion_at(policy: Policy, rotation: Rotation) -> datetime | None:
    """Return when the predecessor of `rotation` is to be deleted; None before it is verified.

    If an operator asked for no grace, the deletion does not wait for a window either, and that of a
    leaked secret for nothing.
    """
    due = rotation.delete_due_at
    if due is None or rotation.grace or rotation.reason not in BY_HAND:
        return due and opens_at(policy, due)
    return due if rotation.reason == LEAKED else thaws_at(policy, due)


def _days(text: str | None) -> Iterator[int]:
    """Parse the days of a window: names and ranges, which may wrap around the week's end."""
    for part in (text or "mon-sun").split(","):
        first, dash, last = part.partition("-")
        last = last if dash else first
        if {first, last} - set(DAYS):
            raise ValueError(f"names a day that is none of {' '.join(DAYS)}")
        start, end = DAYS.index(first), DAYS.index(last)
        yield from (day % len(DAYS) for day in range(start, end + 1 + 7 * (end < start)))


def _is_in(windows: list[Window], local: datetime) -> bool:
    return any(window.has(local) for window in windows)


def _openings(windows: list[Window], at: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """Yield the instants at which each window may open: twice where an hour comes twice."""
    today = at.astimezone(zone).date()
    for minute in {window.opens for window in windows}:
        wall = time(minute // 60, minute % 60, tzinfo=zone)
        for day in (today + number * _DAY for number in range(-1, _HORIZON)):
            for fold in (0, 1):
                yield datetime.combine(day, wall.replace(fold=fold)).astimezone(UTC)


def clock_changes(
    at: datetime, zone: ZoneInfo, *, days: int = _HORIZON, step: int = 1
) -> Iterator[datetime]:
    """Yield the clock changes, which may lead from outside a window into it.

    Of several within `step` days that cancel each other out, none is found.
    """
    start = at.astimezone(UTC).replace(microsecond=0)
    for number in range(0, days, step):
        low, high = start + number * _DAY, start + (number + step) * _DAY
        before = low.astimezone(zone).utcoffset()
        if before == high.astimezone(zone).utcoffset():
            continue
        while high - low > _SECOND:
            middle = low + (high - low) // (2 * _SECOND) * _SECOND
            is_before = middle.astimezone(zone).utcoffset() == before
            low, high = (middle, high) if is_before else (low, middle)
        yield high
