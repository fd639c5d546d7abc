"""A Vonage of one's own: the Account API on loopback."""

import math
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from rotator.sim.clock import NANOSECONDS, Clock, as_datetime
from rotator.sim.http import Reply, Request
from rotator.sim.server import Simulator
from rotator.sim.vonage import api, problems
from rotator.sim.vonage.accounts import Account, Accounts, SimSecret
from rotator.sim.vonage.api import AccountApi, RestCalls, SecretCalls, settings_body


class RateLimit:
    """A token bucket per API key that holds one second's requests, at least one."""

    def __init__(self, per_second: float) -> None:
        self.per_second = per_second
        self._capacity = max(1.0, per_second)
        self._buckets: dict[str, tuple[float, int]] = {}

    def wait(self, key: str, now: int) -> float:
        """Take one request of `key` at `now` (nanoseconds).

        Returns the seconds until it would be admitted; 0.0 means that it is.
        """
        level, since = self._buckets.get(key, (self._capacity, now))
        level = min(self._capacity, level + (now - since) / NANOSECONDS * self.per_second)
        admitted = level >= 1
        self._buckets[key] = (level - 1 if admitted else level, now)
        return 0.0 if admitted else (1 - level) / self.per_second


def _any_callback(_url: str) -> bool:
    return True


