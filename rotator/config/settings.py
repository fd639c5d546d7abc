"""The effective settings, as used by the rest of rotator."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

from rotator.config.accounts import Placement, policy_of
from rotator.config.discovery import DiscoverTable, accounts_of
from rotator.config.errors import closest
from rotator.config.freezes import FreezeTable
from rotator.config.sections import (
    DaemonSettings,
    LedgerSettings,
    TelemetrySettings,
    VaultSettings,
    VonageSettings,
)
from rotator.config.trigger import TriggerSettings
from rotator.config.types import Table
from rotator.errors import UnknownAccount
from rotator.model import NEVER, Account, DiscoveredSubaccount, Policy
from rotator.model.notification import Hook
from rotator.model.times import format_duration, rfc3339

#: Names of accounts in a hint.
_MOST_NAMES = 20


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that is configured, without secrets."""

    vonage: VonageSettings
    vault: VaultSettings
    ledger: LedgerSettings
    #: The default policy; each account has its own, complete policy.
    policy: Policy
    daemon: DaemonSettings
    trigger: TriggerSettings
    telemetry: TelemetrySettings
    #: In the order of the file; discovered ones come last.
    accounts: tuple[Account, ...]
    #: In the order of the file.
    hooks: tuple[Hook, ...] = ()
    discover: tuple[DiscoverTable, ...] = ()
    freezes: tuple[FreezeTable, ...] = ()

    def with_discovered(self, found: Iterable[DiscoveredSubaccount]) -> "Settings":
        """Return the same settings with the accounts that `[[discover]]` makes of `found`.

        This is the only place that merges configured and discovered accounts. Ledger and daemon,
        status and `rotate-now` know one kind of account only.
        """
        configured = tuple(account for account in self.accounts if not account.discovered)
        placement = Placement.of(self.vonage, self.vault, self.freezes)
        added = accounts_of(found, self.discover, configured, self.policy, placement)
        return replace(self, accounts=(*configured, *added))

    def discovered_names(self, found: Iterable[DiscoveredSubaccount]) -> dict[str, str]:
        """Return the names of the accounts that `[[discover]]` makes of `found`, by api key."""
        merged = self.with_discovered(found)
        return {account.api_key: account.name for account in merged.accounts if account.discovered}

    def account(self, name: str) -> Account:
        """Return the account of that name.

        Raises:
            UnknownAccount: no account has that name; the hint suggests the closest.
        """
        known = {account.name: account for account in self.accounts}
        if name in known:
            return known[name]
        meant = closest(name, known)
        names = [*known][:_MOST_NAMES]
        more = f" and {len(known) - len(names)} more" if len(known) > len(names) else ""
        hint = f"did you mean {meant}?" if meant else f"configured are {', '.join(names)}{more}"
        raise UnknownAccount(f"no account {name!r} is configured", hint=hint)

    def children(self, name: str) -> tuple[Account, ...]:
        """Return the accounts that the account of that name manages, in the order of the file.

        Raises:
            UnknownAccount: no account has that name.
        """
        parent = self.account(name).name
        return tuple(account for account in self.accounts if account.managed_by == parent)

    def shown(self) -> dict[str, Any]:
        """Return the settings as values for JSON, for `rotator config show`.

        Defaults and the environment are applied and paths resolved. A key without a value is left
        out, so that the result, written as TOML, is a configuration with the same effect.
        """
        names = ("vonage", "vault", "ledger", "policy", "daemon", "trigger", "telemetry")
        accounts = [account for account in self.accounts if not account.discovered]
        lists = {
            "accounts": [_flat(vars(account), account.policy) for account in accounts],
            "discover": [_flat(dict(each), policy_of(each, self.policy)) for each in self.discover],
            "hooks": [_hook_shown(hook) for hook in self.hooks],
            "freeze": [_all_shown(freeze.model_dump(by_alias=True)) for freeze in self.freezes],
        }
        shown = {name: shown_value(getattr(self, name)) for name in names}
        return shown | {name: tables for name, tables in lists.items() if tables}


#: What of an account follows from its origin, from other tables, and from its name.
_DERIVED = ("discovered", "issuer", "mount", "pending_path", "policy")


def _flat(described: dict[str, Any], policy: Policy) -> dict[str, Any]:
    """Return an account or discovery rule as one flat table, its whole policy included."""
    keys = described.keys() - {*_DERIVED, *vars(policy)}
    own = {key: value for key, value in described.items() if key in keys}
    return _all_shown(own) | _policy_shown(policy)


def _policy_shown(policy: Policy) -> dict[str, Any]:
    """Return a policy without the change freezes, which have tables of their own."""
    shown = {key: value for key, value in vars(policy).items() if key != "freezes"}
    return ({"every": NEVER} if policy.is_on_request else {}) | _all_shown(shown)


def _hook_shown(hook: Hook) -> dict[str, Any]:
    # An empty command: it has a URL instead.
    return _all_shown({key: value for key, value in vars(hook).items() if value != ()})


def shown_value(value: object) -> Any:  # noqa: ANN401  # whatever JSON has
    """Return a value as the file may have it, in JSON's types."""
    match value:
        case timedelta():
            return format_duration(value)
        case datetime():
            return rfc3339(value)
        case Path():
            return str(value)
        case Decimal():
            return float(value)
        case StrEnum():
            return value.value
        case frozenset():
            return sorted(value)
        case tuple():
            return list(value)
        case Table():
            return _all_shown(dict(value))
        case Policy():
            return _policy_shown(value)
        case _:
            return value


def _all_shown(values: dict[str, object]) -> dict[str, Any]:
    return {key: shown_value(value) for key, value in values.items() if value is not None}
