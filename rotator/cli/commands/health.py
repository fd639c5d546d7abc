"""`health`: whether the daemon of this machine is alive, for a container's health check."""

from http import HTTPStatus
from http.client import HTTPConnection, HTTPException

import typer

from rotator.cli import output
from rotator.cli.context import CommandContext
from rotator.errors import ConfigError, RotatorError, reason_of

#: How long the daemon may take to accept a connection, and to answer, in seconds.
_PATIENCE = 5.0
#: The answer of a daemon that is well, and how many bytes of another one are read.
HEALTHY, _ENOUGH = b"ok\n", 64


def health(context: typer.Context) -> None:
    """Check that the daemon of this machine is alive: for the health check of a container.

    Asks its `/healthz` at daemon.listen, which requires no token, and nothing else: with Vault or
    Vonage out of reach, the daemon is as healthy as before. Exits with 1 if no daemon answers, or
    if it has stopped looking for due accounts.
    """
    listen = CommandContext.of(context).configured().daemon.listen
    if not listen:
        raise ConfigError(
            'daemon.listen is "": the daemon cannot be asked',
            hint="set it to an address of this machine, or remove the health check",
        )
    try:
        status, answer = _answer(listen)
    except (OSError, HTTPException) as error:
        raise RotatorError(
            f"no daemon answers at {listen}: {_reason(error)}", hint="see the daemon's log"
        ) from None
    if status == HTTPStatus.OK and answer != HEALTHY:
        raise RotatorError(
            f"what answers at {listen} is not the daemon",
            hint="see which program listens there, or choose another daemon.listen",
        )
    if status != HTTPStatus.OK:
        raise RotatorError(
            f"the daemon at {listen} is not well: /healthz answers {status}",
            hint="see the daemon's log, and restart it",
        )
    output.write(f"ok: the daemon answers at {listen}")


def _reason(error: OSError | HTTPException) -> str:
    if isinstance(error, TimeoutError):
        return f"nothing within {_PATIENCE:g} s"
    return reason_of(error) if isinstance(error, OSError) else "not by HTTP"


def _answer(listen: str) -> tuple[int, bytes]:
    """Return the status and the beginning of what is answered."""
    from rotator.web.listener import ListenAddress  # noqa: PLC0415  # `--help` needs no server

    client = HTTPConnection("localhost", timeout=_PATIENCE)
    # Connected here: no proxy is asked, and it may be a Unix socket.
    client.sock = ListenAddress(text=listen).connect(_PATIENCE)
    try:
        client.request("GET", "/healthz")
        response = client.getresponse()
        return response.status, response.read(_ENOUGH)
    finally:
        client.close()
