"""KV version 2: keys, their versions, and the calls on a mount.

The rules are those of OpenBao's `internal/builtin/logical/kv` (path_data.go, path_delete.go,
path_destroy.go). Times are nanoseconds since the epoch, spans are seconds.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from rotator.sim.clock import NANOSECONDS, rfc3339
from rotator.sim.http import Reply, Request
from rotator.sim.vault import responses
from rotator.sim.vault.responses import body_of, integer, table

#: Versions that are kept of each key.
MAX_VERSIONS = 10

#: The configuration of a mount on which nothing was set.
_CONFIG = {
    "max_versions": 0,
    "cas_required": False,
    "delete_version_after": "0s",
    "metadata_cas_required": False,
}

_UNITS = {"h": 3600, "m": 60, "s": 1, "d": 86400, "": 1}

_PART = re.compile(r"(\d+)([dhms]?)")


def seconds(value: object) -> int:
    """Parse `90`, `"90"`, `"90s"` or `"1h30m"`.

    Raises:
        ValueError: it is not a duration; the text is Vault's.
    """
    text = str(value)
    if not re.fullmatch(rf"(?:{_PART.pattern})+", text):
        raise ValueError(f'time: invalid duration "{text}"')
    return sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(text))


class CheckAndSetError(ValueError):
    """A write was refused; the text is Vault's."""


@dataclass(kw_only=True)
class SimVersion:
    """One version of one key."""

    version: int
    #: None once destroyed
    data: dict[str, Any] | None = field(repr=False)
    created: int
    #: when it is soft-deleted; None for never
    deletion: int | None = None
    destroyed: bool = False

    def is_readable(self, now: int) -> bool:
        """Return whether its data can be read at `now`."""
        return not self.destroyed and (self.deletion is None or now < self.deletion)

    def times(self) -> dict[str, Any]:
        """Return when it was written and deleted, and whether it is destroyed."""
        return {
            "created_time": rfc3339(self.created),
            "deletion_time": rfc3339(self.deletion),
            "destroyed": self.destroyed,
        }

    def metadata(self) -> dict[str, Any]:
        """Return what an answer says of it beside its data."""
        return {"version": self.version, **self.times(), "custom_metadata": None}


@dataclass(kw_only=True)
class Key:
    """One key and its versions."""

    versions: dict[int, SimVersion] = field(default_factory=dict)
    #: number of the newest version; 0 while there is none
    current: int = 0
    #: seconds after which a new version is deleted by itself; 0 for never
    delete_version_after: int = 0

    def write(self, data: dict[str, Any], now: int, cas: int | None = None) -> SimVersion:
        """Add a version, and drop the oldest beyond `MAX_VERSIONS`.

        Raises:
            CheckAndSetError: `cas` is given and is not the current version; nothing is changed.
        """
        if cas is not None and cas != self.current:
            raise CheckAndSetError("check-and-set parameter did not match the current version")
        self.current += 1
        after = self.delete_version_after
        self.versions[self.current] = SimVersion(
            version=self.current,
            data=data,
            created=now,
            deletion=now + after * NANOSECONDS if after else None,
        )
        self.versions.pop(self.current - MAX_VERSIONS, None)
        return self.versions[self.current]

    def readable(self, number: int, now: int) -> dict[str, Any] | None:
        """Return a version's data, 0 for the current one; None if it cannot be read."""
        version = self.versions.get(number or self.current)
        return version.data if version is not None and version.is_readable(now) else None

    def delete_latest(self, now: int) -> None:
        """Soft-delete the current version, unless it cannot be read anyway."""
        version = self.versions[self.current]
        if version.is_readable(now):
            version.deletion = now

    def destroy(self, numbers: Iterable[int]) -> None:
        """Remove the data of versions for good."""
        for number in numbers:
            if version := self.versions.get(number):
                version.destroyed = True
                version.data = None


@dataclass
class Mount:
    """A KV version 2 mount, and its calls; whether the token may make them was checked before."""

    keys: dict[str, Key] = field(default_factory=dict)

    def key(self, path: str) -> Key:
        """Return the key of a path, created if it does not exist."""
        return self.keys.setdefault(path, Key())

    def has(self, path: str) -> bool:
        """Return whether a path below the mount is the data of an existing key."""
        section, _, key = path.partition("/")
        return section == "data" and key in self.keys

    def needs(self, operation: str, path: str) -> str:
        """Return the capability that an operation (read, write, delete) on a path needs."""
        if operation != "write":
            return operation
        return "create" if path.startswith("data/") and not self.has(path) else "update"

    def answer(
        self, operation: str, path: str, request: Request, now: int, *, is_stale: bool
    ) -> Reply:
        """Carry out an operation on a path below the mount.

        With `is_stale`, a read does not see the newest version yet.

        Raises:
            Refused: the body is not one of this call.
        """
        section, _, key = path.partition("/")
        match operation, section:
            case "read", "config":
                return responses.ok(_CONFIG)
            case "read", "data":
                return self._read(key, request, now, is_stale=is_stale)
            case "write", "data":
                return self._write(key, request, now)
            case "delete", "data":
                if key in self.keys:
                    self.keys[key].delete_latest(now)
                return responses.done()
            case "write", "destroy":
                return self._destroy(key, request)
            case "write", "metadata":
                return self._set_end(key, request)
            case _, "data" | "destroy" | "metadata":
                return responses.unsupported()
            case _:
                return responses.error_reply(404)

    def _read(self, path: str, request: Request, now: int, *, is_stale: bool) -> Reply:
        asked = integer(request.query.get("version"), "Field validation failed")
        key = self.keys.get(path, Key())
        newest = key.current - is_stale
        version = key.versions.get(asked if asked > 0 else newest)
        if version is None or version.version > newest:
            return responses.error_reply(404)
        data = version.data if version.is_readable(now) else None
        document = {"data": data, "metadata": version.metadata()}
        return responses.ok(document, status=404 if data is None else 200)

    def _write(self, path: str, request: Request, now: int) -> Reply:
        body = body_of(request)
        if "data" not in body:
            return responses.error_reply(400, "no data provided")
        data, options = table(body["data"], "data"), table(body.get("options"), "options")
        cas = None
        if "cas" in options:
            cas = integer(options["cas"], "error parsing check-and-set parameter")
        # A key that does not exist yet is kept only if it was written.
        key = self.keys.get(path, Key())
        try:
            version = key.write(data, now, cas)
        except CheckAndSetError as error:
            return responses.error_reply(400, str(error))
        self.keys[path] = key
        return responses.ok(version.metadata())

    def _destroy(self, path: str, request: Request) -> Reply:
        versions = body_of(request).get("versions")
        if not isinstance(versions, list) or not versions:
            return responses.error_reply(400, "no version number provided")
        numbers = [integer(each, "Field validation failed") for each in versions]
        if path in self.keys:
            self.keys[path].destroy(numbers)
        return responses.done()

    def _set_end(self, path: str, request: Request) -> Reply:
        """Set after how long later versions are deleted; nothing else can be set."""
        try:
            after = seconds(body_of(request).get("delete_version_after", 0))
        except ValueError as error:
            return responses.error_reply(400, str(error))
        self.key(path).delete_version_after = after
        return responses.done()
