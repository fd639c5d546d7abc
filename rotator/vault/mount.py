"""Whether the mount is there and is KV version 2.

Calls for KV version 2 succeed on a mount of version 1 and do something else, so this is asked
before anything is written.
"""

from http import HTTPStatus
from urllib.parse import quote

from rotator.errors import MountUnusable, StoreForbidden
from rotator.vault.call import Call
from rotator.vault.connection import Connection
from rotator.vault.patience import Patience

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
