"""Calls to a KV version 2 mount, and the meaning of their answers."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from rotator.errors import MountUnusable, StoreForbidden, StoreUnavailable, UnexpectedEntry
from rotator.model import LATEST, Written, believable
from rotator.vault.headers import checked_index
from rotator.vault.session import VaultSession
from rotator.vault.transport import Deadline, VaultRequest, VaultResponse

#: Status by which a standby reports that it lags.
_LAGGING = frozenset({HTTPStatus.PRECONDITION_FAILED})


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of an entry."""

    #: Counted from 1; 0 for an entry that never existed.
    number: int
    #: None if there is no content: deleted, destroyed, or never written.
    fields: Mapping[str, Any] | None = field(repr=False)
    #: When Vault removes it, or removed it, on its own; None for never.
    ends_at: datetime | None = None


_NOTHING = Version(number=0, fields=None)


class KvMount:
    """A KV version 2 mount."""

    def __init__(self, connection: VaultSession, mount: str) -> None:
        """Use the mount named `mount`, without a trailing slash."""
        self._connection = connection
        self._mount = mount
        #: By path: the cluster's name for the state that includes the last write there.
        self._indexes: dict[str, str] = {}

    def shown(self, path: str) -> str:
        """Return an entry's path as operators and the vault command write it."""
        return f"{self._mount}/{path}"

    def newest(
        self, operation: str, path: str, index: str = "", patience: Deadline | None = None
    ) -> Version:
        """Read the newest version known to the node that answers.

        Where Vault's cluster names its states, the version is at least as new as the state `index`
        and as the last write from here.

        Raises:
            StoreError: it cannot be read.
        """
        return self._version_of(self._read(operation, path, index=index, patience=patience), path)

    def exactly(self, operation: str, path: str, number: int, patience: Deadline) -> Version | None:
        """Read version `number`; None where the node does not have it yet.

        Raises:
            StoreError: it cannot be read.
        """
        answer = self._read(operation, path, number=number, patience=patience)
        if answer.status in _LAGGING:
            return None
        found = self._version_of(answer, path)
        return found if found.number == number else None

    def write(  # one call, kept in one piece
        self,
        operation: str,
        path: str,
        fields: Mapping[str, Any],
        cas: int,
        *,
        before_send: Callable[[], object] | None = None,
    ) -> Written:
        """Write a version if `cas` is the newest, and return it.

        Raises:
            CheckAndSetLost: `cas` is not the newest.
            StoreError: any other failure; unless that is `definite`, it may have been written.
        """
        call = VaultRequest(
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
        """Destroy versions of an entry, if they exist.

        Raises:
            StoreError: they may still exist.
        """
        call = VaultRequest(
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
        patience: Deadline | None = None,
    ) -> VaultResponse:
        call = VaultRequest(
            operation=operation,
            path=f"{self._mount}/data/{path}",
            send=lambda client: client.secrets.kv.v2.read_secret_version(
                path,
                version=number,
                mount_point=self._mount,
                # Passed, as hvac warns about its default. In neither case is anything raised.
                raise_on_deleted_version=False,
            ),
            repeatable=True,
            expected_statuses=frozenset() if number is None else _LAGGING,
            index=index or self._indexes.get(path, ""),
        )
        return self._connection.call(call, patience)

    def _version_of(self, answer: VaultResponse, path: str) -> Version:
        data = answer.part("data", dict)
        if data is None and answer.status == HTTPStatus.NOT_FOUND:
            return _NOTHING
        number = _number((data or {}).get("metadata"))
        if data is None or number is None:
            raise _not_version_2(self._mount)
        fields, ends_at = data.get("data"), _end(data.get("metadata"))
        # Vault sends a 404 for a destroyed version as well, which hvac distinguishes from a deleted
        # one.
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
    """Parse when a version ends on its own: `deletion_time`, which is empty for never.

    An unparsable time counts as some time: a version that may end is not relied on.
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


def check_mount(connection: VaultSession, mount: str, patience: Deadline) -> None:
    """Return if `mount` can be used; waits with `patience` for an unreachable Vault.

    Raises:
        MountUnusable: there is no such mount, or it is not KV version 2.
        TokenRefused: Vault does not accept the token.
        StoreForbidden: Vault does not let this token see the mount.
        StoreError: Vault does not answer, or is sealed.
    """
    path = f"sys/internal/ui/mounts/{mount}"
    answer = connection.call(
        VaultRequest(
            operation="read-mount",
            path=path,
            send=lambda client: client.adapter.get(f"/v1/{quote(path)}"),
            repeatable=True,
            expected_statuses=_DENIED,
        ),
        patience,
    )
    data = answer.part("data", dict)
    if data is None:
        # Denied to a token without any right on the mount, even if there is no such mount; or to
        # everyone, by a proxy that passes only some paths.
        _check_by_configuration(connection, mount, patience)
        return
    _check_name(mount, data.get("path"))
    options = data.get("options")
    _check_version(mount, data.get("type"), options if isinstance(options, dict) else {})


def _check_name(mount: str, found: object) -> None:
    """Refuse a path inside a mount: Vault answers for it as for the mount."""
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


def configuration_of(mount: str) -> VaultRequest:
    """Return the call that reads a mount's configuration, which a token may be denied."""
    return VaultRequest(
        operation="read-mount-configuration",
        path=f"{mount}/config",
        send=lambda client: client.secrets.kv.v2.read_configuration(mount_point=mount),
        repeatable=True,
        expected_statuses=_DENIED,
    )


def _check_by_configuration(connection: VaultSession, mount: str, patience: Deadline) -> None:
    """Read the mount's configuration, which only version 2 has."""
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
