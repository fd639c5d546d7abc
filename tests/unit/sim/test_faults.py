"""Faults: what each does to an answer, and which requests meet it."""

import http.client
import time
from contextlib import suppress
from typing import Any

import pytest

from rotator.sim import Fault, VonageSimulator
from tests.unit.sim.vonage import KEY, SECOND, SECRETS, call, create, filled, statuses


def test_latency_is_slept_before_the_effect() -> None:
    """Every request takes the latency."""
    with VonageSimulator(latency=0.03) as simulator:
        filled(simulator)
        started = time.monotonic()
        call(simulator, "GET", SECRETS)

        assert time.monotonic() - started >= 0.03


def test_a_status_fault_replaces_the_effect(vonage: VonageSimulator) -> None:
    """The status is answered with its headers, and nothing is done."""
    vonage.faults.add(Fault("status", status=503, headers={"Retry-After": "2"}))

    answer = create(vonage, SECOND)

    assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
    assert answer.document["title"] == "Service Unavailable"
    assert len(vonage.secrets(KEY)) == 1


def test_a_status_after_fault_comes_after_the_effect(vonage: VonageSimulator) -> None:
    """The effect is applied although the answer denies it."""
    vonage.faults.add(Fault("status-after", status=500))

    assert create(vonage, SECOND).problem == (500, "internal-error", "Internal Error")
    assert len(vonage.secrets(KEY)) == 2


@pytest.mark.parametrize(
    ("path", "status", "expected"),
    [
        (SECRETS, 429, {"title": "Rate Limit Hit"}),
        (SECRETS, 400, {"title": "Bad Request"}),
        (SECRETS, 401, {"title": "Unauthorized"}),
        ("/account/get-balance", 401, {"error-code-label": "authentication failed"}),
        ("/account/get-balance", 503, {"error-code": "503"}),
    ],
)
def test_a_status_fault_speaks_as_the_api_does(
    vonage: VonageSimulator, path: str, status: int, expected: dict[str, str]
) -> None:
    """Without a body of its own a fault answers what Vonage says with that status."""
    vonage.faults.add(Fault("status", status=status))

    answer = call(vonage, "GET", path)

    assert answer.status == status
    assert expected.items() <= answer.document.items()


@pytest.mark.parametrize(("body", "expected"), [("text", b"text"), ({"a": 1}, b'{"a": 1}')])
def test_a_status_fault_may_have_a_body(
    vonage: VonageSimulator, body: object, expected: bytes
) -> None:
    """A given body is sent as it is, or as JSON."""
    vonage.faults.add(Fault("status", body=body))

    assert call(vonage, "GET", SECRETS).body == expected


@pytest.mark.parametrize(
    ("kind", "error", "secrets"),
    [
        ("drop-before", ConnectionResetError, 1),
        ("drop-after", http.client.RemoteDisconnected, 2),
        ("timeout-before", http.client.RemoteDisconnected, 1),
        ("timeout-after", http.client.RemoteDisconnected, 2),
    ],
)
def test_faults_without_an_answer(
    vonage: VonageSimulator, kind: str, error: type[Exception], secrets: int
) -> None:
    """Drops and timeouts end the connection, before or after the effect."""
    vonage.faults.add(Fault(kind, seconds=0.02))

    with pytest.raises(error):
        create(vonage, SECOND)

    assert len(vonage.secrets(KEY)) == secrets
    assert (vonage.exchanges[0].status, vonage.exchanges[0].fault) == (None, kind)


@pytest.mark.parametrize("kind", ["delay", "timeout-before"])
def test_faults_that_take_their_time(vonage: VonageSimulator, kind: str) -> None:
    """A delay and a timeout hold the connection for their seconds."""
    vonage.faults.add(Fault(kind, seconds=0.03))
    started = time.monotonic()

    status = None
    with suppress(http.client.RemoteDisconnected):
        status = call(vonage, "GET", SECRETS).status

    assert time.monotonic() - started >= 0.03
    assert status == (200 if kind == "delay" else None)


def test_garbage_hides_a_success(vonage: VonageSimulator) -> None:
    """The effect is applied and a page comes back under its status."""
    vonage.faults.add(Fault("garbage", times=2))

    created = create(vonage, SECOND)
    deleted = call(vonage, "DELETE", f"{SECRETS}/{vonage.history(KEY)[0].id}")

    assert (created.status, deleted.status) == (201, 200)
    assert created.headers["Content-Type"].startswith("text/html")
    assert created.body.startswith(b"<html>")
    assert [secret.value for secret in vonage.secrets(KEY)] == [SECOND]


def test_truncate_breaks_off(vonage: VonageSimulator) -> None:
    """More bytes are announced than sent, and the connection ends."""
    vonage.faults.add(Fault("truncate"))

    with pytest.raises(http.client.IncompleteRead) as caught:
        create(vonage, SECOND)

    assert caught.value.partial.startswith(b'{"_links"')
    assert len(vonage.secrets(KEY)) == 2


def test_empty_says_nothing(vonage: VonageSimulator) -> None:
    """The effect is applied and its status comes without a body."""
    vonage.faults.add(Fault("empty"))

    answer = create(vonage, SECOND)

    assert (answer.status, answer.body) == (201, b"")
    assert len(vonage.secrets(KEY)) == 2


def test_huge_says_too_much(vonage: VonageSimulator) -> None:
    """The effect is applied and 10 MB of JSON come back."""
    vonage.faults.add(Fault("huge"))

    assert len(create(vonage, SECOND).body) > 10_000_000
    assert len(vonage.secrets(KEY)) == 2


def test_a_fault_counts_its_matching_requests(vonage: VonageSimulator) -> None:
    """A fault is met from its nth match on, so many times, and then gone."""
    vonage.faults.add(Fault("status", method="get", path="secrets$", nth=2, times=2))
    pending = vonage.faults.pending()

    lists = ("GET", SECRETS)
    got = statuses(vonage, lists, ("GET", "/account/get-balance"), lists, lists, lists)

    assert got == [200, 200, 503, 503, 200]
    assert (len(pending), vonage.faults.pending()) == (1, [])


def test_a_fault_may_last(vonage: VonageSimulator) -> None:
    """Without a number of times a fault stays until it is cleared."""
    vonage.faults.add(Fault("status", times=None))
    during = statuses(vonage, *[("GET", SECRETS)] * 3)
    vonage.faults.clear()

    assert during == [503] * 3
    assert statuses(vonage, ("GET", SECRETS)) == [200]


def test_faults_are_met_one_at_a_time(vonage: VonageSimulator) -> None:
    """Of two faults that are due the first one is met, and the other by the next request."""
    vonage.faults.add(Fault("status", status=500))
    vonage.faults.add(Fault("status", status=502))

    assert statuses(vonage, *[("GET", SECRETS)] * 3) == [500, 502, 200]


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "explode"},
        {"kind": "status", "path": "("},
        {"kind": "status", "nth": 0},
        {"kind": "status", "times": 0},
        {"kind": "status", "status": 99},
        {"kind": "delay", "seconds": -1},
    ],
)
def test_a_fault_is_checked(options: dict[str, Any]) -> None:
    """A fault that could never be met, or means nothing, cannot be made."""
    with pytest.raises(ValueError, match=r"\w"):
        Fault(**options)
