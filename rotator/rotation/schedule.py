"""When an account is due. Pure: the time is an argument, and nothing is random.

Cron expressions are evaluated by cronsim, which follows Debian's cron over changes of daylight
saving time: a fixed time that is skipped runs at once, one that occurs twice runs once. With a
`*` as minute or hour, an expression runs by elapsed time.
"""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import dropwhile
from zoneinfo import ZoneInfo

from cronsim import CronSim

from rotator.model import Account, Policy
from rotator.model.retry import Backoff
from rotator.rotation import window

#: First and longest wait after consecutive failures.
FIRST_BACKOFF, LONGEST_BACKOFF = timedelta(minutes=5), timedelta(hours=6)
#: Maximum time to the next try: a later recorded time came from a clock that was ahead.
LONGEST_RETRY = LONGEST_BACKOFF * 5 / 4
#: Likewise while Vonage or Vault is unreachable: to recover soon, without a storm of requests.
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=1), timedelta(minutes=5)
#: Likewise between two tries to call a hook.
FIRST_HOOK_BACKOFF, LONGEST_HOOK_BACKOFF = timedelta(seconds=30), timedelta(hours=1)
LONGEST_HOOK_RETRY = LONGEST_HOOK_BACKOFF * 5 / 4


def next_due(account: Account, created_at: datetime) -> datetime | None:
    """Return when an account is due whose current secret was created at `created_at` (UTC).

    None for one that is rotated on request only.

    Depends only on the secret's creation time, the policy and the account's name, which sets the
    jitter; that is spread over accounts and occasions. The due time is in one of the policy's
    windows; accounts that become due while they are closed are spread over the next one.
    """
    policy = account.policy
    if policy.is_on_request:
        return None
    base = undelayed(policy, created_at)
    delay = _fraction(f"{account.name} {base.isoformat()}") * policy.jitter
    return window.delayed(partial(window.opens_at, policy), base, delay)


def undelayed(policy: Policy, created_at: datetime) -> datetime:
    """Return when a secret is due by `every` or `cron`, without jitter and windows (UTC)."""
    if policy.cron is not None:
        return _next_time(policy.cron, created_at.astimezone(ZoneInfo(policy.timezone)))
    return created_at.astimezone(UTC) + (policy.every or timedelta())


def _next_time(cron: str, local: datetime) -> datetime:
    """Return the first time of `cron` after `local`, excluding the one that caused `local`.

    Where Vonage's clock is behind, a secret created for three o'clock is dated just before it, and
    would be due again at once.
    """
    times = occurrences(cron, local)
    first, second = next(times), next(times)
    return second if first - local < moment_before(first, second) else first


def occurrences(cron: str, local: datetime) -> Iterator[datetime]:
    """Yield the times of `cron` after `local`, whose zone it refers to (UTC).

    In the second of two equal hours, cronsim begins with the fixed times of the first one.
    """
    times = (time.astimezone(UTC) for time in CronSim(cron, local) if _exists(time))
    minute, hour, *_ = cron.split()
    if not local.fold or minute.startswith("*") or hour.startswith("*"):
        return times
    return dropwhile(local.astimezone(UTC).__ge__, times)


def moment_before(first: datetime, second: datetime) -> timedelta:
    """Return how shortly before `first` a secret is still meant for it, and due at `second`."""
    return min(MOMENT, (second - first) / 2)


#: Clocks that differ by less are treated as equal; see `rotator.vonage.response`.
MOMENT = timedelta(minutes=2)


def _exists(local: datetime) -> bool:
    """Return whether that local time exists; cronsim may return a midnight that clocks skip.

    It does so only when it advances from another day to a `*` hour, as if the hour existed.
    """
    shown = local.astimezone(UTC).astimezone(local.tzinfo)
    return shown.replace(tzinfo=None) == local.replace(tzinfo=None)


def backoff(failures: int) -> timedelta:
    """Return the wait before the next try after `failures` failures in a row, at least one."""
    return Backoff(FIRST_BACKOFF, LONGEST_BACKOFF).after(failures)


def pause(failures: int) -> timedelta:
    """Return the wait before an unavailable service is asked again, after `failures` in a row."""
    return Backoff(FIRST_PAUSE, LONGEST_PAUSE).after(failures)


def retry_at(name: str, failures: int, now: datetime) -> datetime:
    """Return when to retry account `name` after the latest of `failures` failures in a row.

    Up to a quarter is added to the wait, so that accounts that failed together spread out.
    """
    wait = backoff(failures)
    return now + wait + _fraction(f"{name} {now.isoformat()}") * wait / 4


def delivery_retry_at(delivery_id: str, attempts: int, now: datetime) -> datetime:
    """Return when to retry a delivery after `attempts` failed attempts, at least one.

    Up to a quarter is added, as for accounts.
    """
    wait = Backoff(FIRST_HOOK_BACKOFF, LONGEST_HOOK_BACKOFF).after(attempts)
    return now + wait + _fraction(f"{delivery_id} {now.isoformat()}") * wait / 4


def next_check(name: str, seen_at: datetime, *, interval: timedelta) -> datetime:
    """Return when to look again at account `name`, last seen at `seen_at`.

    Each account has its own moment within every `interval`, so that observations are spread
    evenly over it.
    """
    start = _EPOCH + _fraction(name) * interval
    return start + ((seen_at - start) // interval + 1) * interval


_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def _fraction(seed: str) -> float:
    """Map `seed` evenly to 0 to 1."""
    digest = hashlib.sha256(seed.encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64
