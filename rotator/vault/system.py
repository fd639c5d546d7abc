"""Vault's health, token and capabilities, for `rotator doctor`. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass

from rotator.errors import StoreError, StoreUnavailable
from rotator.vault.kv import configuration_of
from rotator.vault.session import VaultSession
from rotator.vault.transport import VaultRequest

#: Statuses of `sys/health` for a node that cannot serve requests now.
_HEALTH = frozenset({429, 472, 473, 474, 501, 503, 530})


@dataclass(frozen=True, kw_only=True)
class VaultHealth:
    """A Vault node's own report, read without a token."""

    version: str
    #: A node that is not is also sealed.
    is_initialised: bool
    is_sealed: bool
    #: The Date header of its answer; None where there is none.
    date: str | None


class SystemApi:
    """Queries Vault about itself and the token's capabilities."""

    def __init__(self, connection: VaultSession) -> None:
        """Send requests through `connection`."""
        self._connection = connection

    def health(self) -> VaultHealth:
        """Query the node's health. Needs no token, and works outside of namespaces only.

        Raises:
            StoreError: its answer is not Vault's.
        """
        answer = self._connection.ask(
            VaultRequest(
                operation="read-health",
                path="sys/health",
                send=lambda client: client.adapter.get("/v1/sys/health"),
                repeatable=True,
                expected_statuses=_HEALTH,
                in_namespace=False,
            )
        )
        sealed = answer.part("sealed", bool)
        if sealed is None:
            raise StoreUnavailable("what answers at vault.address is not a Vault")
        version = answer.part("version", str) or "of an unknown version"
        return VaultHealth(
            version=version,
            is_initialised=answer.part("initialized", bool) is not False,
            is_sealed=sealed,
            date=answer.date,
        )

    def capabilities(self, paths: Sequence[str]) -> dict[str, frozenset[str]]:
        """Return the token's capabilities on each of `paths`, which start with the mount.

        Raises:
            StoreError: Vault does not answer.
        """
        answer = self._connection.call(
            VaultRequest(
                operation="read-capabilities",
                path="sys/capabilities-self",
                send=lambda client: client.adapter.post(
                    "/v1/sys/capabilities-self", json={"paths": list(paths)}
                ),
                repeatable=True,
            )
        )
        data = answer.part("data", dict)
        if data is None:
            raise StoreError("Vault does not tell what the token may do")
        return {path: frozenset(map(str, data.get(path) or ())) for path in paths}

    def requires_check_and_set(self, mount: str) -> bool | None:
        """Return whether the mount takes writes with check-and-set only; None where that is denied.

        Raises:
            StoreError: any other failure.
        """
        answer = self._connection.call(configuration_of(mount))
        return (answer.part("data", dict) or {}).get("cas_required")
