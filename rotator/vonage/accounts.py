"""Balance, top-up and settings: the part of the Account API on the rest host."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeVar
from urllib.parse import urlencode

from rotator.errors import ConfigError
from rotator.model import Credential, ForwardMethod
from rotator.vonage.client import VonageClient
from rotator.vonage.request import FORM, Host, VonageRequest
from rotator.vonage.response import (
    VonageResponse,
    amount,
    flag,
    optional_count,
    optional_text,
    unexpected,
)

T = TypeVar("T")

_TRANSACTION = re.compile(r"[!-~]{1,128}")
_CALLBACK = re.compile(r"(https?://[!-~]{1,2000})?")

#: Field names in answers. Requests spell them differently.
_SETTINGS = frozenset(
    {
        "mo-callback-url",
        "dr-callback-url",
        "max-outbound-request",
        "max-inbound-request",
        "max-calls-per-second",
    }
)


@dataclass(frozen=True, kw_only=True)
class Balance:
    """An account's balance."""

    #: Euros.
    value: Decimal
    #: Whether Vonage charges the payment method automatically when the balance runs low.
    auto_reload: bool


@dataclass(frozen=True, kw_only=True)
class AccountSettings:
    """An account's settings. None where missing in the answer."""

    inbound_sms_url: str | None
    delivery_receipt_url: str | None
    #: In Vonage's spelling. Documented for requests only, so an answer may lack it.
    forward_method: str | None
    #: Messages per second.
    max_outbound_request: int | None
    #: Messages per second.
    max_inbound_request: int | None
    max_calls_per_second: int | None


class Accounts:
    """Balance and settings of an account, with its own credential."""

    def __init__(self, transport: VonageClient) -> None:
        """Send requests through `transport`."""
        self._transport = transport

    def balance(self, credential: Credential) -> Balance:
        """Read the balance.

        Raises:
            CredentialRefused: Vonage does not accept the credential.
            IssuerError: any other failure.
        """
        return self._send("account.balance", "/account/get-balance", credential, None, _balance)

    def top_up(
        self,
        credential: Credential,
        transaction: str,
        *,
        before_send: Callable[[], object] | None = None,
    ) -> None:
        """Charge the account's payment method now. Spends money; sent once.

        The amount is that of the payment `transaction` which enabled auto-reload.

        Raises:
            ConfigError: `transaction` is not a valid reference.
            RequestRefused: auto-reload is not enabled, or the reference is unknown.
            IssuerError: any other failure; `definite` is true if it had no effect.
        """
        if not _TRANSACTION.fullmatch(transaction):
            raise ConfigError("a transaction reference has 1 to 128 characters and no spaces")
        form = {"trx": transaction}
        self._send("account.top-up", "/account/top-up", credential, form, _done, before_send)

    def settings(self, credential: Credential) -> AccountSettings:
        """Read the settings, by an update without a change. Sent once, as it is a POST.

        Raises:
            CredentialRefused: Vonage does not accept the credential.
            IssuerError: any other failure.
        """
        return self._send("account.settings", "/account/settings", credential, {}, _settings)

    def update_callbacks(
        self,
        credential: Credential,
        *,
        inbound_sms_url: str | None = None,
        delivery_receipt_url: str | None = None,
        forward_method: ForwardMethod | Literal[""] | None = None,
        before_send: Callable[[], object] | None = None,
    ) -> AccountSettings:
        """Update the callback URLs and their method: "" unsets one, None leaves it. Sent once.

        Vonage calls each URL and expects a 200 before it saves anything. "" is documented to unset
        a URL; for the method, no way back to Vonage's own choice is documented.

        Raises:
            ConfigError: a URL is neither http nor https.
            RequestRefused: Vonage did not accept a URL.
            IssuerError: any other failure; `definite` is true if it had no effect.
        """
        for url in filter(None, (inbound_sms_url, delivery_receipt_url)):
            if not _CALLBACK.fullmatch(url):
                raise ConfigError("a callback is a URL of http or https in plain ASCII")
        wanted = {
            # The SDKs disagree on the case of the B; this is the API document's spelling.
            "moCallBackUrl": inbound_sms_url,
            "drCallBackUrl": delivery_receipt_url,
            "httpForwardMethod": forward_method,
        }
        form = {name: str(value) for name, value in wanted.items() if value is not None}
        return self._send(
            "account.update", "/account/settings", credential, form, _settings, before_send
        )

    def _send(  # noqa: PLR0913, PLR0917  # one call, told in full
        self,
        operation: str,
        path: str,
        credential: Credential,
        form: Mapping[str, str] | None,
        read: Callable[[VonageResponse], T],
        before_send: Callable[[], object] | None = None,
    ) -> T:
        """Send a GET where `form` is None, else POST it."""
        call = VonageRequest(
            operation=operation,
            method="GET" if form is None else "POST",
            host=Host.REST,
            path=path,
            credential=credential,
            api_key=credential.api_key,
            success=frozenset({200}),
            body=urlencode(form or {}).encode(),
            content_type="" if form is None else FORM,
            before_send=before_send,
        )
        return self._transport.send(call, read)


def _balance(answer: VonageResponse) -> Balance:
    document = answer.document()
    return Balance(value=amount(document, "value"), auto_reload=flag(document, "autoReload"))


def _done(answer: VonageResponse) -> None:
    # The older API sends errors with 200; it does not document which of them had an effect.
    if str(answer.document().get("error-code")) != "200":
        raise unexpected("not the code of success")


def _settings(answer: VonageResponse) -> AccountSettings:
    document = answer.document()
    if not _SETTINGS & document.keys():
        raise unexpected("no settings")
    return AccountSettings(
        inbound_sms_url=optional_text(document, "mo-callback-url"),
        delivery_receipt_url=optional_text(document, "dr-callback-url"),
        forward_method=optional_text(document, "http-forward-method"),
        max_outbound_request=optional_count(document, "max-outbound-request"),
        max_inbound_request=optional_count(document, "max-inbound-request"),
        max_calls_per_second=optional_count(document, "max-calls-per-second"),
    )
