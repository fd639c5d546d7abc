"""`secrets list|show|create|delete`: an account's secrets at Vonage, by hand."""

from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from rotator.cli import output, prompts
from rotator.cli.actor import ActorOption, ReasonOption, actor_of
from rotator.cli.context import CommandContext, JsonOption, Name, flag
from rotator.cli.prompts import FromFile, YesOption, read_value
from rotator.errors import ConfigError, RotatorError, SlotsFull
from rotator.model import SecretValue
from rotator.model.generation import is_compliant
from rotator.model.redaction import is_plain
from rotator.model.times import rfc3339
from rotator.reporting.text import age_text, moment
from rotator.rotation.manual import AccountSecrets, manual_operation
from rotator.rotation.observation import observe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rotator.application import Application
    from rotator.model import Account, Secret

_SLOTS = 2
HEADERS = ("id", "created", "age", "role")

SecretId = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="the secret's id at Vonage, or its first 4 characters or more"
    ),
]
JsonDone = Annotated[bool, typer.Option("--json", help="print what was done as a JSON document")]


def list_(context: typer.Context, name: Name, as_json: JsonOption = False) -> None:
    """List an account's secrets, and what rotator knows of each. Vonage returns no values."""
    with _account(context, name) as (application, account):
        view = _observed(application, account)
    secrets = [_document(view, secret) for secret in view.secrets]
    document = {"account": name, "api_key": account.api_key, "secrets": secrets}
    rows = [_row(view, secret) for secret in view.secrets]
    output.show_table(document, HEADERS, rows, as_json=as_json)


def show(
    context: typer.Context, name: Name, secret_id: SecretId, as_json: JsonOption = False
) -> None:
    """Show one secret of an account: when it was made and what rotator knows of it."""
    with _account(context, name) as (application, account):
        view = _observed(application, account)
        secret_id = view.whole_id(secret_id)
        secret = application.clients.secrets.get_secret(view.credential, account.api_key, secret_id)
    output.show_table(_document(view, secret), HEADERS, [_row(view, secret)], as_json=as_json)


def create(
    context: typer.Context,
    name: Name,
    from_file: FromFile = None,
    actor: ActorOption = None,
    reason: ReasonOption = None,
    as_json: JsonDone = False,
) -> None:
    """Create a secret of an account with a value of your own, in an emergency.

    It is sent once, and kept nowhere: write it to Vault yourself. `rotator rotate-now` does all
    of that for you.
    """
    acting = actor_of(actor, reason)
    value = _value(from_file)
    with (
        _account(context, name) as (application, account),
        manual_operation(application.reconciler(), account, "create", actor=acting) as operation,
    ):
        view = operation.observe()
        view.require_quiet()
        if len(view.secrets) >= _SLOTS:
            raise SlotsFull(hint=f"see `rotator secrets list {name}`; one has to be deleted first")
        secret = operation.perform(
            lambda look: application.clients.secrets.create_secret(
                view.credential, account.api_key, value, before_send=look
            ),
        )
    created = rfc3339(secret.created_at)
    document = {"account": name, "secret_id": secret.id, "created_at": created}
    output.show(document, f"created secret {secret.id} of {name}", as_json=as_json)


def delete(
    context: typer.Context,
    name: Name,
    secret_id: SecretId,
    yes: YesOption = False,
    force: Annotated[
        bool, flag("--force", "even if it may be in use; consumers may break")
    ] = False,
    actor: ActorOption = None,
    reason: ReasonOption = None,
    as_json: JsonDone = False,
) -> None:
    """Delete a secret of an account at Vonage. Consumers that use it stop working."""
    acting = actor_of(actor, reason)
    prompts.require_terminal("delete", yes=yes)
    with _account(context, name) as (application, account):
        refused = None
        if not yes:
            view = _observed(application, account)
            secret_id = view.whole_id(secret_id)
            try:
                view.require_deletable(secret_id, force=force)
            except RotatorError as error:
                # Recorded below, where who asked for it is.
                refused = error
            else:
                asked = f"delete secret {secret_id} of {name} ({_role(view, secret_id)})?"
                prompts.confirm(asked)
        with manual_operation(
            application.reconciler(), account, "delete", actor=acting, named=secret_id
        ) as operation:
            if refused:
                raise refused
            view = operation.observe()
            secret_id = view.whole_id(secret_id)
            view.require_deletable(secret_id, force=force)
            view = operation.withdraw(view, secret_id)
            operation.perform(
                lambda look: application.clients.secrets.delete_secret(
                    view.credential, account.api_key, secret_id, before_send=look
                ),
                secret_id,
                seen=view,
            )
        # For `status`, which may call it what is wrong. The deletion itself is done.
        with suppress(RotatorError):
            application.reconciler().refresh(account)
    document = {"account": name, "secret_id": secret_id, "deleted": True}
    output.show(document, f"deleted secret {secret_id} of {name}", as_json=as_json)


@contextmanager
def _account(context: typer.Context, name: str) -> "Iterator[tuple[Application, Account]]":
    with CommandContext.of(context).application() as application:
        yield application, application.settings.account(name)


def _observed(application: "Application", account: "Account") -> "AccountSecrets":
    return AccountSecrets.of(account, observe(application.reconciler(), account))


def _value(from_file: str | None) -> SecretValue:
    text = read_value(from_file, prompt="new value: ")
    if not (is_compliant(text) and is_plain(text)):
        raise ConfigError(
            "Vonage would not accept the value",
            hint="it needs 8 to 25 letters, digits and symbols, including a lower-case "
            "letter, an upper-case letter and a digit",
        )
    return SecretValue(text)


def _document(view: "AccountSecrets", secret: "Secret") -> dict[str, str | None]:
    return {
        "id": secret.id,
        "created_at": rfc3339(secret.created_at),
        "role": view.role(secret.id),
        "origin": view.origins.get(secret.id),
    }


def _row(view: "AccountSecrets", secret: "Secret") -> tuple[str, ...]:
    return (
        secret.id,
        moment(secret.created_at),
        age_text(secret.created_at, datetime.now(UTC)),
        _role(view, secret.id),
    )


def _role(view: "AccountSecrets", secret_id: str) -> str:
    origin = view.origins.get(secret_id)
    return f"{view.role(secret_id)}: {origin}" if origin else view.role(secret_id).value
