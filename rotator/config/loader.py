"""Reads the configuration into settings, or raises one error with every problem."""

import os
import re
import stat
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from rotator.config.errors import (
    HOW_TO_GIVE_SECRETS,
    ConfigProblem,
    closest,
    failure,
    is_inline_secret,
    key_text,
    suggestion,
)
from rotator.config.settings import Settings
from rotator.config.types import CREDENTIALS, PathContext
from rotator.config.validation import EXCLUSIVE, LISTS, TABLES, Document
from rotator.errors import ConfigError, reason_of

_PREFIX = "ROTATOR_"

#: Variables of Vault's own command line, for keys that neither file nor override sets.
_VAULT_VARIABLES = {"address": "VAULT_ADDR", "namespace": "VAULT_NAMESPACE"}

#: Likewise, for files.
_VAULT_FILE_VARIABLES = {
    "ca_file": "VAULT_CACERT",
    "client_cert_file": "VAULT_CLIENT_CERT",
    "client_key_file": "VAULT_CLIENT_KEY",
}

#: Default credential files of each login: their names in systemd's directory.
_CREDENTIALS: Mapping[str, Mapping[str, str]] = {
    "token": {"token_file": "vault-token"},
    "approle": {"role_id_file": "vault-role-id", "secret_id_file": "vault-secret-id"},
    "userpass": {"password_file": "vault-password"},
}

#: Variables by the path of the key they set.
Origins = dict[str, str]


def overrides() -> dict[str, tuple[str, str]]:
    """Return every variable that overrides a key, with the key's table and name."""
    return {
        f"{_PREFIX}{table.replace('.', '__')}__{key}".upper(): (table, key)
        for table, model in TABLES.items()
        for key in model.model_fields
        if table not in LISTS and f"{table}.{key}" not in TABLES
    }


def apply(
    document: dict[str, Any], environ: Mapping[str, str]
) -> tuple[Origins, list[ConfigProblem]]:
    """Write the environment's values into `document`; return the origin of each."""
    known = overrides()
    given = {name: known[name] for name in environ if name in known}
    _displace(document, [known[name] for name in given if environ[name]])
    origins: Origins = {}
    for name, (table, key) in given.items():
        _put(document, table, key, _typed(table, key, environ[name]))
        origins[f"{table}.{key}"] = name
    origins |= _fill_in(document, environ)
    return origins, [_unknown(name, known) for name in sorted(environ) if _is_stray(name, known)]


def _displace(document: dict[str, Any], given: list[tuple[str, str]]) -> None:
    """Remove from the file the keys that a key from the environment excludes."""
    for table, key in given:
        pair = EXCLUSIVE.get(table, ())
        target = document.get(table)
        if key in pair and isinstance(target, dict):
            for other in pair:
                target.pop(other, None)


def _put(document: dict[str, Any], table: str, key: str, value: object) -> None:
    target = document
    for name in table.split("."):
        target = target.setdefault(name, {})
        if not isinstance(target, dict):
            return  # not a table: reported as such
    target[key] = value


