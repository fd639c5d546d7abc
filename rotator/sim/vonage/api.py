"""Vonage's Account API: who may call what, and what each call does.

It has both hosts in one: api.nexmo.com below /accounts, rest.nexmo.com below /account.
"""

import base64
import binascii
import math
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from rotator.sim.clock import NANOSECONDS, Clock, as_datetime
from rotator.sim.http import Refused, Reply, Request
from rotator.sim.server import Simulator
from rotator.sim.vonage import audit, problems
from rotator.sim.vonage.accounts import Account, SimSecret, SlotsFull

#: In EUR.
TOP_UP = 10.0

_FORWARD_METHODS = ("GET_QUERY_PARAMS", "POST_QUERY_PARAMS", "POST_JSON")

#: name in the request -> name in the answer
_URLS = {"moCallBackUrl": "mo-callback-url", "drCallBackUrl": "dr-callback-url"}


class Credentials(NamedTuple):
    """An API key and the secret that was sent with it."""

    api_key: str
    secret: str


class RateLimit:
    """A token bucket per API key that holds one second's requests, at least one."""

    def __init__(self, per_second: float) -> None:
        self.per_second = per_second
        self._capacity = max(1.0, per_second)
        self._buckets: dict[str, tuple[float, int]] = {}

    def wait(self, key: str, now: int) -> float:
        """Take one request of `key` at `now` (nanoseconds).

        Returns the seconds until it would be admitted; 0.0 if it is.
        """
        level, since = self._buckets.get(key, (self._capacity, now))
        level = min(self._capacity, level + (now - since) / NANOSECONDS * self.per_second)
        admitted = level >= 1
        self._buckets[key] = (level - 1 if admitted else level, now)
        return 0.0 if admitted else (1 - level) / self.per_second


