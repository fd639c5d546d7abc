"""Reads the file and makes settings of it, or says all that is wrong with it at once."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rotator.config import environment
from rotator.config.document import Document
from rotator.config.path import CREDENTIALS, Surroundings
from rotator.config.problem import failure
from rotator.config.settings import Settings
from rotator.errors import ConfigError


def load(path: Path, environ: Mapping[str, str]) -> Settings:
    """Read the configuration at `path`, overridden by `environ`. Blocks on that one file.

    Files that it names are not opened, and need not exist.

    Raises:
        ConfigError: the file cannot be read, or is not usable; the message has every reason.
    """
    tables = _read(path)
    base = path.absolute().parent
    # Outside a unit, credentials are where the unit gets them from.
    environ = {**environ, CREDENTIALS: environ.get(CREDENTIALS) or str(base)}
    origins, problems = environment.apply(tables, environ)
    surroundings = Surroundings(base=base, environ=environ)
    document = Document(tables, surroundings, origins)
    settings = document.settings()
    problems = [*document.problems, *problems]
    if settings is None or problems:
        raise failure(path, problems)
    return settings


def _read(path: Path) -> dict[str, Any]:
    hint, text = None, ""
    try:
        text = path.read_text(encoding="utf-8-sig")
        return tomllib.loads(text)
    except FileNotFoundError:
        what = "there is no such file"
        hint = "name the configuration by `rotator --config PATH` or $ROTATOR_CONFIG"
    except IsADirectoryError:
        what, hint = "is a directory", "name the file in it"
    except PermissionError:
        what, hint = "cannot be read: permission denied", f"let this user read it: chmod a+r {path}"
    except OSError as error:
        what = f"cannot be read: {(error.strerror or 'no reason given').lower()}"
    except UnicodeDecodeError as error:
        what, hint = f"is not UTF-8 (byte {error.start})", "save the file as UTF-8"
    except RecursionError:
        what = "is nested too deeply"
    except ValueError as error:
        what, hint = _syntax(str(error), text)
    raise ConfigError(f"{path}: {what}", hint=hint)


def _syntax(message: str, text: str) -> tuple[str, str]:
    """Return a syntax error with its place first, and a hint."""
    if message.startswith(_OF_REPETITIONS) and (repetition := _repetition(text)):
        return repetition, "keep one of them"
    match = re.fullmatch(r"(.*) \(at (.*)\)", message, flags=re.DOTALL)
    what, where = (match[1], f"{match[2]}: ") if match else (message, "")
    # A key as Python writes a tuple.
    what = re.sub(r"\(('[^()]*'),?\)", lambda key: re.sub("', '", ".", key[1]).strip("'"), what)
    hint = "the file is TOML: text stands in quotes"
    return f"{where}{what[:1].lower()}{what[1:]}", hint


#: How tomllib says that a key or a table stands twice, without its name or its place.
_OF_REPETITIONS = ("Cannot overwrite", "Cannot declare", "Cannot mutate")
_NAME = r"""[\w"'-]+(?:\s*\.\s*[\w"'-]+)*"""
_LINE = re.compile(
    rf"\s*(?:(?P<list>\[\[)\s*(?P<item>{_NAME})\s*\]\]|\[\s*(?P<table>{_NAME})\s*\]|(?P<key>{_NAME})\s*=)"
)


def _repetition(text: str) -> str | None:
    """Return, in words, the first key or table that stands twice; None where that is not plain."""
    place, seen = ("", 0), dict[tuple[str, int, str], int]()
    for number, line in enumerate(text.splitlines(), start=1):
        found = _LINE.match(line)
        if found is None:
            continue
        name = re.sub(r"[\s\"']", "", found["item"] or found["table"] or found["key"])
        if found["item"]:
            # Each has keys of its own.
            place = (name, number)
            continue
        if found["table"]:
            place = (name, 0)
        which = (*place, "" if found["table"] else name)
        if which in seen:
            told = f"[{name}]" if found["table"] else ".".join(filter(None, (place[0], name)))
            return f"line {number}: {told} stands twice, first in line {seen[which]}"
        seen[which] = number
    return None
