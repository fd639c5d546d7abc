"""Whether this machine's clock agrees with a server's, by the Date header of its answer."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from rotator.doctor.check import Check, bad, doubtful, fine

#: The header has whole seconds, and the answer took its time.
TOLERANCE = timedelta(seconds=30)


def check(server: str, date: str | None, now: datetime | None = None) -> Check:
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
