"""Seconds that pass when a test says so."""

from dataclasses import dataclass, field


@dataclass
class Clock:
    """Time that passes by sleeping, or as a test sets it."""

    now: float = 100.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept.append(seconds)
        self.now += seconds
