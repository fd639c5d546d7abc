"""Rendering: templates, and the files that pages refer to."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined

from rotator.model.redaction import printable
from rotator.reporting import text

#: Seconds after which a page asks for itself again: at rest, and while a rotation goes on.
AT_REST, AT_WORK = 30, 5

_TYPES = {"css": "text/css; charset=utf-8", "svg": "image/svg+xml"}


@dataclass(frozen=True, kw_only=True)
class File:
    """A file that pages refer to."""

    content: bytes
    media_type: str
    #: Changes with the content, so that browsers keep it for as long as it is the same.
    version: str


@cache
def files() -> dict[str, File]:
    """Give them by name."""
    folder = resources.files("rotator.web") / "static"
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    return {
        name: File(
            content=content,
            media_type=_TYPES[name.rpartition(".")[2]],
            version=hashlib.sha256(content).hexdigest()[:12],
        )
        for name, content in found.items()
    }


def rendered(template: str, **values: object) -> str:
    """Fill a template. Whatever it is given is escaped, and holds nothing that misleads."""
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("rotator.web"),
        autoescape=True,
        finalize=_printable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "clock": _clock,
        "moment": text.moment,
        "rfc3339": text.rfc3339,
        "short": text.short,
    }
    environment.globals |= {"linked": _linked, "query": _query}
    return environment


def _printable(value: object) -> object:
    """Remove from a text what turns its direction or has no width; markup is ours."""
    return printable(value) if type(value) is str else value


def _linked(name: str) -> str:
    return f"/static/{name}?v={files()[name].version}"


def _query(**parameters: object) -> str:
    """Write a query, leaving out what is not asked for."""
    given = {key: value for key, value in parameters.items() if value}
    return f"?{urlencode(given)}" if given else "?"


def _clock(at: datetime | None, now: datetime) -> str:
    """Give a time as short as it can be read on the day of `now`."""
    if at is None:
        return ""
    at = at.astimezone(UTC)
    return f"{at:%H:%M:%S}" if at.date() == now.date() else f"{at:%b} {at.day} {at:%H:%M}"
