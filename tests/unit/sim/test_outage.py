"""Simulators that are closed, started again, or not started yet."""

import http.client
import json
import threading
import time
from collections.abc import Callable
from contextlib import closing

import pytest

from rotator.sim import Fault, VonageSimulator
from tests.unit.sim.vonage import (
    KEY,
    SECOND,
    SECRET,
    SECRETS,
    ask,
    basic,
    call,
    connect,
    create,
    filled,
    statuses,
)


def test_close_ends_everything() -> None:
    """Closing breaks connections that wait or sleep, at once, and leaves no thread."""
    others = set(threading.enumerate())
    vonage = filled(VonageSimulator())
    vonage.start()
    vonage.faults.add(Fault("delay", seconds=30, path="secrets"))
    with closing(connect(vonage)) as idle, closing(connect(vonage)) as sleeping:
        ask(idle, "GET", "/account/get-balance")
        sleeping.request("POST", SECRETS, json.dumps({"secret": SECOND}), basic(KEY, SECRET))
        wait_until(lambda: len(vonage.exchanges) == 2)
        started = time.monotonic()
        vonage.close()
        took = time.monotonic() - started

        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            sleeping.getresponse()

    # Half of what the sleeping one would have slept.
    assert took < 15
    assert len(vonage.secrets(KEY)) == 1
    wait_until(lambda: set(threading.enumerate()) <= others)
    assert set(threading.enumerate()) <= others
    with pytest.raises(ConnectionRefusedError):
        call(vonage, "GET", SECRETS)


def test_an_observer_may_close_the_simulator(vonage: VonageSimulator) -> None:
    """An outage may begin at a precise moment: after the effect, before the answer."""
    vonage.observers.append(lambda phase, _: vonage.close() if phase == "after" else None)

    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        create(vonage, SECOND)

    assert len(vonage.secrets(KEY)) == 2


def test_a_simulator_can_be_started_again(vonage: VonageSimulator) -> None:
    """After an outage the same port answers from the same state."""
    before = vonage.url
    vonage.close()
    vonage.close()
    vonage.start()

    assert vonage.url == before
    assert statuses(vonage, ("GET", SECRETS)) == [200]


def test_a_simulator_has_no_url_before_its_start() -> None:
    """Asking too early is an error and not a made-up port."""
    with pytest.raises(RuntimeError, match="not started"):
        _ = VonageSimulator().url


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for another thread's doing."""
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.001)
