"""Rules for the URLs in a configuration: of servers, webhooks and the ledger."""

import ipaddress
import re
from collections.abc import Callable
from functools import partial
from urllib.parse import SplitResult, parse_qsl, urlsplit

from rotator.config.errors import InvalidValue

_LOOPBACK_4 = ipaddress.ip_network("127.0.0.0/8")
_LOOPBACK_6 = ipaddress.ip_address("::1")
_HIGHEST_PORT = 65535

_NAME_OR_ADDRESS = r"(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])"
_LISTEN = re.compile(rf"(?P<host>{_NAME_OR_ADDRESS}):(?P<port>[0-9]{{1,5}})")
# The kernel takes 107 bytes.
_SOCKET = re.compile(r"unix:/[!-~]{1,106}")
_SQLITE = re.compile(r"sqlite:///(?P<path>[^?#]+)")
_SCHEME = r"postgresql(?:\+psycopg)?://"
_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[^:/@?#,\[\]\x00-\x1f]*)(?::[0-9]{1,5})?"  # none for a socket
_DATABASE = (
    rf"{_HOST}(?:,{_HOST})*"  # the servers of a cluster
    r"/[^/?#@]+"  # database
    r"(?:\?[^#]*)?"
)
# User, password: as SQLAlchemy reads them.
_POSTGRESQL = re.compile(rf"{_SCHEME}(?:[^:/@]*(?::[^@]*)?@)?{_DATABASE}")
_SEVERAL = re.compile(
    rf"(?P<start>{_SCHEME}(?:[^:/@]*(?::[^@]*)?@)?)(?P<hosts>{_HOST}(?:,{_HOST})+)"
    r"/(?P<database>[^?]+)(?:\?(?P<query>.*))?"
)
_POSTGRESQL_PORT = "5432"

# What an editor checks; see `types.form`. A scheme may have capitals.
_HTTP, _HTTPS = "[Hh][Tt][Tt][Pp]", "[Hh][Tt][Tt][Pp][Ss]"
_LOCAL = r"(127\.[0-9.]+|[Ll][Oo][Cc][Aa][Ll][Hh][Oo][Ss][Tt]|\[[0:.]+1\])"
_ORIGIN = f"({_HTTPS}://{_NAME_OR_ADDRESS}|{_HTTP}://{_LOCAL})(:[0-9]+)?"
WEB_FORM = f"{_ORIGIN}(/[^@?#\\s]*)?"
HOOK_FORM = f"{_ORIGIN}([/?][^#]*)?"
SERVER_FORM = f"({_HTTP}|{_HTTPS})://{_NAME_OR_ADDRESS}(:[0-9]+)?(/[^@?#\\s]*)?"
LISTEN_FORM = f"|{_SOCKET.pattern}|{_NAME_OR_ADDRESS}:[0-9]{{1,5}}"
NO_LEDGER_FORM = "^sqlite:///:memory:$|[?&][^=&]*[Pp][Aa][Ss][Ss][Ww]"
LEDGER_FORM = f"sqlite:///[^?#]+|{_SCHEME}(?:[^:/@]*@)?{_DATABASE}"


def web_url(text: str, *, why: str = "credentials travel there") -> str:
    """Return a server's URL without trailing slash, or raise `InvalidValue`.

    It must be https; plain http only on loopback. `why` is what it protects, by default that
    credentials are sent there.
    """
    parts = _server(text)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise InvalidValue("is plain http to another machine", hint=f"use https: {why}")
    return text.rstrip("/")


def collector_url(text: str) -> str:
    """Return the URL of a server that gets no secret, "" for "", or raise `InvalidValue`."""
    if text:
        _server(text)
    return text.rstrip("/")


def _server(text: str) -> SplitResult:
    _require_visible(text)
    parts = _split(text)
    if any(mark in text for mark in "@?#"):
        raise InvalidValue(
            "has a user name, query or fragment", hint="give scheme, host and port alone"
        )
    if not re.fullmatch(_NAME_OR_ADDRESS, _host(parts)):
        raise InvalidValue("names no host", hint="write https://HOST:PORT")
    if parts.scheme not in {"http", "https"}:
        raise InvalidValue("is not an https URL", hint="write https://HOST:PORT")
    return parts


def hook_url(text: str) -> str:
    """Return the address of a webhook, path and query included, or raise `InvalidValue`.

    https only, as for `web_url`; plain http only on loopback.
    """
    return _with_path(text, web_url)


def witness_url(text: str) -> str:
    """Return the address of a witness, as `hook_url`.

    What is sent there is public and signed, and the answer is not: an answer of 2xx counts as kept,
    and others stop the signing.
    """
    why = "on the way there, anybody could answer in the witness's place"
    return _with_path(text, partial(web_url, why=why))


def _with_path(text: str, check: Callable[[str], str]) -> str:
    _require_visible(text)
    origin = re.match(r"[A-Za-z]+://[^/?#]*", text)
    check(origin[0] if origin else text)
    if "#" in text:
        raise InvalidValue("has a fragment, which no server gets to see")
    return text


def listen_address(text: str, *, has_token: bool) -> str:
    """Return `HOST:PORT` or `unix:/PATH` as it is, "" for "", or raise `InvalidValue`.

    Requests from other machines must show a token, so a token is required for them.
    """
    if not text or _SOCKET.fullmatch(text):
        return text
    match = _LISTEN.fullmatch(text)
    if match is None or int(match["port"]) > _HIGHEST_PORT:
        hint = 'write 127.0.0.1:9470 or unix:/run/rotator/http.sock, or "" to serve no page'
        raise InvalidValue("is neither HOST:PORT nor unix:/PATH", hint=hint)
    if not has_token and not is_loopback(match["host"].strip("[]")):
        raise InvalidValue(
            "can be reached from other machines, and needs a token",
            hint="name a file with a token as daemon.listen_token_file, or listen on 127.0.0.1",
        )
    return text


def ledger_url(text: str) -> str:
    """Return a ledger's URL, which may hold a password, or raise `InvalidValue`.

    `postgresql://` becomes `postgresql+psycopg://`, the only supported driver.
    """
    _require_visible(text, spaces=True)
    if not (_SQLITE.fullmatch(text) or _POSTGRESQL.fullmatch(text)):
        raise InvalidValue(
            "is not a ledger URL",
            hint="write sqlite:////PATH or postgresql+psycopg://[USER@]HOST[:PORT]/DATABASE",
        )
    if sqlite_path(text) == ":memory:":
        raise InvalidValue("is a ledger in memory, which forgets every rotation")
    return re.sub("^postgresql:", "postgresql+psycopg:", _in_query(text))


def _in_query(text: str) -> str:
    """Return a URL of several servers, as libpq reads it, with them in its query.

    SQLAlchemy reads them there alone.
    """
    found = _SEVERAL.fullmatch(text)
    if found is None:
        return text
    hosts, ports = [], []
    for each in found["hosts"].split(","):
        host, port = re.fullmatch(r"(.*?)(?::([0-9]+))?", each).groups()  # type: ignore[union-attr]
        hosts.append(host.strip("[]"))
        ports.append(port or _POSTGRESQL_PORT)
    servers = f"host={','.join(hosts)}&port={','.join(ports)}"
    rest = f"&{found['query']}" if found["query"] else ""
    return f"{found['start']}/{found['database']}?{servers}{rest}"


def sqlite_path(text: str) -> str | None:
    """Return the file in a ledger's URL; None for a server's URL."""
    match = _SQLITE.fullmatch(text)
    return match["path"] if match else None


def has_password(text: str) -> bool:
    """Return whether SQLAlchemy or libpq would find a password in this URL."""
    _, _, rest = text.partition("://")
    _, _, query = rest.partition("?")
    keys = (key.lower() for key, _ in parse_qsl(query, keep_blank_values=True))
    return bool(re.match("[^:/]*:[^@]*@", rest)) or any("passw" in key for key in keys)


def is_loopback(host: str) -> bool:
    """Return whether traffic to `host` stays on this machine."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return address in _LOOPBACK_4 or address == _LOOPBACK_6


def _require_visible(text: str, *, spaces: bool = False) -> None:
    """Refuse characters that `urlsplit` would silently drop."""
    if not text.isprintable() or (" " in text and not spaces):
        raise InvalidValue("has spaces or control characters")


def _split(text: str) -> SplitResult:
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises if invalid
    except ValueError:
        parts = None
    if parts is None or parts.netloc.endswith(":"):
        raise InvalidValue("is not a URL", hint="write https://HOST:PORT")
    return parts


def _host(parts: SplitResult) -> str:
    return re.sub(":[0-9]+$", "", parts.netloc)
