"""Logging: every event of rotator and its libraries is one line on one stream.

JSON where the stream is not a terminal, otherwise for people. Account, rotation and step are on
each line that is written while one of them is worked on, by any module; the reconciler binds them.
Where the stream is systemd's journal, each line starts with its priority (sd-daemon(3)).

The last steps before a line is written mask what should never have reached them: values of
suspicious keys and wrapped secrets, and then, in the finished line, every live value. An exception
is named, never printed: its text and its traceback may contain a value.
"""

import logging
import os
import re
import sys
from collections.abc import Mapping
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from rotator.model import Credential, SecretValue
from rotator.model.redaction import MASK, printable, redact

#: Libraries whose INFO and DEBUG lines contain paths and statements, which our lines cover better.
_NOISY = (
    "alembic",
    "apscheduler",
    "asyncio",
    "hpack",
    "httpcore",
    "httpx",
    "hvac",
    "requests",
    "sqlalchemy",
    "tzlocal",
    "urllib3",
    "uvicorn",
)
_SUSPICIOUS = frozenset({"authorization", "password", "secret", "secrets", "token", "value"})
#: A key with such an ending names a secret and does not contain it: `secret_id`, `token_file`.
_ABOUT = frozenset({"at", "field", "file", "id", "ids", "path", "version"})


def configure(
    level: str, stream: TextIO | None = None, environ: Mapping[str, str] = os.environ
) -> None:
    """Send all events of at least `level` to `stream`, standard error by default.

    `environ` contains systemd's information on the journal's stream.
    """
    stream = stream or sys.stderr
    number = _number_of(level)
    structlog.configure(
        processors=[*_shared(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        Formatter(
            is_journal=is_journal(stream, environ),
            foreign_pre_chain=_shared(),
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                name_exception,
                mask,
                *_renderers(stream),
            ],
        )
    )
    logging.basicConfig(level=number, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    for name in _NOISY:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))


class Formatter(structlog.stdlib.ProcessorFormatter):
    """Formats the line, and ensures that it contains no live value."""

    def __init__(self, *, is_journal: bool, **options: Any) -> None:  # noqa: ANN401  # structlog's
        """Start lines with their priority if `is_journal`."""
        super().__init__(**options)
        self._is_journal = is_journal

    def format(self, record: logging.LogRecord) -> str:
        """Return `record` as text, redacted, with the journal's prefix where that is used."""
        text = redact(super().format(record))
        if not self._is_journal:
            return text
        prefix = _priority(record.levelno)
        return "\n".join(f"{prefix}{line}" for line in text.splitlines())


def priority_of(level: str) -> str:
    """Return the prefix of a line of that level in the journal."""
    return _priority(_number_of(level))


def _number_of(level: str) -> int:
    return logging.getLevelNamesMapping()[level.upper()]


def _priority(level: int) -> str:
    """Return the journal's prefix for a line of this level."""
    for least, priority in ((50, 2), (40, 3), (30, 4), (20, 6)):
        if level >= least:
            return f"<{priority}>"
    return "<7>"


def is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Return whether `stream` goes to the journal: systemd names its device and inode."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def name_exception(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Replace an exception by the name of its class."""
    found = event.pop("exc_info", None)
    event.pop("exception", None)
    event.pop("stack_info", None)
    if found is True:
        found = sys.exc_info()
    if isinstance(found, tuple):
        found = found[1]
    if isinstance(found, BaseException):
        event["exception"] = type(found).__name__
    return event


def mask(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Mask the parts of an event that must not be shown."""
    return {key: _masked(key, value) for key, value in event.items()}


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _renderers(stream: TextIO) -> list[Processor]:
    if stream.isatty():
        return [disarm, structlog.dev.ConsoleRenderer(colors=not os.environ.get("NO_COLOR"))]
    return [structlog.processors.JSONRenderer(default=_of_kind)]


def disarm(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Remove terminal control characters from an event; JSON escapes them."""
    return {printable(key): _disarmed(value) for key, value in event.items()}


def _disarmed(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    return printable(value if isinstance(value, str) else repr(value))


def _of_kind(value: object) -> str:
    """Return the type of a value that JSON cannot encode, as its text may be anything."""
    return f"<{type(value).__name__}>"


def _masked(key: str, value: object) -> object:
    if isinstance(value, SecretValue | Credential):
        return MASK
    if value is None or isinstance(value, bool | int | float):
        return value
    if _is_suspicious(key):
        return MASK
    if isinstance(value, Mapping):
        return {str(name): _masked(str(name), part) for name, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_masked("", part) for part in value]
    return value


def _is_suspicious(key: str) -> bool:
    words = re.split(r"[^a-z0-9]+", key.lower())
    return words[-1] not in _ABOUT and not _SUSPICIOUS.isdisjoint(words)
