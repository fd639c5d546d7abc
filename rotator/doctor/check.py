"""One thing that was looked at, and what to do about it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum

from rotator.errors import RotatorError


class Verdict(StrEnum):
    """How a check came out. Only a failed one fails the examination."""

    OK = "ok"
    #: Works, and may be meant; worth a look.
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One row of the examination."""

    #: What was looked at: `vault token`.
    name: str
    #: The account, path or file that it is about; "" for the whole.
    about: str
    verdict: Verdict
    finding: str
    #: What to do; None where nothing is to be done.
    cure: str | None = None


def fine(name: str, about: str, finding: str) -> Check:
    """Give a check that found all as it should be."""
    return Check(name=name, about=about, verdict=Verdict.OK, finding=finding)


def doubtful(name: str, about: str, finding: str, cure: str) -> Check:
    """Give a check that found what works and may not be meant."""
    return Check(name=name, about=about, verdict=Verdict.WARNING, finding=finding, cure=cure)


def bad(name: str, about: str, finding: str, cure: str | None) -> Check:
    """Give a check that failed."""
    return Check(name=name, about=about, verdict=Verdict.FAILED, finding=finding, cure=cure)


def broken(name: str, about: str, error: RotatorError) -> Check:
    """Give a check that could not be made, or failed with an error that has its own hint."""
    return bad(name, about, error.message, error.hint)


#: The header has whole seconds, and the answer took its time.
TOLERANCE = timedelta(seconds=30)


def clock_check(server: str, date: str | None, now: datetime | None = None) -> Check:
    """Compare `date`, as the header has it, with `now`, the present time by default."""
    name, cure = "clock", "synchronise this machine's clock: timedatectl set-ntp true"
    try:
        told = parsedate_to_datetime(date or "")
    except (ValueError, TypeError, IndexError, OverflowError):
        return doubtful(name, server, "it does not tell its time", "compare the clocks by hand")
    skew = (now or datetime.now(UTC)) - (told if told.tzinfo else told.replace(tzinfo=UTC))
    seconds = round(skew.total_seconds())
    if abs(skew) > TOLERANCE:
        return bad(name, server, f"this machine is {seconds:+} s off", cure)
    return fine(name, server, "within half a minute")
