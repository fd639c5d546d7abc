"""What people read in place of an entry's facts; a fact may be missing, or anything else."""

from datetime import datetime, timedelta

from rotator.model.times import exact_duration, rfc3339


def secret(secret_id: str | None) -> str:
    """Return a secret by its id: `secret 5f9c…`, or `no secret`."""
    return f"secret {secret_id}" if secret_id else "no secret"


def grace_of(seconds: object) -> str:
    """Return a grace by its seconds: `a grace of 1d`, or `no grace`."""
    if not isinstance(seconds, int):
        return "no grace"
    try:
        length = timedelta(seconds=seconds)
    except OverflowError:
        return f"a grace of {seconds}s"
    return f"a grace of {exact_duration(length)}"


def version_of(number: int | None) -> str:
    """Return a version by its number: `version 3`, or `no version`."""
    return "no version" if number is None else f"version {number}"


def moment(at: datetime | None) -> str:
    """Return a time: `2026-11-23T07:28:00Z`, or `no time`."""
    if at is None:
        return "no time"
    try:
        return rfc3339(at)
    except OverflowError:
        # Beyond all years by UTC.
        return at.isoformat()
