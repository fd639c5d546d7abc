"""What Vonage answers to any call: what there is not, and what is too often."""

import pytest

from rotator.sim import Fault, VonageSimulator
from tests.support.clock import FakeClock
from tests.unit.sim.vonage import KEY, SECRETS, SUB, SUB_SECRET, call, filled


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("PUT", SECRETS, 405),
        ("PUT", f"{SECRETS}/{{id}}", 405),
        ("POST", f"/accounts/{KEY}/subaccounts", 405),
        ("GET", "/account/nothing", 404),
        ("GET", "/account/settings", 405),
    ],
)
def test_unknown_calls(vonage: VonageSimulator, method: str, path: str, status: int) -> None:
    """What Vonage does not offer is 404 or 405, never a broken connection."""
    (only,) = vonage.secrets(KEY)

    assert call(vonage, method, path.format(id=only.id)).status == status


def test_every_answer_has_a_request_id(vonage: VonageSimulator) -> None:
    """X-Request-Id is on successes, refusals and faults, and never the same."""
    vonage.faults.add(Fault("status", nth=3))

    ids = [call(vonage, "GET", path).headers["X-Request-Id"] for path in (SECRETS, "/x", SECRETS)]

    assert all(ids)
    assert len(set(ids)) == 3


def test_a_rate_limit_answers_429(clock: FakeClock) -> None:
    """More than the limit is told when to come back, and each key has its own limit."""
    with VonageSimulator(rate_limit=2, clock=clock.nanoseconds) as simulator:
        filled(simulator)
        statuses = [call(simulator, "GET", SECRETS).status for _ in range(2)]
        limited = call(simulator, "GET", SECRETS)
        other = call(simulator, "GET", f"/accounts/{SUB}/secrets", auth=(SUB, SUB_SECRET))
        clock.advance(seconds=0.5)
        later = call(simulator, "GET", SECRETS)

    assert (statuses, other.status, later.status) == ([200, 200], 200, 200)
    assert limited.problem == (429, "rate-limit", "Rate Limit Hit")
    assert limited.headers["Retry-After"] == "1"
    assert limited.headers["X-RateLimit-Limit"] == "2"
    assert limited.headers["X-RateLimit-Remaining"] == "0"
    assert limited.headers["X-RateLimit-Reset"] == "1795418881"
