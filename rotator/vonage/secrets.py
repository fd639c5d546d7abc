"""The Secret Management part of the Account API."""

import json
from collections.abc import Callable
from datetime import timedelta

from rotator.model import Credential, Secret, SecretValue
from rotator.vonage.client import VonageClient
from rotator.vonage.request import JSON, Host, VonageRequest, path_segment
from rotator.vonage.response import (
    Document,
    VonageResponse,
    identifier,
    moment,
    part,
    parts,
    unexpected,
)

#: Vonage allows two. A much longer list is not one account's list of secrets.
_MOST = 50


class Secrets:
    """An account's secrets, with its own credential or its parent's. An `Issuer`."""

    def __init__(self, transport: VonageClient) -> None:
        """Send requests through `transport`."""
        self._transport = transport

    @property
    def clock_lead(self) -> timedelta:
        """Return how far this machine's clock is ahead of Vonage's; see `Issuer.clock_lead`."""
        return self._transport.clock_lead

    def list_secrets(self, credential: Credential, api_key: str) -> tuple[Secret, ...]:
        """List the live secrets of `api_key`, in arbitrary order.

        Raises:
            ConfigError: `api_key` is invalid.
            CredentialRefused: Vonage does not accept the credential.
            AccountNotFound: there is no such api key, or the credential may not see it.
            IssuerError: any other failure.
        """
        call = VonageRequest(
            operation="secrets.list",
            method="GET",
            host=Host.API,
            path=_path(api_key),
            credential=credential,
            api_key=api_key,
            success=frozenset({200}),
        )

        def read(answer: VonageResponse) -> tuple[Secret, ...]:
            entries = parts(part(answer.document(), "_embedded"), "secrets")
            if len(entries) > _MOST:
                raise unexpected(f"more than {_MOST} secrets")
            secrets = tuple(map(_secret, entries))
            if len({secret.id for secret in secrets}) < len(secrets):
                raise unexpected("the same secret twice")
            return secrets

        return self._transport.send(call, read)

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
        call = VonageRequest(
            operation="secrets.create",
            method="POST",
            host=Host.API,
            path=_path(api_key),
            credential=credential,
            api_key=api_key,
            success=frozenset({200, 201}),
            body=json.dumps({"secret": value.reveal()}).encode(),
            content_type=JSON,
            value=value,
            before_send=before_send,
        )
        return self._transport.send(call, lambda answer: _secret(answer.document()))

    def get_secret(self, credential: Credential, api_key: str, secret_id: str) -> Secret:
        """Read one secret: its id and creation time.

        Raises:
            ConfigError: `api_key` or `secret_id` is invalid.
            SecretNotFound: no secret has this id.
            IssuerError: any other failure.
        """
        call = _of_one("secrets.get", "GET", credential, (api_key, secret_id), success={200})

        def read(answer: VonageResponse) -> Secret:
            secret = _secret(answer.document())
            if secret.id != secret_id:
                raise unexpected("another secret than the one asked for")
            return secret

        return self._transport.send(call, read)

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
            SecretNotFound: it does not exist any more.
            LastSecret: it is the account's only one.
            IssuerError: any other failure.
        """
        call = _of_one(
            "secrets.delete",
            "DELETE",
            credential,
            (api_key, secret_id),
            success={200, 204},
            before_send=before_send,
        )

        def read(answer: VonageResponse) -> None:
            # A proxy's login page also comes with 200.
            if answer.content().strip() not in (b"", b"{}"):
                raise unexpected("an answer to a deletion that says more than that it is done")

        self._transport.send(call, read)


def _of_one(  # noqa: PLR0913  # half of them by name
    operation: str,
    method: str,
    credential: Credential,
    ids: tuple[str, str],
    *,
    success: set[int],
    before_send: Callable[[], object] | None = None,
) -> VonageRequest:
    api_key, secret_id = ids
    return VonageRequest(
        operation=operation,
        method=method,
        host=Host.API,
        path=f"{_path(api_key)}/{path_segment(secret_id, 'a secret id')}",
        credential=credential,
        api_key=api_key,
        success=frozenset(success),
        names_secret=True,
        before_send=before_send,
    )


def _path(api_key: str) -> str:
    return f"/accounts/{path_segment(api_key, 'an API key')}/secrets"


def _secret(document: Document) -> Secret:
    return Secret(id=identifier(document, "id"), created_at=moment(document, "created_at"))
