"""A clock that a test sets."""

from dataclasses import dataclass


@dataclass
class Clock:
    """A clock that a test sets."""

    now: int = 1_800_000_000 * 10**9

    def __call__(self) -> int:
        """Return the nanoseconds since the epoch."""
        return self.now

    def forward(self, seconds: float) -> None:
        """Let so much time pass."""
        self.now += int(seconds * 10**9)
