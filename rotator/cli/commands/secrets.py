"""`secrets list|show|create|delete`: an account's secrets at Vonage, by hand."""

import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from rotator.cli import output, prompts
from rotator.cli.context import CommandContext, JsonOption, Name
from rotator.cli.prompts import FromFile, given
from rotator.errors import ConfigError, Refused, SecretNotFound, SlotsFull
from rotator.model import SecretValue
from rotator.model.redaction import is_plain
from rotator.reporting.text import age_text, moment, rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rotator.application import Application
    from rotator.model import Account, Secret
    from rotator.rotation.manual import AccountSecrets

_SLOTS = 2
HEADERS = ("id", "created", "age", "role")

SecretId = Annotated[str, typer.Argument(metavar="ID", help="the secret's id at Vonage")]
JsonDone = Annotated[bool, typer.Option("--json", help="print what was done as a JSON document")]


def list_(context: typer.Context, name: Name, as_json: JsonOption = False) -> None:
    """List an account's secrets, and what rotator knows of each. No values: Vonage has none."""
    with _account(context, name) as (application, account):
        view = _look(application, account)
    if as_json:
        secrets = [_document(view, secret) for secret in view.secrets]
        output.write_json({"account": name, "api_key": account.api_key, "secrets": secrets})
    else:
        output.table(HEADERS, [_row(view, secret) for secret in view.secrets])


def show(
    context: typer.Context, name: Name, secret_id: SecretId, as_json: JsonOption = False
) -> None:
    """Show one secret of an account: when it was made and what rotator knows of it."""
    with _account(context, name) as (application, account):
        view = _look(application, account)
        secret = application.secrets.get_secret(view.credential, account.api_key, secret_id)
    if as_json:
        output.write_json(_document(view, secret))
    else:
        output.table(HEADERS, [_row(view, secret)])


def create(
    context: typer.Context,
    name: Name,
    from_file: FromFile = None,
    as_json: JsonDone = False,
) -> None:
    """Create a secret of an account with a value of your own, in an emergency.

    It is sent once, and kept nowhere: write it to Vault yourself. `rotator rotate-now` does all
    of that for you.
    """
    from rotator.rotation.manual import manual_operation  # noqa: PLC0415  # the rules, which others do without

    value = _value(from_file)
    with (
        _account(context, name) as (application, account),
        manual_operation(application.engine(), account) as by_hand,
    ):
        view = by_hand.look()
        _require_quiet(view)
        if len(view.secrets) >= _SLOTS:
            raise SlotsFull(hint=f"see `rotator secrets list {name}`; one has to be deleted first")
        secret = by_hand.perform(
            "create",
            lambda look: application.secrets.create_secret(
                view.credential, account.api_key, value, before_send=look
            ),
        )
    if as_json:
        created = rfc3339(secret.created_at)
        output.write_json({"account": name, "secret_id": secret.id, "created_at": created})
    else:
        output.write(f"created secret {secret.id} of {name}")


def delete(
    context: typer.Context,
    name: Name,
    secret_id: SecretId,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="also where it may be in use; consumers may break")
    ] = False,
    as_json: JsonDone = False,
) -> None:
    """Delete a secret of an account at Vonage. Consumers that use it stop working."""
    from rotator.rotation.manual import manual_operation  # noqa: PLC0415  # the rules, which others do without

    if not yes and not sys.stdin.isatty():
        raise ConfigError("no terminal to confirm at", hint="give --yes to delete without asking")
    with _account(context, name) as (application, account):
        if not yes:
            view = _look(application, account)
            _require_deletable(view, secret_id, force=force)
            asked = f"delete secret {secret_id} of {name} ({view.role(secret_id)})?"
            prompts.confirm(asked)
        with manual_operation(application.engine(), account) as by_hand:
            view = by_hand.look()
            _require_deletable(view, secret_id, force=force)
            by_hand.perform(
                "delete",
                lambda look: application.secrets.delete_secret(
                    view.credential, account.api_key, secret_id, before_send=look
                ),
                secret_id,
                seen=view,
            )
    if as_json:
        output.write_json({"account": name, "secret_id": secret_id, "deleted": True})
    else:
        output.write(f"deleted secret {secret_id} of {name}")


