"""KV version 2: keys, their versions and their metadata, without HTTP.

The rules are those of OpenBao's `internal/builtin/logical/kv` (path_data.go, path_metadata.go,
path_delete.go, path_destroy.go). Times are nanoseconds since the epoch, spans are seconds.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from rotator.sim.instant import NANOSECONDS, rfc3339
from rotator.sim.vault.duration import written

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
