"""`gate`: gates that come with rotator, to be called by a hook or by hand."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, NoReturn, Self

import typer

from rotator.cli import output
from rotator.cli.context import CommandContext, completions, json_option, option
from rotator.errors import ConfigError
from rotator.gates.audit import Question, ReaderKey
from rotator.gates.verdict import NewSecret, Undecided, Verdict

#: Shorter than a hook's own time, so that the gate answers why it is shut.
_TIMEOUT = timedelta(seconds=25)
_WITHIN = timedelta(hours=24)
#: Exit code of a gate that is shut.
_SHUT = 1

SecretIdOption = Annotated[
    str | None, option("ID", "Vonage's id of the new secret; else $ROTATOR_SECRET_ID")
]
OldSecretIdOption = Annotated[
    str | None, option("ID", "id of the one that it replaces; else $ROTATOR_OLD_SECRET_ID")
]
VaultVersionOption = Annotated[
    str | None, option("N", "version in Vault that has it; else $ROTATOR_VAULT_VERSION")
]
AccountOption = Annotated[
    str | None,
    typer.Option(
        "--account",
        metavar="NAME",
        help="take all this from the ledger, of the open rotation of this account",
        autocompletion=completions,
    ),
]
TimeoutOption = Annotated[
    str | None, option("DURATION", "answer within this time, less than the hook's; else 25s")
]
JsonOption = Annotated[bool, json_option("a line, as is done without a terminal")]


def file(
    context: typer.Context,
    paths: Annotated[list[str], typer.Argument(metavar="PATH|GLOB", help="files of consumers")],
    secret_id: SecretIdOption = None,
    old_secret_id: OldSecretIdOption = None,
    account: AccountOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open if every file contains the id of the new secret, and none the old one's.

    For files that Vault Agent or another program renders from the entry. Their template has
    `{{ .Data.data.rotator.secret_id }}` in it, for instance in a comment. Patterns are for this
    command to expand, as a hook has no shell. Exits with 1 if a file is behind or cannot be read,
    or nothing matches.
    """
    from rotator.gates.file import check  # noqa: PLC0415  # each has what it needs

    facts = _Facts.of(context, account).given(secret_id=secret_id, old_secret_id=old_secret_id)
    _answer(lambda: check(paths, facts.new_secret()), as_json=as_json)


