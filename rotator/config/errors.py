"""Problems of a configuration, worded for an operator.

A text never contains the value of a key that looks like a secret's, the value of an unknown key, or
a URL that might contain a credential.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Generic, TypeVar

from rotator.errors import ConfigError

AnyTable = TypeVar("AnyTable")

HOW_TO_GIVE_SECRETS = "secrets are given by *_file keys; those of accounts are read from Vault"
_SECRET_WORDS = ("credential", "passphrase", "password", "role_id", "secret", "token")
_LONGEST_SHOWN = 60
#: Similarity from which a known name is suggested, and from which it was certainly meant.
_ALIKE, _SLIP = 0.65, 0.8


class InvalidValue(ValueError):
    """A value breaks a rule. The text continues a sentence that begins with the value."""

    def __init__(self, text: str, *, hint: str | None = None) -> None:
        """Store the end of the sentence, and a hint."""
        super().__init__(text)
        self.hint = hint


@dataclass(frozen=True, kw_only=True)
class Location:
    """A table, and its location in the file for problems."""

    #: Its path, as in `TABLES`.
    table: str
    #: Its path with the index, if it is one of several.
    path: str
    #: Name of the account that an index refers to.
    note: str = ""
    #: Variables by the path of the key that they set.
    origins: Mapping[str, str] = field(default_factory=dict)

    def key(self, *names: str) -> str:
        """Return the location of a key of the table, or of the table itself."""
        variable = self.origins.get(".".join((self.path, *names)))
        return (
            f"${variable}" if variable else ".".join((self.path, *map(key_text, names))) + self.note
        )

    def problem(self, key: str, what: str, hint: str | None = None) -> "ConfigProblem":
        """Return a problem of a key of the table; of the table itself for ""."""
        return ConfigProblem(
            where=self.key(*key.split(".")) if key else self.key(), what=what, hint=hint
        )


@dataclass(frozen=True, kw_only=True)
class Located(Generic[AnyTable]):
    """A valid table and its location."""

    place: Location
    table: AnyTable


@dataclass(frozen=True, kw_only=True)
class ConfigProblem:
    """One problem of the configuration."""

    #: The key with its table's path, or the environment variable.
    where: str
    what: str
    hint: str | None = None

    def line(self) -> str:
        """Return the problem without its hint."""
        return f"{self.where}: {self.what}"


def failure(path: Path, problems: Sequence[ConfigProblem]) -> ConfigError:
    """Combine all problems of the file at `path` into one error, one line each.

    A single problem's hint becomes the error's; of several, each line has its own.
    """
    if len(problems) == 1:
        return ConfigError(f"{path}: {problems[0].line()}", hint=problems[0].hint)
    hinted = [
        f"{problem.line()} ({problem.hint})" if problem.hint else problem.line()
        for problem in problems
    ]
    return ConfigError("\n  ".join([f"{path}:", *hinted]))


def is_inline_secret(key: str, known: Iterable[str]) -> bool:
    """Return whether an unknown key's name suggests that its value is itself a secret.

    Not if it names a file or a field, or is a misspelling of one of the `known` keys.
    """
    names_another = key.lower().endswith(("_file", "_field"))
    slip = get_close_matches(key, known, n=1, cutoff=_SLIP)
    return _has_secret_word(key) and not names_another and not slip


def closest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name closest to `name`; None where none is close."""
    return next(iter(get_close_matches(name, known, n=1, cutoff=_ALIKE)), None)


def suggestion(meant: str | None) -> str:
    """Return a clause that suggests `meant`; "" for None."""
    return f", did you mean {meant}?" if meant else ""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a clause that suggests the closest known name; "" where none is close."""
    return suggestion(closest(name, known))


def key_text(key: str) -> str:
    """Format a key for a path: bare where TOML allows it."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", key) else _cut(key)


def value_text(key: str, value: object) -> str:
    """Format a value for display; describe it if it must not be shown."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    if _has_secret_word(key) or _may_be_credential(key, value):
        return "the value"
    if isinstance(value, bool):
        return str(value).lower()
    return _cut(value) if isinstance(value, str) else str(value)[:_LONGEST_SHOWN]


def unknown_key(key: str, known: Iterable[str], elsewhere: Iterable[str]) -> tuple[str, str | None]:
    """Return what is wrong with an unknown key, and the hint.

    `known` are the keys of its table, `elsewhere` the paths where the same key is known.
    """
    known = list(known)
    if is_inline_secret(key, known):
        by_file = f"{key.lower()}_file"
        instead = f"use {by_file}" if by_file in known else HOW_TO_GIVE_SECRETS
        return "a secret is never written into the configuration", instead
    meant = closest(key, known) or " or ".join(elsewhere)
    return f"unknown key{suggestion(meant)}", None


def _cut(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…")


def _has_secret_word(key: str) -> bool:
    return any(word in key.lower() for word in _SECRET_WORDS)


def _may_be_credential(key: str, value: object) -> bool:
    """Return whether a URL may contain a credential, or the api key may be a secret."""
    text = str(value)
    is_url = "url" in key or key == "address" or "://" in text
    # Webhooks have it in the path.
    has_path = re.match("https?://[^/]*/.", text)
    return key == "api_key" or (is_url and bool(has_path or set("@?#=").intersection(text)))
