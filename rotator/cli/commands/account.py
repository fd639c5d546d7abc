"""`account balance|top-up|callbacks`: the rest of the Account API, by hand."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from rotator.cli import output, prompts
from rotator.cli.context import CommandContext, JsonOption, Name, OnlyNames, chosen
from rotator.errors import ConfigError, IssuerError, RequestRefused, RotatorError
from rotator.model import ForwardMethod
from rotator.reporting.text import NOTHING

if TYPE_CHECKING:
    from decimal import Decimal

    from rotator.application import Application
    from rotator.model import Account, Credential
    from rotator.rotation.ports import BeforeSend
    from rotator.vonage import AccountSettings, Balance

BALANCE_HEADERS = ("account", "balance (EUR)", "auto-reload", "minimum (EUR)", "note")
CALLBACK_HEADERS = ("callback", "setting")

Text = TypeVar("Text", bound=str)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The requested change of the callbacks: "" unsets, None leaves."""

    inbound: str | None = None
    delivery: str | None = None
    method: ForwardMethod | Literal[""] | None = None


def balance(
    context: typer.Context,
    names: OnlyNames = None,
    as_json: JsonOption = False,
) -> None:
    """Show what accounts have left at Vonage, and whether that is less than `min_balance`."""
    session = CommandContext.of(context)
    settings = session.settings()
    accounts = chosen(settings, names)
    with session.application(settings) as application:
        application.store.check()
        found = [(account, _balance(application, account)) for account in accounts]
    if as_json:
        output.write_json([_balance_document(*each) for each in found])
    else:
        output.table(BALANCE_HEADERS, [_balance_row(*each) for each in found])
    output.flush()
    errors = [(account, error) for account, error in found if isinstance(error, RotatorError)]
    for account, error in errors:
        output.complain(error.message, error.hint, about=account.name)
    raise typer.Exit(1 if errors else 0)


