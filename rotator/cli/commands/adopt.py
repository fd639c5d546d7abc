"""`adopt`: bring accounts' existing secrets under management."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rotator.cli import output, several
from rotator.cli.actor import ActorOption, ReasonOption, actor_of
from rotator.cli.context import CommandContext, flag, json_option, option
from rotator.cli.prompts import FromFile, YesOption, read_value
from rotator.cli.selection import AllOption, Names, ParentOption, Selection
from rotator.cli.several import Result
from rotator.errors import ConfigError
from rotator.model import Account, SecretValue
from rotator.model.redaction import is_plain
from rotator.model.times import rfc3339
from rotator.reporting.text import moment

if TYPE_CHECKING:
    from rotator.rotation.adoption import Adopted

HEADERS = ("account", "secret", "vault version", "notes")

#: Vonage documents no upper bound for existing secrets; no longer one was seen.
_LONGEST = 128


def adopt(
    context: typer.Context,
    *,
    names: Names = None,
    every: AllOption = False,
    parent: ParentOption = None,
    secret_id: Annotated[
        str | None,
        option("ID", "which secret it is, if Vonage lists two or Vault's note names a wrong one"),
    ] = None,
    from_file: FromFile = None,
    from_vault: Annotated[
        bool, flag("--from-vault", "adopt the value that is already in Vault's entry")
    ] = False,
    actor: ActorOption = None,
    reason: ReasonOption = None,
    yes: YesOption = False,
    as_json: Annotated[bool, json_option("sentences or a table")] = False,
) -> None:
    """Bring an account's existing secret under management: Vault holds it, rotator rotates it.

    The value is first tried at Vonage, and its id determined; other fields of the Vault entry
    stay. Nothing is rotated or deleted. An open rotation that cannot continue, because the secret
    it pushed is dead or was overwritten in Vault, is ended. Several accounts can be adopted at once
    with --from-vault; on a terminal, only after a yes.
    """
    selection = Selection.of(names, every=every, parent=parent, action="adopt")
    if from_vault and from_file is not None:
        raise ConfigError("--from-file and --from-vault are both given", hint="give one of them")
    if not selection.is_single and (secret_id is not None or not from_vault):
        raise ConfigError(
            "--secret-id belongs to one account" if secret_id else "a value belongs to one account",
            hint="name one account; several are adopted with --from-vault alone",
        )
    acting = actor_of(actor, reason)
    with CommandContext.of(context).application() as application:
        accounts = selection.accounts(application.settings)
        if not selection.is_single:
            several.confirm(accounts, "adopt", yes=yes)
        value = None if from_vault else _value(accounts[0].name, from_file)
        application.clients.store.check()
        reconciler = application.reconciler()

        def act(account: Account) -> Result:
            adopted = reconciler.adopt(account, value, actor=acting, secret_id=secret_id)
            return _result(adopted, f"{application.settings.vault.mount}/{account.vault_path}")

        if selection.is_single:
            results = [act(*accounts)]
        else:
            results = several.at_once(application, accounts, act)
    if selection.is_single:
        several.show_one(results[0], as_json=as_json)
    else:
        raise typer.Exit(several.show(results, HEADERS, as_json=as_json))


def _value(name: str, from_file: str | None) -> SecretValue:
    """Read a value, which may be an old one: Vonage's rules for new secrets are not applied."""
    if from_file is None and not sys.stdin.isatty():
        from_file = "-"
    text = read_value(from_file, prompt=f"current secret of {name}: ")
    if not text:
        raise ConfigError(
            "no value is given", hint="type it, or give it on standard input or by --from-file"
        )
    if len(text) > _LONGEST or not is_plain(text):
        raise ConfigError(
            "the value is not a Vonage secret",
            hint="a secret is one line of letters, digits and symbols, without spaces",
        )
    return SecretValue(text)


def _result(adopted: "Adopted", path: str) -> Result:
    first, *further = _sentences(adopted, path)
    row = (
        adopted.account,
        output.brief(adopted.secret.id),
        str(adopted.vault_version),
        "; ".join(further),
    )
    text = "\n".join([first, *further])
    return Result(document=_document(adopted, path), text=text, row=row)


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
    elif rotation and adopted.delete_due_at:
        why = "its grace has begun anew, and " if adopted.is_grace_anew else ""
        sentences.append(
            f"rotation {rotation.id} is open: {why}the old secret stays until "
            f"{moment(adopted.delete_due_at)}"
        )
    elif rotation:
        sentences.append(
            f"rotation {rotation.id} is open; `rotator resume {adopted.account}` continues it"
        )
    return sentences


def _document(adopted: "Adopted", path: str) -> dict[str, Any]:
    rotation = adopted.rotation
    return {
        "account": adopted.account,
        "secret_id": adopted.secret.id,
        "created_at": rfc3339(adopted.secret.created_at),
        "vault_path": path,
        "vault_version": adopted.vault_version,
        "written": adopted.is_written,
        "rotation": rotation
        and {
            "id": rotation.id,
            "outcome": rotation.outcome,
            "error_code": rotation.error_code,
            "delete_due_at": rfc3339(adopted.delete_due_at),
            "grace_restarted": adopted.is_grace_anew,
        },
    }
