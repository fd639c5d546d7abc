"""KV version 2: keys and their versions, without HTTP.

The rules are those of OpenBao's `internal/builtin/logical/kv` (path_data.go, path_delete.go,
path_destroy.go). Times are nanoseconds since the epoch, spans are seconds.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from rotator.sim.clock import NANOSECONDS, rfc3339

_UNITS = {"h": 3600, "m": 60, "s": 1, "d": 86400, "": 1}

_PART = re.compile(r"(\d+)([dhms]?)")


def seconds(value: object) -> int:
    """Read `90`, `"90"`, `"90s"` or `"1h30m"`.

    Raises:
        ValueError: it is no duration; the text is Vault's.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return int(value)
    if isinstance(value, str) and re.fullmatch(rf"(?:{_PART.pattern})+", value):
        return sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(value))
    if negative := re.fullmatch(r"(-\d+)[hms]?", str(value)):
        raise ValueError(f"cannot provide negative value '{negative[1]}'")
    raise ValueError(f'time: invalid duration "{value}"')


#: Of each key; what is older is gone.
MAX_VERSIONS = 10


class CheckAndSetError(ValueError):
    """A write was refused; the text is Vault's."""


@dataclass(kw_only=True)
class SimVersion:
    """One version of one key."""

    version: int
    #: None once destroyed
    data: dict[str, Any] | None = field(repr=False)
    created: int
    #: from then on it is soft-deleted; None for never
    deletion: int | None = None
    destroyed: bool = False

    def is_deleted(self, now: int) -> bool:
        """Whether it is soft-deleted at `now`."""
        return self.deletion is not None and self.deletion <= now

    def is_readable(self, now: int) -> bool:
        """Whether its data can be read at `now`."""
        return not self.destroyed and not self.is_deleted(now)

    def times(self) -> dict[str, Any]:
        """Return when it was written and deleted, and whether it is destroyed."""
        return {
            "created_time": rfc3339(self.created),
            "deletion_time": rfc3339(self.deletion),
            "destroyed": self.destroyed,
        }


@dataclass(kw_only=True)
class Key:
    """One key and its versions."""

    versions: dict[int, SimVersion] = field(default_factory=dict)
    #: 0 while there is none
    current: int = 0
    oldest: int = 0
    #: seconds until a version that is written is deleted by itself; 0 for never
    delete_version_after: int = 0

    def check(self, cas: int | None) -> None:
        """Check a write's check-and-set parameter; None is one that was not given.

        Raises:
            CheckAndSetError: it does not match.
        """
        if cas is not None and cas != self.current:
            raise CheckAndSetError("check-and-set parameter did not match the current version")

    def write(self, data: dict[str, Any], now: int) -> SimVersion:
        """Add a version, and drop those beyond the number to keep."""
        self.current += 1
        after = self.delete_version_after
        version = SimVersion(
            version=self.current,
            data=data,
            created=now,
            deletion=now + after * NANOSECONDS if after else None,
        )
        self.versions[self.current] = version
        self._prune()
        return version

    def readable(self, number: int, now: int) -> dict[str, Any] | None:
        """Return a version's data; 0 for the current one, None if it cannot be read."""
        version = self.versions.get(number or self.current)
        return version.data if version is not None and version.is_readable(now) else None

    def delete_latest(self, now: int) -> None:
        """Soft-delete the current version; one that cannot be read is left alone."""
        version = self.versions[self.current]
        if version.is_readable(now):
            version.deletion = now

    def destroy(self, numbers: Iterable[int]) -> None:
        """Remove the data of versions for ever."""
        for number in numbers:
            if version := self.versions.get(number):
                version.destroyed = True
                version.data = None

    def _prune(self) -> None:
        if self.current - self.oldest < MAX_VERSIONS:
            return
        for number in range(self.oldest, self.current - MAX_VERSIONS + 1):
            self.versions.pop(number, None)
        self.oldest = self.current - MAX_VERSIONS + 1


@dataclass
class VersionedMount:
    """A KV version 2 mount."""

    keys: dict[str, Key] = field(default_factory=dict)

    def key(self, path: str) -> Key:
        """Return the key of a path, created if it does not exist."""
        return self.keys.setdefault(path, Key())

    def write(self, path: str, data: dict[str, Any], cas: int | None, now: int) -> SimVersion:
        """Write a version.

        Raises:
            CheckAndSetError: `cas` does not match; nothing is changed.
        """
        self.keys.get(path, Key()).check(cas)
        return self.key(path).write(data, now)


class Mounts(dict[str, VersionedMount]):
    """KV version 2 mounts by their path without slashes at the ends."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__({name.strip("/"): VersionedMount() for name in names})

    def of(self, path: str) -> str | None:
        """Return the mount that a path is on; of nested ones the longest."""
        found = [name for name in self if f"{path}/".startswith(f"{name}/")]
        return max(found, key=len, default=None)


@dataclass
class Standby:
    """Makes reads stale, as Vault's performance standbys and OpenBao >= 2.5 may be."""

    #: so many of the next reads do not know a key's newest version yet
    stale_reads: int = 0

    def newest(self, key: Key) -> int:
        """Return the newest version that this read sees, 0 for none; counts the read."""
        if self.stale_reads <= 0:
            return key.current
        self.stale_reads -= 1
        return key.current - 1
