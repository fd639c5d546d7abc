"""Searches for secret values where they must not be."""

import base64
import logging
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Self

import structlog

#: Lengths of text before a value shift its base64; each of three has a form of its own.
_SHIFTS = 3


def forms(value: str, api_keys: Iterable[str]) -> Iterator[str]:
    """Yield `value` in every encoding in which it might leak."""
    yield value
    yield value.encode().hex()
    for api_key in api_keys:
        yield base64.b64encode(f"{api_key}:{value}".encode()).decode().rstrip("=")
    for shift in range(_SHIFTS):
        encoded = base64.b64encode(b"\0" * shift + value.encode()).decode().rstrip("=")
        # Cut what depends on the neighbours, too.
        yield encoded[4 if shift else 0 : len(encoded) - 1]


def text_of(error: BaseException) -> str:
    """Return everything that an exception shows: itself, its causes, its traceback."""
    return "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))


class LogCapture(logging.Handler):
    """Captures every log line of this process from DEBUG on, of structlog and of logging."""

    def __init__(self) -> None:
        """Capture nothing yet."""
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Capture a line of the standard library."""
        self.lines.append(f"{record.name} {record.getMessage()} {record.args!r}")

    def __call__(
        self, _logger: object, method: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        """Capture an event of structlog, and drop it."""
        self.lines.append(f"{method} {event!r}")
        raise structlog.DropEvent

    def __enter__(self) -> Self:
        """Start to capture."""
        self._processors = structlog.get_config()["processors"]
        structlog.configure(processors=[self])
        self._level = logging.root.level
        logging.root.addHandler(self)
        logging.root.setLevel(logging.DEBUG)
        return self

    def __exit__(self, *_: object) -> None:
        """Restore logging."""
        structlog.configure(processors=self._processors)
        logging.root.removeHandler(self)
        logging.root.setLevel(self._level)


def found(values: Iterable[str], api_keys: Iterable[str], texts: Iterable[str]) -> list[str]:
    """Return the texts that hold one of `values` in any form, by their first characters."""
    keys = list(api_keys)
    wanted = {form for value in values for form in forms(value, keys)}
    return [text[:60] for text in texts if any(form in text for form in wanted)]


def contents(paths: Iterable[Path]) -> Iterator[str]:
    """Yield the content of every file, one character for each byte."""
    for path in sorted(paths):
        yield f"{path.name}: {path.read_bytes().decode('latin-1')}"
