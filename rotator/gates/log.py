"""One file of an audit device: dated JSON lines, of which only the end is read."""

import json
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from gzip import GzipFile
from typing import Any

from rotator.errors import reason_of
from rotator.gates.paths import opened
from rotator.gates.verdict import Undecided

#: Longest line, in bytes: twice the largest request that Vault takes.
_LONGEST_LINE = 64 * 1024 * 1024
#: Where the search for the start ends, and within what the first time is expected, in bytes.
_NEAR = 1024 * 1024
#: Lines that are read between two looks at the clock.
_STRIDE = 1024
#: How far lines may be out of order: those of several requests are written as they come.
_MARGIN = timedelta(minutes=1)

Line = dict[str, Any]


class Log:
    """An opened file. `check_time` is called again and again, and may raise `Undecided`."""

    def __init__(self, path: str, check_time: Callable[[], object]) -> None:
        """Open it; one that gzip has compressed, too, which is read from its beginning.

        Raises:
            Undecided: it cannot be read, or is no regular file.
        """
        self._path = path
        self._check_time = check_time
        with self._readable():
            self._raw = opened(path)
            status = os.fstat(self._raw.fileno())
        self._size = status.st_size
        self._is_compressed = path.endswith(".gz")
        self._file = GzipFile(fileobj=self._raw) if self._is_compressed else self._raw
        #: Identifies the file, under whatever name.
        self.identity = (status.st_dev, status.st_ino)

    def close(self) -> None:
        """Close it."""
        self._file.close()
        self._raw.close()

    def begins_at(self) -> datetime | None:
        """Return the time of the first line; None for a file without any.

        Raises:
            Undecided: it cannot be read, or has no dated lines.
        """
        with self._readable():
            self._file.seek(0)
            while (line := self._line()) is not None and self._file.tell() < _NEAR + len(line):
                if at := _time_of(line):
                    return at
            if self._file.tell() == 0:
                return None
        raise Undecided(f"{self._path} is not what an audit device writes as JSON")

    def lines(self, since: datetime, needle: bytes) -> Iterator[Line]:
        """Yield the lines from about `since` on that contain `needle`; the others are not parsed.

        Raises:
            Undecided: it cannot be read, or such a line is no JSON object.
        """
        with self._readable():
            self._file.seek(0 if self._is_compressed else self._start(since - _MARGIN))
            count = 0
            while (line := self._line()) is not None:
                count += 1
                if count % _STRIDE == 0:
                    self._check_time()
                if needle not in line:
                    continue
                if (parsed := _parsed(line)) is None:
                    raise Undecided(f"{self._path} has a line that is not JSON")
                yield parsed

    def _line(self) -> bytes | None:
        """Return the next whole line; None at the end. One that is being written has no end yet."""
        line = self._file.readline(_LONGEST_LINE)
        if line.endswith(b"\n"):
            return line
        if len(line) == _LONGEST_LINE:
            raise Undecided(f"{self._path} has a line longer than {_LONGEST_LINE >> 20} MiB")
        return None

    def _start(self, since: datetime) -> int:
        """Return where a line begins before which all lines are older than `since`."""
        low, high = 0, self._size
        while high - low > _NEAR:
            middle = (low + high) // 2
            older = self._older_from(middle, high, since)
            low, high = (low, middle) if older is None else (older, high)
        return low

    def _older_from(self, middle: int, high: int, since: datetime) -> int | None:
        """Return where the first dated line of a range begins, if it is older than `since`."""
        self._file.seek(middle)
        # The rest of a line whose beginning is elsewhere.
        self._line()
        while (position := self._file.tell()) < high and (line := self._line()) is not None:
            self._check_time()
            if at := _time_of(line):
                return position if at < since else None
        return None

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, zlib.error):
            raise Undecided(f"{self._path} cannot be read: it is not whole") from None
        except OSError as error:
            raise Undecided(f"{self._path} cannot be read: {reason_of(error)}") from None


def _parsed(line: bytes) -> Line | None:
    """Return a line's object, after the prefix that a device may be told to write."""
    try:
        document = json.loads(line[max(line.find(b"{"), 0) :])
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _time_of(line: bytes) -> datetime | None:
    document = _parsed(line) or {}
    try:
        at = datetime.fromisoformat(str(document.get("time")))
    except ValueError:
        return None
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
