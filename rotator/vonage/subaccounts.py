"""The subaccounts of a primary account, as the Subaccounts API lists them."""

from typing import Annotated, Self

from pydantic import Field, Strict, model_validator

from rotator.model import Credential
from rotator.vonage.client import VonageClient
from rotator.vonage.request import Host, VonageRequest, path_segment
from rotator.vonage.response import Answer, Euros, Identifier, Moment, Title, check_unique


class PrimaryAccount(Answer):
    """The account that owns the subaccounts."""

    api_key: Identifier
    name: Title
    #: Euros.
    balance: Euros | None = None
    #: Euros.
    credit_limit: Euros | None = None
    suspended: bool
    created_at: Moment


class Subaccount(PrimaryAccount):
    """One subaccount."""

    primary_account_api_key: Identifier
    #: Whether it shares its primary account's balance; then it has no balance and limit of its own.
    use_primary_account_balance: bool


class SubaccountList(Answer):
    """All subaccounts of a primary account."""

    primary_account: PrimaryAccount
    subaccounts: Annotated[tuple[Subaccount, ...], Strict(strict=False)]

    @model_validator(mode="after")
    def _check_unique(self) -> Self:
        check_unique((account.api_key for account in self.subaccounts), "subaccount")
        return self


class _Envelope(Answer):
    embedded: SubaccountList = Field(validation_alias="_embedded")


class Subaccounts:
    """A primary account's subaccounts. Vonage enables this API on request."""

    def __init__(self, client: VonageClient) -> None:
        """Send requests through `client`."""
        self._client = client

    def list_subaccounts(self, credential: Credential) -> SubaccountList:
        """List the subaccounts of the credential's account.

        Raises:
            CredentialRefused: Vonage does not accept the credential.
            Forbidden: the account may not use this API.
            IssuerError: any other failure.
        """
        request = VonageRequest(
            operation="subaccounts.list",
            method="GET",
            host=Host.API,
            path=f"/accounts/{path_segment(credential.api_key, 'an API key')}/subaccounts",
            credential=credential,
            api_key=credential.api_key,
            success=frozenset({200}),
        )
        return self._client.send_for(_Envelope, request).embedded
