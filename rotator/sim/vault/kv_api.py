"""The calls on a KV version 2 mount."""

from collections.abc import Callable
from typing import Any

from rotator.sim.http import Refused, Reply, Request
from rotator.sim.vault import kv, responses
from rotator.sim.vault.kv import (
    CheckAndSetError,
    Key,
    PlainMount,
    Rules,
    SimVersion,
    Standby,
    VersionedMount,
    children,
)
from rotator.sim.vault.responses import body_of, flag, integer, numbers, query_integer, table

MAX_KEYS = 64

MAX_KEY_BYTES = 128

MAX_VALUE_BYTES = 512


def checked(given: object) -> dict[str, str]:
    """Give custom metadata as texts.

    Raises:
        Refused: it is no object, or breaks a limit.
    """
    raw = table(given, "custom_metadata")
    if len(raw) > MAX_KEYS:
        raise _refused(f"payload must contain at most {MAX_KEYS} keys, provided {len(raw)}")
    texts = {name: _text(value) for name, value in raw.items()}
    for name, value in texts.items():
        _check(f'key "{name}"', "key", name, MAX_KEY_BYTES)
        _check(f'value for key "{name}"', "value", value, MAX_VALUE_BYTES)
    return texts


def _text(value: object) -> str:
    # What is no text becomes one as in Go: true is 1, null is empty.
    if isinstance(value, bool):
        return str(int(value))
    return "" if value is None else str(value)


def _check(what: str, kind: str, text: str, longest: int) -> None:
    size = len(text.encode())
    if not 0 < size <= longest:
        raise _refused(f"length of {what} is {size} but must be 0 < len({kind}) <= {longest}")
    if not text.isprintable():
        raise _refused(f"{what} contains unprintable characters")


def _refused(text: str) -> Refused:
    message = f"1 error occurred:\n\t* custom_metadata validation failed: {text}\n\n"
    return Refused(responses.error_reply(400, message))


_ROOT_ONLY_LISTS = "Non-listing operations on the root of a K/V v2 mount are not supported."

_Call = Callable[[str, Request, int], Reply]

_VERBS = {"POST": "put", "PUT": "put", "GET": "get", "LIST": "list", "DELETE": "delete"}


class VersionedCalls:
    """Answers the calls on one mount; the caller has checked who may."""

    def __init__(self, mount: VersionedMount, standby: Standby) -> None:
        self._mount = mount
        self._standby = standby

    def exists(self, path: str) -> bool:
        """Whether a write to this path needs `update` and not `create`."""
        section, _, key = path.partition("/")
        return section not in ("data", "metadata") or key in self._mount.keys

    def answer(self, operation: str, path: str, request: Request, now: int) -> Reply:
        """Carry out `operation` (read, write, delete, list) on a path below the mount.

        Raises:
            Refused: the request's body does not fit.
        """
        section, _, key = path.partition("/")
        calls: dict[tuple[str, str], _Call] = {
            ("read", "data"): self._read,
            ("write", "data"): self._write,
            ("delete", "data"): self._delete_latest,
            ("write", "delete"): self._delete,
            ("write", "undelete"): self._undelete,
            ("write", "destroy"): self._destroy,
            ("read", "metadata"): self._read_metadata,
            ("write", "metadata"): self._write_metadata,
            ("delete", "metadata"): self._delete_metadata,
            ("list", "metadata"): self._list,
        }
        if path == "config":
            return self._config(operation, request)
        call = calls.get((operation, section))
        if call is not None and (key or path.endswith("/")):
            return call(key, request, now)
        if key and section in {known for _, known in calls}:
            return responses.unsupported()
        return _invalid_path(section, key, request.method)

    def _read(self, path: str, request: Request, now: int) -> Reply:
        key = self._mount.keys.get(path)
        asked = query_integer(request, "version")
        if key is None:
            return responses.error_reply(404)
        newest = self._standby.newest(key)
        version = key.versions.get(asked if asked > 0 else newest)
        if version is None or version.version > newest:
            return responses.error_reply(404)
        if version.is_readable(now):
            return responses.ok({"data": version.data, "metadata": _version(key, version)})
        return responses.ok({"data": None, "metadata": _version(key, version)}, status=404)

    def _write(self, path: str, request: Request, now: int) -> Reply:
        body = body_of(request)
        if "data" not in body:
            return responses.error_reply(400, "no data provided")
        data = table(body["data"], "data")
        cas = _check_and_set(table(body.get("options"), "options"))
        try:
            version = self._mount.write(path, data, cas, now)
        except CheckAndSetError as error:
            return responses.error_reply(400, str(error))
        return responses.ok(_version(self._mount.keys[path], version))

    def _delete_latest(self, path: str, _request: Request, now: int) -> Reply:
        if key := self._mount.keys.get(path):
            key.delete([key.current], now)
        return responses.done()

    def _delete(self, path: str, request: Request, now: int) -> Reply:
        wanted = numbers(request, "No version number provided")
        if key := self._mount.keys.get(path):
            key.delete(wanted, now)
        return responses.done()

    def _undelete(self, path: str, request: Request, now: int) -> Reply:
        wanted = numbers(request, "No version number provided")
        if key := self._mount.keys.get(path):
            key.undelete(wanted, self._mount.rules, now)
        return responses.done()

    def _destroy(self, path: str, request: Request, _now: int) -> Reply:
        wanted = numbers(request, "no version number provided")
        if key := self._mount.keys.get(path):
            key.destroy(wanted)
        return responses.done()

    def _read_metadata(self, path: str, _request: Request, _now: int) -> Reply:
        key = self._mount.keys.get(path)
        return responses.ok(key.metadata()) if key else responses.error_reply(404)

    def _write_metadata(self, path: str, request: Request, now: int) -> Reply:
        body = body_of(request)
        custom = checked(body["custom_metadata"]) if "custom_metadata" in body else None
        changes = _changes(body)
        key = self._mount.key(path, now)
        key.updated = now
        _apply(key.rules, changes)
        # Nothing is written for a body without any of them.
        key.metadata_version += bool(changes or "custom_metadata" in body)
        if custom is not None:
            key.custom_metadata = custom or None
        if self._mount.rules.cas_required and changes.get("cas_required") is False:
            warning = (
                '"cas_required" set to false, but is mandated by backend config. '
                "This value will be ignored."
            )
            return responses.ok(None, more={"warnings": [warning]})
        return responses.done()

    def _delete_metadata(self, path: str, _request: Request, _now: int) -> Reply:
        self._mount.keys.pop(path, None)
        return responses.done()

    def _list(self, path: str, _request: Request, _now: int) -> Reply:
        found = children(self._mount.keys, path)
        return responses.ok({"keys": found}) if found else responses.error_reply(404)

    def _config(self, operation: str, request: Request) -> Reply:
        rules = self._mount.rules
        if operation == "write":
            _apply(rules, _changes(body_of(request)))
            return responses.done()
        if operation != "read":
            return responses.unsupported()
        shown = {
            "max_versions": rules.max_versions,
            "cas_required": rules.cas_required,
            "delete_version_after": kv.written(rules.delete_version_after),
            "metadata_cas_required": False,
        }
        return responses.ok(shown)