@contextmanager
def _account(context: typer.Context, name: str) -> "Iterator[tuple[Application, Account]]":
    session = CommandContext.of(context)
    settings = session.settings()
    account = settings.account(name)
    with session.application(settings) as application:
        yield application, account


def _look(application: "Application", account: "Account") -> "AccountSecrets":
    from rotator.rotation.manual import AccountSecrets  # noqa: PLC0415  # the rules, which others do without

    return AccountSecrets.of(account, application.engine().observer().look(account))


def _value(from_file: str | None) -> SecretValue:
    """Read a value for a new secret.

    Raises:
        ConfigError: there is none, or Vonage would not accept it.
    """
    from rotator.model.generation import is_compliant  # noqa: PLC0415  # nobody else needs it

    text = given(from_file, prompt="new value: ")
    if not (is_compliant(text) and is_plain(text)):
        raise ConfigError(
            "the value is not one that Vonage takes",
            hint="it has 8 to 25 letters, digits and signs, among them a lower-case letter, "
            "an upper-case letter and a digit",
        )
    return SecretValue(text)


def _require_quiet(view: "AccountSecrets") -> None:
    """Refuse to add a secret that an open rotation would take for its own or a foreign one."""
    if view.rotation and view.rotation.verified_at is None:
        raise Refused(
            f"a rotation of {view.account.name} is open, at step {view.rotation.step}",
            code="rotation-open",
            hint="`rotator resume` carries it on; try again after that",
        )


def _require_deletable(view: "AccountSecrets", secret_id: str, *, force: bool) -> None:
    """Refuse to delete a secret that may be in use.

    Raises:
        SecretNotFound: the account has no such secret.
        Refused: the operator must be certain, and confirm it.
    """
    name = view.account.name
    if secret_id not in {secret.id for secret in view.secrets}:
        raise SecretNotFound(
            f"{name} has no secret {secret_id}", hint=f"see `rotator secrets list {name}`"
        )
    why = _danger(view, secret_id)
    if why and not force:
        raise Refused(why, code="unsafe-delete", hint="--force deletes it all the same")


def _danger(view: "AccountSecrets", secret_id: str) -> str | None:
    """Return the reason not to delete a secret by hand; None where there is none."""
    rotation = view.rotation
    if len(view.secrets) == 1:
        return f"secret {secret_id} is the account's only one"
    if secret_id == view.current_secret_id:
        return f"secret {secret_id} is the one that Vault holds: consumers use it"
    if view.current_secret_id is None:
        return f"which secret Vault holds is not certain, so {secret_id} may be in use"
    if not view.is_live:
        return f"Vonage refuses the value that Vault holds, so {secret_id} may be what still works"
    if view.ends_at:
        return f"Vault removes its value by itself at {moment(view.ends_at)}"
    if secret_id == view.adopted_id:
        return f"secret {secret_id} was adopted last: a standby of Vault that lags may hide it"
    if rotation and secret_id in (rotation.predecessor_id, rotation.new_id):
        return f"secret {secret_id} belongs to an open rotation, which deletes it when it is time"
    return None


def _document(view: "AccountSecrets", secret: "Secret") -> dict[str, str | None]:
    return {
        "id": secret.id,
        "created_at": rfc3339(secret.created_at),
        "role": view.role(secret.id),
    }


def _row(view: "AccountSecrets", secret: "Secret") -> tuple[str, ...]:
    return (
        secret.id,
        moment(secret.created_at),
        age_text(secret.created_at, datetime.now(UTC)),
        view.role(secret.id),
    )
