"""Paths: of files beside the configuration, and of entries in Vault."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationInfo

from rotator.config.problem import Unfit

#: Where systemd puts the credentials of a unit; outside a unit, `load` puts the configuration's
#: folder in its place, where the unit's credentials come from.
CREDENTIALS = "CREDENTIALS_DIRECTORY"
#: Also matches a bare `$`, as a variable without a name.
_VARIABLE = re.compile(r"\$(?:\{(\w*)\}|(\w*))")


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a path in the file is relative to."""

    #: The configuration file's directory.
    base: Path
    environ: Mapping[str, str]

    def resolve(self, text: str) -> Path:
        """Expand a path and make it absolute, or raise `Unfit`. It need not exist."""
        if not text.isprintable():
            raise Unfit("has control characters")
        return self.base / self._expand(text)

    def _expand(self, text: str) -> str:
        expanded = _VARIABLE.sub(self._variable, text)
        if not text.startswith("~"):
            return expanded
        if not re.match("~(/|$)", text):
            raise Unfit("begins with another user's home, which is not expanded")
        return self._value("HOME") + expanded[1:]

    def _variable(self, match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name != CREDENTIALS:
            raise Unfit(f"holds ${name or ''}: only ${CREDENTIALS} and ~ are expanded")
        return self._value(name)

    def _value(self, name: str) -> str:
        value = self.environ.get(name)
        if not value:
            raise Unfit(f"needs ${name}, which is not set", hint="write the path out")
        return value


def around(info: ValidationInfo) -> Surroundings:
    """Give what a file's paths are relative to; for settings made in code, the process's own."""
    return info.context or Surroundings(base=Path(), environ={})


def file_path(value: object, info: ValidationInfo) -> Path | None:
    """Turn a value of the file into a path; nothing into None."""
    if value is None or isinstance(value, Path):
        return value
    if not isinstance(value, str):
        raise Unfit("is not text")
    if not value:
        return None
    return around(info).resolve(value)


def vault_path(text: str) -> str:
    """Give a path in Vault without leading or trailing slash, or raise `Unfit`."""
    path = text.strip("/")
    if not path:
        raise Unfit("is empty")
    if not path.isprintable() or re.search(r"[?#%\\]", path):
        raise Unfit("has control characters or one of ? # % \\")
    if {"", ".", ".."}.intersection(path.split("/")):
        raise Unfit("has a segment that is empty, . or ..")
    if path.endswith("."):
        raise Unfit("ends with a dot, which Vault does not find")
    return path


def namespace(text: str) -> str:
    """Give a Vault namespace without slashes around it; it may be nothing."""
    if " " in text:
        raise Unfit("has spaces, which no header can carry")
    return vault_path(text) if text.strip("/") else ""
