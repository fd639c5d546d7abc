"""Vonage's Account API: who may call what, and which call a path is."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from rotator.sim.message import Refused, Reply, Request
from rotator.sim.vonage import credentials, problems, subaccount_calls
from rotator.sim.vonage.accounts import Account, Accounts
from rotator.sim.vonage.credentials import Credentials
from rotator.sim.vonage.rest_calls import RestCalls
from rotator.sim.vonage.secret_calls import SecretCalls


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
        credentials.only_one_kind(request)
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
        caller = self._caller(credentials.basic(request), now)
        if caller is None:
            return problems.unauthorized("Invalid credentials supplied")
        if caller.api_key != api_key:
            return problems.invalid_api_key(api_key)
        if caller.parent is not None:
            return problems.unprovisioned(api_key)
        if request.method != "GET":
            return problems.unexplained(405)
        if rest:
            return subaccount_calls.one(self.accounts, caller, rest[0])
        return subaccount_calls.listed(self.accounts, caller)

    def _managed(self, request: Request, api_key: str, now: datetime) -> Account:
        """Give the account of the path: the caller's own, or one of its subaccounts."""
        caller = self._caller(credentials.basic(request), now)
        if caller is None:
            raise Refused(problems.unauthorized())
        account = self.accounts.get(api_key)
        if account is None or caller.api_key not in (account.api_key, account.parent):
            raise Refused(problems.invalid_api_key(api_key))
        return account

    def _rest_caller(self, request: Request, now: datetime) -> Account:
        given = credentials.basic(request) or credentials.in_query(request)
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
