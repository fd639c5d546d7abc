"""What happens to an account next, and when; or what it waits for."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from rotator.model import Rotation, State, Step
from rotator.model.rotation import CLOCK
from rotator.reporting.condition import LATE
from rotator.reporting.status import AccountStatus
from rotator.reporting.text import span

_MINUTE = timedelta(minutes=1)
_DELETION = "deletion of the old secret"
#: What an account waits for that is not well; a rotation and its deletion wait for nothing else.
_WAITS = {
    State.BROKEN: "nothing until what is wrong is mended",
    State.DRIFTED: "nothing until what is wrong is mended",
    State.REFUSED: "nothing until an operator decides",
    State.UNMANAGED: "nothing until it is adopted",
}


@dataclass(frozen=True, kw_only=True)
class Next:
    """What happens to an account next or, if its time has come, what is the case."""

    text: str
    #: When it happens, or since when it is the case; None if unknown.
    at: datetime | None = None
    is_past: bool = False
    #: Whether its time has come and nobody has begun it.
    is_pending: bool = False


def next_of(status: AccountStatus) -> Next:
    """Return what happens next: of the open rotation, else when the next one begins."""
    summary, opened, now = status.summary, status.opened, status.now
    hold, trouble, deletion_at = summary.hold, summary.trouble, status.deletion_at
    if hold and (hold.freeze or not deletion_at):
        what = "the old secret stays" if deletion_at else "nothing"
        return _since(f"{what} while held", hold.at)
    if status.freeze and not deletion_at:
        return _since("nothing while a change freeze is on", status.freeze.since)
    if trouble and deletion_at:
        return _since(status.old_secret, trouble.since)
    if opened and deletion_at:
        return _next_deletion(status, opened, deletion_at)
    if status.next_try_at and status.next_try_at > now and (opened or status.is_due):
        waits = "waits for an operator, and " if trouble else ""
        return Next(
            text=f"{waits}next try {distance(status.next_try_at, now)}", at=status.next_try_at
        )
    if opened and status.condition.code == LATE:
        return _pending("rotation open", opened.opened_at, now)
    if opened:
        return _next_step(opened, now)
    if status.state in _WAITS:
        return _since(_WAITS[status.state], status.condition.since)
    if status.account.policy.is_on_request:
        return Next(text="a rotation only on request")
    return _next_rotation(status.due_from, now)


def is_awaited(status: AccountStatus) -> bool:
    """Return whether something happens to the account at a time that is known and to come."""
    found = next_of(status)
    return found.at is not None and not found.is_past


def _next_deletion(status: AccountStatus, rotation: Rotation, deletion_at: datetime) -> Next:
    now, retry_at = status.now, status.summary.retry_at
    if rotation.step is Step.PROVE:
        return _since("the deleted secret is tried until Vonage refuses it", rotation.deleted_at)
    if rotation.waiting and (gate := shut_gate(rotation)):
        counted = rotation.waiting.convergence
        found = f" ({counted.converged} of {counted.consumers} consumers)" if counted else ""
        return _since(f"{_DELETION} waits {gate}{found}", rotation.waiting.shut_since)
    if deletion_at <= now and retry_at and retry_at > now:
        return Next(text=f"{_DELETION} is tried again {distance(retry_at, now)}", at=retry_at)
    if deletion_at <= now:
        return _pending(f"{_DELETION} due", deletion_at, now)
    is_in_grace = rotation.delete_due_at is not None and now < rotation.delete_due_at
    place = ", after the change freeze" if status.freeze else ", in a window"
    return Next(
        text=f"{_DELETION} {distance(deletion_at, now)}{'' if is_in_grace else place}",
        at=deletion_at,
    )


def _next_step(rotation: Rotation, now: datetime) -> Next:
    opens_at = rotation.waiting.retry_at if rotation.waiting else None
    if opens_at and opens_at > now:
        return Next(text=f"goes on {distance(opens_at, now)}, in a window", at=opens_at)
    return _since("being rotated now", rotation.opened_at)


def _next_rotation(due_at: datetime | None, now: datetime) -> Next:
    if due_at is None:
        return Next(text="not known yet")
    if due_at <= now:
        return _pending("rotation due", due_at, now)
    return Next(text=f"rotation {distance(due_at, now)}", at=due_at)


def _pending(what: str, since: datetime, now: datetime) -> Next:
    return replace(_since(f"{what} for {_roughly(now - since)}", since), is_pending=True)


def _since(text: str, since: datetime | None) -> Next:
    return Next(text=text, at=since, is_past=True)


def shut_gate(rotation: Rotation) -> str | None:
    """Return which gate the deletion waits for; None where it waits for none."""
    gate = rotation.waiting.gate if rotation.waiting else None
    return "for the clock" if gate == CLOCK else f"for gate {gate}" if gate else None


def distance(at: datetime, now: datetime) -> str:
    """Return in words how far away a time is that is still to come."""
    return f"in {_roughly(at - now)}"


def elapsed(since: datetime, now: datetime) -> str:
    """Return in words how long ago a time was."""
    return _roughly(max(now - since, timedelta()))


def _roughly(length: timedelta) -> str:
    """Return a duration as people say it: days alone, once there are more than two."""
    if length.days > 2:  # noqa: PLR2004  # two days
        return f"{length.days}d"
    return span(length - length % _MINUTE if length >= _MINUTE else length)
