"""What a fault makes of a reply."""

import json
from dataclasses import replace
from functools import cache

from rotator.sim.faults import Fault
from rotator.sim.message import JSON, Reply

HUGE_BYTES = 10 * 1024 * 1024
HUGE_HEADER_BYTES = 1024 * 1024

_HTML = b"<html><head><title>Gateway</title></head><body><h1>Welcome</h1></body></html>\n"


def distorted(fault: Fault, reply: Reply, refusal: Reply) -> Reply | None:
    """Give the answer that goes out under `fault`; None if none does.

    `reply` is what the request would have got, `refusal` what the API itself says with the
    fault's status.
    """
    match fault.kind:
        case "status" | "status-after":
            return _refused(fault, refusal)
        case "drop-before" | "drop-after" | "timeout-before" | "timeout-after":
            return None
        case "garbage":
            return _with_body(reply, _HTML, "text/html; charset=utf-8")
        case "huge":
            return _with_body(reply, _huge(), JSON)
        case "huge-headers":
            return reply.with_headers({"X-Padding": "x" * HUGE_HEADER_BYTES})
        case "empty":
            return replace(reply, body=b"")
        case "truncate":
            # A reply without a body has nothing to cut; its client sees a clean answer.
            return replace(reply, withheld=(len(reply.body) + 1) // 2)
        case _:
            return reply


def _refused(fault: Fault, refusal: Reply) -> Reply:
    reply = refusal
    if isinstance(fault.body, str):
        reply = replace(reply, body=fault.body.encode())
    elif fault.body is not None:
        reply = replace(reply, body=json.dumps(fault.body).encode())
    return reply.with_headers(fault.headers or {})


def _with_body(reply: Reply, body: bytes, content_type: str) -> Reply:
    # 204 forbids a body, so a call that succeeded without one answers 200 here.
    status = 200 if reply.status == 204 else reply.status  # noqa: PLR2004
    return replace(reply, status=status, body=body).with_headers({"Content-Type": content_type})


@cache
def _huge() -> bytes:
    return json.dumps({"padding": "x" * HUGE_BYTES}).encode()
