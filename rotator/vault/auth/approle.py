"""AppRole: a role id and, unless the role needs none, a secret id, which may be wrapped."""

import re
from http import HTTPStatus

from pydantic import Field

from rotator.errors import StoreUnavailable, WrappingSpent
from rotator.model import SecretValue
from rotator.vault.auth.methods import AuthMethod, CredentialFile, LoginRequest
from rotator.vault.client import VaultClient
from rotator.vault.response import Body
from rotator.vault.transport import VaultRequest

#: Vault's answer to a spent wrapping token: "wrapping token is not valid or does not exist".
#: OpenBao and Vault both send it with a 400.
_SPENT = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN})

_ALARM = (
    "unless rotator itself used it before a restart, treat the secret id as stolen: destroy it"
    " in Vault, see the audit log for who unwrapped it, and put a new one into the file"
)


class _Wrapping(Body):
    creation_path: str


class _Unwrapped(Body):
    secret_id: str = Field(min_length=1)


class AppRole(AuthMethod):
    """Logs in with a role id and a secret id, each from a file.

    If the secret id is wrapped, its file contains the wrapping token: it is unwrapped once, and the
    secret id is kept in memory for later logins. A new wrapping token in the file is unwrapped at
    the next login.
    """

    method = "approle"
    hint = "vault.auth.role_id_file and vault.auth.secret_id_file: wrong, expired or used up"

    def __init__(
        self, *, role_id_file: str, secret_id_file: str, wrapped: bool = False, mount: str = ""
    ) -> None:
        """Read nothing yet; `secret_id_file` is "" for a role that needs no secret id."""
        super().__init__(mount)
        self._has_secret_id = bool(secret_id_file)
        self._role_id = CredentialFile(role_id_file, "role_id_file", "role id")
        kind = "wrapping token" if wrapped else "secret id"
        self._secret_id = CredentialFile(secret_id_file, "secret_id_file", kind)
        self._wrapped = wrapped
        #: The last wrapping token that was unwrapped, and its secret id.
        self._unwrapped: tuple[str, SecretValue] | None = None

    def login_request(self, client: VaultClient) -> LoginRequest:
        """Read both ids; unwrap the secret id if it is new."""
        role_id = self._role_id.read()
        if not self._has_secret_id:
            return LoginRequest(body={"role_id": role_id})
        secret_id = self._secret_id.read()
        if self._wrapped:
            secret_id = self._unwrapped_secret_id(secret_id, client)
        return LoginRequest(body={"role_id": role_id, "secret_id": secret_id})

    def _unwrapped_secret_id(self, wrapping: str, client: VaultClient) -> str:
        if self._unwrapped is None or self._unwrapped[0] != wrapping:
            self._check_origin(wrapping, client)
            self._unwrapped = wrapping, SecretValue(self._unwrap(wrapping, client))
        return self._unwrapped[1].reveal()

    def _check_origin(self, wrapping: str, client: VaultClient) -> None:
        """Refuse a secret id that AppRole did not wrap: a thief may have wrapped another one."""
        request = VaultRequest(
            operation="lookup-wrapping",
            path="sys/wrapping/lookup",
            purpose="checking the wrapped secret id",
            send=lambda client: client.adapter.post(
                "/v1/sys/wrapping/lookup", json={"token": wrapping}
            ),
            repeatable=True,
            expected_statuses=_SPENT,
        )
        response = client.ask(request)
        if response.status in _SPENT:
            raise self._spent()
        wrapped = response.data(_Wrapping)
        expected = rf"(.*/)?auth/{re.escape(self.mount)}/role/[^/]+/(custom-)?secret-id/?"
        if wrapped is None or not re.fullmatch(expected, wrapped.creation_path):
            raise WrappingSpent(
                f"the wrapping token in {self._secret_id} wraps something else than a secret id"
                f" of auth/{self.mount}: someone may have put it in place of the right one",
                hint="find out who wrote that file; put a new wrapped secret id into it",
            )

    def _unwrap(self, wrapping: str, client: VaultClient) -> str:
        request = VaultRequest(
            operation="unwrap-secret-id",
            path="sys/wrapping/unwrap",
            purpose="unwrapping the secret id",
            # The token is sent in the header alone: if the body named it too, one of the two would
            # use it up before the other.
            send=lambda client: client.adapter.post("/v1/sys/wrapping/unwrap", json={}),
            # The first request that arrives uses it up.
            repeatable=False,
            expected_statuses=_SPENT,
        )
        response = client.ask(request, wrapping)
        if response.status in _SPENT:
            raise self._spent()
        unwrapped = response.data(_Unwrapped)
        if unwrapped is None:
            raise StoreUnavailable(f"Vault does not say what was wrapped: {request}")
        return unwrapped.secret_id

    def _spent(self) -> WrappingSpent:
        return WrappingSpent(
            f"the wrapping token in {self._secret_id} was used before or has expired:"
            " someone else may have the secret id",
            hint=_ALARM,
        )
