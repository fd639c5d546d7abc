"""Types of values that several tables share.

Values are strictly typed, as in TOML: "25" is not a number.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic.fields import FieldInfo

from rotator.config import urls
from rotator.config.errors import InvalidValue, did_you_mean
from rotator.errors import ConfigError
from rotator.model.times import UNITS, format_duration

Member = TypeVar("Member", bound=StrEnum)

#: systemd's directory of a unit's credentials; outside a unit, `load` sets it to the
#: configuration's folder, which the unit's credentials come from.
CREDENTIALS = "CREDENTIALS_DIRECTORY"

#: Also matches a bare `$`, as a variable without a name.
_VARIABLE = re.compile(r"\$(?:\{(\w*)\}|(\w*))")


@dataclass(frozen=True, kw_only=True)
class PathContext:
    """The base of relative paths in the file."""

    #: The configuration file's directory.
    base: Path
    environ: Mapping[str, str]

    def resolve(self, text: str) -> Path:
        """Expand a path and make it absolute, or raise `InvalidValue`. It need not exist."""
        if not text.isprintable():
            raise InvalidValue("has control characters")
        return self.base / self._expand(text)

    def _expand(self, text: str) -> str:
        expanded = _VARIABLE.sub(self._variable, text)
        if not text.startswith("~"):
            return expanded
        if not re.match("~(/|$)", text):
            raise InvalidValue("begins with another user's home, which is not expanded")
        return self._value("HOME") + expanded[1:]

    def _variable(self, match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name != CREDENTIALS:
            raise InvalidValue(f"holds ${name or ''}: only ${CREDENTIALS} and ~ are expanded")
        return self._value(name)

    def _value(self, name: str) -> str:
        value = self.environ.get(name)
        if not value:
            raise InvalidValue(f"needs ${name}, which is not set", hint="write the path out")
        return value


def form(pattern: str, **rules: object) -> WithJsonSchema:
    """Return what an editor checks of a text: a whole pattern, and other keywords of JSON Schema.

    It is never stricter than the validator beside it. The pattern means the same in Python, Rust
    and JavaScript: it has no lookaround, no named groups and no flags.
    """
    return WithJsonSchema({"type": "string", "pattern": f"^({pattern})$", **rules})


def around(info: ValidationInfo) -> PathContext:
    """Return the context of a file's paths; for settings made in code, the process's own."""
    return info.context or PathContext(base=Path(), environ={})


def file_path(value: object, info: ValidationInfo) -> Path | None:
    """Convert a value of the file into a path; None stays None."""
    if value is None or isinstance(value, Path):
        return value
    if not isinstance(value, str):
        raise InvalidValue("is not a string")
    if not value:
        return None
    return around(info).resolve(value)


def vault_path(text: str) -> str:
    """Return a path in Vault without leading or trailing slash, or raise `InvalidValue`."""
    path = text.strip("/")
    if not path:
        raise InvalidValue("is empty")
    if not path.isprintable() or re.search(r"[?#%\\]", path):
        raise InvalidValue("has control characters or one of ? # % \\")
    if {"", ".", ".."}.intersection(path.split("/")):
        raise InvalidValue("has a segment that is empty, . or ..")
    if path.endswith("."):
        raise InvalidValue("ends with a dot, which Vault does not find")
    return path


def namespace(text: str) -> str:
    """Return a Vault namespace without slashes around it; it may be empty."""
    if " " in text:
        raise InvalidValue("has spaces, which no header can carry")
    return vault_path(text) if text.strip("/") else ""


#: No duration is meant to be a century, and sums with a date must not overflow.
LONGEST = timedelta(days=36500)

HOW_TO_WRITE = "write one number and one unit: 90s, 15m, 24h or 30d"


def parse_duration(text: str) -> timedelta:
    """Parse `90s`, `15m`, `24h` or `30d`.

    Raises:
        ConfigError: `text` has another form, or is longer than 36500d.
    """
    try:
        return duration(text)
    except InvalidValue as invalid:
        raise ConfigError(f"{text!r} {invalid}", hint=invalid.hint) from None


def duration(value: object) -> timedelta:
    """Convert a value of the file into a duration, or raise `InvalidValue`."""
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"([0-9]{1,12})([dhms])", value) if isinstance(value, str) else None
    if match is None:
        raise InvalidValue("is not a duration", hint=HOW_TO_WRITE)
    seconds = int(match[1]) * UNITS[match[2]]
    if seconds > LONGEST.total_seconds():
        raise InvalidValue(f"is longer than {format_duration(LONGEST)}")
    return timedelta(seconds=seconds)


def member_of(kind: type[Member]) -> BeforeValidator:
    """Return a validator of texts that are the values of `kind`'s members."""

    def check(value: object) -> Member:
        for known in kind:
            if value == known:
                return known
        meant = did_you_mean(value, kind) if isinstance(value, str) else ""
        raise InvalidValue(f"is not one of {', '.join(kind)}{meant}")

    return BeforeValidator(check)


