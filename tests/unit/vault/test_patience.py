from rotator.vault.client import Deadline
from tests.support.clock import FakeTimer


def test_pauses_double_up_to_a_second() -> None:
    """Each pause is twice the one before, but never longer than a second."""
    time = FakeTimer()
    patience = Deadline(60, clock=time, sleep=time.sleep)
    for _ in range(7):
        patience.pause()

    assert time.slept == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_no_pause_reaches_beyond_the_budget() -> None:
    """Where the next pause would use up the time there is none, and nobody sleeps."""
    time = FakeTimer()
    patience = Deadline(0.2, clock=time, sleep=time.sleep)
    paused = [patience.pause(), patience.pause(), patience.pause()]

    assert paused == [True, True, False]
    assert patience.left > 0


def test_time_that_passes_elsewhere_counts() -> None:
    """The budget is one of time, not of pauses."""
    time = FakeTimer()
    patience = Deadline(10, clock=time, sleep=time.sleep)
    time.now += 11

    assert patience.left == -1
    assert not patience.pause()
