from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rotator.model import Policy
from rotator.rotation import window
from tests.property.zones import CHANGES
from tests.support import samples

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
WALLS = st.builds(time, st.integers(0, 23), st.integers(0, 59))
DAYS = st.sampled_from(["", "sun ", "mon-fri ", "sat-mon ", "wed,sun ", "fri ", "sat "])


@st.composite
def windows(draw: st.DrawFn) -> str:
    """Write a window."""
    opens, closes = draw(WALLS), draw(WALLS)
    if opens == closes:
        return f"{draw(DAYS)}{opens:%H:%M}-24:00"
    return f"{draw(DAYS)}{opens:%H:%M}-{closes:%H:%M}"


def policy(*texts: str, zone: str = "UTC") -> Policy:
    """Make a policy with these windows."""
    return samples.policy(every=DAY, grace=timedelta(), timezone=zone, window=texts)


def shows(text: str, instant: datetime, zone: str) -> bool:
    """Whether a clock on the wall shows a time within: told by trying each day's window."""
    days, _, times = text.rpartition(" ")
    opens, closes = times.split("-")
    wall = instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    named = {
        "": "mon tue wed thu fri sat sun",
        "mon-fri": "mon tue wed thu fri",
        "sat-mon": "sat sun mon",
        "wed,sun": "wed sun",
    }.get(days, days)
    for back in (0, 1):
        day = wall.date() - back * DAY
        start = datetime.combine(day, time.fromisoformat(opens))
        end = datetime.combine(day, time.fromisoformat(closes.replace("24:00", "00:00")))
        end += DAY if end <= start else timedelta()
        if f"{day:%a}".lower() in named and start <= wall < end:
            return True
    return False


@pytest.mark.slow
@settings(max_examples=150)
@given(
    change=st.sampled_from(CHANGES),
    offset=st.integers(-36 * 60, 36 * 60),
    texts=st.lists(windows(), min_size=1, max_size=2),
)
@example(change=CHANGES[1], offset=0, texts=["02:15-02:45"])
@example(change=CHANGES[1], offset=0, texts=["02:15-04:00"])
@example(change=CHANGES[2], offset=40, texts=["01:00-02:30"])
@example(change=CHANGES[2], offset=20, texts=["sun 02:15-02:30"])
@example(change=CHANGES[7], offset=-600, texts=["fri 00:00-24:00"])
@example(change=CHANGES[0], offset=0, texts=["sun 02:00-05:00"])
def test_a_window_opens_when_the_clocks_show_it(
    change: tuple[str, date], offset: int, texts: list[str]
) -> None:
    """The opening is the first minute from then on that any window's clock shows, no other."""
    zone, day = change
    at = datetime.combine(day, time(0), tzinfo=UTC) + offset * MINUTE
    opening = window.opens_at(policy(*texts, zone=zone), at)
    first = at
    while first < opening and not any(shows(text, first, zone) for text in texts):
        first += MINUTE

    assert opening == first
    assert opening - at <= timedelta(days=14)
    assert any(shows(text, opening, zone) for text in texts)


@given(
    texts=st.lists(windows(), max_size=3),
    change=st.sampled_from(CHANGES),
    seconds=st.floats(-3e6, 3e6),
)
def test_an_opening_is_open(texts: list[str], change: tuple[str, date], seconds: float) -> None:
    """To ask again at an opening gives the same; to ask in between does as well."""
    zone, day = change
    at = datetime.combine(day, time(0), tzinfo=UTC) + timedelta(seconds=seconds)
    one = policy(*texts, zone=zone)
    opening = window.opens_at(one, at)

    assert opening >= at
    assert opening.tzinfo is UTC
    assert window.opens_at(one, opening) == opening
    assert window.opens_at(one, at + (opening - at) / 2) == opening


def test_without_a_window_it_is_always_open() -> None:
    """A policy that names none keeps nothing waiting."""
    now = datetime(2026, 11, 23, 7, 28, tzinfo=ZoneInfo("Asia/Tokyo"))

    assert window.opens_at(policy(), now) == now


@pytest.mark.parametrize(
    ("text", "at", "opening"),
    [
        # A Monday.
        ("sun 02:00-05:00", "2026-11-23T07:28", "2026-11-29T02:00"),
        ("mon-fri 22:00-04:00", "2026-11-23T07:28", "2026-11-23T22:00"),
        # The night after Friday belongs to Friday, the one after Sunday to nobody.
        ("mon-fri 22:00-04:00", "2026-11-28T03:59", "2026-11-28T03:59"),
        ("mon-fri 22:00-04:00", "2026-11-28T04:00", "2026-11-30T22:00"),
        ("mon-fri 22:00-04:00", "2026-11-23T03:00", "2026-11-23T22:00"),
        ("SAT-Mon 00:00-24:00", "2026-11-24T00:00", "2026-11-28T00:00"),
        ("23:00-24:00", "2026-11-23T07:28", "2026-11-23T23:00"),
        ("wed,fri 01:00-02:00", "2026-11-25T02:00", "2026-11-27T01:00"),
    ],
)
def test_what_a_window_means(text: str, at: str, opening: str) -> None:
    """Days are those on which it opens; its end is outside."""
    when = datetime.fromisoformat(at).replace(tzinfo=UTC)
    found = window.opens_at(policy(text.lower()), when)

    assert found.strftime("%Y-%m-%dT%H:%M") == opening


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "is not a window"),
        ("sunday 02:00-05:00", "none of mon"),
        ("son 02:00-05:00", "none of mon"),
        ("mon- 02:00-05:00", "none of mon"),
        ("sun 2:00-5:00", "is not a window"),
        ("sun 02:00", "is not a window"),
        ("02:60-05:00", "is not a window"),
        ("24:00-05:00", "no day has"),
        ("02:00-24:01", "no day has"),
        ("02:00-02:00", "begins when it ends"),
    ],
)
def test_what_is_no_window(text: str, rule: str) -> None:
    """It is said what is wrong with it."""
    with pytest.raises(ValueError, match=rule):
        window.parse(text)
