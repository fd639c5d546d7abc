"""Both simulators, filled with accounts, their secrets and their Vault entries."""

import json
import secrets
import string
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from os import PathLike, fspath
from typing import Any, Self

from rotator.sim.vault.simulator import VaultSimulator
from rotator.sim.vonage.accounts import MAX_SECRETS, is_compliant
from rotator.sim.vonage.simulator import VonageSimulator

_LENGTH = 25
_ALPHABET = string.ascii_letters + string.digits


@dataclass(frozen=True, kw_only=True)
class SimAccount:
    """One account as it was when its environment was built."""

    name: str
    api_key: str
    #: value of its only secret at the start
    api_secret: str = field(repr=False)
    vault_path: str
    #: the name of the parent account; empty for a primary one
    managed_by: str = ""


@dataclass(kw_only=True)
class Environment:
    """A pair of simulators and the accounts that both know."""

    vonage: VonageSimulator
    vault: VaultSimulator
    accounts: list[SimAccount] = field(default_factory=list)

    @classmethod
    def build(  # noqa: PLR0913 - each one names what it sets
        cls,
        accounts: int = 2,
        subaccounts: int = 1,
        latency: float = 0.0,
        vault_latency: float = 0.0,
        propagation: float = 0.0,
        *,
        created_at: datetime | None = None,
    ) -> Self:
        """Start both simulators and fill them.

        The `accounts` primary accounts are named `account-1` and so on; the first has
        `subaccounts` subaccounts `account-1-sub-1` and so on. Each has one random secret, created
        at `created_at` (by default now), and a Vault entry `vonage/<name>` with `api_key`,
        `api_secret` and a `note` that a rotation must keep. Latencies and propagation are in
        seconds.
        """
        vonage = VonageSimulator(latency, propagation)
        built = cls(vonage=vonage, vault=VaultSimulator(vault_latency))
        for number in range(1, accounts + 1):
            built._add(f"account-{number}", None, created_at)
        for number in range(1, subaccounts + 1):
            built._add(f"account-1-sub-{number}", built.accounts[0], created_at)
        vonage.start()
        built.vault.start()
        return built

    def close(self) -> None:
        """Stop both simulators."""
        self.vonage.close()
        self.vault.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def describe(self) -> dict[str, Any]:
        """Return what `rotator sim` prints, secret values included."""
        return {
            "vonage_url": self.vonage.url,
            "vault_url": self.vault.url,
            "vault_token": self.vault.token,
            "accounts": [asdict(account) for account in self.accounts],
        }

    def config(
        self,
        ledger_url: str,
        token_file: str | PathLike[str],
        *,
        max_requests_per_second: float = 1000,
        **policy: str | float | bool,
    ) -> str:
        """Return a configuration of rotator for this environment, as TOML.

        `token_file` is the file in which the caller keeps `vault.token`; `policy` is the section
        of that name. The limit on requests is far above rotator's default, since the simulators
        need no protection.
        """
        sections = [
            _section(
                "[vonage]",
                {
                    "api_url": self.vonage.url,
                    "rest_url": self.vonage.url,
                    "max_requests_per_second": max_requests_per_second,
                },
            ),
            _section("[vault]", {"address": self.vault.url}),
            _section("[vault.auth]", {"method": "token", "token_file": fspath(token_file)}),
            _section("[ledger]", {"url": ledger_url}),
            _section("[policy]", policy),
            _section("[daemon]", {"listen": ""}),
        ]
        sections += [_section("[[accounts]]", _configured(account)) for account in self.accounts]
        return "\n".join(sections)

    def violations(self) -> list[str]:
        """Return each rule that is broken now, as far as it shows from outside.

        The value at each account's Vault path must authenticate at Vonage at this moment, and
        each account must have one or two secrets.
        """
        found = [self._check_value(account) for account in self.accounts]
        found += [self._check_count(account) for account in self.accounts]
        return [violation for violation in found if violation]

    def _add(self, name: str, parent: SimAccount | None, created_at: datetime | None) -> None:
        account = SimAccount(
            name=name,
            api_key=secrets.token_hex(4),
            api_secret=_random_secret(),
            vault_path=f"vonage/{name}",
            managed_by=parent.name if parent else "",
        )
        self.vonage.add_account(
            account.api_key,
            account.api_secret,
            parent=parent.api_key if parent else None,
            created_at=created_at,
            name=name,
        )
        entry = {"api_key": account.api_key, "api_secret": account.api_secret, "note": "kept"}
        self.vault.write(account.vault_path, entry)
        self.accounts.append(account)

    def _check_value(self, account: SimAccount) -> str:
        version = self.vault.current_version(account.vault_path)
        while not self._holds_working_value(account):
            seen, version = version, self.vault.current_version(account.vault_path)
            # Otherwise a rotation wrote in between, and what was read is no longer there.
            if seen == version:
                return f"{account.name}: the value in Vault (version {version}) is refused"
        return ""

    def _holds_working_value(self, account: SimAccount) -> bool:
        entry = self.vault.read(account.vault_path) or {}
        return self.vonage.authenticates(account.api_key, str(entry.get("api_secret", "")))

    def _check_count(self, account: SimAccount) -> str:
        count = len(self.vonage.secrets(account.api_key))
        return "" if 1 <= count <= MAX_SECRETS else f"{account.name}: {count} secrets"


def _random_secret() -> str:
    while True:
        value = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
        if is_compliant(value):
            return value


def _configured(account: SimAccount) -> dict[str, str]:
    settings = {
        "name": account.name,
        "api_key": account.api_key,
        "vault_path": account.vault_path,
    }
    return settings | ({"managed_by": account.managed_by} if account.managed_by else {})


def _section(header: str, values: Mapping[str, Any]) -> str:
    # Strings, numbers and booleans are the same in JSON and TOML.
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in values.items()]
    return "\n".join([header, *lines, ""])
