"""KV version 2: keys, their versions and their metadata, without HTTP.

The rules are those of OpenBao's `internal/builtin/logical/kv` (path_data.go, path_metadata.go,
path_delete.go, path_destroy.go). Times are nanoseconds since the epoch, spans are seconds.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
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


def written(total: int) -> str:
    """Write seconds as Go's `time.Duration` does: `0s`, `1m30s`, `768h0m0s`."""
    minutes, rest = divmod(total, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


DEFAULT_MAX_VERSIONS = 10


class CheckAndSetError(ValueError):
    """A write was refused; the text is Vault's."""


@dataclass(kw_only=True)
class Rules:
    """What a mount sets for all of its keys, and a key for itself; zero is unset."""

    max_versions: int = 0
    cas_required: bool = False
    delete_version_after: int = 0


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
        """Give what both the data's and the key's metadata say of a version."""
        return {
            "created_time": rfc3339(self.created),
            "deletion_time": rfc3339(self.deletion),
            "destroyed": self.destroyed,
        }


@dataclass(kw_only=True)
class Key:
    """One key: its versions and its metadata."""

    created: int
    updated: int
    versions: dict[int, SimVersion] = field(default_factory=dict)
    #: 0 while there is metadata only
    current: int = 0
    oldest: int = 0
    rules: Rules = field(default_factory=Rules)
    custom_metadata: dict[str, str] | None = None
    #: how often the metadata was written
    metadata_version: int = 0

    def check(self, cas: int | None, mount: Rules) -> None:
        """Check a write's check-and-set parameter; None is one that was not given.

        Raises:
            CheckAndSetError: it is required or does not match.
        """
        if cas is None and (mount.cas_required or self.rules.cas_required):
            raise CheckAndSetError("check-and-set parameter required for this call")
        if cas is not None and cas != self.current:
            raise CheckAndSetError("check-and-set parameter did not match the current version")

    def write(self, data: dict[str, Any], mount: Rules, now: int) -> SimVersion:
        """Add a version, and drop those beyond the number to keep."""
        self.current += 1
        version = SimVersion(
            version=self.current, data=data, created=now, deletion=self._expiry(mount, now)
        )
        self.versions[self.current] = version
        self.updated = now
        self._prune(mount)
        return version

    def readable(self, number: int, now: int) -> dict[str, Any] | None:
        """Give a version's data; 0 for the current one, None if it cannot be read."""
        version = self.versions.get(number or self.current)
        return version.data if version is not None and version.is_readable(now) else None

    def delete(self, numbers: Iterable[int], now: int) -> None:
        """Soft-delete versions; others than readable ones are left alone."""
        for version in self._existing(numbers):
            if version.is_readable(now):
                version.deletion = now

    def undelete(self, numbers: Iterable[int], mount: Rules, now: int) -> None:
        """Take back a soft deletion; a version that expires gets its time anew."""
        for version in self._existing(numbers):
            if not version.destroyed:
                version.deletion = self._expiry(mount, now)

    def destroy(self, numbers: Iterable[int]) -> None:
        """Remove the data of versions for ever; their metadata stays."""
        for version in self._existing(numbers):
            version.destroyed = True
            version.data = None

    def metadata(self) -> dict[str, Any]:
        """Give what `GET metadata/` answers as `data`."""
        return {
            "cas_required": self.rules.cas_required,
            "created_time": rfc3339(self.created),
            "current_metadata_version": self.metadata_version,
            "current_version": self.current,
            "custom_metadata": self.custom_metadata,
            "delete_version_after": written(self.rules.delete_version_after),
            "max_versions": self.rules.max_versions,
            # Its check-and-set for metadata, OpenBao's own, is never asked for here.
            "metadata_cas_required": False,
            "oldest_version": self.oldest,
            "updated_time": rfc3339(self.updated),
            "versions": {str(number): each.times() for number, each in self.versions.items()},
        }

    def _existing(self, numbers: Iterable[int]) -> list[SimVersion]:
        return [self.versions[number] for number in numbers if number in self.versions]

    def _expiry(self, mount: Rules, now: int) -> int | None:
        # The key's span cannot exceed the mount's.
        spans = [mount.delete_version_after, self.rules.delete_version_after]
        shortest = min((span for span in spans if span), default=0)
        return now + shortest * NANOSECONDS if shortest else None

    def _prune(self, mount: Rules) -> None:
        kept = max(mount.max_versions, self.rules.max_versions) or DEFAULT_MAX_VERSIONS
        if self.current - self.oldest < kept:
            return
        for number in range(self.oldest, self.current - kept + 1):
            self.versions.pop(number, None)
        self.oldest = self.current - kept + 1


@dataclass
class VersionedMount:
    """A KV version 2 mount."""

    rules: Rules = field(default_factory=Rules)
    keys: dict[str, Key] = field(default_factory=dict)

    def key(self, path: str, now: int) -> Key:
        """Give the key of a path, made if it does not exist."""
        return self.keys.setdefault(path, Key(created=now, updated=now))

    def write(self, path: str, data: dict[str, Any], cas: int | None, now: int) -> SimVersion:
        """Write a version.

        Raises:
            CheckAndSetError: `cas` is required or does not match; nothing is changed.
        """
        fresh = Key(created=now, updated=now)
        self.keys.get(path, fresh).check(cas, self.rules)
        return self.key(path, now).write(data, self.rules, now)


@dataclass
class PlainMount:
    """A KV version 1 mount."""

    entries: dict[str, dict[str, Any]] = field(default_factory=dict)


def children(paths: Iterable[str], prefix: str) -> list[str]:
    """List what is directly below `prefix` (empty, or ending in a slash), folders with a slash."""
    below = (path.removeprefix(prefix) for path in paths if path.startswith(prefix))
    return sorted({first + slash for first, slash, _ in (path.partition("/") for path in below)})


_TYPES: Mapping[int, type[PlainMount | VersionedMount]] = {1: PlainMount, 2: VersionedMount}


class Mounts:
    """KV mounts by their path without slashes at the ends; each of version 1 or 2.

    Raises:
        ValueError: another version.
    """

    def __init__(self, versions: Mapping[str, int]) -> None:
        if unknown := set(versions.values()) - _TYPES.keys():
            raise ValueError(f"KV has versions 1 and 2, not {min(unknown)}")
        self._mounts = {name.strip("/"): _TYPES[version]() for name, version in versions.items()}

    def __iter__(self) -> Iterator[str]:
        return iter(self._mounts)

    def __getitem__(self, name: str) -> PlainMount | VersionedMount:
        return self._mounts[name]

    def of(self, path: str) -> str | None:
        """Give the name of the mount that a path is on; of nested ones the longest."""
        found = [name for name in self._mounts if f"{path}/".startswith(f"{name}/")]
        return max(found, key=len, default=None)

    def version(self, name: str) -> int:
        """Give a mount's KV version."""
        return 2 if isinstance(self._mounts[name], VersionedMount) else 1

    def versioned(self, name: str) -> VersionedMount:
        """Give a KV version 2 mount.

        Raises:
            KeyError: nothing is mounted there.
            TypeError: it is of version 1.
        """
        mount = self._mounts[name]
        if not isinstance(mount, VersionedMount):
            raise TypeError(f"mount {name} is KV version 1")
        return mount


@dataclass
class Standby:
    """Makes reads stale, as Vault's performance standbys and OpenBao >= 2.5 may be."""

    #: so many of the next reads do not know a key's newest version yet
    stale_reads: int = 0

    def newest(self, key: Key) -> int:
        """Give the newest version that this read knows of, 0 for none; counts the read."""
        if self.stale_reads <= 0:
            return key.current
        self.stale_reads -= 1
        return key.current - 1
