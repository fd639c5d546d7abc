import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.vonage.client import RateLimit
from tests.support.clock import FakeTimer


def test_a_burst_of_one_second_goes_at_once() -> None:
    """A bucket starts with what a second brings; the next has to wait its share."""
    clock = FakeTimer()
    limit = RateLimit(5, clock=clock, sleep=clock.sleep)
    for _ in range(6):
        limit.acquire()

    assert clock.slept == [pytest.approx(0.2)]


def test_less_than_one_a_second() -> None:
    """A rate below one still lets the first through at once."""
    clock = FakeTimer()
    limit = RateLimit(0.1, clock=clock, sleep=clock.sleep)
    limit.acquire()
    limit.acquire()

    assert clock.slept == [pytest.approx(10)]


def test_idle_time_is_saved_up_to_the_burst_only() -> None:
    """An hour's silence allows one second's requests at once, no more."""
    clock = FakeTimer()
    limit = RateLimit(2, clock=clock, sleep=clock.sleep)
    limit.acquire()
    clock.now += 3600
    for _ in range(3):
        limit.acquire()

    assert clock.slept == [pytest.approx(0.5)]


def test_those_who_wait_do_not_get_the_same_token() -> None:
    """Threads that ask at the same instant wait longer one after the other."""
    clock = FakeTimer()
    waits: list[float] = []
    limit = RateLimit(1, clock=clock, sleep=waits.append)
    threads = [threading.Thread(target=limit.acquire) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(waits) == pytest.approx([1, 2, 3, 4])


def test_a_clock_that_stands_back_earns_nothing() -> None:
    """A clock that jumps back neither crashes nor brings tokens."""
    clock = FakeTimer()
    limit = RateLimit(1, clock=clock, sleep=clock.sleep)
    limit.acquire()
    clock.now -= 100
    limit.acquire()

    assert clock.slept == [pytest.approx(1)]


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_is_above_zero(rate: float) -> None:
    """No rate would block for ever."""
    with pytest.raises(ValueError, match="above zero"):
        RateLimit(rate, clock=FakeTimer(), sleep=FakeTimer().sleep)


@given(
    rate=st.floats(0.1, 50),
    idle=st.lists(st.floats(0, 5), max_size=50),
)
def test_no_second_sees_more_than_burst_and_rate(rate: float, idle: list[float]) -> None:
    """Whenever callers come, no window holds more than the burst and what it earns."""
    clock = FakeTimer()
    limit = RateLimit(rate, clock=clock, sleep=clock.sleep)
    admitted = []
    for pause in idle:
        clock.now += pause
        limit.acquire()
        admitted.append(clock.now)
    burst = max(1.0, rate)

    for first, start in enumerate(admitted):
        for last in range(first, len(admitted)):
            earned = (admitted[last] - start) * rate
            assert last - first + 1 <= burst + earned + 1e-6
