"""What a simulator records of each request, and who may watch it."""

from rotator.sim import Exchange, Fault, Phase, VonageSimulator
from tests.unit.sim.vonage import KEY, SECOND, SECRETS, call, create


def test_exchanges_record_what_came(vonage: VonageSimulator) -> None:
    """Each request is recorded with its number, key, query, headers, status and fault."""
    vonage.faults.add(Fault("status", status=500, nth=2))
    call(vonage, "GET", f"{SECRETS}?a=1&a=2&b=")
    call(vonage, "GET", "/account/get-balance", auth=None)

    first, second = vonage.exchanges
    assert (first.number, first.method, first.path, first.api_key) == (1, "GET", SECRETS, KEY)
    assert (first.query, first.status, first.fault) == ({"a": "1", "b": ""}, 200, None)
    assert first.request_headers["authorization"].startswith("Basic ")
    assert (second.number, second.api_key, second.status) == (2, "", 500)
    assert second.fault == "status"
    assert first.at <= second.at


def test_observers_see_before_and_after(vonage: VonageSimulator) -> None:
    """An observer is called before anything is done and after the effect, with the answer held."""
    seen: list[tuple[Phase, int | None, int]] = []
    vonage.observers.append(
        lambda phase, exchange: seen.append((phase, exchange.status, len(vonage.secrets(KEY))))
    )

    create(vonage, SECOND)

    assert seen == [("before", None, 1), ("after", 201, 2)]


def test_an_observer_may_fail(vonage: VonageSimulator) -> None:
    """What an observer raises is kept and the answer goes out."""

    def fail(phase: Phase, _exchange: Exchange) -> None:
        raise RuntimeError(phase)

    vonage.observers.append(fail)

    assert call(vonage, "GET", SECRETS).status == 200
    assert [str(error) for error in vonage.observer_errors] == ["before", "after"]
