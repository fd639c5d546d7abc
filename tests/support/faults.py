"""Everything that can go wrong with one request, by name."""

from collections.abc import Callable, Mapping

from rotator.sim import Fault
from tests.support.invariant_monitor import Seen, System
from tests.support.rotation_fixture import IMPATIENT, PATIENT, RotationFixture

#: Called when the request has arrived and has no effect yet.
Mishap = Callable[[RotationFixture, Seen], None]


def _fault(kind: str, **options: object) -> Mishap:
    def add(fixture: RotationFixture, seen: Seen) -> None:
        fixture.monitor.simulator(seen).faults.add(Fault(kind, **options))  # type: ignore[arg-type]

    return add


#: What either system can do.
BOTH: Mapping[str, Mishap] = {
    "429": _fault("status", status=429),
    "429-retry-after": _fault("status", status=429, headers={"Retry-After": "7"}),
    "500": _fault("status", status=500),
    "502": _fault("status", status=502),
    "503": _fault("status", status=503),
    "500-after": _fault("status-after", status=500),
    # Of a filter on the way, to which the answer looked like a secret.
    "403-after": _fault("status-after", status=403, body="<html>blocked</html>"),
    "drop-before": _fault("drop-before"),
    "drop-after": _fault("drop-after"),
    "truncate": _fault("truncate"),
    "garbage": _fault("garbage"),
    "empty": _fault("empty"),
    "huge": _fault("huge"),
    "huge-headers": _fault("huge-headers"),
}

#: Held for longer than an impatient client waits.
SLOW: Mapping[str, Mishap] = {
    "timeout-before": _fault("timeout-before", seconds=5 * IMPATIENT),
    "timeout-after": _fault("timeout-after", seconds=5 * IMPATIENT),
}


def _unauthorized(fixture: RotationFixture, seen: Seen) -> None:
    status = 401 if seen.system == "vonage" else 403
    fixture.monitor.simulator(seen).faults.add(Fault("status", status=status))


def _another_token(fixture: RotationFixture, _seen: Seen) -> None:
    fixture.new_token()


def _seal(fixture: RotationFixture, _seen: Seen) -> None:
    fixture.world.vault.sealed = True


def _start_mount(fixture: RotationFixture, _seen: Seen) -> None:
    fixture.world.vault.initialising = 2


def _patch(fixture: RotationFixture, _seen: Seen) -> None:
    fixture.patch(note="changed by another team")


def _expire(fixture: RotationFixture, _seen: Seen) -> None:
    """Let the token run out; another lies in its file before the next pass."""
    fixture.expire_token()


def _lag(reads: int) -> Mishap:
    def lag(fixture: RotationFixture, _seen: Seen) -> None:
        fixture.world.vault.stale_reads = reads

    return lag


#: What only Vault does, or others do to it.
VAULT: Mapping[str, Mishap] = {
    "token-replaced": _another_token,
    "token-expired": _expire,
    "sealed": _seal,
    "mount-starting": _start_mount,
    "foreign-field-patched": _patch,
    "standby-lags": _lag(1),
    "standby-lags-long": _lag(3),
}


def _spread(seconds: float) -> Mishap:
    def spread(fixture: RotationFixture, _seen: Seen) -> None:
        fixture.propagate_in(seconds)

    return spread


#: What only Vonage does: from then on a new secret is refused, and a revoked one accepted, for
#: a while.
VONAGE: Mapping[str, Mishap] = {"spreads-slowly": _spread(10.0)}

MISHAPS: Mapping[str, Mishap] = {
    **BOTH,
    **SLOW,
    "denied": _unauthorized,
    **VAULT,
    **VONAGE,
}


def applies(name: str, system: System) -> bool:
    """Whether a request to `system` can meet the mishap of that name."""
    return name not in (VAULT if system == "vonage" else VONAGE)


def meet(fixture: RotationFixture, name: str, number: int) -> None:
    """Let the `number`th request from now, to either system, meet the mishap of that name."""
    fixture.before_request(number, lambda seen: MISHAPS[name](fixture, seen))
    if name in SLOW:
        give_up(fixture, number)


def give_up(fixture: RotationFixture, number: int) -> None:
    """Let the clients be impatient for the `number`th request from now, and for no other.

    Were they so for all, one that a busy machine holds up would be a second mishap.
    """
    if number == 1:
        fixture.wait_for_answers(IMPATIENT)
    else:
        fixture.after_request(number - 1, lambda _: fixture.wait_for_answers(IMPATIENT))
    fixture.before_request(number, lambda _: fixture.wait_for_answers(PATIENT))


def unreachable(fixture: RotationFixture, number: int, *, for_the_pass: bool) -> None:
    """Let the `number`th call from now find nobody listening, until the next sleep or pass."""

    def shut() -> None:
        name = fixture.calls.names[-1]
        simulator = fixture.world.vonage if name.startswith("issuer.") else fixture.world.vault
        simulator.close()
        if not for_the_pass:
            fixture.clock.wakers.append(lambda: _open(fixture))

    fixture.calls.plan("before", "", number, shut)


def _open(fixture: RotationFixture) -> None:
    fixture.world.vonage.start()
    fixture.world.vault.start()


def mend(fixture: RotationFixture) -> None:
    """Put right what a mishap left behind: between two passes, an operator was there."""
    fixture.world.vault.sealed = False
    fixture.propagate_in(fixture.setting.propagation)
    if not fixture.token_works:
        fixture.new_token()
    fixture.world.vault.stale_reads = 0
    _open(fixture)
    fixture.clock.wakers.clear()
