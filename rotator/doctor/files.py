"""Files that hold secrets: present, readable, and private."""

import os
import pwd
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from rotator.application import Application
from rotator.config.urls import sqlite_path
from rotator.doctor.check import CheckResult, bad, doubtful, fine
from rotator.errors import reason_of
from rotator.ledger.file import obstacle

if TYPE_CHECKING:
    from rotator.config.types import Table

_NAME, _OWNER = "secret file", "ledger owner"
#: PEM's markers of an encrypted key, in the newer and the older form.
_ENCRYPTED = re.compile(rb"^(-----BEGIN |Proc-Type:).*\bENCRYPTED\b", re.MULTILINE)
#: Settings whose file may contain rotator's own key.
_KEYS = ("vault.client_key_file", "vault.client_cert_file")


def checks(application: Application) -> Iterator[CheckResult]:
    """Check every file in the configuration that contains a secret."""
    for key, path in _secret_files(application):
        yield _check(key, path)
    database = sqlite_path(application.settings.ledger.read_url())
    # If it is no file, or its folder is unreadable, or nobody can write there, opening the ledger
    # reports that: see `rotator.doctor.ledger`.
    if database and os.path.isfile(database):  # noqa: PTH113  # a Path's raises there
        yield _check("ledger.url", Path(database))
        if obstacle(Path(database)) is None:
            yield from _owners(Path(database))


def _owners(ledger: Path) -> Iterator[CheckResult]:
    """Check that the folder's owner, the service, and this user can write to the ledger's files."""
    folder = ledger.absolute().parent
    owner = folder.stat().st_uid
    files = [path for end in ("", "-wal", "-shm") if (path := Path(f"{ledger}{end}")).exists()]
    # Root may write to any file, and a folder of root's that others write to through its group, as
    # a volume of Kubernetes, does not say who the service is.
    others = [path for path in files if owner and path.stat().st_uid != owner]
    for path in others:
        why = f"{path} belongs to {_user(path.stat().st_uid)}, its folder to {_user(owner)}"
        yield bad(
            _OWNER,
            "ledger.url",
            why,
            f"`chown --reference={quote(str(folder))} {quote(str(path))}`",
        )
    shut = [path for path in (folder, *files) if not os.access(path, os.W_OK)]
    for path in shut:
        why = f"{path}: this user may not write there"
        yield bad(_OWNER, "ledger.url", why, f"run as {_user(owner)}, whose folder it is")
    if not others and not shut:
        whose = " and ".join(sorted({_user(each.stat().st_uid) for each in (folder, *files)}))
        yield fine(_OWNER, "ledger.url", f"its files and their folder belong to {whose}")


def _user(number: int) -> str:
    """Return a user's name, or the number if there is no name on this machine."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _secret_files(application: Application) -> Iterator[tuple[str, Path]]:
    settings = application.settings
    # A certificate is public, unless its key is in the same file.
    public = {"ca_file", "directory"} | (
        {"client_cert_file"} if settings.vault.client_key_file else set()
    )
    tables: dict[str, Table] = {"vault": settings.vault, "vault.auth": settings.vault.auth}
    others: dict[str, Table] = {
        "ledger": settings.ledger,
        "ledger.witness": settings.ledger.witness,
        "daemon": settings.daemon,
        "trigger": settings.trigger,
    }
    for name, table in (tables | others).items():
        for key, value in dict(table).items():
            if isinstance(value, Path) and key not in public:
                yield f"{name}.{key}", value
    for index, hook in enumerate(settings.hooks):
        for key in ("url_file", "secret_file", "routing_key_file"):
            if path := getattr(hook, key):
                yield f"hooks[{index}].{key}", path


def _check(key: str, path: Path) -> CheckResult:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        return bad(_NAME, key, f"{path}: {reason_of(error)}", f"create the file, or correct {key}")
    if not os.access(path, os.R_OK):
        return bad(_NAME, key, f"{path}: this user may not read it", "let rotator's user read it")
    if key in _KEYS and _ENCRYPTED.search(path.read_bytes()):
        hint = "decrypt it into a file of mode 0600: `openssl pkey -in KEY -out NEW_KEY`"
        return bad(_NAME, key, f"{path}: encrypted, and nobody is there to type a passphrase", hint)
    shown, hint = f"{path}: mode {mode:04o}", f"`chmod 600 {quote(str(path))}`"
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        return bad(_NAME, key, f"{shown}, open to others", hint)
    # Kubernetes mounts files like this: the mount gives them their mode, and nobody can change it.
    is_fixed = os.statvfs(path).f_flag & os.ST_RDONLY
    if mode & stat.S_IRGRP and not is_fixed:
        return doubtful(_NAME, key, f"{shown}, its group may read it", hint)
    return fine(_NAME, key, shown)
