"""One check, its result, and what to do about it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from rotator.errors import RotatorError
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
    #: Hint on what to do; None where nothing needs to be done.
    cure: str | None = None


def fine(name: str, about: str, finding: str) -> CheckResult:
    """Build a check that passed."""
    return CheckResult(name=name, about=about, verdict=Verdict.OK, finding=finding)


def doubtful(name: str, about: str, finding: str, cure: str) -> CheckResult:
    """Build a warning: the setup works, but may not be what was intended."""
    return CheckResult(name=name, about=about, verdict=Verdict.WARNING, finding=finding, cure=cure)


def bad(name: str, about: str, finding: str, cure: str | None) -> CheckResult:
    """Build a check that failed."""
    return CheckResult(name=name, about=about, verdict=Verdict.FAILED, finding=finding, cure=cure)


def broken(name: str, about: str, error: RotatorError) -> CheckResult:
    """Build a failed check from an error, with the error's own hint."""
    return bad(name, about, error.message, error.hint)


#: The header has whole seconds, and the answer took its time.
TOLERANCE = timedelta(seconds=30)


def clock_check(server: str, date: str | None, now: datetime | None = None) -> CheckResult:
    """Compare `date`, a Date header, with `now`, by default the present time."""
    name, cure = "clock", "synchronise this machine's clock: timedatectl set-ntp true"
    server_time = http_date(date)
    if server_time is None:
        return doubtful(name, server, "it does not tell its time", "compare the clocks by hand")
    skew = (now or datetime.now(UTC)) - server_time
    seconds = round(skew.total_seconds())
    if abs(skew) > TOLERANCE:
        return bad(name, server, f"this machine is {seconds:+} s off", cure)
    return fine(name, server, "within half a minute")
