"""The Secret Management part of the Account API."""

import json
from collections.abc import Callable
from datetime import timedelta

from rotator.model import Credential, Secret, SecretValue
from rotator.vonage.client import Transport
from rotator.vonage.request import JSON, Call, Host, segment
from rotator.vonage.response import Answer, Document, identifier, moment, part, parts, strange

#: Vonage allows two. A list far beyond that is not a list of one account's secrets.
_MOST = 50


class Secrets:
    """An account's secrets, by its own credential or its parent's. An `Issuer`."""

    def __init__(self, transport: Transport) -> None:
        """Call through `transport`."""
        self._transport = transport

    @property
    def clock_lead(self) -> timedelta:
        """How far this machine's clock is ahead of Vonage's; see `Issuer.clock_lead`."""
        return self._transport.clock_lead

    def list_secrets(self, credential: Credential, api_key: str) -> tuple[Secret, ...]:
        """List the live secrets of `api_key`, in no order that means anything.

        Raises:
            ConfigError: `api_key` cannot be one.
            CredentialRefused: Vonage does not accept the credential.
            AccountNotFound: there is no such key, or the credential may not see it.
            IssuerError: any other failure.
        """
        call = Call(
            operation="secrets.list",
            method="GET",
            host=Host.API,
            path=_path(api_key),
            credential=credential,
            api_key=api_key,
            success=frozenset({200}),
        )

        def read(answer: Answer) -> tuple[Secret, ...]:
            entries = parts(part(answer.document(), "_embedded"), "secrets")
            if len(entries) > _MOST:
                raise strange(f"more than {_MOST} secrets")
            secrets = tuple(map(_secret, entries))
            if len({secret.id for secret in secrets}) < len(secrets):
                raise strange("the same secret twice")
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
        """Make `value` a secret of `api_key`. Sent once, whatever happens; see `Issuer`.

        Done is a 201, or a 200, with the new secret's id. A 202 is no promise that the secret
        exists; it raises `UnexpectedAnswer`, so that the caller looks.

        Raises:
            ConfigError: `api_key` cannot be one.
            SecretRejected: the value does not comply, or is already a secret of the account.
            SlotsFull: the account has two secrets.
            IssuerError: any other failure; `definite` tells whether it had no effect.
        """
        call = Call(
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
        """Read one secret: its id and when it was created.

        Raises:
            ConfigError: `api_key` or `secret_id` cannot be one.
            SecretNotFound: there is none of that id.
            IssuerError: any other failure.
        """
        call = _of_one("secrets.get", "GET", credential, (api_key, secret_id), success={200})

        def read(answer: Answer) -> Secret:
            secret = _secret(answer.document())
            if secret.id != secret_id:
                raise strange("another secret than the one asked for")
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

        Done is a 204, or a 200 that says nothing else.

        Raises:
            ConfigError: `api_key` or `secret_id` cannot be one.
            SecretNotFound: it is gone already.
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

        def read(answer: Answer) -> None:
            # A proxy's login page comes with 200, too.
            if answer.content().strip() not in (b"", b"{}"):
                raise strange("an answer to a deletion that says more than that it is done")

        self._transport.send(call, read)


def _of_one(  # noqa: PLR0913  # half of them by name
    operation: str,
    method: str,
    credential: Credential,
    ids: tuple[str, str],
    *,
    success: set[int],
    before_send: Callable[[], object] | None = None,
) -> Call:
    api_key, secret_id = ids
    return Call(
        operation=operation,
        method=method,
        host=Host.API,
        path=f"{_path(api_key)}/{segment(secret_id, 'a secret id')}",
        credential=credential,
        api_key=api_key,
        success=frozenset(success),
        names_secret=True,
        before_send=before_send,
    )


def _path(api_key: str) -> str:
    return f"/accounts/{segment(api_key, 'an api key')}/secrets"


def _secret(document: Document) -> Secret:
    return Secret(id=identifier(document, "id"), created_at=moment(document, "created_at"))