def http(
    context: typer.Context,
    urls: Annotated[list[str], typer.Argument(metavar="URL", help="endpoints of consumers")],
    secret_id: SecretIdOption = None,
    old_secret_id: OldSecretIdOption = None,
    vault_version: VaultVersionOption = None,
    account: AccountOption = None,
    ca_file: Annotated[
        str, option("PATH", "authorities of the consumers' certificates; else the system's")
    ] = "",
    timeout: TimeoutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open if every URL answers with the id of the new secret, or its version in Vault.

    A consumer answers 200 with a text or JSON that contains the id of the secret that it uses, or
    with a JSON object whose `vault_version` is the version that it has read. Exits with 1 if one
    answers anything else, or contains the old secret's id. No redirect is followed.
    """
    from rotator.gates.http import check  # noqa: PLC0415  # each has what it needs

    facts = _Facts.of(context, account).given(
        secret_id=secret_id, old_secret_id=old_secret_id, vault_version=vault_version
    )
    limit = _duration("--timeout", timeout, _TIMEOUT)
    _answer(
        lambda: check(urls, facts.new_secret(), timeout=limit, ca_file=ca_file), as_json=as_json
    )


def audit(
    context: typer.Context,
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH|GLOB", help="files of the audit device")
    ],
    vault_version: VaultVersionOption = None,
    mount: Annotated[
        str | None, option("MOUNT", "the entry's mount; else $ROTATOR_VAULT_MOUNT")
    ] = None,
    path: Annotated[
        str | None, option("PATH", "its path below the mount; else $ROTATOR_VAULT_PATH")
    ] = None,
    namespace: Annotated[
        str | None, option("NAME", "Vault's namespace; else $ROTATOR_VAULT_NAMESPACE")
    ] = None,
    since: Annotated[
        str | None, option("TIME", "since when it is in Vault; else $ROTATOR_SINCE, else now")
    ] = None,
    within: Annotated[
        str | None,
        option("DURATION", "how long before that readers of the old version count; else 24h"),
    ] = None,
    per: Annotated[
        ReaderKey,
        option("KEY", "what one reader is: entity, token, or address (an entity at one address)"),
    ] = ReaderKey.ENTITY,
    ignore: Annotated[
        list[str] | None, option("NAME", "a reader not to ask for: a name, role or identifier")
    ] = None,
    account: AccountOption = None,
    timeout: TimeoutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open if every reader of the old version has read the new one, by Vault's audit log.

    The log is that of an audit device of type `file`, of Vault or OpenBao: all its files that the
    time in question spans, rotated and compressed ones too, and those of every node of a cluster.
    Whoever wrote the new version is rotator, and is not asked for. Exits with 1 if a reader is
    behind, if none is known, or if the log does not show enough.
    """
    from rotator.gates.audit import check  # noqa: PLC0415  # each has what it needs

    facts = _Facts.of(context, account).given(
        vault_version=vault_version, mount=mount, path=path, namespace=namespace, since=since
    )
    question = Question(
        namespace=(facts.namespace or "").strip("/"),
        mount=facts.required("mount").strip("/"),
        path=facts.required("path").strip("/"),
        vault_version=facts.version(),
        since=facts.moment() - _duration("--within", within, _WITHIN),
        per=per,
        ignored=ignore or (),
    )
    limit = _duration("--timeout", timeout, _TIMEOUT)
    _answer(lambda: check(paths, question, timeout=limit), as_json=as_json)


@dataclass(frozen=True, kw_only=True)
class _Facts:
    """What a gate asks about, as the options, the hook's environment or the ledger have it."""

    secret_id: str | None = None
    old_secret_id: str | None = None
    vault_version: str | None = None
    mount: str | None = None
    path: str | None = None
    namespace: str | None = None
    since: str | None = None

    @classmethod
    def of(cls, context: typer.Context, account: str | None) -> Self:
        """Return the facts of an account's open rotation; without an account, of the environment.

        Raises:
            ConfigError: no secret of that account is being replaced.
            LedgerError: the ledger cannot be read.
        """
        if account is None:
            _end_of_test()
            return cls(**{name: os.environ.get(variable) for name, variable in _VARIABLES.items()})
        with CommandContext.of(context).application(offline=True) as application:
            configured, vault = application.settings.account(account), application.settings.vault
            [summary] = application.ledger.reader.accounts([account])
        rotation = summary.last_rotation
        if rotation is None or rotation.closed_at or rotation.verified_at is None:
            raise ConfigError(
                f"no rotation of {account} has a new secret in Vault and an old one to delete",
                hint=f"see `rotator status {account}`",
            )
        return cls(
            secret_id=rotation.new_id,
            old_secret_id=rotation.predecessor_id,
            vault_version=str(rotation.vault_version),
            mount=vault.mount,
            path=configured.vault_path,
            namespace=vault.namespace,
            since=rotation.verified_at.isoformat(),
        )

    def given(self, **options: str | None) -> Self:
        """Return the facts with those that options give instead."""
        return replace(self, **{name: value for name, value in options.items() if value})

    def required(self, name: str) -> str:
        """Return a fact.

        Raises:
            ConfigError: it is not known.
        """
        value = getattr(self, name)
        if not value:
            flag = f"--{name.replace('_', '-')}"
            raise ConfigError(
                f"{flag} is missing",
                hint=f"a hook has it in ${_VARIABLES[name]}; by hand, give it, or --account NAME",
            )
        return str(value)

    def new_secret(self) -> NewSecret:
        """Return what identifies the new secret; raises as `required`."""
        version = self.version() if self.vault_version else None
        return NewSecret(
            secret_id=self.required("secret_id"),
            old_secret_id=self.old_secret_id or None,
            vault_version=version,
        )

    def version(self) -> int:
        """Return the version; raises as `required`, and for one that is no number."""
        text = self.required("vault_version")
        if not (text.isascii() and text.isdigit()):
            raise ConfigError(
                "--vault-version is not a number", hint="it is a whole number, as in `vault kv get`"
            )
        return int(text)

    def moment(self) -> datetime:
        """Return since when the new secret is in Vault, or now.

        Raises:
            ConfigError: it is no time.
        """
        if not self.since:
            return datetime.now(UTC)
        try:
            at = datetime.fromisoformat(self.since)
        except ValueError:
            at = None
        if at is None or at.tzinfo is None:
            raise ConfigError("--since is no time", hint="write it as 2026-08-01T12:00:00Z")
        return at.astimezone(UTC)


#: Where a hook has each fact.
_VARIABLES = {
    "secret_id": "ROTATOR_SECRET_ID",
    "old_secret_id": "ROTATOR_OLD_SECRET_ID",
    "vault_version": "ROTATOR_VAULT_VERSION",
    "mount": "ROTATOR_VAULT_MOUNT",
    "path": "ROTATOR_VAULT_PATH",
    "namespace": "ROTATOR_VAULT_NAMESPACE",
    "since": "ROTATOR_SINCE",
}


def _end_of_test() -> None:
    """End the command where `rotator hooks test` calls it: there is no secret to ask about."""
    if os.environ.get("ROTATOR_EVENT") == "test":
        output.write("a test: nothing was looked at")
        raise typer.Exit


def _duration(flag: str, text: str | None, otherwise: timedelta) -> timedelta:
    if text is None:
        return otherwise
    from rotator.config import parse_duration  # noqa: PLC0415  # few give one

    try:
        return parse_duration(text)
    except ConfigError as error:
        raise ConfigError(f"{flag}: {error.message}", hint=error.hint) from None


def _answer(check: Callable[[], Verdict], *, as_json: bool) -> NoReturn:
    """Print the verdict, and exit with it."""
    try:
        verdict = check()
    except Undecided as undecided:
        verdict = Verdict(is_open=False, reason=str(undecided))
    if as_json or not sys.stdout.isatty():
        output.write_json_line(verdict.document())
    elif verdict.is_open:
        output.write(f"open: {verdict.reason}")
    if not verdict.is_open:
        output.say(verdict.reason)
    raise typer.Exit(0 if verdict.is_open else _SHUT)
