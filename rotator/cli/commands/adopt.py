"""`adopt`: bring an account's existing secret under management."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rotator.cli import output
from rotator.cli.context import CommandContext, Name
from rotator.cli.prompts import FromFile, given
from rotator.errors import ConfigError
from rotator.model import SecretValue
from rotator.model.redaction import is_plain
from rotator.reporting.text import moment, rfc3339

if TYPE_CHECKING:
    from rotator.model import Rotation
    from rotator.rotation.adoption import Adopted

#: Vonage documents no upper bound for existing secrets; no longer one was seen.
_LONGEST = 128


def adopt(
    context: typer.Context,
    *,
    name: Name,
    secret_id: Annotated[
        str | None,
        typer.Option(
            "--secret-id",
            metavar="ID",
            help="which secret it is, where Vonage lists two, or Vault's note names a wrong one",
        ),
    ] = None,
    from_file: FromFile = None,
    from_vault: Annotated[
        bool, typer.Option("--from-vault", help="adopt the value that Vault's entry has already")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="print one JSON document instead of a sentence")
    ] = False,
) -> None:
    """Bring an account's existing secret under management: Vault holds it, rotator rotates it.

    The value is tried at Vonage before anything is written, and its id made certain; other
    fields of the Vault entry stay. Nothing is rotated or deleted. A rotation that cannot go on,
    as what it pushed is dead or overwritten, is ended by this.
    """
    if from_vault and from_file is not None:
        raise ConfigError("--from-file and --from-vault are both given", hint="give one of them")
    session = CommandContext.of(context)
    settings = session.settings()
    account = settings.account(name)
    value = None if from_vault else _value(name, from_file)
    with session.application(settings) as application:
        application.store.check()
        adopted = application.engine().adopt(account, value, secret_id=secret_id)
    path = f"{settings.vault.mount}/{account.vault_path}"
    if as_json:
        output.write_json(_document(adopted, path))
    else:
        output.write("\n".join(_sentences(adopted, path)))


def _value(name: str, from_file: str | None) -> SecretValue:
    """Read a value from a file, standard input or a prompt.

    It may be an old one, so that Vonage's rules for new secrets are not applied.

    Raises:
        ConfigError: there is no value, or it cannot be sent.
    """
    if from_file is None and not sys.stdin.isatty():
        from_file = "-"
    text = given(from_file, prompt=f"present secret of {name}: ")
    if not text:
        raise ConfigError(
            "no value is given", hint="type it, or give it on standard input or by --from-file"
        )
    if len(text) > _LONGEST or not is_plain(text):
        raise ConfigError(
            "the value is no secret of Vonage's",
            hint="it is one line of letters, digits and signs, without spaces",
        )
    return SecretValue(text)


def _sentences(adopted: "Adopted", path: str) -> list[str]:
    secret, version = adopted.secret.id, adopted.vault_version
    how = "now has it" if adopted.is_written else "had it already"
    where = f"Vault {how} at {path}, version {version}"
    sentences = [f"adopted secret {secret} of {adopted.account}: {where}"]
    rotation = adopted.rotation
    if adopted.ends_at:
        at = moment(adopted.ends_at)
        sentences.append(f"Vault removes that version by itself at {at} (`delete_version_after`)")
    if rotation and rotation.closed_at:
        sentences.append(f"rotation {rotation.id} is over: {rotation.error_code}")
    elif rotation:
        sentences.append(
            f"rotation {rotation.id} is open; `rotator resume {adopted.account}` carries it on"
        )
    return sentences


def _document(adopted: "Adopted", path: str) -> dict[str, Any]:
    return {
        "account": adopted.account,
        "secret_id": adopted.secret.id,
        "created_at": rfc3339(adopted.secret.created_at),
        "vault_path": path,
        "vault_version": adopted.vault_version,
        "written": adopted.is_written,
        "rotation": _rotation(adopted.rotation),
    }


def _rotation(rotation: "Rotation | None") -> dict[str, Any] | None:
    if rotation is None:
        return None
    return {"id": rotation.id, "outcome": rotation.outcome, "error_code": rotation.error_code}