class VonageSimulator(Simulator):
    """Plays api.nexmo.com and rest.nexmo.com under one URL.

    Args:
        latency: seconds that every request takes before its effect.
        propagation: seconds until a new secret authenticates, and for which a revoked one
            still does. The list of secrets changes at once.
        full_status: of the answer to a third secret, 403 or 400; the API documents and the
            SDKs disagree.
        rate_limit: requests per second and API key, more are answered 429; None for no limit.
        callback_ok: whether a callback URL answers 200, which Vonage checks before it saves
            one. It is called under the simulator's lock and must be quick.
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
        super().__init__(latency=latency, clock=clock)
        delay = timedelta(seconds=propagation)
        self._accounts = Accounts()
        self._api = AccountApi(
            accounts=self._accounts,
            propagation=delay,
            secret_calls=SecretCalls(propagation=delay, full_status=full_status),
            rest_calls=RestCalls(callback_ok=callback_ok),
        )
        self._rate_limit = RateLimit(rate_limit) if rate_limit is not None else None

    @property
    def propagation(self) -> float:
        """Seconds until a new secret authenticates; settable, for secrets made from then on."""
        return self._api.propagation.total_seconds()

    @propagation.setter
    def propagation(self, seconds: float) -> None:
        delay = timedelta(seconds=seconds)
        self._api.propagation = self._api.secret_calls.propagation = delay

    @property
    def auto_reload(self) -> bool:
        """Whether auto-reload is enabled, for all accounts; a top-up needs it."""
        return self._api.rest_calls.auto_reload

    @auto_reload.setter
    def auto_reload(self, enabled: bool) -> None:
        self._api.rest_calls.auto_reload = enabled

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
        """Open an account with one secret, which authenticates at once; give the secret's id.

        `parent` is the API key of the primary account; the value of `secret` is not checked.

        Raises:
            ValueError: the key is taken, the parent is no primary account, or `created_at`
                has no time zone.
        """
        with self._lock:
            created = self._instant(created_at)
            account = Account(
                api_key=api_key,
                name=api_key if name is None else name,
                created_at=created,
                parent=parent,
                suspended=suspended,
            )
            self._accounts.open(account)
            return account.add(secret, created, created).id

    def suspend(self, api_key: str, *, suspended: bool = True) -> None:
        """Suspend an account, or end that; it is listed so, and works on.

        Raises:
            KeyError: there is no such account.
        """
        with self._lock:
            self._accounts[api_key].suspended = suspended

    def move(self, api_key: str, parent: str | None) -> None:
        """Put an account below another one, or below none, as an outsider's transfer does.

        Raises:
            KeyError: there is no such account.
        """
        with self._lock:
            self._accounts[api_key].parent = parent

    def add_secret(self, api_key: str, value: str, *, created_at: datetime | None = None) -> str:
        """Create a secret as an outsider in the dashboard does; give its id.

        Faults and the rules for values do not apply; propagation does, from `created_at`.

        Raises:
            KeyError: there is no such account.
            SlotsFull: the account has two secrets.
            ValueError: `created_at` has no time zone.
        """
        with self._lock:
            created = self._instant(created_at)
            active_from = created + self._api.propagation
            return self._accounts[api_key].add(value, created, active_from).id

    def revoke(self, api_key: str, secret_id: str) -> None:
        """Revoke a secret as an outsider does, even the last one; faults do not apply.

        Raises:
            KeyError: there is no such account or live secret.
        """
        with self._lock:
            self._accounts[api_key].revoke(secret_id, self._moment())

    def restore(self, api_key: str, secret_id: str) -> None:
        """Bring a revoked secret back, as if its revocation had never taken effect.

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

    def authenticates(
        self, api_key: str, value: str, *, ignoring_propagation: bool = False
    ) -> bool:
        """Whether Basic auth with this key and value would succeed now, faults aside.

        With `ignoring_propagation`, whether the value is that of a live secret.
        """
        with self._lock:
            account = self._accounts.get(api_key)
            if account is None:
                return False
            if ignoring_propagation:
                return any(secret.value == value for secret in account.live())
            return account.authenticates(value, self._moment(), self._api.propagation)

    def balance(self, api_key: str) -> float:
        """Return the account's balance in EUR.

        Raises:
            KeyError: there is no such account.
        """
        with self._lock:
            return self._accounts[api_key].balance

    def settings(self, api_key: str) -> Mapping[str, str | int]:
        """Return the account's settings by the names that Vonage answers with.

        Raises:
            KeyError: there is no such account.
        """
        with self._lock:
            return settings_body(self._accounts[api_key])

    def state(self) -> dict[str, Any]:
        """Return every account with all its secrets, values included."""
        with self._lock:
            return {"accounts": [_as_json(account) for account in self._accounts]}

    def _answer(self, request: Request) -> Reply:
        wait = self._over_limit(request)
        if wait > 0:
            return self._limited(wait)
        return self._api.answer(request, self._moment())

    def _refusal(self, request: Request, status: int) -> Reply:
        if request.path.startswith("/account/"):
            label = "authentication failed" if status == 401 else problems.phrase(status).lower()  # noqa: PLR2004
            return problems.legacy(status, label)
        known = {
            400: problems.validation,
            401: problems.unauthorized,
            429: problems.rate_limited,
            500: problems.internal_error,
        }
        return known[status]() if status in known else problems.unexplained(status)

    def _common_headers(self) -> dict[str, str]:
        # The 2026 API document has it on every response.
        return {"X-Request-Id": uuid.uuid4().hex}

    def _caller(self, request: Request) -> str:
        given = api.basic(request)
        return given.api_key if given else ""

    def _over_limit(self, request: Request) -> float:
        if self._rate_limit is None:
            return 0.0
        given = api.basic(request) or api.in_query(request)
        return self._rate_limit.wait(given.api_key if given else "", self._now())

    def _limited(self, wait: float) -> Reply:
        limit = self._rate_limit.per_second if self._rate_limit else 0
        seconds = math.ceil(wait)
        headers = {
            "Retry-After": str(seconds),
            "X-RateLimit-Limit": f"{limit:g}",
            "X-RateLimit-Remaining": "0",
            "X-RateLimit-Reset": str(self._now() // NANOSECONDS + seconds),
        }
        return problems.rate_limited().with_headers(headers)

    def _moment(self) -> datetime:
        return as_datetime(self._now())

    def _instant(self, given: datetime | None) -> datetime:
        if given is None:
            return self._moment()
        if given.tzinfo is None:
            raise ValueError("created_at has no time zone")
        return given.astimezone(UTC)


def _as_json(account: Account) -> dict[str, Any]:
    live = {secret.id for secret in account.live()}
    secrets = [
        {name: _plain(value) for name, value in asdict(secret).items()}
        | {"live": secret.id in live}
        for secret in account.secrets
    ]
    shown = {
        "api_key": account.api_key,
        "name": account.name,
        "parent": account.parent,
        "suspended": account.suspended,
        "balance": account.balance,
        "settings": settings_body(account),
    }
    return {**shown, "secrets": secrets}


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value
