"""The tables of one file, and all of its problems."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from rotator.config.accounts import (
    AccountTable,
    Located,
    Location,
    Placement,
    PolicyTable,
    account_of,
    account_problems,
    policy_of,
    policy_problems,
)
from rotator.config.discovery import DiscoverTable, discover_of, discover_problems
from rotator.config.errors import ConfigProblem, InvalidValue, key_text, unknown_key, value_text
from rotator.config.hooks import HookTable, LocatedHook, hook_problems
from rotator.config.sections import (
    DaemonSettings,
    LedgerSettings,
    TelemetrySettings,
    VaultAuthSettings,
    VaultSettings,
    VonageSettings,
    auth_problems,
)
from rotator.config.settings import DEFAULT_POLICY, Settings
from rotator.config.types import PathContext, Table
from rotator.model import Policy
from rotator.model.times import format_duration

#: All tables by path.
TABLES: Mapping[str, type[Table]] = {
    "vonage": VonageSettings,
    "vault": VaultSettings,
    "vault.auth": VaultAuthSettings,
    "ledger": LedgerSettings,
    "policy": PolicyTable,
    "daemon": DaemonSettings,
    "telemetry": TelemetrySettings,
    "accounts": AccountTable,
    "discover": DiscoverTable,
    "hooks": HookTable,
}

#: Tables that may occur several times; no variable can set their keys.
LISTS = ("accounts", "discover", "hooks")

#: Pairs of keys of one table that exclude each other.
EXCLUSIVE: Mapping[str, tuple[str, str]] = {
    "ledger": ("url", "url_file"),
    "policy": ("every", "cron"),
    "accounts": ("every", "cron"),
    "discover": ("every", "cron"),
}


def keys_of(table: str) -> list[str]:
    """Return the keys of a table; of the whole file for ""."""
    if not table:
        return [name for name in TABLES if "." not in name]
    return list(TABLES[table].model_fields) if table in TABLES else []


def paths_of(key: str) -> list[str]:
    """Return every path at which `key` is known."""
    return [f"{table}.{key}" for table, model in TABLES.items() if key in model.model_fields]


AnyTable = TypeVar("AnyTable", bound=Table)

#: Pydantic's error types in our words. All other errors are `InvalidValue` and have their own text.
_WORDS = {
    "bool_type": "is not true or false",
    "finite_number": "is not a finite number",
    "float_type": "is not a number",
    "int_type": "is not a whole number",
    "model_type": "is not a table",
    "string_type": "is not text",
}

_REQUIRED_HINTS = {"address": "set address in [vault], or $VAULT_ADDR"}


class Document:
    """A file's tables, including the environment's values."""

    def __init__(
        self, tables: dict[str, Any], surroundings: PathContext, origins: Mapping[str, str]
    ) -> None:
        """Store the tables. `origins` maps the paths of values to their variables."""
        self._tables = tables
        self._surroundings = surroundings
        self._origins = origins
        #: Problems found so far.
        self.problems: list[ConfigProblem] = []

    def settings(self) -> Settings | None:
        """Return the settings; any problem is added to `problems` and makes them unusable."""
        self._refuse_unknown()
        vonage = self._top(VonageSettings, "vonage")
        vault = self._vault()
        ledger = self._top(LedgerSettings, "ledger")
        policy = self._policy()
        daemon = self._top(DaemonSettings, "daemon")
        telemetry = self._top(TelemetrySettings, "telemetry")
        accounts = self._accounts(policy, vault)
        hooks = self._hooks()
        discover = self._discover(policy, vault)
        if vonage is None or vault is None or ledger is None or policy is None or daemon is None:
            return None
        if telemetry is None:
            return None
        return Settings(
            vonage=vonage,
            vault=vault,
            ledger=ledger,
            policy=policy,
            daemon=daemon,
            telemetry=telemetry,
            accounts=tuple(
                account_of(table, policy, Placement.of(vonage, vault)) for table in accounts
            ),
            hooks=tuple(table.hook() for table in hooks),
            discover=tuple(discover_of(table, policy) for table in discover),
        )

    def _refuse_unknown(self) -> None:
        known = keys_of("")
        for key in self._tables:
            if key not in known:
                what, hint = unknown_key(key, known, paths_of(key))
                self.problems.append(ConfigProblem(where=key_text(key), what=what, hint=hint))

    def _top(self, model: type[AnyTable], name: str) -> AnyTable | None:
        return self._table(model, self._tables.get(name, {}), Location(table=name, path=name))

    def _vault(self) -> VaultSettings | None:
        vault = self._top(VaultSettings, "vault")
        if vault is not None:
            self.problems.extend(auth_problems(vault, lambda key: self._where(f"vault.{key}")))
        return vault

    def _where(self, path: str) -> str:
        """Return the location of a key: its variable, if it came from one."""
        return f"${self._origins[path]}" if path in self._origins else path

    def _policy(self) -> Policy | None:
        table = self._top(PolicyTable, "policy")
        if table is None:
            return None
        policy = policy_of(table, DEFAULT_POLICY)
        place = Location(table="policy", path="policy")
        self.problems.extend(policy_problems(place, table, policy))
        return policy

    def _accounts(self, default: Policy | None, vault: VaultSettings | None) -> list[AccountTable]:
        raw = self._tables.get("accounts", [])
        if not isinstance(raw, list) or not raw:
            self.problems.append(_no_accounts(raw))
            return []
        accounts = list(self._valid_accounts(raw))
        if default is not None:
            for account in accounts:
                policy = policy_of(account.table, default)
                self.problems.extend(policy_problems(account.place, account.table, policy))
        self.problems.extend(account_problems(accounts, _parents(raw), vault))
        return [account.table for account in accounts]

    def _hooks(self) -> list[HookTable]:
        raw = self._tables.get("hooks", [])
        if not isinstance(raw, list):
            self.problems.append(ConfigProblem(where="hooks", what="is not a list of tables"))
            return []
        hooks: list[LocatedHook] = []
        for index, item in enumerate(raw):
            place = Location(table="hooks", path=f"hooks[{index}]", note=_note(item))
            table = self._table(HookTable, item, place)
            if table is not None:
                hooks.append(LocatedHook(place=place, table=table))
        accounts = self._tables.get("accounts", [])
        names = _parents(accounts if isinstance(accounts, list) else [])
        self.problems.extend(hook_problems(hooks, list(names)))
        return [hook.table for hook in hooks]

    def _valid_accounts(self, raw: list[object]) -> Iterator[Located]:
        for index, item in enumerate(raw):
            place = Location(table="accounts", path=f"accounts[{index}]", note=_note(item))
            table = self._table(AccountTable, item, place)
            if table is not None:
                yield Located(place=place, table=table)

    def _discover(self, default: Policy | None, vault: VaultSettings | None) -> list[DiscoverTable]:
        raw = self._tables.get("discover", [])
        if not isinstance(raw, list):
            self.problems.append(ConfigProblem(where="discover", what="is not a list of tables"))
            return []
        found = []
        for index, item in enumerate(raw):
            place = Location(table="discover", path=f"discover[{index}]")
            table = self._table(DiscoverTable, item, place)
            if table is None:
                continue
            found.append(table)
            parents = _parents(self._tables.get("accounts"))
            self.problems.extend(discover_problems(place, table, parents, vault))
            if default is not None:
                policy = policy_of(table, default)
                self.problems.extend(policy_problems(place, table, policy))
        return found

    def _table(self, model: type[AnyTable], raw: object, place: Location) -> AnyTable | None:
        self._refuse_both(raw, place)
        try:
            return model.model_validate(raw, context=self._surroundings)
        except ValidationError as error:
            details = error.errors(include_url=False)
        self.problems.extend(self._problem(detail, place) for detail in details)
        return None

    def _refuse_both(self, raw: object, place: Location) -> None:
        pair = EXCLUSIVE.get(place.table, ())
        if pair and isinstance(raw, dict) and all(raw.get(key) not in (None, "") for key in pair):
            what = f"{' and '.join(pair)} exclude each other; keep one"
            self.problems.append(ConfigProblem(where=place.key(), what=what))

    def _problem(self, detail: ErrorDetails, place: Location) -> ConfigProblem:
        names = [str(name) for name in detail["loc"]]
        key = names[-1] if names else place.table
        what, hint = _what(detail, key, table=".".join([place.table, *names[:-1]]))
        path = ".".join([place.path, *names])
        where = place.key(*map(key_text, names))
        return ConfigProblem(
            where=f"${self._origins[path]}" if path in self._origins else where,
            what=what,
            hint=hint,
        )


def _what(detail: ErrorDetails, key: str, *, table: str) -> tuple[str, str | None]:
    if detail["type"] == "extra_forbidden":
        return unknown_key(key, keys_of(table), paths_of(key))
    if detail["type"] == "missing":
        return "is required", _REQUIRED_HINTS.get(key)
    unfit = detail.get("ctx", {}).get("error")
    rule = (
        str(unfit)
        if isinstance(unfit, InvalidValue)
        else _WORDS.get(detail["type"], "is not valid")
    )
    hint = getattr(unfit, "hint", None) or _default_hint(table, key)
    return f"{value_text(key, detail['input'])} {rule}", hint


def _default_hint(table: str, key: str) -> str | None:
    """Return the hint that names a key's default; None where no file could set it."""
    model = TABLES.get(table)
    field = model.model_fields.get(key) if model else None
    if field is None:
        return None
    if key in PolicyTable.model_fields and table != "policy":
        return "leave it out for that of [policy]"
    default = getattr(DEFAULT_POLICY, key) if table == "policy" else field.default
    match default:
        case timedelta():
            return f"leave it out for the default, {format_duration(default)}"
        case bool():
            return f"leave it out for the default, {str(default).lower()}"
        case int() | float() if default:
            return f"leave it out for the default, {default:g}"
        case str() if default:
            return f"leave it out for the default, {default}"
    return None


def _no_accounts(raw: object) -> ConfigProblem:
    hint = "add an [[accounts]] table with name, api_key and vault_path"
    if raw == []:
        return ConfigProblem(where="accounts", what="none is configured", hint=hint)
    return ConfigProblem(where="accounts", what="is not a list of tables", hint=hint)


def _note(raw: object) -> str:
    """Return the account's name as a note, if any: an index is hard to find in a long file."""
    name = raw.get("name") if isinstance(raw, dict) else None
    return f" ({key_text(name)})" if isinstance(name, str) and name else ""


def _parents(raw: object) -> dict[str, object]:
    tables = [table for table in raw if isinstance(table, dict)] if isinstance(raw, list) else []
    return {
        table["name"]: table.get("managed_by")
        for table in tables
        if isinstance(table.get("name"), str)
    }
