"""`account balance|top-up|callbacks`: the rest of the Account API, by hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from rotator.cli import output, prompts
from rotator.cli.actor import ActorOption, ReasonOption, actor_of
from rotator.cli.context import CommandContext, JsonOption, Name, flag, option
from rotator.cli.prompts import YesOption
from rotator.cli.selection import ChosenNames, chosen
from rotator.errors import ConfigError, IssuerError, RequestRefused, RotatorError
from rotator.model import ForwardMethod
from rotator.reporting.text import NOTHING
from rotator.rotation.credentials import read_own_credential, with_own_credential
from rotator.rotation.manual import manual_operation

if TYPE_CHECKING:
    from rotator.application import Application
    from rotator.model import Account, Credential
    from rotator.vonage import Balance

BALANCE_HEADERS = ("account", "balance (EUR)", "auto-reload", "minimum (EUR)", "note")
CALLBACK_HEADERS = ("callback", "setting")

Text = TypeVar("Text", bound=str)


def balance(
    context: typer.Context,
    names: ChosenNames = None,
    as_json: JsonOption = False,
) -> None:
    """Show what accounts have left at Vonage, and whether that is less than `min_balance`."""
    with CommandContext.of(context).application() as application:
        accounts = chosen(application.settings, names)
        application.clients.store.check()
        found = {account: _balance(application, account) for account in accounts}
    documents = [_balance_document(*each) for each in found.items()]
    rows = [_balance_row(*each) for each in found.items()]
    output.show_table(documents, BALANCE_HEADERS, rows, as_json=as_json)
    output.flush()
    errors = {account: it for account, it in found.items() if isinstance(it, RotatorError)}
    for account, error in errors.items():
        output.complain(error.message, error.hint, about=account.name)
    raise typer.Exit(1 if errors else 0)


def top_up(
    context: typer.Context,
    name: Name,
    transaction: Annotated[
        str, option("REFERENCE", "reference of the payment that enabled auto-reload")
    ],
    yes: YesOption = False,
    actor: ActorOption = None,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """Spend money: charge an account's payment method now, by the amount of the named payment.

    Vonage does this only where auto-reload is enabled. It is asked once, whatever the answer.
    """
    acting = actor_of(actor, reason)
    prompts.require_terminal("spend", yes=yes)
    with opened(context, name) as (application, account, credential):
        before = application.clients.accounts.balance(credential)
        if not yes:
            prompts.confirm(
                f"its balance is {before.value} EUR; charge {name}'s payment method now?"
            )
        by_hand = manual_operation(application.reconciler(), account, "top-up", actor=acting)
        with by_hand as operation, _payment_hints(name):
            operation.perform(
                lambda look: application.clients.accounts.top_up(
                    credential, transaction, before_send=look
                ),
            )
    document = {"account": name, "topped_up": True, "balance_before": float(before.value)}
    output.show(document, f"topped up {name}, which had {before.value} EUR", as_json=as_json)


def callbacks(
    context: typer.Context,
    *,
    name: Name,
    inbound: Annotated[str | None, option("URL", "where Vonage sends inbound SMS")] = None,
    delivery: Annotated[str | None, option("URL", "where Vonage sends delivery receipts")] = None,
    no_inbound: Annotated[bool, flag("--no-inbound", "unset the callback for inbound SMS")] = False,
    no_delivery: Annotated[
        bool, flag("--no-delivery", "unset the callback for delivery receipts")
    ] = False,
    forward_method: Annotated[
        ForwardMethod | None, option("METHOD", f"how Vonage calls both: {', '.join(ForwardMethod)}")
    ] = None,
    no_forward_method: Annotated[
        bool, flag("--no-forward-method", "leave to Vonage how it calls both")
    ] = False,
    actor: ActorOption = None,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show an account's callbacks and how Vonage calls them, or set or unset them.

    Vonage calls each new URL, and wants a 200 from it before it saves anything. Its answer may
    not name the method, which then shows as `-`.
    """
    inbound_url = _text("inbound", inbound, unset=no_inbound)
    delivery_url = _text("delivery", delivery, unset=no_delivery)
    method = _text("forward-method", forward_method, unset=no_forward_method)
    acting = actor_of(actor, reason)
    with opened(context, name) as (application, account, credential):
        api = application.clients.accounts
        if (inbound_url, delivery_url, method) == (None, None, None):
            settings = api.settings(credential)
        else:
            by_hand = manual_operation(application.reconciler(), account, "callbacks", actor=acting)
            with by_hand as operation:
                # URLs often contain a credential, so the record does not include them.
                settings = operation.perform(
                    lambda look: api.update_callbacks(
                        credential,
                        inbound_sms_url=inbound_url,
                        delivery_receipt_url=delivery_url,
                        forward_method=method,
                        before_send=look,
                    ),
                )
    shown = {
        "inbound": settings.inbound_sms_url,
        "delivery": settings.delivery_receipt_url,
        "forward_method": settings.forward_method,
    }
    rows = [(key.replace("_", " "), text or NOTHING) for key, text in shown.items()]
    output.show_table({"account": name, **shown}, CALLBACK_HEADERS, rows, as_json=as_json)


