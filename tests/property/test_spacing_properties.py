from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise, takewhile

from hypothesis import given, settings
from hypothesis import strategies as st

from rotator.model import Policy
from rotator.rotation import schedule, window
from rotator.rotation.spacing import extremes, is_kept_by_far
from tests.support import samples

HOUR, DAY, TICK = timedelta(hours=1), timedelta(days=1), timedelta(microseconds=1)
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
EVERY = st.sampled_from([12, 24, 5 * 24, 7 * 24, 30 * 24, 90 * 24]).map(lambda hours: hours * HOUR)
CRONS = st.sampled_from(
    [
        "0 3 * * *",
        "30 2 * * *",
        "0 3 * * sun",
        "0 */6 * * *",
        "0 3 1,15 * *",
        "15 4 1 * *",
        "0 3 31 * *",
        "0 0 1 1,7 *",
        "0 3 * * mon-fri",
    ]
)
WINDOWS = st.sampled_from(
    [
        (),
        ("sun 02:00-05:00",),
        ("sun 02:15-02:45",),
        ("mon-fri 22:00-04:00",),
        ("02:00-05:00",),
        ("sat 22:00-24:00", "wed 10:00-10:30"),
    ]
)
JITTERS = st.sampled_from([0, 1, 60, 120, 600, 26 * 60]).map(lambda minutes: minutes * HOUR / 60)
GRACES = st.sampled_from([0, 1, 20, 23, 24, 48, 13 * 24]).map(lambda hours: hours * HOUR)
STARTS = st.datetimes(
    datetime(2027, 1, 1),  # noqa: DTZ001  # hypothesis adds the zone
    datetime(2030, 10, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
#: The jitter of an occasion, which for some name is as short or as long as it gets.
FRACTIONS = st.just(0.0) | st.just(1.0) | st.floats(0, 1)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Write a policy whose `every` and `cron` configuration would take."""
    cron = draw(st.none() | CRONS)
    return samples.policy(
        every=None if cron else draw(EVERY),
        cron=cron,
        timezone=draw(ZONES),
        jitter=draw(JITTERS),
        window=draw(WINDOWS),
    )


def due(policy: Policy, created_at: datetime, fraction: float) -> datetime:
    """Return when a secret is due, of an account to whose name such a jitter falls."""
    delay = min(fraction * policy.jitter, max(timedelta(), policy.jitter - TICK))
    opens_at = partial(window.opens_at, policy)
    return window.delayed(opens_at, schedule.undelayed(policy, created_at), delay)


@settings(max_examples=300, deadline=None)
@given(
    policy=policies(),
    start=STARTS,
    fractions=st.lists(FRACTIONS, min_size=2, max_size=60),
    grace=GRACES,
)
def test_a_policy_that_is_accepted_is_kept(
    policy: Policy, start: datetime, fractions: list[float], grace: timedelta
) -> None:
    """An ideal rotator never leaves the bounds, so what these allow is never broken.

    Nor does the deletion after a grace that they allow come after the next rotation.
    """
    bound, longest = extremes(policy)
    shortest = bound.total if bound else policy.every or DAY
    made = due(policy, start, fractions[0])
    times = [made, *(made := due(policy, made, fraction) for fraction in fractions[1:])]

    spacious = replace(policy, grace=grace, max_age=longest.total)
    assert not is_kept_by_far(spacious)
    if is_kept_by_far(replace(spacious, max_age=100 * longest.total)):
        assert grace < shortest

    for earlier, later in takewhile(lambda pair: pair[0] < start + 366 * DAY, pairwise(times)):
        assert shortest <= later - earlier <= longest.total
        if grace < shortest:
            assert window.opens_at(policy, earlier + grace) <= later


@settings(max_examples=100, deadline=None)
@given(policy=policies())
def test_a_policy_that_is_refused_is_broken(policy: Policy) -> None:
    """Each bound is reached: by a secret that was made when it was due, and by its successor."""
    for bound in filter(None, extremes(policy)):
        made, opens_at = bound.created_at, partial(window.opens_at, policy)
        base = schedule.undelayed(policy, made)
        was_due = made - bound.late

        assert opens_at(made) == made
        assert window.delayed(opens_at, base, bound.jitter) - made == bound.total
        assert timedelta() <= bound.jitter <= max(timedelta(), policy.jitter - TICK)
        if policy.cron:
            assert was_due == schedule.undelayed(policy, was_due - timedelta(minutes=3))
            assert was_due <= made <= opens_at(was_due + policy.jitter) + policy.jitter