class VonageApi(Simulator):
    """api.nexmo.com and rest.nexmo.com under one URL."""

    def __init__(  # noqa: PLR0913 - each one names what it sets
        self,
        *,
        latency: float,
        clock: Clock,
        propagation: float,
        full_status: int,
        rate_limit: float | None,
        callback_ok: Callable[[str], bool],
    ) -> None:
        super().__init__(latency=latency, clock=clock)
        #: seconds until a new secret authenticates and a revoked one stops to; settable
        self.propagation = propagation
        #: whether auto-reload is enabled, for all accounts; a top-up requires it
        self.auto_reload = False
        #: API keys that may not use the Audit API; settable, like those below
        self.not_audited: set[str] = set()
        #: whether an audit event's context names the secret
        self.audit_names_secrets = False
        #: who uses the dashboard from now on
        self.dashboard = audit.DASHBOARD
        self._full_status = full_status
        self._rate_limit = RateLimit(rate_limit) if rate_limit is not None else None
        self._callback_ok = callback_ok
        self._accounts: dict[str, Account] = {}

    @property
    def _spread(self) -> timedelta:
        return timedelta(seconds=self.propagation)

    def _moment(self) -> datetime:
        return as_datetime(self._now())

    def _answer(self, request: Request) -> Reply:
        in_header, in_query = basic(request), _in_query(request)
        if self._rate_limit is not None:
            key = (in_header or in_query or Credentials("", "")).api_key
            if (wait := self._rate_limit.wait(key, self._now())) > 0:
                return self._limited(self._rate_limit.per_second, wait)
        if "authorization" in request.headers and in_query is not None:
            return problems.multiple_auth_methods()
        match request.path.strip("/").split("/"):
            case ["account", call]:
                caller = self._authenticated(in_header or in_query)
                if caller is None:
                    return problems.legacy(401, "authentication failed")
                return self._rest_call(call, request, caller)
            case ["accounts", api_key, "secrets", *rest] if len(rest) <= 1:
                account = self._managed(self._authenticated(in_header), api_key)
                return self._secrets_call(rest, request, account)
            case ["accounts", api_key, "subaccounts", *rest] if len(rest) <= 1:
                caller = self._authenticated(in_header)
                return self._subaccounts_call(rest, request, caller, api_key)
            case ["beta", "audit", "events"]:
                return self._audit_call(request, self._authenticated(in_header))
            case _:
                return problems.unexplained(404)

    def _refusal(self, request: Request, status: int) -> Reply:
        if request.path.startswith("/account/"):
            label = "authentication failed" if status == 401 else problems.phrase(status).lower()  # noqa: PLR2004
            return problems.legacy(status, label)
        if request.path.startswith("/beta/audit/"):
            return audit.refusal(status, "")
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
        given = basic(request)
        return given.api_key if given else ""

    def _limited(self, per_second: float, wait: float) -> Reply:
        seconds = math.ceil(wait)
        headers = {
            "Retry-After": str(seconds),
            "X-RateLimit-Limit": f"{per_second:g}",
            "X-RateLimit-Remaining": "0",
            "X-RateLimit-Reset": str(self._now() // NANOSECONDS + seconds),
        }
        return problems.rate_limited().with_headers(headers)

    def _authenticated(self, given: Credentials | None) -> Account | None:
        account = self._accounts.get(given.api_key) if given else None
        if account is None or given is None:
            return None
        works = account.authenticates(given.secret, self._moment(), self._spread)
        return account if works else None

    def _managed(self, caller: Account | None, api_key: str) -> Account:
        """Return the account of the path: the caller's own, or one of its subaccounts."""
        if caller is None:
            raise Refused(problems.unauthorized())
        account = self._accounts.get(api_key)
        if account is None or caller.api_key not in (account.api_key, account.parent):
            raise Refused(problems.invalid_api_key(api_key))
        return account

    def _secrets_call(self, rest: list[str], request: Request, account: Account) -> Reply:
        secret = next((each for each in account.live() if [each.id] == rest), None)
        if rest and secret is None:
            return problems.invalid_id(rest[0])
        match request.method, secret:
            case "GET", None:
                return Reply.json(200, _listed(account))
            case "POST", None:
                return self._create(request, account)
            case "GET", SimSecret():
                return Reply.json(200, _secret_body(account, secret))
            case "DELETE", SimSecret():
                return self._delete(account, secret)
            case _:
                return problems.unexplained(405)

    def _create(self, request: Request, account: Account) -> Reply:
        try:
            document = request.document()
        except ValueError:
            return problems.invalid_json()
        value = document.get("secret") if isinstance(document, dict) else None
        if not isinstance(value, str) or not account.accepts(value):
            return problems.validation()
        now = self._moment()
        try:
            secret = account.add(value, now, now + self._spread)
        except SlotsFull:
            return problems.add_excess_secret(self._full_status)
        account.record(secret, audit.PROGRAM)
        return Reply.json(201, _secret_body(account, secret))

    def _delete(self, account: Account, secret: SimSecret) -> Reply:
        if len(account.live()) == 1:
            return problems.delete_last_secret()
        account.record(account.revoke(secret.id, self._moment()), audit.PROGRAM)
        return Reply(status=204)

    def _subaccounts_call(
        self, rest: list[str], request: Request, caller: Account | None, api_key: str
    ) -> Reply:
        if caller is None:
            return problems.unauthorized("Invalid credentials supplied")
        if caller.api_key != api_key:
            return problems.invalid_api_key(api_key)
        if caller.parent is not None:
            return problems.unprovisioned(api_key)
        if request.method != "GET":
            return problems.unexplained(405)
        children = [each for each in self._accounts.values() if each.parent == api_key]
        if not rest:
            return Reply.json(200, _family(caller, children))
        found = [each for each in children if [each.api_key] == rest]
        if not found:
            return problems.invalid_api_key(rest[0])
        return Reply.json(200, _subaccount_body(found[0]))

    def _audit_call(self, request: Request, account: Account | None) -> Reply:
        if account is None:
            return audit.unauthorized()
        if account.api_key in self.not_audited:
            return audit.refusal(403, "The account is not provisioned to access the Audit API")
        if request.method != "GET":
            return audit.refusal(405, "Only GET is simulated")
        names_secrets = self.audit_names_secrets
        return audit.page(
            account.api_key, account.events, request.query, names_secrets=names_secrets
        )

    def _rest_call(self, call: str, request: Request, account: Account) -> Reply:
        match request.method, call:
            case "GET", "get-balance":
                document = {"value": account.balance, "autoReload": self.auto_reload}
                return Reply.json(200, document)
            case "POST", "top-up" if not self.auto_reload:
                return problems.legacy(401, "not auto-reload enabled")
            case "POST", "top-up":
                account.balance = round(account.balance + TOP_UP, 2)
                return problems.legacy(200, "success")
            case "POST", "settings":
                return self._save_settings(request, account)
            case _, "get-balance" | "top-up" | "settings":
                return problems.legacy(405, "method not allowed")
            case _:
                return problems.legacy(404, "not found")

    def _save_settings(self, request: Request, account: Account) -> Reply:
        form = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
        for name in _URLS:
            if (url := form.get(name)) and not self._callback_ok(url):
                return problems.legacy(420, f"{name} did not answer 200 OK")
        method = form.get("httpForwardMethod")
        if method and method not in _FORWARD_METHODS:
            return problems.legacy(420, "httpForwardMethod is invalid")
        for name, answered in {**_URLS, "httpForwardMethod": "http-forward-method"}.items():
            if form.get(name):
                account.settings[answered] = form[name]
            elif name in form:
                account.settings.pop(answered, None)
        return Reply.json(200, settings_body(account))


def basic(request: Request) -> Credentials | None:
    """Read Basic auth; return None if there is none or it cannot be read."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    api_key, colon, secret = text.partition(":")
    return Credentials(api_key, secret) if colon else None


def _in_query(request: Request) -> Credentials | None:
    if not request.query.keys() & {"api_key", "api_secret"}:
        return None
    return Credentials(request.query.get("api_key", ""), request.query.get("api_secret", ""))


def settings_body(account: Account) -> dict[str, str | int]:
    """Return an account's settings by the names that Vonage answers with."""
    return {
        **dict.fromkeys(_URLS.values(), ""),
        **account.settings,
        "max-outbound-request": 30,
        "max-inbound-request": 30,
        "max-calls-per-second": 30,
    }


def _listed(account: Account) -> dict[str, Any]:
    return {
        "_links": {"self": {"href": f"/accounts/{account.api_key}/secrets"}},
        "_embedded": {"secrets": [_secret_body(account, secret) for secret in account.live()]},
    }


def _secret_body(account: Account, secret: SimSecret) -> dict[str, Any]:
    return {
        "_links": {"self": {"href": f"/accounts/{account.api_key}/secrets/{secret.id}"}},
        "id": secret.id,
        "created_at": secret.created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _family(primary: Account, subaccounts: list[Account]) -> dict[str, Any]:
    """Return a primary account and its subaccounts, in the shape of the Python SDK's fixture."""
    return {
        "_links": {"self": {"href": f"/accounts/{primary.api_key}/subaccounts"}},
        "total_balance": round(sum(each.balance for each in [primary, *subaccounts]), 2),
        "total_credit_limit": 0.0,
        "_embedded": {
            "primary_account": _account_body(primary),
            "subaccounts": [_subaccount_body(each) for each in subaccounts],
        },
    }


def _subaccount_body(account: Account) -> dict[str, Any]:
    return {
        **_account_body(account),
        "primary_account_api_key": account.parent,
        "use_primary_account_balance": False,
    }


def _account_body(account: Account) -> dict[str, Any]:
    # Here alone Vonage's times have milliseconds.
    milliseconds = account.created_at.microsecond // 1000
    return {
        "api_key": account.api_key,
        "name": account.name,
        "balance": account.balance,
        "credit_limit": 0.0,
        "suspended": account.suspended,
        "created_at": f"{account.created_at:%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z",
    }
