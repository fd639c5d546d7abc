"""The subaccounts of a primary account, as the Subaccounts API lists them."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from rotator.model import Credential
from rotator.vonage.client import VonageClient
from rotator.vonage.request import Host, VonageRequest, path_segment
from rotator.vonage.response import (
    Document,
    VonageResponse,
    flag,
    identifier,
    moment,
    optional_amount,
    part,
    parts,
    title,
    unexpected,
)


@dataclass(frozen=True, kw_only=True)
class PrimaryAccount:
    """The account that owns the subaccounts."""

    api_key: str
    name: str
    #: Euros.
    balance: Decimal | None
    #: Euros.
    credit_limit: Decimal | None
    suspended: bool
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Subaccount:
    """One subaccount."""

    api_key: str
    primary_account_api_key: str
    name: str
    #: Whether it shares its primary account's balance; then it has no balance and limit of its own.
    use_primary_account_balance: bool
    #: Euros.
    balance: Decimal | None
    #: Euros.
    credit_limit: Decimal | None
    suspended: bool
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class SubaccountList:
    """All subaccounts of a primary account, with their totals."""

    primary_account: PrimaryAccount
    subaccounts: tuple[Subaccount, ...]
    #: Euros. Present in answers, though missing in the API document.
    total_balance: Decimal | None
    #: Euros. Likewise.
    total_credit_limit: Decimal | None


class Subaccounts:
    """A primary account's subaccounts. Vonage enables this API on request."""

    def __init__(self, transport: VonageClient) -> None:
        """Send requests through `transport`."""
        self._transport = transport

    def list_subaccounts(self, credential: Credential) -> SubaccountList:
        """List the subaccounts of the credential's account.

        Raises:
            CredentialRefused: Vonage does not accept the credential.
            Forbidden: the account may not use this API.
            IssuerError: any other failure.
        """
        call = VonageRequest(
            operation="subaccounts.list",
            method="GET",
            host=Host.API,
            path=f"/accounts/{path_segment(credential.api_key, 'an API key')}/subaccounts",
            credential=credential,
            api_key=credential.api_key,
            success=frozenset({200}),
        )
        return self._transport.send(call, _accounts)


def _accounts(answer: VonageResponse) -> SubaccountList:
    document = answer.document()
    embedded = part(document, "_embedded")
    subaccounts = tuple(_subaccount(entry) for entry in parts(embedded, "subaccounts"))
    if len({account.api_key for account in subaccounts}) < len(subaccounts):
        raise unexpected("the same subaccount twice")
    return SubaccountList(
        primary_account=_primary(part(embedded, "primary_account")),
        subaccounts=subaccounts,
        total_balance=optional_amount(document, "total_balance"),
        total_credit_limit=optional_amount(document, "total_credit_limit"),
    )


def _primary(entry: Document) -> PrimaryAccount:
    return PrimaryAccount(
        api_key=identifier(entry, "api_key"),
        name=title(entry, "name"),
        balance=optional_amount(entry, "balance"),
        credit_limit=optional_amount(entry, "credit_limit"),
        suspended=flag(entry, "suspended"),
        created_at=moment(entry, "created_at"),
    )


def _subaccount(entry: Document) -> Subaccount:
    return Subaccount(
        api_key=identifier(entry, "api_key"),
        primary_account_api_key=identifier(entry, "primary_account_api_key"),
        name=title(entry, "name"),
        use_primary_account_balance=flag(entry, "use_primary_account_balance"),
        balance=optional_amount(entry, "balance"),
        credit_limit=optional_amount(entry, "credit_limit"),
        suspended=flag(entry, "suspended"),
        created_at=moment(entry, "created_at"),
    )
