"""The calls on a KV version 2 mount."""

from collections.abc import Callable
from typing import Any

from rotator.sim.http import Refused, Reply, Request
from rotator.sim.vault import responses
from rotator.sim.vault.kv import CheckAndSetError, SimVersion, Standby, VersionedMount, seconds
from rotator.sim.vault.responses import body_of, integer, numbers, query_integer, table

_Call = Callable[[str, Request, int], Reply]


class VersionedCalls:
    """Answers the calls on one mount; the caller has checked who may."""

    def __init__(self, mount: VersionedMount, standby: Standby) -> None:
        self._mount = mount
        self._standby = standby

    def exists(self, path: str) -> bool:
        """Whether a write to this path needs `update` and not `create`."""
        section, _, key = path.partition("/")
        return section != "data" or key in self._mount.keys

    def answer(self, operation: str, path: str, request: Request, now: int) -> Reply:
        """Carry out `operation` (read, write, delete) on a path below the mount.

        Raises:
            Refused: the request's body does not fit.
        """
        section, _, key = path.partition("/")
        calls: dict[tuple[str, str], _Call] = {
            ("read", "data"): self._read,
            ("write", "data"): self._write,
            ("delete", "data"): self._delete_latest,
            ("write", "destroy"): self._destroy,
            ("write", "metadata"): self._set_end,
        }
        if (operation, path) == ("read", "config"):
            return responses.ok(_CONFIG)
        if section not in {known for _, known in calls}:
            return responses.error_reply(404)
        call = calls.get((operation, section))
        return call(key, request, now) if call else responses.unsupported()

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
            return responses.ok({"data": version.data, "metadata": _version(version)})
        return responses.ok({"data": None, "metadata": _version(version)}, status=404)

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
        return responses.ok(_version(version))

    def _delete_latest(self, path: str, _request: Request, now: int) -> Reply:
        if key := self._mount.keys.get(path):
            key.delete_latest(now)
        return responses.done()

    def _destroy(self, path: str, request: Request, _now: int) -> Reply:
        wanted = numbers(request, "no version number provided")
        if key := self._mount.keys.get(path):
            key.destroy(wanted)
        return responses.done()

    def _set_end(self, path: str, request: Request, _now: int) -> Reply:
        """Set after how long the versions written from now on end; nothing else can be set."""
        try:
            after = seconds(body_of(request).get("delete_version_after", 0))
        except ValueError as error:
            return responses.error_reply(400, str(error))
        self._mount.key(path).delete_version_after = after
        return responses.done()


#: What a mount is set to, as long as nobody sets it otherwise.
_CONFIG = {
    "max_versions": 0,
    "cas_required": False,
    "delete_version_after": "0s",
    "metadata_cas_required": False,
}


def _version(version: SimVersion) -> dict[str, Any]:
    return {"version": version.version, **version.times(), "custom_metadata": None}


def _check_and_set(options: dict[str, Any]) -> int | None:
    if "cas" not in options:
        return None
    try:
        return integer(options["cas"], "cas")
    except Refused as refused:
        text = "error parsing check-and-set parameter"
        raise Refused(responses.error_reply(400, text)) from refused