def written_as(pattern: str, rule: str, text: str) -> str:
    """Return the text, or raise `InvalidValue` with `rule` unless the pattern matches it whole."""
    if not re.fullmatch(pattern, text):
        raise InvalidValue(rule)
    return text


def _field_name(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise InvalidValue("is empty or has control characters")
    if text == "rotator":
        raise InvalidValue("is the field where rotator keeps its own note")
    return text


#: A duration of at least 1s.
POSITIVE = "0*[1-9][0-9]*[dhms]"

Duration = Annotated[timedelta, BeforeValidator(duration), form("[0-9]{1,12}[dhms]")]

Positive = Annotated[Duration, Field(ge=timedelta(seconds=1)), form(POSITIVE)]

Timeout = Annotated[
    Duration, Field(ge=timedelta(seconds=1), le=timedelta(minutes=5)), form(POSITIVE)
]

Patience = Annotated[Duration, Field(ge=timedelta(), le=timedelta(minutes=10))]

_KNOWN_VARIABLE = rf"\$({CREDENTIALS}|\{{{CREDENTIALS}\}})"

File = Annotated[
    Path | None,
    BeforeValidator(file_path),
    form(rf"|~|(~/|{_KNOWN_VARIABLE}|[^$~])({_KNOWN_VARIABLE}|[^$])*"),
]

WebUrl = Annotated[str, AfterValidator(urls.web_url), form(urls.WEB_FORM)]

#: Segments between slashes, the last not ending with a dot.
VAULT_PATH_FORM = "/*({0}+/)*{0}*{1}/*".format(r"[^?#%\\/\x00-\x1f]", r"[^?#%\\/.\x00-\x1f]")
_DOTS = {"pattern": r"(^|/)\.\.?(/|$)"}

VaultPath = Annotated[str, AfterValidator(vault_path), form(VAULT_PATH_FORM, **{"not": _DOTS})]

_FIELD_NAME_FORM = r"[^\x00-\x1f]*[^\x00-\x20][^\x00-\x1f]*"
_NOTE = {"const": "rotator"}

FieldName = Annotated[str, AfterValidator(_field_name), form(_FIELD_NAME_FORM, **{"not": _NOTE})]

#: Likewise; "" for none.
OptionalFieldName = Annotated[
    str,
    AfterValidator(lambda text: _field_name(text) if text else text),
    form(f"|{_FIELD_NAME_FORM}", **{"not": _NOTE}),
]

ACCOUNT_NAME = r"[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9_-])?"

API_KEY = "[A-Za-z0-9]{1,64}"

Name = Annotated[
    str,
    AfterValidator(
        partial(
            written_as,
            ACCOUNT_NAME,
            "is not an account name: at most 64 of a-z 0-9 . _ -, "
            "the first a letter or digit, the last no dot",
        )
    ),
    form(ACCOUNT_NAME),
]

ApiKey = Annotated[
    str,
    AfterValidator(
        partial(written_as, API_KEY, "is not an API key: at most 64 letters and digits")
    ),
    form(API_KEY),
]


def _patterns(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(text, str) for text in value):
        raise InvalidValue("is not a list of strings", hint='write ["*"] or ["prod-*", "abcd1234"]')
    return tuple(value)


Patterns = Annotated[tuple[str, ...], BeforeValidator(_patterns)]


def fields_of(model: "type[Table]") -> dict[str, FieldInfo]:
    """Return the fields of a table by the keys that a file has for them."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


class Table(BaseModel):
    """A table of the file: frozen, strictly typed, without unknown keys."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        hide_input_in_errors=True,
        # Commands without a configuration need not wait for its validators.
        defer_build=True,
    )


#: Five fields of the characters that occur in them.
CRON_FORM = r"\s*([0-9A-Za-z*,/#-]+\s+){4}[0-9A-Za-z*,/#-]+\s*"


def cron_expression(text: str) -> str:
    """Return a valid cron expression with single spaces, or raise `InvalidValue`."""
    from cronsim import CronSim, CronSimError  # noqa: PLC0415  # most configurations have none

    expression = " ".join(text.split())
    if expression.count(" ") != 4:  # noqa: PLR2004  # see below
        rule = "does not have five fields: minute, hour, day of month, month, day of week"
        raise InvalidValue(rule)
    try:
        next(CronSim(expression, datetime(2000, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        raise InvalidValue(f"has a {str(error).lower()}") from None
    except StopIteration:
        rule = "names a day that its months do not have, so it would never come"
        raise InvalidValue(rule) from None
    return expression
