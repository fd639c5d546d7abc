"""KV version 2: keys, their versions, and the calls on a mount.

The rules are those of OpenBao's `internal/builtin/logical/kv` (path_config.go, path_data.go,
path_delete.go, path_destroy.go, path_metadata.go). Times are nanoseconds
since the epoch, spans are seconds.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from rotator.sim.clock import NANOSECONDS, rfc3339
from rotator.sim.http import Refused, Reply, Request
from rotator.sim.vault import responses
from rotator.sim.vault.responses import body_of, integer, table

#: Versions that are kept of each key where nothing else is set.
MAX_VERSIONS = 10

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


def go_duration(span: int) -> str:
    """Format seconds as Go does: `3h0m0s`, `1m30s`, `0s`."""
    minutes, rest = divmod(span, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{f'{hours}h' if hours else ''}{f'{minutes}m' if hours or minutes else ''}{rest}s"


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


@dataclass(kw_only=True)
class Settings:
    """What can be set for a key, and for a mount."""

    #: versions that are kept; 0 for the default
    max_versions: int = 0
    #: whether a write must name the current version
    cas_required: bool = False
    #: seconds after which a new version is deleted by itself; 0 for never
    delete_version_after: int = 0

    def change(self, body: dict[str, Any], refusal: str = "") -> None:
        """Set what a request's body has; an invalid field changes nothing.

        Raises:
            Refused: a field is invalid; the answer begins with `refusal`.
        """
        field_error = f'{refusal}error converting input for field "{{}}": {{}}'
        number = "'' cannot parse value as 'int': strconv.ParseInt: invalid syntax"
        most = integer(
            body.get("max_versions", self.max_versions), field_error.format("max_versions", number)
        )
        try:
            after = seconds(body.get("delete_version_after", self.delete_version_after))
        except ValueError as error:
            text = field_error.format("delete_version_after", error)
            raise Refused(responses.error_reply(400, text)) from error
        self.max_versions, self.delete_version_after = most, after
        self.cas_required = bool(body.get("cas_required", self.cas_required))

    def as_json(self) -> dict[str, Any]:
        """Return the settings as answers have them."""
        return {
            "max_versions": self.max_versions,
            "cas_required": self.cas_required,
            "delete_version_after": go_duration(self.delete_version_after),
            "metadata_cas_required": False,
        }


_NOTHING_SET = Settings()


@dataclass(kw_only=True)
class Key(Settings):
    """One key and its versions."""

    versions: dict[int, SimVersion] = field(default_factory=dict)
    #: number of the newest version; 0 while there is none
    current: int = 0
    #: number of the oldest version that is kept; 0 while none was dropped
    oldest: int = 0
    custom_metadata: dict[str, Any] | None = None
    #: how often its metadata were changed
    changes: int = 0
    created: int | None = None
    updated: int | None = None

    def write(
        self,
        data: dict[str, Any],
        now: int,
        cas: int | None = None,
        mount: Settings = _NOTHING_SET,
    ) -> SimVersion:
        """Add a version, and drop the oldest beyond those that key and `mount` keep.

        Raises:
            Refused: `cas` is not the current version, or is required; nothing is changed.
        """
        if cas is None and (self.cas_required or mount.cas_required):
            text = "check-and-set parameter required for this call"
            raise Refused(responses.error_reply(400, text))
        if cas is not None and cas != self.current:
            text = "check-and-set parameter did not match the current version"
            raise Refused(responses.error_reply(400, text))
        self.current += 1
        both = self.delete_version_after, mount.delete_version_after
        after = min(filter(None, both), default=0)
        self.versions[self.current] = SimVersion(
            version=self.current,
            data=data,
            created=now,
            deletion=now + after * NANOSECONDS if after else None,
        )
        self.created, self.updated = self.created or now, now
        kept = max(self.max_versions, mount.max_versions) or MAX_VERSIONS
        for dropped in [each for each in self.versions if each <= self.current - kept]:
            del self.versions[dropped]
            self.oldest = dropped + 1
        return self.versions[self.current]

    def set(self, body: dict[str, Any], now: int) -> None:
        """Set what a request's body has; raises as `change`."""
        self.change(body)
        self.custom_metadata = body.get("custom_metadata", self.custom_metadata)
        self.changes += 1
        self.created, self.updated = self.created or now, now

    def metadata(self) -> dict[str, Any]:
        """Return what is known of the key beside its data."""
        return self.as_json() | {
            "created_time": rfc3339(self.created),
            "updated_time": rfc3339(self.updated),
            "current_version": self.current,
            "oldest_version": self.oldest,
            "current_metadata_version": self.changes,
            "custom_metadata": self.custom_metadata,
            "versions": {str(number): each.times() for number, each in self.versions.items()},
        }

    def version_metadata(self, version: SimVersion) -> dict[str, Any]:
        """Return what an answer says of a version beside its data."""
        about = {"version": version.version, "custom_metadata": self.custom_metadata}
        return about | version.times()

    def readable(self, number: int, now: int) -> dict[str, Any] | None:
        """Return a version's data, 0 for the current one; None if it cannot be read."""
        version = self.versions.get(number or self.current)
        return version.data if version is not None and version.is_readable(now) else None

    def delete_latest(self, now: int) -> None:
        """Soft-delete the current version, unless it cannot be read anyway."""
        self.delete([self.current], now)

    def delete(self, numbers: Iterable[int], now: int) -> None:
        """Soft-delete versions that can be read."""
        for number in numbers:
            if (version := self.versions.get(number)) and version.is_readable(now):
                version.deletion = now

    def undelete(self, numbers: Iterable[int]) -> None:
        """Take the deletion of versions back; what was destroyed stays so."""
        for number in numbers:
            if (version := self.versions.get(number)) and not version.destroyed:
                version.deletion = None

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
    config: Settings = field(default_factory=Settings)

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
        section, _, key = path.partition("/")
        return "create" if section in ("data", "metadata") and key not in self.keys else "update"

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
            case "read", "data":
                return self._read(key, request, now, is_stale=is_stale)
            case "write", "data":
                return self._write(key, request, now)
            case "delete", "data":
                if key in self.keys:
                    self.keys[key].delete_latest(now)
                return Reply(status=204)
            case "write", "delete" | "undelete" | "destroy":
                return self._change_versions(section, key, request, now)
            case _, "config":
                return self._configure(operation, request)
            case _, "metadata":
                return self._describe(operation, key, request, now)
            case _, "data" | "delete" | "undelete" | "destroy":
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
        document = {"data": data, "metadata": key.version_metadata(version)}
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
        version = key.write(data, now, cas, self.config)
        self.keys[path] = key
        return responses.ok(key.version_metadata(version))

    def _change_versions(self, change: str, path: str, request: Request, now: int) -> Reply:
        versions = body_of(request).get("versions")
        if not isinstance(versions, list) or not versions:
            text = "version number provided"
            return responses.error_reply(400, f"{'no' if change == 'destroy' else 'No'} {text}")
        numbers = [integer(each, "Field validation failed") for each in versions]
        key = self.keys.get(path, Key())
        match change:
            case "delete":
                key.delete(numbers, now)
            case "undelete":
                key.undelete(numbers)
            case _:
                key.destroy(numbers)
        return Reply(status=204)

    def _configure(self, operation: str, request: Request) -> Reply:
        """Answer or change the mount's settings."""
        if operation == "read":
            return responses.ok(self.config.as_json())
        if operation == "delete":
            return responses.unsupported()
        self.config.change(body_of(request), "Field validation failed: ")
        return Reply(status=204)

    def _describe(self, operation: str, path: str, request: Request, now: int) -> Reply:
        """Answer, change or remove what is known of a key; with it go all its versions."""
        key = self.keys.get(path)
        if operation == "read":
            return responses.ok(key.metadata()) if key else responses.error_reply(404)
        if operation == "delete":
            self.keys.pop(path, None)
        elif body := body_of(request):
            # A key that does not exist yet is kept only if nothing is refused.
            key = key or Key()
            key.set(body, now)
            self.keys[path] = key
        return Reply(status=204)
