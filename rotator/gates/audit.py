"""The gate of Vault's audit log: whoever read the old version has read the new one."""

import os
import re
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from rotator.gates.log import Line, Log
from rotator.gates.paths import expanded
from rotator.gates.verdict import Consumer, Undecided, Verdict
from rotator.model.times import rfc3339

#: Most readers of one entry.
_MOST_READERS = 10_000
#: How often the files are opened anew, as they are renamed meanwhile.
_TRIES = 3
_WRITES = ("create", "update", "patch")
#: Characters of an identifier in a reader's name.
_SHORT = 8
#: Where login methods put the name of the role that logged in, in a token's metadata.
_ROLES = ("role_name", "role", "username", "common_name")


class ReaderKey(StrEnum):
    """What counts as one reader."""

    #: The identity behind the token; the token where it has none.
    ENTITY = "entity"
    TOKEN = "token"  # noqa: S105  # a word
    #: The identity at one address.
    ADDRESS = "address"


@dataclass(frozen=True, kw_only=True)
class Question:
    """Which reads to look for."""

    #: Vault's namespace, mount and path of the entry.
    namespace: str
    mount: str
    path: str
    #: The entry's version that has the new secret.
    vault_version: int
    #: Older reads are not looked at.
    since: datetime
    per: ReaderKey = ReaderKey.ENTITY
    #: Readers that are not asked for: by name, role or identifier.
    ignored: Collection[str] = ()

    @property
    def full_path(self) -> str:
        """Where the entry is, however the namespace is written."""
        return f"{self.namespace}/{self.mount}/data/{self.path}".strip("/")

    @property
    def needle(self) -> bytes:
        """What each line about the entry contains: the longest part that JSON never escapes."""
        parts: list[bytes] = re.findall(rb"[\w/.-]+", f"data/{self.path}".encode())
        return max(parts, key=len)


def check(patterns: Sequence[str], question: Question, *, timeout: timedelta) -> Verdict:
    """Return open if every reader of an older version has also read the new one, or a later one.

    Each answered read in the log shows which version was read. The reader that wrote the new
    version is rotator, and no consumer.

    Raises:
        Undecided: the log cannot be read in time, does not go back as far as is asked for, has no
            record of the new version's writing, or no reader of an older one.
    """
    ends_at = time.monotonic() + timeout.total_seconds()

    def check_time() -> None:
        if time.monotonic() > ends_at:
            raise Undecided(f"the log was not read within {timeout.total_seconds():.0f} s")

    readers = _Readers(question=question)
    with ExitStack() as stack:
        logs = _opened(patterns, check_time, stack)
        begun = [at for at in (log.begins_at() for log in logs) if at]
        if not begun or min(begun) > question.since:
            raise Undecided(
                f"the log begins at {rfc3339(min(begun, default=None))}, later than "
                f"{rfc3339(question.since)}: name the rotated files, too, or a shorter --within"
            )
        for log in logs:
            for line in log.lines(question.since, question.needle):
                readers.add(line)
    return readers.verdict()


def _opened(
    patterns: Sequence[str], check_time: Callable[[], object], stack: ExitStack
) -> list[Log]:
    """Open all files that match, none twice; anew if they were renamed in between."""
    for _ in range(_TRIES):
        logs: dict[tuple[int, int], Log] = {}
        for path in expanded(patterns):
            log = Log(path, check_time)
            stack.callback(log.close)
            logs.setdefault(log.identity, log)
        if set(logs) == set(map(_identity, expanded(patterns))):
            return list(logs.values())
    raise Undecided("the log's files are being renamed")


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116  # a text, as the pattern is
    except OSError:
        return None
    return status.st_dev, status.st_ino


@dataclass(kw_only=True)
class _Reader:
    identity: str
    #: What `--ignore` may call it.
    names: tuple[str, ...]
    has_read_older: bool = False
    has_read_new: bool = False


@dataclass(kw_only=True)
class _Readers:
    """Readers of the entry, and whether they have read the new version."""

    question: Question
    writers: set[str] = field(default_factory=set)
    readers: dict[tuple[str, ...], _Reader] = field(default_factory=dict)

    def add(self, line: Line) -> None:
        """Note a line: an answered read, or the writing of the new version."""
        request, answer = _object(line, "request"), _object(line, "response")
        place = f"{_object(request, 'namespace').get('path', '')}{request.get('path')}"
        if line.get("type") != "response" or line.get("error"):
            return
        if place.strip("/") != self.question.full_path:
            return
        auth, data = _object(line, "auth"), _object(answer, "data")
        operation = request.get("operation")
        if operation in _WRITES and data.get("version") == self.question.vault_version:
            self.writers.add(_identifier(auth))
        if operation != "read" or not (data.get("data") or answer.get("wrap_info")):
            return
        reader = self._reader(auth, str(request.get("remote_address", "")))
        version = _object(data, "metadata").get("version")
        # A wrapped answer shows no version.
        is_new = type(version) is int and version >= self.question.vault_version
        # Without an identity, it could be another reader each time.
        reader.has_read_new |= is_new and bool(reader.identity)
        reader.has_read_older |= not is_new

    def verdict(self) -> Verdict:
        """Return the verdict on all lines; raises as `check`."""
        asked = self.question
        if not self.writers:
            raise Undecided(
                f"the log has no record of who wrote version {asked.vault_version} of "
                f"{asked.full_path}: it may be another server's, or begin later"
            )
        consumers = [
            Consumer(
                name=reader.names[0],
                lag=None if reader.has_read_new else "it read only an older version",
            )
            for reader in self.readers.values()
            if reader.has_read_older and reader.identity not in self.writers
            if not set(reader.names).intersection(asked.ignored)
        ]
        if not consumers:
            raise Undecided(
                f"no consumer has read an older version since {rfc3339(asked.since)}: "
                "a longer --within may show some"
            )
        return Verdict.of(consumers)

    def _reader(self, auth: dict[str, Any], address: str) -> _Reader:
        identity, token = _identifier(auth), _token(auth)
        key = {
            ReaderKey.ENTITY: (identity,),
            ReaderKey.TOKEN: (token,),
            ReaderKey.ADDRESS: (identity, address),
        }[self.question.per]
        if key not in self.readers:
            if len(self.readers) == _MOST_READERS:
                raise Undecided(f"there are more than {_MOST_READERS} readers")
            self.readers[key] = _Reader(identity=identity, names=self._names(auth, key))
        return self.readers[key]

    def _names(self, auth: dict[str, Any], key: tuple[str, ...]) -> tuple[str, ...]:
        """Return what a reader is called: its name, and what else identifies it."""
        metadata = _object(auth, "metadata")
        shown = str(auth.get("display_name") or "unknown")
        role = next((str(metadata[name]) for name in _ROLES if metadata.get(name)), "")
        identifier, *address = key
        short = identifier.rpartition(":")[2][:_SHORT]
        name = " ".join(filter(None, (shown, role, short, *address)))
        return tuple(filter(None, (name, shown, role, identifier)))


def _identifier(auth: dict[str, Any]) -> str:
    """Return who has a token: its entity; the token itself where it has none."""
    return str(auth.get("entity_id") or _token(auth))


def _token(auth: dict[str, Any]) -> str:
    """Return what identifies a token: its accessor, or its hash, as batch tokens have no other."""
    return str(auth.get("accessor") or auth.get("client_token") or "")


def _object(document: dict[str, Any], key: str) -> dict[str, Any]:
    """Return an object in a document; empty where there is none."""
    found = document.get(key)
    return found if isinstance(found, dict) else {}
