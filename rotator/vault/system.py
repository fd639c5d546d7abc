"""Vault's health, token and capabilities, for `rotator doctor`. Reads only."""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from rotator.errors import LoginFailed, StoreError, StoreForbidden, StoreUnavailable, TokenRefused
from rotator.vault.kv import KvMount
from rotator.vault.response import Body, parse
from rotator.vault.session import VaultSession
from rotator.vault.transport import VaultRequest

#: Statuses of `sys/health` for a node that cannot serve requests now.
_HEALTH = frozenset({429, 472, 473, 474, 501, 503, 530})


class VaultHealth(Body):
    """A Vault node's own report, read without a token."""

    version: str = "of an unknown version"
    #: A node that is not is also sealed.
    is_initialised: bool = Field(default=True, validation_alias="initialized")
    is_sealed: bool = Field(validation_alias="sealed")
    #: The Date header of its answer; None where there is none.
    date: str | None = None


class SystemApi:
    """Queries Vault about itself and the token's capabilities."""

    def __init__(self, session: VaultSession) -> None:
        """Send requests through `session`."""
        self._session = session

    def health(self) -> VaultHealth:
        """Query the node's health. Needs no token, and works outside of namespaces only.

        Raises:
            StoreError: its answer is not Vault's.
        """
        response = self._session.ask(
            VaultRequest(
                operation="read-health",
                path="sys/health",
                purpose="asking for Vault's health",
                send=lambda client: client.adapter.get("/v1/sys/health"),
                repeatable=True,
                expected_statuses=_HEALTH,
                in_namespace=False,
            )
        )
        health = parse(VaultHealth, {**(response.body or {}), "date": response.date})
        if health is None:
            raise StoreUnavailable("what answers at vault.address is not a Vault")
        return health

    def capabilities(self, paths: Sequence[str]) -> dict[str, frozenset[str]]:
        """Return the token's capabilities on each of `paths`, which start with the mount.

        Raises:
            StoreError: Vault does not answer.
        """
        response = self._session.call(
            VaultRequest(
                operation="read-capabilities",
                path="sys/capabilities-self",
                purpose="asking what rotator's token may do",
                send=lambda client: client.adapter.post(
                    "/v1/sys/capabilities-self", json={"paths": list(paths)}
                ),
                repeatable=True,
            )
        )
        data = response.part("data")
        if not isinstance(data, dict):
            raise StoreError("Vault does not report what the token may do")
        return {path: _names(data.get(path)) for path in paths}

    def requires_check_and_set(self, mount: str) -> bool | None:
        """Return whether the mount takes writes with check-and-set only; None where that is denied.

        Raises:
            StoreError: any other failure.
        """
        try:
            return KvMount(self._session, mount).read_configuration().cas_required
        except (LoginFailed, TokenRefused):
            raise
        except StoreForbidden:
            return None


def _names(found: Any) -> frozenset[str]:  # noqa: ANN401  # JSON
    names = found if isinstance(found, list) else []
    return frozenset(name for name in names if isinstance(name, str))
