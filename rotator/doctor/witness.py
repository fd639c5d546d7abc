"""Checkpoints of the ledger: their key, the places they go to, and the newest one."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote

from rotator.application import Application
from rotator.config.urls import sqlite_path
from rotator.doctor.check import CheckResult, bad, broken, doubtful, fine
from rotator.errors import RotatorError, StoreForbidden, WitnessConflict
from rotator.ledger import schema
from rotator.model.checkpoint import History
from rotator.model.times import rough_duration
from rotator.vault.system import SystemApi

_NAME = "witness"
#: Times that `every` may be over before the newest checkpoint counts as old.
_PATIENCE = 2


def checks(application: Application) -> Iterator[CheckResult]:
    """Check the publication of checkpoints if it is configured. Nothing is published."""
    settings = application.settings.ledger.witness
    if not settings.is_on or application.ledger.revision() != schema.HEAD:
        return
    try:
        yield fine(_NAME, "key", str(application.witness.signer.verifier))
    except RotatorError as error:
        yield broken(_NAME, "key", error)
        return
    if settings.directory:
        yield _directory(str(settings.directory), _service_folder(application))
    if settings.vault_path:
        yield _entry(application)
    yield from _history(application)


def _service_folder(application: Application) -> Path | None:
    """Return the ledger's folder if it shows root who the service is; None where it does not.

    Root may write anywhere, and so does not see by trying what the service may.
    """
    ledger = sqlite_path(application.settings.ledger.read_url())
    folder = Path(ledger).absolute().parent if ledger and not os.geteuid() else None
    return folder if folder and folder.stat().st_uid else None


def _directory(path: str, service: Path | None) -> CheckResult:
    if not os.path.isdir(path):  # noqa: PTH112  # a Path's raises where it may not look
        return bad(_NAME, path, "there is no such directory", "create it, for rotator's user")
    if not os.access(path, os.W_OK | os.X_OK):
        return bad(_NAME, path, "this user may not write there", "let rotator's user write there")
    if service and service.stat().st_uid != Path(path).stat().st_uid:
        why = "it belongs to another user than the ledger's folder: the daemon may be kept out"
        return doubtful(
            _NAME, path, why, f"`chown --reference={quote(str(service))} {quote(path)}`"
        )
    return fine(_NAME, path, "this user may write there")


def _entry(application: Application) -> CheckResult:
    mount = application.settings.vault.mount
    path = f"{mount}/data/{application.settings.ledger.witness.vault_path}"
    try:
        granted = SystemApi(application.clients.vault).capabilities([path])[path]
    except StoreForbidden as error:
        hint = "let the token see its own capabilities, or look at its policy"
        return doubtful(_NAME, path, error.message, hint)
    except RotatorError as error:
        return broken(_NAME, path, error)
    missing = sorted({"create", "read", "update"} - granted)
    if "root" in granted or not missing:
        return fine(_NAME, path, "everything" if "root" in granted else "create, read, update")
    listed = '"create", "read", "update"'
    hint = f'in the token\'s policy: path "{path}" {{ capabilities = [{listed}] }}'
    return bad(_NAME, path, f"{', '.join(missing)} is not granted", hint)


def _compared(application: Application) -> History:
    """Return the ledger's checkpoints, which every place has, or fewer of them.

    Raises:
        RotatorError: a place has another history, or something cannot be read.
    """
    while True:
        history = _known(application)
        try:
            for target in application.witness.targets(with_url=False):
                target.compare(history)
        except WitnessConflict:
            # The daemon may have published meanwhile what was not read before.
            if len(_known(application).signed) == len(history.signed):
                raise
        else:
            return history


def _known(application: Application) -> History:
    return application.ledger.checkpoints.read().history(application.witness.origin)


def _history(application: Application) -> Iterator[CheckResult]:
    """Compare every place with the ledger, and the newest checkpoint's age with `every`.

    An address is not asked: it would take that for a publication.
    """
    try:
        history = _compared(application)
    except WitnessConflict as error:
        first = (
            "`rotator ledger witness publish` goes on if a restored ledger lacks no entry; if not"
        )
        yield bad(_NAME, "history", error.message, f"{first}, {error.hint}")
        return
    except RotatorError as error:
        yield broken(_NAME, "history", error)
        return
    if history.newest is None:
        hint = "the daemon takes one at its start; `rotator ledger witness publish` takes one now"
        yield doubtful(_NAME, "history", "there is no checkpoint yet", hint)
        return
    newest, every = history.newest.checkpoint, application.settings.ledger.witness.every
    age = datetime.now(UTC) - newest.at
    finding = f"the newest checkpoint is {rough_duration(age)} old, of {newest.size} entries"
    if age > _PATIENCE * every:
        hint = "see that the daemon runs, and `rotator status` for what it cannot use"
        yield bad(_NAME, "history", finding, hint)
    else:
        yield fine(_NAME, "history", finding)
