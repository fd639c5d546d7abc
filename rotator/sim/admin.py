"""The simulators' own calls, below /_sim/: faults, state and exchanges over HTTP.

They are for programs that cannot reach the Python API, as users of `rotator sim`. They take no
credentials, are not recorded, meet no fault and have no latency.
"""

from collections.abc import Callable, Sequence

from rotator.sim.faults import Fault, FaultQueue
from rotator.sim.http import Reply, Request
from rotator.sim.recording import Exchange

PREFIX = "/_sim/"


def answer(
    request: Request,
    faults: FaultQueue,
    exchanges: Sequence[Exchange],
    state: Callable[[], object],
) -> Reply:
    """Carry out one call below `/_sim/`.

    `POST faults` adds one and `DELETE faults` forgets all, both 204 (400 with `error` for a
    fault that is none); `GET state` and `GET exchanges` answer JSON.
    """
    match request.method, request.path.removeprefix(PREFIX):
        case "POST", "faults":
            return _add(request, faults)
        case "DELETE", "faults":
            faults.clear()
            return Reply(status=204)
        case "GET", "state":
            return Reply.json(200, state())
        case "GET", "exchanges":
            return Reply.json(200, [exchange.as_json() for exchange in list(exchanges)])
        case _:
            return Reply.json(404, {"error": f"no such call: {request.method} {request.path}"})


def _add(request: Request, faults: FaultQueue) -> Reply:
    try:
        faults.add(Fault.from_json(request.document()))
    except ValueError as error:
        return Reply.json(400, {"error": str(error)})
    return Reply(status=204)
