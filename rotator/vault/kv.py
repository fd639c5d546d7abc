"""Requests to a KV version 2 mount, and the meaning of their answers."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import quote

from pydantic import Field, PlainValidator

from rotator.errors import MountUnusable, StoreForbidden, StoreUnavailable, UnexpectedEntry
from rotator.model import LATEST, Written
from rotator.vault.client import Deadline
from rotator.vault.response import Body, VaultResponse, checked_index, parse_moment
from rotator.vault.session import VaultSession
from rotator.vault.transport import VaultRequest

#: Status by which a standby reports that it lags.
_LAGGING = frozenset({HTTPStatus.PRECONDITION_FAILED})
_DENIED = frozenset({HTTPStatus.FORBIDDEN})


def _end(found: object) -> datetime | None:
    """Parse when a version ends on its own, which is empty for never.

    An unparsable time counts as some time: a version that may end is not relied on.
    """
    try:
        return parse_moment(found)
    except ValueError:
        return LATEST


class _Metadata(Body):
    """Vault's metadata of a version."""

    version: int = Field(ge=1, lt=2**63)
    ends_at: Annotated[datetime | None, PlainValidator(_end)] = Field(
        default=None, validation_alias="deletion_time"
    )


class _VersionData(Body):
    """The `data` of a version that was read."""

    metadata: _Metadata
    data: Any = None


class _Mount(Body):
    """The `data` of a mount."""

    path: str = ""
    type: str = ""
    options: dict[str, Any] | None = None


