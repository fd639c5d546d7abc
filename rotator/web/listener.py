"""An address of the daemon: listening there, and matching a request's host."""

import errno
import ipaddress
import os
import re
import socket
import stat
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rotator.errors import AddressTaken, ConfigError, reason_of

#: Length of the queue of connections to accept.
BACKLOG = 128
#: Mode of a Unix socket: its directory controls access.
_SOCKET_MODE = 0o666
#: Hosts that stand for every address of this machine, each with the loopback address among them.
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # names it, and binds nothing


@dataclass(frozen=True, kw_only=True)
class ListenAddress:
    """An address to listen at: a Unix socket, or a host and a port."""

    text: str
    #: The key of the configuration that names it, and what "" there means.
    key: str = "daemon.listen"
    off: str = "to serve no page"

    @property
    def path(self) -> Path | None:
        """Path of the Unix socket; None for a host and a port."""
        return Path(self.text[5:]) if self.text.startswith("unix:") else None

    @property
    def host(self) -> str:
        """The host; "" for a Unix socket."""
        return "" if self.path else self.text.rpartition(":")[0].strip("[]")

    def listen(self) -> socket.socket:
        """Listen.

        Raises:
            AddressTaken: another process listens there, or this machine does not have the address
                yet.
            ConfigError: this machine does not allow it.
        """
        try:
            listening = _at_path(self.path) if self.path else self._at_port()
            listening.listen(BACKLOG)
        except OSError as error:
            reason = reason_of(error)
            kind = AddressTaken if _may_pass(error) else ConfigError
            raise kind(
                f"{self.key}: cannot listen at {self.text}: {reason}",
                hint=f'choose another address, or "" {self.off}',
            ) from None
        return listening

    def connect(self, timeout: float) -> socket.socket:
        """Connect to what listens there, each of whose answers may take `timeout` seconds.

        Raises:
            OSError: nothing listens, or it does not accept the connection in time.
        """
        if self.path is None:
            port = int(self.text.rpartition(":")[2])
            return socket.create_connection((_EVERYWHERE.get(self.host, self.host), port), timeout)
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.settimeout(timeout)
        try:
            client.connect(str(self.path))
        except OSError:
            client.close()
            raise
        return client

    def leave(self) -> None:
        """Remove the Unix socket, if it is one."""
        if self.path:
            self.path.unlink(missing_ok=True)

    def is_meant_by(self, header: str, allowed: Collection[str] = ()) -> bool:
        """Return whether this Host header is one of the page's names, or an `allowed` one.

        A web page can make its own name resolve to this machine, and then read the answers from
        here. It cannot choose the name in its requests.
        """
        name = _name_of(header)
        if name is None:
            return False
        if name in ("localhost", self.host.lower()) or _is_loopback(name):
            return True
        if name in allowed or f"[{name}]" in allowed:
            return True
        # The page listens at every address, under names that only clients know. A numeric host was
        # not resolved from a name.
        return self.host in _EVERYWHERE and (
            _is_number(name) or name == socket.gethostname().lower()
        )

    def _at_port(self) -> socket.socket:
        port = int(self.text.rpartition(":")[2])
        family, kind, protocol, _, address = socket.getaddrinfo(
            self.host, port, type=socket.SOCK_STREAM
        )[0]
        listening = socket.socket(family, kind, protocol)
        try:
            # Connections of a process that just ended are no reason to wait.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
        except OSError:
            listening.close()
            raise
        return listening


def _may_pass(error: OSError) -> bool:
    """Return whether the obstacle to listening may pass on its own."""
    may_pass = (errno.EADDRINUSE, errno.EADDRNOTAVAIL)
    return isinstance(error, socket.gaierror) or error.errno in may_pass


def url_of(listening: socket.socket) -> str:
    """Return a listening socket's address as people and browsers write it."""
    name = listening.getsockname()
    if listening.family == socket.AF_UNIX:
        return f"unix:{name}"
    host = f"[{name[0]}]" if listening.family == socket.AF_INET6 else name[0]
    return f"http://{host}:{name[1]}"


def _at_path(path: Path) -> socket.socket:
    """Listen at a Unix socket; replaces one that a killed process left behind."""
    if path.exists() and stat.S_ISSOCK(path.stat().st_mode) and not _has_listener(path):
        path.unlink()
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(str(path))
        path.chmod(_SOCKET_MODE)
    except OSError:
        listening.close()
        raise
    return listening


def _has_listener(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client, suppress(ConnectionError):
        client.connect(os.fspath(path))
        return True
    return False


#: A name or number, and a port (RFC 9110 section 7.2). Anything else is not interpreted: parsers
#: disagree on the host of "localhost:80@evil.example" and "[::1].evil.example".
_HOST = re.compile(r"(?:\[(?P<number>[0-9a-f:.]+)\]|(?P<name>[a-z0-9_.-]+?)\.?)(?::[0-9]{0,5})?")


def _name_of(header: str) -> str | None:
    """Return the host of a Host header, without port, brackets and final dot; None if invalid."""
    match = _HOST.fullmatch(header.lower())
    return (match["number"] or match["name"]) if match else None


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(name: str) -> bool:
    return _is_number(name) and ipaddress.ip_address(name).is_loopback
