"""The calls on a KV version 1 mount.

A version 2 client that writes to `data/x` here succeeds with 204: it has stored an entry named
`data/x`.
"""

from rotator.sim.message import Reply, Request
from rotator.sim.vault import duration, responses
from rotator.sim.vault.body import body_of
from rotator.sim.vault.kv import PlainMount, children

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
                return responses.ok({"keys": found}) if found else responses.error(404)
            case "delete":
                entries.pop(path, None)
                return responses.done()
            case _:
                return self._write(path, request)

    def _read(self, path: str) -> Reply:
        data = self._mount.entries.get(path)
        if data is None:
            return responses.error(404)
        try:
            lease = duration.seconds(data.get("ttl", DEFAULT_LEASE))
        except ValueError:
            lease = DEFAULT_LEASE
        return responses.ok(data, more={"lease_duration": lease})

    def _write(self, path: str, request: Request) -> Reply:
        body = body_of(request)
        if not body:
            return responses.error(400, "missing data fields")
        self._mount.entries[path] = body
        return responses.done()
