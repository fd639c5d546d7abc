"""Clocks that move only when a test, or a sleep of what is tested, moves them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

#: When every rotation fixture begins.
START = datetime(2026, 11, 23, 7, 28, tzinfo=UTC)
_NANOSECONDS = 1_000_000_000


@dataclass(kw_only=True)
class FakeClock:
    """The one clock of a rotation fixture: of the reconciler, both clients and both simulators."""

    elapsed: float = 0.0
    #: Every sleep, in seconds.
    sleeps: list[float] = field(default_factory=list)
    #: Called after each sleep.
    wakers: list[Callable[[], None]] = field(default_factory=list)

    def now(self) -> datetime:
        """Return the time of day."""
        return START + timedelta(seconds=self.elapsed)

    def monotonic(self) -> float:
        """Return seconds since the start."""
        return self.elapsed

    def epoch(self) -> float:
        """Return seconds since 1970."""
        return self.now().timestamp()

    def nanoseconds(self) -> int:
        """Return nanoseconds since 1970, as the simulators count."""
        return int(START.timestamp()) * _NANOSECONDS + int(self.elapsed * _NANOSECONDS)

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass at once."""
        self.sleeps.append(seconds)
        self.elapsed += seconds
        for waker in tuple(self.wakers):
            waker()

    def advance(self, **span: float) -> None:
        """Let a `timedelta(**span)` pass without a sleep."""
        self.elapsed += timedelta(**span).total_seconds()


@dataclass
class FakeTimer:
    """Seconds that pass by sleeping, or as a test sets them; it is its own `clock` function."""

    now: float = 0.0
    #: Every sleep, in seconds.
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        """Return the seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass at once."""
        self.slept.append(seconds)
        self.now += seconds

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass without a sleep."""
        self.now += seconds