def _typed(table: str, key: str, text: str) -> object:
    """Parse a variable as TOML would parse the value; an invalid text stays, to be reported."""
    kind = TABLES[table].model_fields[key].annotation
    if kind in (bool, bool | None):
        return {"true": True, "false": False}.get(text, text)
    if kind in (int, int | None) and re.fullmatch("[+-]?[0-9]{1,18}", text):
        return int(text)
    if kind in (float, Decimal | None) and re.fullmatch(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?", text):
        return float(text)
    return text


def _fill_in(document: dict[str, Any], environ: Mapping[str, str]) -> Origins:
    vault = document.setdefault("vault", {})
    if not isinstance(vault, dict):
        return {}
    names = _VAULT_VARIABLES | _VAULT_FILE_VARIABLES
    for key in names:
        if vault.get(key) == "":
            del vault[key]
    values = {key: environ.get(name) for key, name in _VAULT_VARIABLES.items()}
    for key, name in _VAULT_FILE_VARIABLES.items():
        if file := environ.get(name):
            # Relative to the working directory, as for `vault` itself.
            values[key] = os.path.abspath(file)  # noqa: PTH100
    filled = {key: value for key, value in values.items() if value and key not in vault}
    vault |= filled
    return {f"vault.{key}": names[key] for key in filled} | _find_credentials(vault, environ)


def _find_credentials(vault: dict[str, Any], environ: Mapping[str, str]) -> Origins:
    """Fill in the login's files from systemd's credentials directory where none is named."""
    auth, folder = vault.get("auth", {}), environ.get(CREDENTIALS, "")
    if not isinstance(auth, dict) or not folder:
        return {}
    method = auth.get("method", "token")
    known = _CREDENTIALS.get(method, {}) if isinstance(method, str) else {}
    found = {
        key: f"${CREDENTIALS}/{name}"
        for key, name in known.items()
        if key not in auth and _may_be_there(Path(folder, name))
    }
    if found:
        vault["auth"] = auth | found
    return {f"vault.auth.{key}": CREDENTIALS for key in found}


def _may_be_there(path: Path) -> bool:
    """Return whether a file exists, or is in a folder that this process may not read.

    systemd shows a unit's credentials only to the service, not to the process that reloads it.
    """
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except PermissionError:
        return True
    except OSError:
        return False


def _is_stray(name: str, known: Mapping[str, Any]) -> bool:
    """Return whether a variable was meant for rotator: by its form, or with one underscore missing.

    Others are left alone: Kubernetes sets ROTATOR_PORT for a service of that name.
    """
    if not name.startswith(_PREFIX) or name in known:
        return False
    return "__" in name or name in {variable.replace("__", "_") for variable in known}


def _unknown(name: str, known: Mapping[str, tuple[str, str]]) -> ConfigProblem:
    where = f"${name}" if re.fullmatch("[A-Za-z0-9_]{1,100}", name) else f"${name[:100]!r}"
    table, separator, key = name.rpartition("__")
    keys = [each.rpartition("__")[2] for each in known if each.startswith(f"{table}__")]
    if separator and is_inline_secret(key.upper(), keys):
        by_file = f"{name}_FILE"
        hint = f"use ${by_file}" if by_file in known else HOW_TO_GIVE_SECRETS
        return ConfigProblem(
            where=where, what="a secret is never given in the environment", hint=hint
        )
    meant = closest(name.removeprefix(_PREFIX), [k.removeprefix(_PREFIX) for k in known])
    return ConfigProblem(
        where=where, what=f"unknown variable{suggestion(meant and _PREFIX + meant)}"
    )


def load(path: Path, environ: Mapping[str, str], *, is_strict: bool = False) -> Settings:
    """Read the configuration at `path`, overridden by `environ`. Blocks on that one file.

    Files that it names are not opened, and need not exist. If `is_strict`, a policy that cannot be
    kept with its delays is refused as well, for whoever is about to write or change one.

    Raises:
        ConfigError: the file cannot be read, or is invalid; the message has every reason.
    """
    tables = _read(path)
    base = path.absolute().parent
    # Outside a unit, credentials are in the folder that the unit gets them from.
    environ = {**environ, CREDENTIALS: environ.get(CREDENTIALS) or str(base)}
    origins, problems = apply(tables, environ)
    context = PathContext(base=base, environ=environ)
    document = Document(tables, context, origins, is_strict=is_strict)
    settings = document.settings()
    problems = [*document.problems, *problems]
    if settings is None or problems:
        raise failure(path, problems)
    return settings


def _read(path: Path) -> dict[str, Any]:
    hint, text = None, ""
    try:
        text = path.read_text(encoding="utf-8-sig")
        return tomllib.loads(text)
    except FileNotFoundError:
        what = "there is no such file"
        hint = "name the configuration by `rotator --config PATH` or $ROTATOR_CONFIG"
    except IsADirectoryError:
        what, hint = "is a directory", "name the file in it"
    except PermissionError:
        what, hint = "cannot be read: permission denied", f"let this user read it: chmod a+r {path}"
    except OSError as error:
        what = f"cannot be read: {reason_of(error)}"
    except UnicodeDecodeError as error:
        what, hint = f"is not UTF-8 (byte {error.start})", "save the file as UTF-8"
    except RecursionError:
        what = "is nested too deeply"
    except ValueError as error:
        what, hint = _syntax(str(error), text)
    raise ConfigError(f"{path}: {what}", hint=hint)


def _syntax(message: str, text: str) -> tuple[str, str]:
    """Return a syntax error with its position first, and a hint."""
    if message.startswith(_OF_REPETITIONS):
        return _repetition(message, text.split("\n")), "keep one of them"
    match = re.fullmatch(r"(.*) \(at (.*)\)", message, flags=re.DOTALL)
    what, where = (match[1], f"{match[2]}: ") if match else (message, "")
    hint = "the file is TOML: strings need quotes"
    return f"{where}{what[:1].lower()}{what[1:]}", hint


#: How tomllib says that a key or a table appears twice, in most cases without its name.
_OF_REPETITIONS = (
    "Cannot overwrite",
    "Cannot declare",
    "Cannot mutate",
    "Cannot redefine",
    "Duplicate inline",
)

_NAME = r"""[\w"'-]+(?:\s*\.\s*[\w"'-]+)*"""

_LINE = re.compile(
    rf"\s*(?:\[\[\s*(?P<item>{_NAME})\s*\]\]|\[\s*(?P<table>{_NAME})\s*\]|(?P<key>{_NAME})\s*=)"
)


def _repetition(message: str, lines: list[str]) -> str:
    """Return in words which key or table appears twice, and where for the first time."""
    located = re.search(r"\(at line ([0-9]+), ", message)
    number = int(located[1]) if located else len(lines)
    if inline := re.search("inline table key '([^']*)'", message):
        return f"line {number}: {key_text(inline[1])} appears twice in an inline table"
    # It is noticed where the value ends, which may be some lines after the name.
    while number > 1 and not _LINE.match(lines[number - 1]):
        number -= 1
    outline = _Outline()
    for each, line in enumerate(lines[: number - 1], start=1):
        outline.read(line, each)
    name, first = outline.repeated(lines[number - 1])
    return f"line {number}: {name} appears twice{f', first in line {first}' if first else ''}"


class _Outline:
    """The names in a file so far, line by line, and where each stood for the first time."""

    def __init__(self) -> None:
        self._first: dict[str, int] = {}
        #: How many there are of each list of tables, whose items have names of their own.
        self._items: Counter[str] = Counter()
        self._table = ""

    def read(self, line: str, number: int) -> None:
        """Take note of what a line has."""
        if (found := _LINE.match(line)) is None:
            return
        path = self._path(found)
        for name in _parents(path):
            self._first.setdefault(name, number)
        if found["item"]:
            self._items[path] += 1
            path = f"{path}#{self._items[path]}"
            self._first[path] = number
        if not found["key"]:
            self._table = path

    def repeated(self, line: str) -> tuple[str, int | None]:
        """Return which of a line's names appears twice, and where it stood before."""
        found = _LINE.match(line)
        path = self._path(found) if found else ""
        own = len(self._table) if found and found["key"] else 0
        for name in _parents(path):
            if len(name) > own and name in self._first:
                plain = re.sub("#[0-9]+", "", name)
                is_header = name == path and found and not found["key"]
                return (f"[{plain}]" if is_header else plain), self._first[name]
        return "a key", None

    def _path(self, found: re.Match[str]) -> str:
        names = re.sub(r"[\s\"']", "", found["item"] or found["table"] or found["key"]).split(".")
        path = self._table if found["key"] else ""
        for index, name in enumerate(names, start=1):
            path = f"{path}.{name}" if path else name
            is_new_item = found["item"] and index == len(names)
            if path in self._items and not is_new_item:
                path = f"{path}#{self._items[path]}"
        return path


def _parents(path: str) -> Iterator[str]:
    """Yield `path` and all that it is below, the longest first."""
    while path:
        yield path
        path = path.rpartition(".")[0]
