"""What a user of `rotator sim` does over HTTP."""

import pytest

from rotator.sim import VonageSimulator
from tests.unit.sim.vonage import KEY, SECRET, SECRETS, call, statuses


def test_faults_can_be_added_over_http(vonage: VonageSimulator) -> None:
    """A user of `rotator sim` adds and clears faults without Python, unrecorded."""
    added = call(vonage, "POST", "/_sim/faults", {"kind": "status", "status": 500, "times": None})
    during = statuses(vonage, ("GET", SECRETS))
    cleared = call(vonage, "DELETE", "/_sim/faults")

    assert (added.status, during, cleared.status) == (204, [500], 204)
    assert statuses(vonage, ("GET", SECRETS)) == [200]
    assert len(vonage.exchanges) == 2


@pytest.mark.parametrize(
    "body",
    [
        "{",
        [1],
        {},
        {"kind": "x"},
        {"kind": "status", "if": 1},
        {"kind": "status", "headers": []},
        {"kind": "status", "headers": {"A": "x\r\nB: y"}},
    ],
)
def test_a_bad_fault_over_http_is_400(vonage: VonageSimulator, body: object) -> None:
    """What is wrong with a fault is said in the answer."""
    answer = call(vonage, "POST", "/_sim/faults", body)

    assert answer.status == 400
    assert answer.document["error"]
    assert vonage.faults.pending() == []


def test_state_and_exchanges_over_http(vonage: VonageSimulator) -> None:
    """The simulator tells all it knows, values included."""
    call(vonage, "GET", SECRETS)

    state = call(vonage, "GET", "/_sim/state").document
    exchanges = call(vonage, "GET", "/_sim/exchanges").document
    first = state["accounts"][0]

    assert (first["api_key"], first["secrets"][0]["value"]) == (KEY, SECRET)
    assert first["secrets"][0]["id"] == vonage.secrets(KEY)[0].id
    assert first["secrets"][0]["live"] is True
    assert [(each["path"], each["status"]) for each in exchanges] == [(SECRETS, 200)]
    assert call(vonage, "GET", "/_sim/other").status == 404
