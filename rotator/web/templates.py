"""Renders templates, and serves the files that pages include."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from urllib.parse import urlencode

from rotator.reporting.templates import Environment, environment
from rotator.web.upcoming import distance, elapsed

#: Seconds after which a page reloads itself: normally, and during a rotation.
AT_REST, AT_WORK = 30, 5

_TYPES = {"css": "text/css; charset=utf-8", "svg": "image/svg+xml"}


@dataclass(frozen=True, kw_only=True)
class StaticFile:
    """A file that pages include."""

    content: bytes
    media_type: str
    #: Changes with the content, so that browsers cache the file until it changes.
    version: str


@cache
def files() -> dict[str, StaticFile]:
    """Return the static files by name."""
    folder = resources.files("rotator.web") / "static"
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    return {
        name: StaticFile(
            content=content,
            media_type=_TYPES[name.rpartition(".")[2]],
            version=hashlib.sha256(content).hexdigest()[:12],
        )
        for name, content in found.items()
    }


def rendered(template: str, **values: object) -> str:
    """Render a template. Values are escaped, and stripped of misleading characters."""
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    made = environment("rotator.web")
    made.filters |= {"clock": _clock, "distance": distance, "elapsed": elapsed}
    made.globals |= {"linked": _linked, "query": _query}
    return made


def _linked(name: str) -> str:
    return f"/static/{name}?v={files()[name].version}"


def _query(**parameters: object) -> str:
    """Format a query, without empty parameters."""
    given = {key: value for key, value in parameters.items() if value}
    return f"?{urlencode(given)}" if given else "?"


def _clock(at: datetime | None, now: datetime) -> str:
    """Return a time, without the date where that is the date of `now`."""
    if at is None:
        return ""
    at = at.astimezone(UTC)
    return f"{at:%H:%M:%S}" if at.date() == now.date() else f"{at:%b} {at.day} {at:%H:%M}"
