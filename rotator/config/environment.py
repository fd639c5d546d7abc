"""What the environment says: it overrides single keys, and fills in what Vault's tools use."""

import os
import re
import stat
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from rotator.config.path import CREDENTIALS
from rotator.config.problem import (
    HOW_TO_GIVE_SECRETS,
    Problem,
    asked,
    closest,
    is_inline_secret,
)
from rotator.config.tables import EXCLUSIVE, LISTS, TABLES

_PREFIX = "ROTATOR_"

#: Variables of Vault's own command line, for keys that neither file nor override gives.
_VAULT_VARIABLES = {"address": "VAULT_ADDR", "namespace": "VAULT_NAMESPACE"}
#: The same, for files.
_VAULT_FILE_VARIABLES = {
    "ca_file": "VAULT_CACERT",
    "client_cert_file": "VAULT_CLIENT_CERT",
    "client_key_file": "VAULT_CLIENT_KEY",
}

#: Where the credentials of each login are by themselves: in systemd's directory, by name.
_CREDENTIALS: Mapping[str, Mapping[str, str]] = {
    "token": {"token_file": "vault-token"},
    "approle": {"role_id_file": "vault-role-id", "secret_id_file": "vault-secret-id"},
    "userpass": {"password_file": "vault-password"},
}

#: Variables by the path of the key that they set.
Origins = dict[str, str]


def overrides() -> dict[str, tuple[str, str]]:
    """Give every variable that overrides a key, with the key's table and name."""
    return {
        f"{_PREFIX}{table.replace('.', '__')}__{key}".upper(): (table, key)
        for table, model in TABLES.items()
        for key in model.model_fields
        if table not in LISTS and f"{table}.{key}" not in TABLES
    }


def apply(document: dict[str, Any], environ: Mapping[str, str]) -> tuple[Origins, list[Problem]]:
    """Write the environment's values into `document`; tell which came from there."""
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
    """Take from the file what excludes a key that the environment gives."""
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
            return  # no table: reported as such
    target[key] = value


def _typed(table: str, key: str, text: str) -> object:
    """Read a variable as TOML would read the value; leave what is none to be reported."""
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
    """Name the files of systemd's directory that a login needs and the file does not name."""
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
    """Whether a file is there, or in a folder that this process may not look into.

    systemd shows a unit's credentials to the service alone, and not to what reloads it.
    """
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except PermissionError:
        return True
    except OSError:
        return False


def _is_stray(name: str, known: Mapping[str, Any]) -> bool:
    """Whether `name` was meant for rotator: by its form, or but for one underscore.

    Others are not ours to judge: Kubernetes sets ROTATOR_PORT for a service of that name.
    """
    if not name.startswith(_PREFIX) or name in known:
        return False
    return "__" in name or name in {variable.replace("__", "_") for variable in known}


def _unknown(name: str, known: Mapping[str, tuple[str, str]]) -> Problem:
    where = f"${name}" if re.fullmatch("[A-Za-z0-9_]{1,100}", name) else f"${name[:100]!r}"
    _, separator, key = name.rpartition("__")
    keys = [key.upper() for _, key in known.values()]
    if separator and is_inline_secret(key.upper(), keys):
        by_file = f"{name}_FILE"
        hint = f"use ${by_file}" if by_file in known else HOW_TO_GIVE_SECRETS
        return Problem(where=where, what="a secret is never given in the environment", hint=hint)
    meant = closest(name.removeprefix(_PREFIX), [k.removeprefix(_PREFIX) for k in known])
    return Problem(where=where, what=f"unknown variable{asked(meant and _PREFIX + meant)}")