def _version(key: Key, version: SimVersion) -> dict[str, Any]:
    return {
        "version": version.version,
        **version.times(),
        "custom_metadata": key.custom_metadata,
    }


def _check_and_set(options: dict[str, Any]) -> int | None:
    if "cas" not in options:
        return None
    try:
        return integer(options["cas"], "cas")
    except Refused as refused:
        text = "error parsing check-and-set parameter"
        raise Refused(responses.error_reply(400, text)) from refused


def _changes(body: dict[str, Any]) -> dict[str, Any]:
    """Read the rules that a body sets.

    Raises:
        Refused: one of them does not fit.
    """
    changes: dict[str, Any] = {}
    if "max_versions" in body:
        # Kept without a sign.
        changes["max_versions"] = integer(body["max_versions"], "max_versions") % 2**32
    if "cas_required" in body:
        changes["cas_required"] = flag(body["cas_required"], "cas_required")
    if "delete_version_after" in body:
        try:
            changes["delete_version_after"] = kv.seconds(body["delete_version_after"])
        except ValueError as error:
            text = f'error converting input for field "delete_version_after": {error}'
            raise Refused(responses.error_reply(400, text)) from error
    return changes


def _apply(rules: Rules, changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        setattr(rules, name, value)


def _invalid_path(section: str, key: str, method: str) -> Reply:
    if method == "LIST" and section == "data":
        return responses.unsupported()
    if not key and section in ("metadata", "data", "delete", "undelete", "destroy"):
        return responses.ok(None, status=404, more={"warnings": [_ROOT_ONLY_LISTS]})
    warning = (
        "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate "
        "API endpoints to use. If using the Vault CLI, use "
        f"'vault kv {_VERBS.get(method, 'get')}' for this operation."
    )
    return responses.ok(None, status=404, more={"warnings": [warning]})


#: the system's default lease, 32 days
DEFAULT_LEASE = 2764800


class PlainCalls:
    """Answers the calls on one mount; the caller has checked who may."""

    def __init__(self, mount: PlainMount) -> None:
        self._mount = mount

    def exists(self, path: str) -> bool:
        """Whether a write to this path needs `update` and not `create`."""
        return path in self._mount.entries

    def answer(self, operation: str, path: str, request: Request, _now: int) -> Reply:
        """Carry out `operation` (read, write, delete, list) on a path below the mount.

        Raises:
            Refused: the request's body is no JSON object.
        """
        entries = self._mount.entries
        match operation:
            case "read":
                return self._read(path)
            case "list":
                found = children(entries, path)
                return responses.ok({"keys": found}) if found else responses.error_reply(404)
            case "delete":
                entries.pop(path, None)
                return responses.done()
            case _:
                return self._write(path, request)

    def _read(self, path: str) -> Reply:
        data = self._mount.entries.get(path)
        if data is None:
            return responses.error_reply(404)
        try:
            lease = kv.seconds(data.get("ttl", DEFAULT_LEASE))
        except ValueError:
            lease = DEFAULT_LEASE
        return responses.ok(data, more={"lease_duration": lease})

    def _write(self, path: str, request: Request) -> Reply:
        body = body_of(request)
        if not body:
            return responses.error_reply(400, "missing data fields")
        self._mount.entries[path] = body
        return responses.done()
