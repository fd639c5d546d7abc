"""Vonage's Account API: who may call what, and which call a path is."""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

from rotator.sim.http import Refused, Reply, Request
from rotator.sim.vonage import problems
from rotator.sim.vonage.accounts import Account, Accounts, Noncompliant, SimSecret, SlotsFull


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """An API key and the secret that came with it."""

    api_key: str
    secret: str = field(repr=False)


def basic(request: Request) -> Credentials | None:
    """Read Basic auth; None if there is none or it cannot be read."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    api_key, colon, secret = text.partition(":")
    return Credentials(api_key=api_key, secret=secret) if colon else None


def in_query(request: Request) -> Credentials | None:
    """Read `api_key` and `api_secret` from the query; None if neither is there."""
    if not request.query.keys() & {"api_key", "api_secret"}:
        return None
    query = request.query
    return Credentials(api_key=query.get("api_key", ""), secret=query.get("api_secret", ""))


def only_one_kind(request: Request) -> None:
    """Refuse a request that carries both.

    Raises:
        Refused: it does (`multiple-auth-methods` of the portal's generic errors).
    """
    if "authorization" in request.headers and in_query(request) is not None:
        raise Refused(problems.multiple_auth_methods())


TOP_UP = 10.0

_FORWARD_METHODS = ("GET_QUERY_PARAMS", "POST_QUERY_PARAMS", "POST_JSON")

#: name in the request -> name in the answer
_URLS = {"moCallBackUrl": "mo-callback-url", "drCallBackUrl": "dr-callback-url"}


@dataclass(kw_only=True)
class RestCalls:
    """Answers the calls of one account; the caller has checked who may."""

    auto_reload: bool = False
    #: stands for Vonage's own request to a callback URL, which must answer 200
    callback_ok: Callable[[str], bool]

    def answer(self, call: str, request: Request, account: Account) -> Reply:
        """Answer `call`, the last part of the path."""
        match request.method, call:
            case "GET", "get-balance":
                document = {"value": account.balance, "autoReload": self.auto_reload}
                return Reply.json(200, document)
            case "POST", "top-up":
                return self._top_up(account)
            case "POST", "settings":
                return self._settings(request, account)
            case _, "get-balance" | "top-up" | "settings":
                return problems.legacy(405, "method not allowed")
            case _:
                return problems.legacy(404, "not found")

    def _top_up(self, account: Account) -> Reply:
        if not self.auto_reload:
            return problems.legacy(401, "not auto-reload enabled")
        account.balance = round(account.balance + TOP_UP, 2)
        return problems.legacy(200, "success")

    def _settings(self, request: Request, account: Account) -> Reply:
        form = dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
        for name in _URLS:
            if (url := form.get(name)) and not self.callback_ok(url):
                return problems.legacy(420, f"{name} did not answer 200 OK")
        method = form.get("httpForwardMethod")
        if method and method not in _FORWARD_METHODS:
            return problems.legacy(420, "httpForwardMethod is invalid")
        _save(form, account)
        return Reply.json(200, settings_body(account))


def settings_body(account: Account) -> dict[str, str | int]:
    """Return an account's settings by the names that Vonage answers with."""
    return {
        **dict.fromkeys(_URLS.values(), ""),
        **account.settings,
        "max-outbound-request": 30,
        "max-inbound-request": 30,
        "max-calls-per-second": 30,
    }


def _save(form: dict[str, str], account: Account) -> None:
    for name, answered in {**_URLS, "httpForwardMethod": "http-forward-method"}.items():
        if form.get(name):
            account.settings[answered] = form[name]
        elif name in form:
            account.settings.pop(answered, None)


@dataclass(kw_only=True)
class SecretCalls:
    """List, create, get and delete; the caller has checked who may."""

    propagation: timedelta
    #: of the answer to a third secret: 403 or 400
    full_status: int

    def collection(self, request: Request, account: Account, now: datetime) -> Reply:
        """Answer a call on the list of secrets."""
        if request.method == "GET":
            return Reply.json(200, _listed(account))
        if request.method == "POST":
            return self._create(request, account, now)
        return problems.unexplained(405)

    def one(self, request: Request, account: Account, secret_id: str, now: datetime) -> Reply:
        """Answer a call on one secret."""
        secret = account.find(secret_id)
        if secret is None:
            return problems.invalid_id(secret_id)
        if request.method == "GET":
            return Reply.json(200, _secret_body(account, secret))
        if request.method == "DELETE":
            return _delete(account, secret, now)
        return problems.unexplained(405)

    def _create(self, request: Request, account: Account, now: datetime) -> Reply:
        try:
            document = request.document()
        except ValueError:
            return problems.invalid_json()
        value = document.get("secret") if isinstance(document, dict) else None
        try:
            account.check(value if isinstance(value, str) else "")
            secret = account.add(str(value), now, now + self.propagation)
        except Noncompliant:
            return problems.validation()
        except SlotsFull:
            return problems.add_excess_secret(self.full_status)
        return Reply.json(201, _secret_body(account, secret))


def _delete(account: Account, secret: SimSecret, now: datetime) -> Reply:
    if len(account.live()) == 1:
        return problems.delete_last_secret()
    account.revoke(secret.id, now)
    return Reply(status=204)


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


def listed(accounts: Accounts, primary: Account) -> Reply:
    """List a primary account and its subaccounts, in the shape of the Python SDK's fixture."""
    subaccounts = accounts.subaccounts(primary.api_key)
    document = {
        "_links": {"self": {"href": f"/accounts/{primary.api_key}/subaccounts"}},
        "total_balance": round(sum(each.balance for each in [primary, *subaccounts]), 2),
        "total_credit_limit": 0.0,
        "_embedded": {
            "primary_account": _shared(primary),
            "subaccounts": [_subaccount_body(each) for each in subaccounts],
        },
    }
    return Reply.json(200, document)


def one(accounts: Accounts, primary: Account, api_key: str) -> Reply:
    """Show one subaccount of a primary account."""
    account = accounts.get(api_key)
    if account is None or account.parent != primary.api_key:
        return problems.invalid_api_key(api_key)
    return Reply.json(200, _subaccount_body(account))


def _subaccount_body(account: Account) -> dict[str, Any]:
    return {
        **_shared(account),
        "primary_account_api_key": account.parent,
        "use_primary_account_balance": False,
    }


def _shared(account: Account) -> dict[str, Any]:
    return {
        "api_key": account.api_key,
        "name": account.name,
        "balance": account.balance,
        "credit_limit": 0.0,
        "suspended": account.suspended,
        # Subaccounts are the one place where Vonage's times have milliseconds.
        "created_at": account.created_at.strftime("%Y-%m-%dT%H:%M:%S.")
        + f"{account.created_at.microsecond // 1000:03d}Z",
    }


@dataclass(kw_only=True)
class AccountApi:
    """Both hosts in one: api.nexmo.com below /accounts, rest.nexmo.com below /account."""

    accounts: Accounts
    propagation: timedelta
    secret_calls: SecretCalls
    rest_calls: RestCalls

    def answer(self, request: Request, now: datetime) -> Reply:
        """Carry out one request.

        Raises:
            Refused: its credentials or its account are refused.
        """
        only_one_kind(request)
        match request.path.strip("/").split("/"):
            case ["account", call]:
                return self.rest_calls.answer(call, request, self._rest_caller(request, now))
            case ["accounts", api_key, "secrets"]:
                account = self._managed(request, api_key, now)
                return self.secret_calls.collection(request, account, now)
            case ["accounts", api_key, "secrets", secret_id]:
                account = self._managed(request, api_key, now)
                return self.secret_calls.one(request, account, secret_id, now)
            case ["accounts", api_key, "subaccounts", *rest] if len(rest) <= 1:
                return self._subaccounts(request, api_key, rest, now)
            case _:
                return problems.unexplained(404)

    def _subaccounts(self, request: Request, api_key: str, rest: list[str], now: datetime) -> Reply:
        caller = self._caller(basic(request), now)
        if caller is None:
            return problems.unauthorized("Invalid credentials supplied")
        if caller.api_key != api_key:
            return problems.invalid_api_key(api_key)
        if caller.parent is not None:
            return problems.unprovisioned(api_key)
        if request.method != "GET":
            return problems.unexplained(405)
        if rest:
            return one(self.accounts, caller, rest[0])
        return listed(self.accounts, caller)

    def _managed(self, request: Request, api_key: str, now: datetime) -> Account:
        """Return the account of the path: the caller's own, or one of its subaccounts."""
        caller = self._caller(basic(request), now)
        if caller is None:
            raise Refused(problems.unauthorized())
        account = self.accounts.get(api_key)
        if account is None or caller.api_key not in (account.api_key, account.parent):
            raise Refused(problems.invalid_api_key(api_key))
        return account

    def _rest_caller(self, request: Request, now: datetime) -> Account:
        given = basic(request) or in_query(request)
        caller = self._caller(given, now)
        if caller is None:
            raise Refused(problems.legacy(401, "authentication failed"))
        return caller

    def _caller(self, given: Credentials | None, now: datetime) -> Account | None:
        account = self.accounts.get(given.api_key) if given else None
        if account is None or given is None:
            return None
        works = account.authenticates(given.secret, now, self.propagation)
        return account if works else None
