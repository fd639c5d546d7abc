"""`ledger witness …`: checkpoints of the ledger, on both sides; and `ledger verify --witness`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rotator.cli import output
from rotator.cli.context import CommandContext, JsonOption, json_option, option
from rotator.errors import Busy, ConfigError, WitnessConflict
from rotator.model.times import rfc3339

if TYPE_CHECKING:
    from rotator.application import Application
    from rotator.model.checkpoint import VerifierKey
    from rotator.reporting.witness import WitnessVerdict

KeyOption = Annotated[
    list[str] | None,
    option("KEY", "the key that signs, NAME+ID+KEY, or a file with it; again for another one"),
]


_KEY_HINT = "`rotator ledger witness key` prints it on the ledger's side"


def key(context: typer.Context) -> None:
    """Print the key by which others verify this ledger's checkpoints.

    To make the key that signs: `openssl genpkey -algorithm ed25519`, into a file of mode 0600 that
    ledger.witness.key_file names.
    """
    with CommandContext.of(context).application(offline=True, as_written=True) as application:
        output.write(str(application.witness.signer.verifier))


def publish(
    context: typer.Context, as_json: Annotated[bool, json_option("a sentence")] = False
) -> None:
    """Take a checkpoint of the ledger now, and publish it and all that was not published yet.

    The daemon does so by itself, each time that ledger.witness.every is over; this command is for
    a timer where none runs.
    """
    with CommandContext.of(context).application() as application:
        newest = application.ledger.checkpoints.newest()
        number = newest.number if newest else 0
        taken = application.witness.publish(datetime.now(UTC), after=number)
        places = [target.name for target in application.witness.targets()]
    if taken is None:
        raise Busy("no checkpoint was taken")
    checkpoint = taken.checkpoint
    document = {
        "number": taken.number,
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "at": rfc3339(checkpoint.at),
        "published_to": places,
    }
    sentence = f"checkpoint {taken.number} of {checkpoint.origin}, {checkpoint.size} entries"
    output.show(document, f"{sentence}: published to {', '.join(places)}", as_json=as_json)


def check(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="published checkpoints, or one")],
    key: KeyOption = None,
    max_age: Annotated[str | None, option("DURATION", "fail if the newest is older, as 2d")] = None,
    as_json: JsonOption = False,
) -> None:
    """Check published checkpoints by themselves: without ledger, Vault and configuration.

    Each must be signed, and extend the one before it by the proof in its file. So the ledger of
    whoever publishes them has only grown. What happened to the ledger since the newest one, this
    cannot show.

    Exits with 1 if one contradicts another, or is not signed with the key, and with 75 if files are
    missing in between.
    """
    from rotator.config.types import parse_duration  # noqa: PLC0415  # `--help` needs no validator
    from rotator.reporting.witness import check_published  # noqa: PLC0415  # likewise
    from rotator.witness.published import read_published  # noqa: PLC0415  # likewise

    if not key:
        raise ConfigError("--key is needed: who signs the checkpoints", hint=_KEY_HINT)
    oldest = parse_duration(max_age) if max_age else None
    found = check_published(read_published(path, _keys(key)), datetime.now(UTC), max_age=oldest)
    output.show(found.document(), found.sentence("a history of"), as_json=as_json)
    output.flush()
    complain(found)
    raise typer.Exit(exit_code(found))


def compared(application: "Application", path: Path, keys: list[str] | None) -> "WitnessVerdict":
    """Compare the ledger with the checkpoints at `path`; without keys, with those of its own key.

    Raises:
        ConfigError: the checkpoints or the key cannot be read.
        LedgerError: the ledger cannot be read.
    """
    from rotator.reporting.witness import LEDGER_HINT, WitnessVerdict, compare_ledger  # noqa: PLC0415  # likewise
    from rotator.witness.published import read_published  # noqa: PLC0415  # likewise

    if not keys and application.settings.ledger.witness.key_file is None:
        why = "--key is needed: this configuration has no key of its own for checkpoints"
        raise ConfigError(why, hint=_KEY_HINT)
    accepted = _keys(keys) if keys else [application.witness.signer.verifier]
    # First, as a checkpoint is in the ledger before it is published.
    published = [*read_published(path, accepted, by_any_name=not keys)]
    try:
        ledger = application.ledger.checkpoints.read()
    except WitnessConflict as error:
        return WitnessVerdict(holding=0, fault=error.message, hint=LEDGER_HINT)
    origins = {application.witness.origin, *(each.checkpoint.origin for each in ledger.signed)}
    return compare_ledger(published, ledger, origins)


def complain(found: "WitnessVerdict") -> None:
    """Print what is wrong with checkpoints, or what could not be compared."""
    if found.fault or found.gap:
        output.complain(found.fault or found.gap or "", found.hint, about="witness")


def exit_code(found: "WitnessVerdict") -> int:
    """Return the command's exit code by what was found."""
    if found.fault:
        return 1
    return Busy.exit_code if found.gap else 0


def _keys(texts: list[str]) -> "list[VerifierKey]":
    from rotator.witness import key_from  # noqa: PLC0415  # `--help` needs no cryptography

    return [key_from(text) for text in texts]
