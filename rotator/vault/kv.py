"""The calls to a KV version 2 mount that rotator makes, and what their answers mean."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from rotator.errors import MountUnusable, StoreForbidden, StoreUnavailable, UnexpectedEntry
from rotator.model import LATEST, Written, believable
from rotator.vault.headers import checked_index
from rotator.vault.session import Connection
from rotator.vault.transport import Answer, Call, Patience

#: What a standby says that knows it lags.
_LAGGING = frozenset({HTTPStatus.PRECONDITION_FAILED})


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of an entry."""

    #: Counted from 1; 0 for an entry that never was.
    number: int
    #: None where nothing is in it: it was deleted, destroyed, or never was.
    fields: Mapping[str, Any] | None = field(repr=False)
    #: When Vault removes it by itself, or removed it; None for never.
    ends_at: datetime | None = None


_NOTHING = Version(number=0, fields=None)


class KvMount:
    """A KV version 2 mount."""

    def __init__(self, connection: Connection, mount: str) -> None:
        """Use the mount named `mount`, without a slash at its end."""
        self._connection = connection
        self._mount = mount
        #: By path, what the cluster calls the state that has what was written there last.
        self._indexes: dict[str, str] = {}

    def shown(self, path: str) -> str:
        """Name an entry as operators and the vault command do."""
        return f"{self._mount}/{path}"

    def newest(
        self, operation: str, path: str, index: str = "", patience: Patience | None = None
    ) -> Version:
        """Read the newest version, as the node knows it that is asked.

        Where Vault's cluster names its states, it is not older than the state `index`, nor than
        what was written here.

        Raises:
            StoreError: it cannot be read.
        """
        return self._version_of(self._read(operation, path, index=index, patience=patience), path)

    def exactly(self, operation: str, path: str, number: int, patience: Patience) -> Version | None:
        """Read version `number`; None where the node that is asked does not have it yet.

        Raises:
            StoreError: it cannot be read.
        """
        answer = self._read(operation, path, number=number, patience=patience)
        if answer.status in _LAGGING:
            return None
        found = self._version_of(answer, path)
        return found if found.number == number else None

    def write(  # one call, told in full
        self,
        operation: str,
        path: str,
        fields: Mapping[str, Any],
        cas: int,
        *,
        before_send: Callable[[], object] | None = None,
    ) -> Written:
        """Write a version if `cas` is the newest, and return what was written.

        Raises:
            CheckAndSetLost: `cas` is not the newest.
            StoreError: any other failure; unless that is `definite`, it may be written.
        """
        call = Call(
            operation=operation,
            path=f"{self._mount}/data/{path}",
            send=lambda client: client.secrets.kv.v2.create_or_update_secret(
                path, dict(fields), cas=cas, mount_point=self._mount
            ),
            repeatable=False,
            before_send=before_send,
        )
        answer = self._connection.call(call)
        if answer.status == HTTPStatus.NO_CONTENT:
            raise _not_version_2(self._mount)
        if answer.status == HTTPStatus.NOT_FOUND:
            raise UnexpectedEntry(f"Vault takes no entry at {self.shown(path)}")
        metadata = answer.part("data", dict)
        number = _number(metadata)
        if number is None:
            raise StoreUnavailable(f"Vault does not say what it wrote: {call}")
        index = self._indexes[path] = checked_index(answer.index)
        return Written(version=number, index=index, ends_at=_end(metadata))

    def destroy(
        self,
        operation: str,
        path: str,
        numbers: Iterable[int],
        *,
        before_send: Callable[[], object] | None = None,
    ) -> None:
        """Remove for good what versions of an entry hold; there may be none of these.

        Raises:
            StoreError: it may still be there.
        """
        call = Call(
            operation=operation,
            path=f"{self._mount}/destroy/{path}",
            send=lambda client: client.secrets.kv.v2.destroy_secret_versions(
                path, list(numbers), mount_point=self._mount
            ),
            repeatable=False,
            before_send=before_send,
        )
        self._connection.call(call)

    def _read(
        self,
        operation: str,
        path: str,
        *,
        number: int | None = None,
        index: str = "",
        patience: Patience | None = None,
    ) -> Answer:
        call = Call(
            operation=operation,
            path=f"{self._mount}/data/{path}",
            send=lambda client: client.secrets.kv.v2.read_secret_version(
                path,
                version=number,
                mount_point=self._mount,
                # Given, as hvac warns of its default. Nothing is raised in either case.
                raise_on_deleted_version=False,
            ),
            repeatable=True,
            welcome=frozenset() if number is None else _LAGGING,
            index=index or self._indexes.get(path, ""),
        )
        return self._connection.call(call, patience)

    def _version_of(self, answer: Answer, path: str) -> Version:
        data = answer.part("data", dict)
        if data is None and answer.status == HTTPStatus.NOT_FOUND:
            return _NOTHING
        number = _number((data or {}).get("metadata"))
        if data is None or number is None:
            raise _not_version_2(self._mount)
        fields, ends_at = data.get("data"), _end(data.get("metadata"))
        # With a 404 even where destroyed, which hvac tells apart from deleted.
        if fields is None or answer.status == HTTPStatus.NOT_FOUND:
            return Version(number=number, fields=None, ends_at=ends_at)
        if not isinstance(fields, dict):
            raise UnexpectedEntry(f"the entry at {self.shown(path)} is not an object")
        return Version(number=number, fields=fields, ends_at=ends_at)


