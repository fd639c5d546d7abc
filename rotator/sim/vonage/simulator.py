"""The Vonage simulator: its API, and what is seen and changed of it from outside."""

import copy
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rotator.sim.clock import Clock
from rotator.sim.vonage.accounts import Account, SimSecret
from rotator.sim.vonage.api import VonageApi, settings_body


def _any_callback(_url: str) -> bool:
    return True


class VonageSimulator(VonageApi):
    """A simulated Vonage with accounts, their secrets and subaccounts.

    Args:
        latency: seconds from a request's arrival to its effect.
        propagation: seconds until a new secret authenticates, and for which a revoked one
            still does. The list of secrets changes at once.
        full_status: status of the answer to a third secret, 403 or 400; the API documents and
            the SDKs disagree.
        rate_limit: requests per second and API key beyond which the answer is 429; None for
            no limit.
        callback_ok: whether a callback URL answers 200, which Vonage checks before saving one.
            It is called under the simulator's lock and must be quick.
        clock: nanoseconds since the epoch.
    """

    def __init__(  # noqa: PLR0913 - each one names what it sets
        self,
        latency: float = 0.0,
        propagation: float = 0.0,
        *,
        full_status: int = 403,
        rate_limit: float | None = None,
        callback_ok: Callable[[str], bool] = _any_callback,
        clock: Clock = time.time_ns,
    ) -> None:
        super().__init__(
            latency=latency,
            clock=clock,
            propagation=propagation,
            full_status=full_status,
            rate_limit=rate_limit,
            callback_ok=callback_ok,
        )

    def add_account(  # noqa: PLR0913 - each one names what it sets
        self,
        api_key: str,
        secret: str,
        *,
        parent: str | None = None,
        created_at: datetime | None = None,
        name: str | None = None,
        suspended: bool = False,
    ) -> str:
        """Open an account with one secret, which authenticates at once; return the secret's id.

        `parent` is the API key of the primary account; the value of `secret` is not checked.

        Raises:
            ValueError: the key is taken, the parent is not a primary account, or `created_at`
                has no time zone.
        """
        with self._lock:
            created = self._created(created_at)
            if api_key in self._accounts:
                raise ValueError(f"account {api_key} exists")
            if parent is not None:
                primary = self._accounts.get(parent)
                # There is one level of subaccounts.
                if primary is None or primary.parent is not None:
                    raise ValueError(f"{parent} is not a primary account")
            account = self._accounts[api_key] = Account(
                api_key=api_key,
                name=api_key if name is None else name,
                created_at=created,
                parent=parent,
                suspended=suspended,
            )
            return account.add(secret, created, created).id

    def suspend(self, api_key: str, *, suspended: bool = True) -> None:
        """Suspend an account or reactivate it; it is listed as such, and keeps working.

        Raises:
            KeyError: there is no such account.
        """
        with self._lock:
            self._accounts[api_key].suspended = suspended

    def move(self, api_key: str, parent: str | None) -> None:
        """Transfer an account to another primary account, or to none.

        Raises:
            KeyError: there is no such account.
        """
        with self._lock:
            self._accounts[api_key].parent = parent

    def add_secret(self, api_key: str, value: str, *, created_at: datetime | None = None) -> str:
        """Create a secret as the dashboard does; return its id.

        Faults and the rules for values do not apply; propagation does, from `created_at`.

        Raises:
            KeyError: there is no such account.
            SlotsFull: the account has two secrets.
            ValueError: `created_at` has no time zone.
        """
        with self._lock:
            created = self._created(created_at)
            account = self._accounts[api_key]
            secret = account.add(value, created, created + self._spread)
            account.record(secret, self.dashboard)
            return secret.id

    def revoke(self, api_key: str, secret_id: str) -> None:
        """Revoke a secret as the dashboard does, even the last one; faults do not apply.

        Raises:
            KeyError: there is no such account or live secret.
        """
        with self._lock:
            account = self._accounts[api_key]
            account.record(account.revoke(secret_id, self._moment()), self.dashboard)

    def restore(self, api_key: str, secret_id: str) -> None:
        """Restore a revoked secret, as if its revocation had never taken effect.

        Raises:
            KeyError: there is no such account or revoked secret.
            SlotsFull: two others are live.
        """
        with self._lock:
            self._accounts[api_key].restore(secret_id)

    def secrets(self, api_key: str) -> list[SimSecret]:
        """Return the account's live secrets, the newest first.

        Raises:
            KeyError: there is no such account.
        """
        with self._lock:
            return self._accounts[api_key].live()

    def history(self, api_key: str) -> list[SimSecret]:
        """Return every secret that the account ever had, in the order of creation.

        Raises:
            KeyError: there is no such account.
        """
        with self._lock:
            return list(self._accounts[api_key].secrets)

    def authenticates(self, api_key: str, value: str) -> bool:
        """Return whether Basic auth with this key and value would succeed now, without faults."""
        with self._lock:
            account = self._accounts.get(api_key)
            if account is None:
                return False
            return account.authenticates(value, self._moment(), self._spread)

    def balance(self, api_key: str) -> float:
        """Return the account's balance in EUR.

        Raises:
            KeyError: there is no such account.
        """
        with self._lock:
            return self._accounts[api_key].balance

    def state(self) -> dict[str, Any]:
        """Return every account with all its secrets, values included."""
        with self._lock:
            return {"accounts": [_as_json(account) for account in self._accounts.values()]}

    def save(self) -> dict[str, Account]:
        """Return a copy of all accounts, for `load`."""
        with self._lock:
            return copy.deepcopy(self._accounts)

    def load(self, saved: dict[str, Account]) -> None:
        """Make the accounts what they were when they were saved."""
        with self._lock:
            self._accounts = copy.deepcopy(saved)

    def _created(self, given: datetime | None) -> datetime:
        if given is None:
            return self._moment()
        if given.tzinfo is None:
            raise ValueError("created_at has no time zone")
        return given.astimezone(UTC)


def _as_json(account: Account) -> dict[str, Any]:
    secrets = [
        {name: _plain(value) for name, value in asdict(secret).items()}
        | {"live": secret.revoked_at is None}
        for secret in account.secrets
    ]
    return {
        "api_key": account.api_key,
        "name": account.name,
        "parent": account.parent,
        "suspended": account.suspended,
        "balance": account.balance,
        "settings": settings_body(account),
        "secrets": secrets,
    }


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value