def _text(option: str, given: Text | None, *, unset: bool) -> Text | Literal[""] | None:
    """Return the text to set, "" to unset it, None to leave it alone."""
    if given is not None and unset:
        raise ConfigError(f"--{option} and --no-{option} are both given", hint="give one of them")
    if given == "":  # as from an unset variable
        raise ConfigError(f"--{option} is empty", hint=f"--no-{option} unsets it")
    return "" if unset else given


@contextmanager
def opened(
    context: typer.Context, name: str
) -> "Iterator[tuple[Application, Account, Credential]]":
    """Yield the application, an account and its credential, for the length of a `with` block.

    Raises:
        UnknownAccount: no account has that name.
        CredentialRefused: Vault has no value for it.
    """
    with CommandContext.of(context).application() as application:
        account = application.settings.account(name)
        # Vonage accepts no parent's for these calls.
        yield application, account, read_own_credential(application.clients.store, account)


def _balance(application: "Application", account: "Account") -> "Balance | RotatorError":
    clients = application.clients
    try:
        return with_own_credential(clients.store, account, clients.accounts.balance)
    except RotatorError as error:
        return error


def _balance_document(account: "Account", found: "Balance | RotatorError") -> dict[str, Any]:
    balance, error = (None, found) if isinstance(found, RotatorError) else (found, None)
    minimum = account.min_balance
    return {
        "account": account.name,
        "balance": float(balance.value) if balance else None,
        "auto_reload": balance.auto_reload if balance else None,
        "min_balance": None if minimum is None else float(minimum),
        "low": account.is_low(balance.value) if balance else None,
        "error": vars(output.problem_of(error)) if error else None,
    }


def _balance_row(account: "Account", found: "Balance | RotatorError") -> tuple[str, ...]:
    minimum = NOTHING if account.min_balance is None else str(account.min_balance)
    if isinstance(found, RotatorError):
        return (account.name, NOTHING, NOTHING, minimum, "not known")
    note = "LOW" if account.is_low(found.value) else NOTHING
    reload = "yes" if found.auto_reload else "no"
    return (account.name, str(found.value), reload, minimum, note)


@contextmanager
def _payment_hints(name: str) -> Iterator[None]:
    """Add a hint to a payment's error: why it was refused, or that it may have been charged."""
    try:
        yield
    except IssuerError as error:
        if isinstance(error, RequestRefused):
            error.hint = (
                "Vonage tops up only where auto-reload is enabled, by a payment whose reference "
                "--transaction names"
            )
        if not error.definite:
            error.hint = (
                f"it may have been charged: compare `rotator account balance {name}` before you "
                "try again"
            )
        raise
