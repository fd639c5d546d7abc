"""Templates of HTML: what is put into them is escaped, and stripped of misleading characters."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from rotator.model.redaction import printable
from rotator.model.times import rfc3339
from rotator.reporting import text

__all__ = ["Environment", "environment"]


def environment(package: str) -> Environment:
    """Return the environment of a package's folder `templates`."""
    made = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        finalize=_printable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "moment": text.moment,
        "rfc3339": rfc3339,
        "short": text.short,
        "span": text.span,
    }
    return made


def _printable(value: object) -> object:
    """Remove bidirectional and zero-width characters from a text; markup is ours."""
    return printable(value) if type(value) is str else value