class _Configuration(Body):
    """The `data` of a KV version 2 mount's configuration."""

    max_versions: int
    cas_required: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of an entry."""

    #: Counted from 1; 0 for an entry that never existed.
    number: int
    #: None if there is no content: deleted, destroyed, or never written.
    fields: Mapping[str, Any] | None = field(repr=False)
    #: When Vault removes it, or removed it, on its own; None for never.
    ends_at: datetime | None = None


class KvMount:
    """A KV version 2 mount."""

    def __init__(self, session: VaultSession, mount: str) -> None:
        """Use the mount named `mount`, without a trailing slash."""
        self._session = session
        self._mount = mount
        #: By path: the cluster's name for the state that includes the last write there.
        self._indexes: dict[str, str] = {}

    def shown(self, path: str) -> str:
        """Return an entry's path as operators and the vault command write it."""
        return f"{self._mount}/{path}"

    def read_newest(
        self, operation: str, path: str, index: str = "", deadline: Deadline | None = None
    ) -> Version:
        """Read the newest version known to the node that answers.

        Where Vault's cluster names its states, the version is at least as new as the state `index`
        and as the last write from here.

        Raises:
            StoreError: it cannot be read.
        """
        return self._version_of(self._read(operation, path, index=index, deadline=deadline), path)

    def read_version(
        self, operation: str, path: str, number: int, deadline: Deadline
    ) -> Version | None:
        """Read version `number`; None where the node does not have it yet.

        Raises:
            StoreError: it cannot be read.
        """
        response = self._read(operation, path, number=number, deadline=deadline)
        if response.status in _LAGGING:
            return None
        found = self._version_of(response, path)
        return found if found.number == number else None

    def write(
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
        request = VaultRequest(
            operation=operation,
            path=f"{self._mount}/data/{path}",
            purpose=f"writing {self._mount}/data/{path}",
            send=lambda client: client.secrets.kv.v2.create_or_update_secret(
                path, dict(fields), cas=cas, mount_point=self._mount
            ),
            repeatable=False,
            before_send=before_send,
        )
        response = self._session.call(request)
        if response.status == HTTPStatus.NO_CONTENT:
            raise self._not_version_2()
        if response.status == HTTPStatus.NOT_FOUND:
            raise UnexpectedEntry(f"Vault takes no entry at {self.shown(path)}")
        metadata = response.data(_Metadata)
        if metadata is None:
            raise StoreUnavailable(f"Vault does not say what it wrote: {request}")
        index = self._indexes[path] = checked_index(response.index)
        return Written(version=metadata.version, index=index, ends_at=metadata.ends_at)

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
        request = VaultRequest(
            operation=operation,
            path=f"{self._mount}/destroy/{path}",
            purpose=f"destroying versions, {self._mount}/destroy/{path}",
            send=lambda client: client.secrets.kv.v2.destroy_secret_versions(
                path, list(numbers), mount_point=self._mount
            ),
            repeatable=False,
            before_send=before_send,
        )
        self._session.call(request)

    def _read(
        self,
        operation: str,
        path: str,
        *,
        number: int | None = None,
        index: str = "",
        deadline: Deadline | None = None,
    ) -> VaultResponse:
        request = VaultRequest(
            operation=operation,
            path=f"{self._mount}/data/{path}",
            purpose=f"reading {self._mount}/data/{path}",
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
        return self._session.call(request, deadline)

    def _version_of(self, response: VaultResponse, path: str) -> Version:
        is_missing = response.status == HTTPStatus.NOT_FOUND
        if is_missing and not isinstance(response.part("data"), dict):
            return Version(number=0, fields=None)
        found = response.data(_VersionData)
        if found is None:
            raise self._not_version_2()
        # Vault sends a 404 for a destroyed version as well, which hvac distinguishes from a deleted
        # one.
        fields = None if is_missing else found.data
        if not isinstance(fields, dict | None):
            raise UnexpectedEntry(f"the entry at {self.shown(path)} is not an object")
        return Version(number=found.metadata.version, fields=fields, ends_at=found.metadata.ends_at)

    def _not_version_2(self) -> MountUnusable:
        return MountUnusable(
            f"Vault mount {self._mount} does not answer as KV version 2 does",
            hint="point vault.mount at a KV version 2 mount;"
            " `vault secrets list -detailed` shows them",
        )

    def check(self, deadline: Deadline) -> None:
        """Return if the mount can be used; waits until `deadline` for an unreachable Vault.

        Raises:
            MountUnusable: there is no such mount, or it is not KV version 2.
            TokenRefused: Vault does not accept the token.
            StoreForbidden: Vault does not let this token see the mount.
            StoreError: Vault does not answer, or is sealed.
        """
        path = f"sys/internal/ui/mounts/{self._mount}"
        response = self._session.call(
            VaultRequest(
                operation="read-mount",
                path=path,
                purpose=f"looking at the mount {self._mount}",
                send=lambda client: client.adapter.get(f"/v1/{quote(path)}"),
                repeatable=True,
                expected_statuses=_DENIED,
            ),
            deadline,
        )
        if not isinstance(response.part("data"), dict):
            # Denied to a token without any right on the mount, even if there is no such mount; or
            # to everyone, by a proxy that passes only some paths. Only version 2 has a
            # configuration.
            self.read_configuration(deadline)
            return
        mount = response.data(_Mount)
        if mount is None:
            raise self._not_version_2()
        self._check_path(mount.path.strip("/"))
        self._check_version(mount.type, (mount.options or {}).get("version"))

    def _check_path(self, outer: str) -> None:
        """Refuse a path inside a mount: Vault answers for it as for the mount."""
        if outer and self._mount.startswith(f"{outer}/"):
            inner = self._mount.removeprefix(f"{outer}/")
            raise MountUnusable(
                f"{self._mount} is not a Vault mount but a path inside the mount {outer}",
                hint=f'set vault.mount to "{outer}" and let the paths begin with "{inner}/"',
            )

    def _check_version(self, kind: str, version: object) -> None:
        if kind == "kv" and version == "2":
            return
        if kind in ("kv", "generic"):
            raise MountUnusable(
                f"Vault mount {self._mount} is KV version 1, which keeps no versions",
                hint=f"upgrade it with `vault kv enable-versioning {self._mount}`,"
                " or point vault.mount at a KV version 2 mount",
            )
        raise MountUnusable(
            f"Vault mount {self._mount} is not a KV mount",
            hint="point vault.mount at a KV version 2 mount; `vault secrets list` shows them",
        )

    def read_configuration(self, deadline: Deadline | None = None) -> _Configuration:
        """Read the mount's configuration.

        Raises:
            StoreForbidden: there is no such mount, or the token is denied this.
            MountUnusable: it is not KV version 2.
            StoreError: any other failure.
        """
        request = VaultRequest(
            operation="read-mount-configuration",
            path=f"{self._mount}/config",
            purpose=f"reading the configuration of the mount {self._mount}",
            send=lambda client: client.secrets.kv.v2.read_configuration(mount_point=self._mount),
            repeatable=True,
            expected_statuses=_DENIED,
        )
        response = self._session.call(request, deadline)
        if response.status == HTTPStatus.FORBIDDEN:
            raise StoreForbidden(
                f"Vault has no mount {self._mount}, or denies it to this token",
                hint="check vault.mount and vault.namespace, which may be sealed,"
                " and that the token's policy grants what README lists",
            )
        configuration = response.data(_Configuration)
        if configuration is None:
            raise self._not_version_2()
        return configuration
