"""The effective settings, as used by the rest of rotator."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

from rotator.config.accounts import Placement
from rotator.config.discovery import Discover, accounts_of
from rotator.config.errors import closest
from rotator.config.sections import (
    DaemonSettings,
    LedgerSettings,
    TelemetrySettings,
    VaultSettings,
    VonageSettings,
)
from rotator.config.types import Table, format_duration
from rotator.errors import UnknownAccount
from rotator.model import Account, DiscoveredSubaccount, OnForeign, Policy
from rotator.model.notification import Hook

#: Base of `[policy]`.
DEFAULT_POLICY = Policy(
    every=timedelta(days=30),
    cron=None,
    timezone="UTC",
    jitter=timedelta(hours=1),
    grace=timedelta(hours=24),
    max_age=timedelta(days=45),
    length=25,
    on_foreign=OnForeign.REFUSE,
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that is configured, without secrets."""

    vonage: VonageSettings
    vault: VaultSettings
    ledger: LedgerSettings
    #: The default policy; each account has its own, complete policy.
    policy: Policy
    daemon: DaemonSettings
    telemetry: TelemetrySettings
    #: In the order of the file; discovered ones come last.
    accounts: tuple[Account, ...]
    #: In the order of the file.
    hooks: tuple[Hook, ...] = ()
    discover: tuple[Discover, ...] = ()

    def with_found(self, found: Iterable[DiscoveredSubaccount]) -> "Settings":
        """Return the same settings with the accounts that `[[discover]]` makes of `found`.

        This is the only place that merges configured and discovered accounts. Ledger and daemon,
        status and `rotate-now` know one kind of account only.
        """
        configured = tuple(account for account in self.accounts if not account.discovered)
        site = Placement.of(self.vonage, self.vault)
        added = accounts_of(found, self.discover, configured, site)
        return replace(self, accounts=(*configured, *added))

    def found_names(self, found: Iterable[DiscoveredSubaccount]) -> dict[str, str]:
        """Return the names of the accounts that `[[discover]]` makes of `found`, by api key."""
        merged = self.with_found(found)
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
        hint = f"did you mean {meant}?" if meant else f"configured are {', '.join(known)}"
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
        tables = {name: _shown(getattr(self, name)) for name in _TABLES}
        accounts = [_flat(account) for account in self.accounts if not account.discovered]
        discover = {"discover": [_flat(each) for each in self.discover]} if self.discover else {}
        hooks = {"hooks": [_hook_shown(hook) for hook in self.hooks]} if self.hooks else {}
        return tables | {"accounts": accounts} | discover | hooks


_TABLES = ("vonage", "vault", "ledger", "policy", "daemon", "telemetry")


def _flat(described: Account | Discover) -> dict[str, Any]:
    """Return an account or discovery rule as one flat table, its policy's keys included."""
    shown = _all_shown(vars(described))
    policy: dict[str, Any] = shown.pop("policy")
    # They follow from the account's origin, from other tables, and from its name.
    for key in ("discovered", "issuer", "mount", "pending_path"):
        shown.pop(key, None)
    return shown | policy


def _hook_shown(hook: Hook) -> dict[str, Any]:
    shown = _all_shown(vars(hook))
    # It has a URL instead.
    return shown if hook.command else {key: shown[key] for key in shown if key != "command"}


def _shown(value: object) -> Any:  # noqa: ANN401  # whatever JSON has
    match value:
        case timedelta():
            return format_duration(value)
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
            return _all_shown(vars(value))
        case _:
            return value


def _all_shown(values: dict[str, object]) -> dict[str, Any]:
    return {key: _shown(value) for key, value in values.items() if value is not None}
