"""When an account is due. Pure: takes the time, and draws no chance.

Cron expressions are evaluated by cronsim, which follows Debian's cron over changes of daylight
saving time: a fixed time that is skipped runs at once, one that comes twice runs once. With a
`*` as minute or hour, an expression follows the hours that pass.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

from rotator.model import Account
from rotator.rotation import window

#: First and longest wait after failures in a row.
FIRST_BACKOFF, LONGEST_BACKOFF = timedelta(minutes=5), timedelta(hours=6)
#: Nothing is tried again later than this: a time beyond was told by a clock that was ahead.
LONGEST_RETRY = LONGEST_BACKOFF * 5 / 4
#: Likewise while Vonage or Vault does not answer: to find it back soon, without a storm.
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=1), timedelta(minutes=5)
#: Likewise between two tries to reach a hook.
FIRST_HOOK_BACKOFF, LONGEST_HOOK_BACKOFF = timedelta(seconds=30), timedelta(hours=1)
LONGEST_HOOK_RETRY = LONGEST_HOOK_BACKOFF * 5 / 4


def next_due(account: Account, created_at: datetime) -> datetime:
    """Return when an account is due whose current secret was made then, with its jitter (UTC).

    Depends on nothing else than the secret's creation, the policy and the account's name. The
    jitter is spread over accounts and occasions. The due time is in one of the policy's windows;
    what comes due while they are closed is spread over the next one.
    """
    policy = account.policy
    if policy.cron is not None:
        base = _next_time(policy.cron, created_at.astimezone(ZoneInfo(policy.timezone)))
    else:
        base = created_at.astimezone(UTC) + (policy.every or timedelta())
    delay = _fraction(f"{account.name} {base.isoformat()}") * policy.jitter
    opening = window.opens_at(policy, base + delay)
    if opening == base + delay or window.opens_at(policy, opening + delay) != opening + delay:
        return opening
    return opening + delay


def _next_time(cron: str, local: datetime) -> datetime:
    """Return the first time of `cron` after `local`, but not the one that `local` was made for.

    Where Vonage's clock is behind, a secret that is made for three o'clock is dated a moment before
    it, and would be due again at once.
    """
    times = (time.astimezone(UTC) for time in CronSim(cron, local) if _exists(time))
    first, second = next(times), next(times)
    is_meant_for_it = first - local < min(_MOMENT, (second - first) / 2)
    return second if is_meant_for_it else first


#: Clocks that differ by less are taken to agree; see `rotator.vonage.response`.
_MOMENT = timedelta(minutes=2)


def _exists(local: datetime) -> bool:
    """Whether clocks show that time; cronsim may give a midnight that they skip.

    It does so only on its way from another day to a `*`, as if there were such an hour.
    """
    shown = local.astimezone(UTC).astimezone(local.tzinfo)
    return shown.replace(tzinfo=None) == local.replace(tzinfo=None)


def backoff(failures: int) -> timedelta:
    """Give the wait before the next try after `failures` failures in a row, at least one."""
    return _doubled(FIRST_BACKOFF, failures, LONGEST_BACKOFF)


def pause(failures: int) -> timedelta:
    """Give the wait before something that is away is asked again, after `failures` in a row."""
    return _doubled(FIRST_PAUSE, failures, LONGEST_PAUSE)


def retry_at(name: str, failures: int, now: datetime) -> datetime:
    """Give when account `name` is tried again after its latest of `failures` failures in a row.

    Up to a quarter is added to the wait, so that accounts that failed together part.
    """
    wait = backoff(failures)
    return now + wait + _fraction(f"{name} {now.isoformat()}") * wait / 4


def delivery_retry_at(delivery_id: str, attempts: int, now: datetime) -> datetime:
    """Give when a delivery is tried again after `attempts` that failed, at least one.

    Up to a quarter is added, as for accounts.
    """
    wait = _doubled(FIRST_HOOK_BACKOFF, attempts, LONGEST_HOOK_BACKOFF)
    return now + wait + _fraction(f"{delivery_id} {now.isoformat()}") * wait / 4


def _doubled(first: timedelta, times: int, longest: timedelta) -> timedelta:
    return min(first * (1 << max(0, min(times - 1, 16))), longest)


def next_check(name: str, seen_at: datetime, *, interval: timedelta) -> datetime:
    """Give when account `name`, last seen at `seen_at`, is to be looked at again.

    Each account has a moment of its own in every `interval`, so that all of them together are
    spread over it.
    """
    start = _EPOCH + _fraction(name) * interval
    return start + ((seen_at - start) // interval + 1) * interval


def is_check_due(
    name: str, seen_at: datetime | None, *, interval: timedelta, now: datetime
) -> bool:
    """Whether `next_check` has come. An account that was never seen is looked at now.

    So is one that was seen only later, by a clock that was ahead.
    """
    if seen_at is None or seen_at > now:
        return True
    return next_check(name, seen_at, interval=interval) <= now


_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def _fraction(seed: str) -> float:
    """Spread `seed` evenly over 0 to 1."""
    digest = hashlib.sha256(seed.encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64
