"""Reads the file and makes settings of it, or says all that is wrong with it at once."""

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rotator.config import environment
from rotator.config.document import Document
from rotator.config.path import CREDENTIALS, Surroundings
from rotator.config.problem import failure, key_text
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
    if message.startswith(_OF_REPETITIONS):
        return _repetition(message, text.split("\n")), "keep one of them"
    match = re.fullmatch(r"(.*) \(at (.*)\)", message, flags=re.DOTALL)
    what, where = (match[1], f"{match[2]}: ") if match else (message, "")
    hint = "the file is TOML: text stands in quotes"
    return f"{where}{what[:1].lower()}{what[1:]}", hint


#: How tomllib says that a key or a table stands twice, in most cases without its name.
_OF_REPETITIONS = (
    "Cannot overwrite",
    "Cannot declare",
    "Cannot mutate",
    "Cannot redefine",
    "Duplicate inline",
)
_NAME = r"""[\w"'-]+(?:\s*\.\s*[\w"'-]+)*"""
_LINE = re.compile(
    rf"\s*(?:\[\[\s*(?P<item>{_NAME})\s*\]\]|\[\s*(?P<table>{_NAME})\s*\]|(?P<key>{_NAME})\s*=)"
)


def _repetition(message: str, lines: list[str]) -> str:
    """Return in words which key or table stands twice, and where for the first time."""
    located = re.search(r"\(at line ([0-9]+), ", message)
    number = int(located[1]) if located else len(lines)
    if inline := re.search("inline table key '([^']*)'", message):
        return f"line {number}: {key_text(inline[1])} stands twice in an inline table"
    # It is noticed where the value ends, which may be some lines after the name.
    while number > 1 and not _LINE.match(lines[number - 1]):
        number -= 1
    outline = _Outline()
    for each, line in enumerate(lines[: number - 1], start=1):
        outline.read(line, each)
    name, first = outline.repeated(lines[number - 1])
    return f"line {number}: {name} stands twice{f', first in line {first}' if first else ''}"


class _Outline:
    """The names in a file so far, line by line, and where each stood for the first time."""

    def __init__(self) -> None:
        self._first: dict[str, int] = {}
        #: How many there are of each list of tables, whose items have names of their own.
        self._items: Counter[str] = Counter()
        self._table = ""

    def read(self, line: str, number: int) -> None:
        """Take note of what a line has."""
        if (found := _LINE.match(line)) is None:
            return
        path = self._path(found)
        for name in _parents(path):
            self._first.setdefault(name, number)
        if found["item"]:
            self._items[path] += 1
            path = f"{path}#{self._items[path]}"
            self._first[path] = number
        if not found["key"]:
            self._table = path

    def repeated(self, line: str) -> tuple[str, int | None]:
        """Return which of a line's names stands twice, and where it stood before."""
        found = _LINE.match(line)
        path = self._path(found) if found else ""
        own = len(self._table) if found and found["key"] else 0
        for name in _parents(path):
            if len(name) > own and name in self._first:
                plain = re.sub("#[0-9]+", "", name)
                is_header = name == path and found and not found["key"]
                return (f"[{plain}]" if is_header else plain), self._first[name]
        return "a key", None

    def _path(self, found: re.Match[str]) -> str:
        names = re.sub(r"[\s\"']", "", found["item"] or found["table"] or found["key"]).split(".")
        path = self._table if found["key"] else ""
        for index, name in enumerate(names, start=1):
            path = f"{path}.{name}" if path else name
            is_new_item = found["item"] and index == len(names)
            if path in self._items and not is_new_item:
                path = f"{path}#{self._items[path]}"
        return path


def _parents(path: str) -> Iterator[str]:
    """Yield `path` and all that it is below, the longest first."""
    while path:
        yield path
        path = path.rpartition(".")[0]