def _number(metadata: object) -> int | None:
    number = metadata.get("version") if isinstance(metadata, dict) else None
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        return None
    return number


def _end(metadata: object) -> datetime | None:
    """Read when a version ends by itself: `deletion_time`, which is empty for never.

    What cannot be read is some time all the same: a version that may end is not relied on.
    """
    told = metadata.get("deletion_time") if isinstance(metadata, dict) else None
    if told in (None, ""):
        return None
    try:
        at = datetime.fromisoformat(str(told))
    except ValueError:
        return LATEST
    return believable(at if at.tzinfo else at.replace(tzinfo=UTC))


def _not_version_2(mount: str) -> MountUnusable:
    return MountUnusable(
        f"mount {mount} does not answer as KV version 2 does",
        hint="point vault.mount at a KV version 2 mount; `vault secrets list -detailed` shows them",
    )


_DENIED = frozenset({HTTPStatus.FORBIDDEN})


def check_mount(connection: Connection, mount: str, patience: Patience) -> None:
    """Return if `mount` can be used, waiting with `patience` for a Vault that is away.

    Raises:
        MountUnusable: there is no such mount, or it is not KV version 2.
        TokenRefused: Vault does not accept the token.
        StoreForbidden: Vault tells this token nothing about it.
        StoreError: Vault does not answer, or is sealed.
    """
    path = f"sys/internal/ui/mounts/{mount}"
    answer = connection.call(
        Call(
            operation="read-mount",
            path=path,
            send=lambda client: client.adapter.get(f"/v1/{quote(path)}"),
            repeatable=True,
            welcome=_DENIED,
        ),
        patience,
    )
    data = answer.part("data", dict)
    if data is None:
        # Denied to a token without any right on the mount, also where there is no such mount;
        # or to everyone, by a proxy that lets only some paths through.
        _check_by_configuration(connection, mount, patience)
        return
    _check_name(mount, data.get("path"))
    options = data.get("options")
    _check_version(mount, data.get("type"), options if isinstance(options, dict) else {})


def _check_name(mount: str, found: object) -> None:
    """Refuse a path inside a mount, which Vault answers for as for the mount."""
    outer = found.strip("/") if isinstance(found, str) else ""
    if outer and mount.startswith(f"{outer}/"):
        inner = mount.removeprefix(f"{outer}/")
        raise MountUnusable(
            f"{mount} is not a Vault mount but a path inside the mount {outer}",
            hint=f'set vault.mount to "{outer}" and let the paths begin with "{inner}/"',
        )


def _check_version(mount: str, kind: object, options: dict[str, object]) -> None:
    if kind == "kv" and options.get("version") == "2":
        return
    if kind in ("kv", "generic"):
        raise MountUnusable(
            f"Vault mount {mount} is KV version 1, which keeps no versions",
            hint=f"upgrade it with `vault kv enable-versioning {mount}`,"
            " or point vault.mount at a KV version 2 mount",
        )
    raise MountUnusable(
        f"Vault mount {mount} is not a KV mount",
        hint="point vault.mount at a KV version 2 mount; `vault secrets list` shows them",
    )


def configuration_of(mount: str) -> Call:
    """Ask a mount for its configuration, which a token may be denied."""
    return Call(
        operation="read-mount-configuration",
        path=f"{mount}/config",
        send=lambda client: client.secrets.kv.v2.read_configuration(mount_point=mount),
        repeatable=True,
        welcome=_DENIED,
    )


def _check_by_configuration(connection: Connection, mount: str, patience: Patience) -> None:
    """Ask the mount for its configuration, which only version 2 has."""
    answer = connection.call(configuration_of(mount), patience)
    if answer.status == HTTPStatus.FORBIDDEN:
        raise StoreForbidden(
            f"Vault has no mount {mount}, or denies it to this token",
            hint="check vault.mount and vault.namespace, which may be sealed,"
            " and that the token's policy grants what README lists",
        )
    if "max_versions" not in (answer.part("data", dict) or {}):
        raise MountUnusable(
            f"Vault mount {mount} does not answer as KV version 2 does",
            hint="point vault.mount at a KV version 2 mount",
        )
