"""The tables of one file, and all of its problems."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from rotator.config.accounts import (
    DEFAULT_POLICY,
    AccountTable,
    Placement,
    PolicyTable,
    account_problems,
    policy_of,
    policy_problems,
)
from rotator.config.discovery import DiscoverTable, discover_problems
from rotator.config.errors import (
    ConfigProblem,
    InvalidValue,
    Located,
    Location,
    key_text,
    unknown_key,
    value_text,
)
from rotator.config.freezes import FreezeTable, freeze_problems
from rotator.config.hooks import HookTable, hook_problems
from rotator.config.sections import (
    DaemonSettings,
    LedgerSettings,
    TelemetrySettings,
    VaultAuthSettings,
    VaultSettings,
    VonageSettings,
    auth_problems,
)
from rotator.config.settings import Settings
from rotator.config.trigger import TriggerSettings
from rotator.config.types import PathContext, Table, fields_of
from rotator.config.witness import WitnessSettings, witness_problems
from rotator.model import Policy
from rotator.model.times import format_duration

#: All tables by path.
TABLES: Mapping[str, type[Table]] = {
    "vonage": VonageSettings,
    "vault": VaultSettings,
    "vault.auth": VaultAuthSettings,
    "ledger": LedgerSettings,
    "ledger.witness": WitnessSettings,
    "policy": PolicyTable,
    "daemon": DaemonSettings,
    "trigger": TriggerSettings,
    "telemetry": TelemetrySettings,
    "accounts": AccountTable,
    "discover": DiscoverTable,
    "hooks": HookTable,
    "freeze": FreezeTable,
}

#: Tables that may occur several times; no variable can set their keys.
LISTS = ("accounts", "discover", "hooks", "freeze")

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
    return list(fields_of(TABLES[table])) if table in TABLES else []


def paths_of(key: str) -> list[str]:
    """Return every path at which `key` is known."""
    return [f"{table}.{key}" for table, model in TABLES.items() if key in fields_of(model)]


AnyTable = TypeVar("AnyTable", bound=Table)

#: Pydantic's error types in our words. All other errors are `InvalidValue` and have their own text.
_WORDS = {
    "bool_type": "is not true or false",
    "finite_number": "is not a finite number",
    "float_type": "is not a number",
    "int_type": "is not a whole number",
    "model_type": "is not a table",
    "string_type": "is not a string",
}

_REQUIRED_HINTS = {
    "accounts": "add an [[accounts]] table with name, api_key and vault_path",
    "address": "set address in [vault], or $VAULT_ADDR",
}


class Document:
    """A file's tables, including the environment's values."""

    def __init__(
        self,
        tables: dict[str, Any],
        context: PathContext,
        origins: Mapping[str, str],
        *,
        is_strict: bool,
    ) -> None:
        """Store the tables. `origins` maps the paths of values to their variables."""
        self._is_strict = is_strict
        self._tables = tables
        self._context = context
        self._origins = origins
        #: Problems found so far.
        self.problems: list[ConfigProblem] = []

    def settings(self) -> Settings | None:
        """Return the settings; any problem is added to `problems` and makes them unusable."""
        for key in (key for key in self._tables if key not in keys_of("")):
            what, hint = unknown_key(key, keys_of(""), paths_of(key))
            self.problems.append(ConfigProblem(where=key_text(key), what=what, hint=hint))
        vonage = self._top(VonageSettings, "vonage")
        vault = self._top(VaultSettings, "vault")
        if vault is not None:
            self.problems.extend(auth_problems(vault, self._place("vault")))
        ledger = self._top(LedgerSettings, "ledger")
        default = self._top(PolicyTable, "policy")
        policy = policy_of(default, DEFAULT_POLICY) if default else None
        if default and policy:
            place = self._place("policy")
            self.problems.extend(policy_problems(place, default, policy, is_strict=self._is_strict))
        daemon = self._top(DaemonSettings, "daemon")
        trigger = self._top(TriggerSettings, "trigger")
        telemetry = self._top(TelemetrySettings, "telemetry")
        if daemon and trigger and trigger.is_at(daemon.listen):
            what = f"{trigger.listen!r} is that of daemon.listen"
            hint = "the trigger needs an address of its own"
            place = self._place("trigger")
            self.problems.append(place.problem("listen", what, hint))

        accounts = self._list(AccountTable, "accounts", policy)
        if self._tables.get("accounts", []) == []:
            hint = _REQUIRED_HINTS["accounts"]
            self.problems.append(
                ConfigProblem(where="accounts", what="none is configured", hint=hint)
            )
        parents = _parents(self._tables.get("accounts"))
        self.problems.extend(account_problems(accounts, parents, vault))
        hooks = self._list(HookTable, "hooks", None)
        self.problems.extend(hook_problems(hooks, parents))
        discover = self._list(DiscoverTable, "discover", policy)
        for each in discover:
            self.problems.extend(discover_problems(each.place, each.table, parents, vault))

        if ledger is not None:
            paths = [account.table.vault_path for account in accounts]
            paths += [each.table.vault_path for each in discover]
            place = self._place("ledger.witness")
            self.problems.extend(witness_problems(ledger.witness, place, vault, paths))

        freezes = self._list(FreezeTable, "freeze", None)
        self.problems.extend(freeze_problems(freezes, parents, is_discovering=bool(discover)))

        if vonage is None or vault is None or ledger is None or policy is None:
            return None
        if daemon is None or trigger is None or telemetry is None:
            return None
        frozen = tuple(each.table for each in freezes)
        placement = Placement.of(vonage, vault, frozen)
        return Settings(
            vonage=vonage,
            vault=vault,
            ledger=ledger,
            policy=policy,
            daemon=daemon,
            trigger=trigger,
            telemetry=telemetry,
            accounts=tuple(each.table.account(policy, placement) for each in accounts),
            hooks=tuple(each.table.hook() for each in hooks),
            discover=tuple(each.table for each in discover),
            freezes=frozen,
        )

    def _place(self, name: str) -> Location:
        return Location(table=name, path=name, origins=self._origins)

    def _top(self, model: type[AnyTable], name: str) -> AnyTable | None:
        return self._table(model, self._tables.get(name, {}), self._place(name))

    def _list(
        self, model: type[AnyTable], name: str, policy: Policy | None
    ) -> list[Located[AnyTable]]:
        """Return the valid ones of a list of tables, each checked with its own policy."""
        raw = self._tables.get(name, [])
        if not isinstance(raw, list):
            what, hint = "is not a list of tables", _REQUIRED_HINTS.get(name)
            self.problems.append(ConfigProblem(where=name, what=what, hint=hint))
            return []
        found = []
        for index, item in enumerate(raw):
            note = "" if name == "discover" else _note(item)
            place = Location(table=name, path=f"{name}[{index}]", note=note)
            table = self._table(model, item, place)
            if table is not None:
                found.append(Located(place=place, table=table))
            if policy and isinstance(table, PolicyTable):
                own = policy_of(table, policy)
                self.problems.extend(policy_problems(place, table, own, is_strict=self._is_strict))
        return found

    def _table(self, model: type[AnyTable], raw: object, place: Location) -> AnyTable | None:
        pair = EXCLUSIVE.get(place.table, ())
        if pair and isinstance(raw, dict) and all(raw.get(key) not in (None, "") for key in pair):
            what = f"{' and '.join(pair)} exclude each other; keep one"
            self.problems.append(place.problem("", what))
        try:
            return model.model_validate(raw, context=self._context)
        except ValidationError as error:
            self.problems.extend(
                _problem(detail, place)
                for detail in error.errors(include_url=False)
                # The default depends on a key with a problem of its own.
                if detail["type"] != "default_factory_not_called"
            )
        return None


def _problem(detail: ErrorDetails, place: Location) -> ConfigProblem:
    names = [str(name) for name in detail["loc"]]
    key = names[-1] if names else place.table
    table = ".".join([place.table, *names[:-1]])
    field = fields_of(TABLES[table]).get(key) if table in TABLES else None
    invalid = detail.get("ctx", {}).get("error")
    match detail["type"]:
        case "extra_forbidden":
            what, hint = unknown_key(key, keys_of(table), paths_of(key))
            return ConfigProblem(where=place.key(*names), what=what, hint=hint)
        case "missing":
            hint = _REQUIRED_HINTS.get(key)
            return ConfigProblem(where=place.key(*names), what="is required", hint=hint)
        case "value_error" if isinstance(invalid, InvalidValue):
            rule = str(invalid)
        case "greater_than_equal" | "less_than_equal" if field:
            rule = _bounds(field)
        case other:
            rule = _WORDS.get(other, "is not valid")
    return ConfigProblem(
        where=place.key(*names),
        what=f"{value_text(key, detail['input'])} {rule}",
        hint=getattr(invalid, "hint", None)
        or (_default_hint(table, key, field) if field else None),
    )


def _bounds(field: FieldInfo) -> str:
    """Return which bounds the value of a field is not within."""
    limits = [getattr(each, name, None) for name in ("ge", "le") for each in field.metadata]
    low, *high = [
        format_duration(each) if isinstance(each, timedelta) else str(each)
        for each in limits
        if each is not None
    ]
    return f"is not within {low} to {high[0]}" if high else f"is less than {low}"


def _default_hint(table: str, key: str, field: FieldInfo) -> str | None:
    """Return the hint that names a key's default; None where no file could set it."""
    is_of_policy = issubclass(TABLES[table], PolicyTable) and key in PolicyTable.model_fields
    if is_of_policy and table != "policy":
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
