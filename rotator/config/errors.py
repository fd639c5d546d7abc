"""What can be wrong in a configuration, in words for an operator.

No value of a key that looks like a secret's is ever part of a text, nor the value of an
unknown key, nor a URL with anything in it that might be a credential.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from rotator.errors import ConfigError

HOW_TO_GIVE_SECRETS = "secrets are given by *_file keys; those of accounts are read from Vault"
_SECRET_WORDS = ("credential", "passphrase", "password", "role_id", "secret", "token")
_LONGEST_SHOWN = 60
#: How alike a known name must be to be suggested, and to be what was certainly meant.
_ALIKE, _SLIP = 0.65, 0.8


class Unfit(ValueError):
    """A value breaks a rule. The text continues a sentence that begins with the value."""

    def __init__(self, text: str, *, hint: str | None = None) -> None:
        """Take the sentence's end, and what to do instead."""
        super().__init__(text)
        self.hint = hint


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong."""

    #: The key with its table's path, or the environment variable.
    where: str
    what: str
    hint: str | None = None

    def line(self) -> str:
        """Give the problem without its hint."""
        return f"{self.where}: {self.what}"


def failure(path: Path, problems: Sequence[Problem]) -> ConfigError:
    """Make one error of all that is wrong in the file at `path`, one line for each.

    A single problem's hint is the error's; where there are several, each line has its own.
    """
    if len(problems) == 1:
        return ConfigError(f"{path}: {problems[0].line()}", hint=problems[0].hint)
    hinted = [
        f"{problem.line()} ({problem.hint})" if problem.hint else problem.line()
        for problem in problems
    ]
    return ConfigError("\n  ".join([f"{path}:", *hinted]))


def is_inline_secret(key: str, known: Iterable[str]) -> bool:
    """Whether an unknown key's name says that its value is a secret itself.

    One that names a file or a field is not, nor a slip in one of the `known` keys.
    """
    names_another = key.lower().endswith(("_file", "_field"))
    slip = get_close_matches(key, known, n=1, cutoff=_SLIP)
    return _has_secret_word(key) and not names_another and not slip


def closest(name: str, known: Iterable[str]) -> str | None:
    """Give the known name that `name` was most probably meant to be."""
    return next(iter(get_close_matches(name, known, n=1, cutoff=_ALIKE)), None)


def asked(meant: str | None) -> str:
    """Give a clause that asks whether `meant` was; nothing for nothing."""
    return f", did you mean {meant}?" if meant else ""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Give a clause that names the closest known name; nothing where none is close."""
    return asked(closest(name, known))


def key_text(key: str) -> str:
    """Write a key as it may stand in a path: bare where TOML would take it bare."""
    return key if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", key) else _cut(key)


def value_text(key: str, value: object) -> str:
    """Write a value so that it can be shown; say what it is where it must not be."""
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
    """Say what is wrong with an unknown key, and the hint.

    `known` are the keys of its table, `elsewhere` the paths where that very key is known.
    """
    known = list(known)
    if is_inline_secret(key, known):
        by_file = f"{key.lower()}_file"
        instead = f"use {by_file}" if by_file in known else HOW_TO_GIVE_SECRETS
        return "a secret is never written into the configuration", instead
    meant = closest(key, known) or " or ".join(elsewhere)
    return f"unknown key{asked(meant)}", None


def _cut(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…")


def _has_secret_word(key: str) -> bool:
    return any(word in key.lower() for word in _SECRET_WORDS)


def _may_be_credential(key: str, value: object) -> bool:
    """Whether a URL may hold one, or a secret may stand where the api key belongs."""
    text = str(value)
    is_url = "url" in key or key == "address" or "://" in text
    # Webhooks have it in the path.
    has_path = re.match("https?://[^/]*/.", text)
    return key == "api_key" or (is_url and bool(has_path or set("@?#=").intersection(text)))
