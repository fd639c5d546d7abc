"""One check, its result, and what to do about it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from rotator.errors import RotatorError
from rotator.model.times import rough_duration
from rotator.network import http_date


class Verdict(StrEnum):
    """The result of a check. Only a failed one fails the command."""

    OK = "ok"
    #: Works, and may be intended; worth a look.
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """One check of `rotator doctor`."""

    #: Subject of the check: `vault token`.
    name: str
    #: The account, path or file that it concerns; "" for the whole.
    about: str
    verdict: Verdict
    finding: str
    #: What to do; None where nothing needs to be done.
    hint: str | None = None


def fine(name: str, about: str, finding: str) -> CheckResult:
    """Build a check that passed."""
    return CheckResult(name=name, about=about, verdict=Verdict.OK, finding=finding)


def doubtful(name: str, about: str, finding: str, hint: str) -> CheckResult:
    """Build a warning: the setup works, but may not be what was intended."""
    return CheckResult(name=name, about=about, verdict=Verdict.WARNING, finding=finding, hint=hint)


def bad(name: str, about: str, finding: str, hint: str | None) -> CheckResult:
    """Build a check that failed."""
    return CheckResult(name=name, about=about, verdict=Verdict.FAILED, finding=finding, hint=hint)


def broken(name: str, about: str, error: RotatorError) -> CheckResult:
    """Build a failed check from an error, with the error's own hint."""
    return bad(name, about, error.message, error.hint)


#: The header has whole seconds, and the answer took its time.
TOLERANCE = timedelta(seconds=30)


def clock_check(server: str, date: str | None, now: datetime | None = None) -> CheckResult:
    """Compare `date`, a Date header, with `now`, by default the present time."""
    server_time = http_date(date)
    if server_time is None:
        return doubtful("clock", server, "its answers carry no time", "compare the clocks by hand")
    skew = (now or datetime.now(UTC)) - server_time
    if abs(skew) > TOLERANCE:
        way = "ahead of" if skew > timedelta() else "behind"
        finding = f"this machine's clock is {rough_duration(abs(skew))} {way} the server's"
        hint = "set the clock right (`timedatectl set-ntp true`)"
        return bad("clock", server, finding, hint)
    return fine("clock", server, "within half a minute")
