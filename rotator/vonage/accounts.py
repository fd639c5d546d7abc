"""Balance, top-up and settings: the part of the Account API on the rest host."""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Literal, Self, TypeVar
from urllib.parse import urlencode

from pydantic import AfterValidator, Field, model_validator

from rotator.errors import ConfigError
from rotator.model import Credential, ForwardMethod
from rotator.vonage.client import VonageClient
from rotator.vonage.request import FORM, Host, VonageRequest
from rotator.vonage.response import Answer, Count, Euros, Text, invalid

A = TypeVar("A", bound=Answer)

_TRANSACTION = re.compile(r"[!-~]{1,128}")
_CALLBACK = re.compile(r"(https?://[!-~]{1,2000})?")

#: Text; None for an empty one.
_OptionalText = Annotated[Text, AfterValidator(lambda text: text or None)] | None


class Balance(Answer):
    """An account's balance."""

    #: Euros.
    value: Euros
    #: Whether Vonage charges the payment method automatically when the balance runs low.
    auto_reload: bool = Field(validation_alias="autoReload")


class AccountSettings(Answer):
    """An account's settings. None where missing in the answer."""

    # Requests spell these names differently.
    inbound_sms_url: _OptionalText = Field(default=None, validation_alias="mo-callback-url")
    delivery_receipt_url: _OptionalText = Field(default=None, validation_alias="dr-callback-url")
    #: In Vonage's spelling. Documented for requests only, so an answer may lack it.
    forward_method: _OptionalText = Field(default=None, validation_alias="http-forward-method")
    #: Messages per second.
    max_outbound_request: Count | None = Field(
        default=None, validation_alias="max-outbound-request"
    )
    #: Messages per second.
    max_inbound_request: Count | None = Field(default=None, validation_alias="max-inbound-request")
    max_calls_per_second: Count | None = Field(
        default=None, validation_alias="max-calls-per-second"
    )

    @model_validator(mode="after")
    def _has_any(self) -> Self:
        if not self.model_fields_set - {"forward_method"}:
            raise invalid("no settings")
        return self


class _Done(Answer):
    """An answer that confirms what was asked for.

    The older API sends errors with 200; it does not document which of them had an effect.
    """

    code: Literal["200", 200] = Field(validation_alias="error-code")


class Accounts:
    """Balance and settings of an account, with its own credential."""

    def __init__(self, client: VonageClient) -> None:
        """Send requests through `client`."""
        self._client = client

    def balance(self, credential: Credential) -> Balance:
        """Read the balance.

        Raises:
            CredentialRefused: Vonage does not accept the credential.
            IssuerError: any other failure.
        """
        return self._send("account.balance", "/account/get-balance", credential, None, Balance)

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
        self._send("account.top-up", "/account/top-up", credential, form, _Done, before_send)

    def settings(self, credential: Credential) -> AccountSettings:
        """Read the settings, by an update without a change. Sent once, as it is a POST.

        Raises:
            CredentialRefused: Vonage does not accept the credential.
            IssuerError: any other failure.
        """
        return self._send("account.settings", "/account/settings", credential, {}, AccountSettings)

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
            "account.update", "/account/settings", credential, form, AccountSettings, before_send
        )

    def _send(  # noqa: PLR0913, PLR0917  # each part of one request
        self,
        operation: str,
        path: str,
        credential: Credential,
        form: Mapping[str, str] | None,
        model: type[A],
        before_send: Callable[[], object] | None = None,
    ) -> A:
        """Send a GET where `form` is None, else POST it."""
        request = VonageRequest(
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
        return self._client.send_for(model, request)
