"""The Secret Management part of the Account API."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any, Self

from pydantic import Field, Strict, model_validator

from rotator.model import Credential, Secret, SecretValue
from rotator.network import HttpResponse
from rotator.vonage.client import VonageClient
from rotator.vonage.request import JSON, Host, VonageRequest, path_segment
from rotator.vonage.response import (
    Answer,
    Identifier,
    Moment,
    check_unique,
    content_of,
    read,
    unexpected,
)

#: Vonage allows two. A much longer list is not one account's list of secrets.
_MOST = 50


class _Secret(Answer):
    id: Identifier
    created_at: Moment

    def secret(self) -> Secret:
        return Secret(id=self.id, created_at=self.created_at)


class _SecretList(Answer):
    secrets: Annotated[tuple[_Secret, ...], Strict(strict=False), Field(max_length=_MOST)]

    @model_validator(mode="after")
    def _check_unique(self) -> Self:
        check_unique((secret.id for secret in self.secrets), "secret")
        return self


class _Envelope(Answer):
    embedded: _SecretList = Field(validation_alias="_embedded")


class Secrets:
    """An account's secrets, with its own credential or its parent's. An `Issuer`."""

    def __init__(self, client: VonageClient) -> None:
        """Send requests through `client`."""
        self._client = client

    @property
    def clock_offset(self) -> timedelta:
        """Return how far this machine's clock is ahead of Vonage's; see `Issuer.clock_offset`."""
        return self._client.clock_lead

    def list_secrets(self, credential: Credential, api_key: str) -> tuple[Secret, ...]:
        """List the live secrets of `api_key`, in arbitrary order.

        Raises:
            ConfigError: `api_key` is invalid.
            CredentialRefused: Vonage does not accept the credential.
            AccountNotFound: there is no such api key, or the credential may not see it.
            IssuerError: any other failure.
        """
        request = _request("secrets.list", "GET", credential, api_key, success={200})
        listed = self._client.send_for(_Envelope, request).embedded.secrets
        return tuple(secret.secret() for secret in listed)

    def create_secret(
        self,
        credential: Credential,
        api_key: str,
        value: SecretValue,
        *,
        before_send: Callable[[], object] | None = None,
    ) -> Secret:
        """Create a secret of `api_key` with `value`. Sent once, whatever happens; see `Issuer`.

        Success is a 201, or a 200, with the new secret's id. A 202 is no promise that the secret
        exists; it raises `UnexpectedAnswer`, so that the caller observes.

        Raises:
            ConfigError: `api_key` is invalid.
            SecretRejected: the value does not comply, or is already a secret of the account.
            SlotsFull: the account has two secrets.
            IssuerError: any other failure; `definite` is true if it had no effect.
        """
        request = _request(
            "secrets.create",
            "POST",
            credential,
            api_key,
            success={200, 201},
            body=json.dumps({"secret": value.reveal()}).encode(),
            content_type=JSON,
            value=value,
            before_send=before_send,
        )
        return self._client.send_for(_Secret, request).secret()

    def get_secret(self, credential: Credential, api_key: str, secret_id: str) -> Secret:
        """Read one secret: its id and creation time.

        Raises:
            ConfigError: `api_key` or `secret_id` is invalid.
            SecretNotFound: no secret has this id.
            IssuerError: any other failure.
        """

        def read_it(response: HttpResponse) -> Secret:
            secret = read(_Secret, response).secret()
            if secret.id != secret_id:
                raise unexpected("another secret than the one asked for")
            return secret

        request = _request("secrets.get", "GET", credential, api_key, secret_id, success={200})
        return self._client.send(request, read_it)

    def delete_secret(
        self,
        credential: Credential,
        api_key: str,
        secret_id: str,
        *,
        before_send: Callable[[], object] | None = None,
    ) -> None:
        """Revoke one secret. Sent once, whatever happens; see `Issuer`.

        Success is a 204, or a 200 without content.

        Raises:
            ConfigError: `api_key` or `secret_id` is invalid.
            SecretNotFound: it no longer exists.
            LastSecret: it is the account's only one.
            IssuerError: any other failure.
        """

        def check_empty(response: HttpResponse) -> None:
            # A proxy's login page also comes with 200.
            if content_of(response).strip() not in (b"", b"{}"):
                raise unexpected("more than that the deletion is done")

        request = _request(
            "secrets.delete",
            "DELETE",
            credential,
            api_key,
            secret_id,
            success={200, 204},
            before_send=before_send,
        )
        self._client.send(request, check_empty)


def _request(  # noqa: PLR0913  # each part of one request
    operation: str,
    method: str,
    credential: Credential,
    api_key: str,
    secret_id: str | None = None,
    *,
    success: set[int],
    **more: Any,  # noqa: ANN401  # fields of `VonageRequest`
) -> VonageRequest:
    """Build a request about the secrets of `api_key`, or about the one with `secret_id`."""
    path = f"/accounts/{path_segment(api_key, 'an API key')}/secrets"
    if secret_id is not None:
        path = f"{path}/{path_segment(secret_id, 'a secret id')}"
    return VonageRequest(
        operation=operation,
        method=method,
        host=Host.API,
        path=path,
        credential=credential,
        api_key=api_key,
        success=frozenset(success),
        names_secret=secret_id is not None,
        **more,
    )