def top_up(
    context: typer.Context,
    name: Name,
    transaction: Annotated[
        str,
        typer.Option(
            "--transaction", metavar="REFERENCE", help="of the payment that enabled auto-reload"
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    as_json: JsonOption = False,
) -> None:
    """Spend money: charge an account's payment method now, as much as the named payment was.

    Vonage does it only where auto-reload is enabled. It is asked once, whatever the answer.
    """
    from rotator.rotation.manual import manual_operation  # noqa: PLC0415  # the rules, which others do without

    if not yes and not sys.stdin.isatty():
        raise ConfigError("no terminal to confirm at", hint="give --yes to spend without asking")
    with opened(context, name) as (application, account, credential):
        before = application.accounts_api.balance(credential)
        if not yes:
            asked = f"its balance is {before.value} EUR; charge {name}'s payment method now?"
            prompts.confirm(asked)
        with manual_operation(application.engine(), account) as by_hand, _money_in_mind(name):
            by_hand.perform(
                "top-up",
                lambda look: application.accounts_api.top_up(
                    credential, transaction, before_send=look
                ),
            )
    if as_json:
        output.write_json(
            {"account": name, "topped_up": True, "balance_before": float(before.value)}
        )
    else:
        output.write(f"topped up {name}, which had {before.value} EUR")


def callbacks(
    context: typer.Context,
    *,
    name: Name,
    inbound: Annotated[
        str | None, typer.Option(metavar="URL", help="where Vonage sends inbound SMS")
    ] = None,
    delivery: Annotated[
        str | None, typer.Option(metavar="URL", help="where Vonage sends delivery receipts")
    ] = None,
    no_inbound: Annotated[
        bool, typer.Option("--no-inbound", help="unset the callback for inbound SMS")
    ] = False,
    no_delivery: Annotated[
        bool, typer.Option("--no-delivery", help="unset the callback for delivery receipts")
    ] = False,
    forward_method: Annotated[
        ForwardMethod | None,
        typer.Option(metavar="METHOD", help=f"how Vonage calls both: {', '.join(ForwardMethod)}"),
    ] = None,
    no_forward_method: Annotated[
        bool, typer.Option("--no-forward-method", help="leave to Vonage how it calls both")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show an account's callbacks and how Vonage calls them, or set or unset them.

    Vonage calls each new URL, and wants a 200 from it before it saves anything. Its answer may
    not name the method, which then shows as `-`.
    """
    wanted = Wanted(
        inbound=_text("inbound", inbound, unset=no_inbound),
        delivery=_text("delivery", delivery, unset=no_delivery),
        method=_text("forward-method", forward_method, unset=no_forward_method),
    )
    with opened(context, name) as (application, account, credential):
        if wanted == Wanted():
            settings = application.accounts_api.settings(credential)
        else:
            settings = _change(application, account, credential, wanted)
    _show(name, settings, as_json=as_json)


def _change(
    application: "Application",
    account: "Account",
    credential: "Credential",
    wanted: Wanted,
) -> "AccountSettings":
    from rotator.rotation.manual import manual_operation  # noqa: PLC0415  # the rules, which others do without

    def change(look: "BeforeSend") -> "AccountSettings":
        return application.accounts_api.update_callbacks(
            credential,
            inbound_sms_url=wanted.inbound,
            delivery_receipt_url=wanted.delivery,
            forward_method=wanted.method,
            before_send=look,
        )

    with manual_operation(application.engine(), account) as by_hand:
        # URLs often contain a credential, so the record does not include them.
        return by_hand.perform("callbacks", change)


def _text(option: str, given: Text | None, *, unset: bool) -> Text | Literal[""] | None:
    """Return the text to set, "" to unset it, None to leave it alone.

    Raises:
        ConfigError: both options are used, or the text is empty, as from an unset variable.
    """
    if given is not None and unset:
        raise ConfigError(f"--{option} and --no-{option} are both given", hint="give one of them")
    if given == "":
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
    session = CommandContext.of(context)
    settings = session.settings()
    account = settings.account(name)
    with session.application(settings) as application:
        yield application, account, _credential(application, account)


def _credential(application: "Application", account: "Account") -> "Credential":
    """Return the account's own credential: Vonage accepts no parent's for these calls.

    Raises:
        CredentialRefused: Vault has no value for it.
    """
    from rotator.rotation.credentials import read_own_credential  # noqa: PLC0415  # `--help` needs none of it

    return read_own_credential(application.store, account)


def _balance(application: "Application", account: "Account") -> "Balance | RotatorError":
    from rotator.rotation.credentials import with_own_credential  # noqa: PLC0415  # likewise

    try:
        return with_own_credential(application.store, account, application.accounts_api.balance)
    except RotatorError as error:
        return error


def _balance_document(account: "Account", found: "Balance | RotatorError") -> dict[str, Any]:
    document: dict[str, Any] = {"account": account.name, "balance": None, "auto_reload": None}
    if isinstance(found, RotatorError):
        error = {"code": found.code, "message": found.message, "hint": found.hint}
        return document | {
            "min_balance": _number(account.min_balance),
            "low": None,
            "error": error,
        }
    return document | {
        "balance": _number(found.value),
        "auto_reload": found.auto_reload,
        "min_balance": _number(account.min_balance),
        "low": account.is_low(found.value),
        "error": None,
    }


def _balance_row(account: "Account", found: "Balance | RotatorError") -> tuple[str, ...]:
    minimum = NOTHING if account.min_balance is None else str(account.min_balance)
    if isinstance(found, RotatorError):
        return (account.name, NOTHING, NOTHING, minimum, "not known")
    note = "LOW" if account.is_low(found.value) else NOTHING
    reload = "yes" if found.auto_reload else "no"
    return (account.name, str(found.value), reload, minimum, note)


def _number(amount: "Decimal | None") -> float | None:
    return None if amount is None else float(amount)


def _show(name: str, settings: "AccountSettings", *, as_json: bool) -> None:
    shown = {
        "inbound": settings.inbound_sms_url,
        "delivery": settings.delivery_receipt_url,
        "forward_method": settings.forward_method,
    }
    if as_json:
        output.write_json({"account": name, **shown})
    else:
        rows = [(key.replace("_", " "), text or NOTHING) for key, text in shown.items()]
        output.table(CALLBACK_HEADERS, rows)


@contextmanager
def _money_in_mind(name: str) -> Iterator[None]:
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
