"""What the daemon serves at addresses of its own: one that is taken keeps nothing else waiting."""

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from rotator.daemon.health import Health
from rotator.daemon.listeners import Listeners
from rotator.errors import AddressTaken, ConfigError

if TYPE_CHECKING:
    from rotator.application import Application

FORMER, NEXT = (cast("Application", SimpleNamespace(name=name)) for name in ("former", "next"))


class Recorder:
    """A listener that keeps what it shows, and fails as a test says."""

    def __init__(self) -> None:
        """Show nothing."""
        self.shown: object = None
        self.error: ConfigError | None = None
        self.is_closed = False

    def show(self, application: "Application") -> None:
        """Show it, or fail for all but what was shown before."""
        if self.error and application is not self.shown:
            raise self.error
        self.shown = application

    def follow(self, application: "Application") -> None:
        """Show it."""
        self.shown = application

    def close(self, deadline: float) -> bool:
        """End, in time for the one deadline alone."""
        self.is_closed = True
        return deadline > 0


def test_an_address_that_is_taken_is_waited_for() -> None:
    """From the start on, while all else is served."""
    page, trigger, health = Recorder(), Recorder(), Health()
    listeners = Listeners(health, page=page, trigger=trigger)
    listeners.retry()
    page.error = AddressTaken()
    listeners.start(FORMER)
    waiting = (page.shown, trigger.shown, health.down)
    listeners.retry()
    page.error = None
    listeners.retry()

    assert waiting == (None, FORMER, ["page"])
    assert (page.shown, health.down) == (FORMER, [])


@pytest.mark.parametrize("error", [ConfigError("no key"), AddressTaken()])
def test_what_cannot_be_served_changes_nothing(error: ConfigError) -> None:
    """Nor what stands before it, and was served already."""
    page, trigger = Recorder(), Recorder()
    listeners = Listeners(Health(), page=page, trigger=trigger)
    listeners.start(FORMER)
    trigger.error = error
    with pytest.raises(type(error)):
        listeners.show(NEXT)
    refused = (page.shown, trigger.shown)
    trigger.error = None
    listeners.show(NEXT)

    assert refused == (FORMER, FORMER)
    assert (page.shown, trigger.shown) == (NEXT, NEXT)


def test_a_first_start_that_is_refused_shows_nothing() -> None:
    """There is nothing that was served before."""
    page, trigger = Recorder(), Recorder()
    trigger.error = ConfigError("no key")
    with pytest.raises(ConfigError):
        Listeners(Health(), page=page, trigger=trigger).show(FORMER)

    assert trigger.shown is None


def test_all_are_closed_and_shown_what_is_new() -> None:
    """Also if one does not end in time."""
    page, trigger = Recorder(), Recorder()
    listeners = Listeners(Health(), page=page, trigger=trigger)
    listeners.follow(NEXT)
    is_over = listeners.close(0.0)

    assert (page.shown, trigger.shown) == (NEXT, NEXT)
    assert (page.is_closed, trigger.is_closed, is_over) == (True, True, False)
