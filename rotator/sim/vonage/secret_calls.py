"""The calls below /accounts/{api_key}/secrets."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rotator.sim.message import Reply, Request
from rotator.sim.vonage import problems
from rotator.sim.vonage.accounts import Account, Noncompliant, SimSecret, SlotsFull


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
            return Reply.json(200, _shown(account, secret))
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
        return Reply.json(201, _shown(account, secret))


def _delete(account: Account, secret: SimSecret, now: datetime) -> Reply:
    if len(account.live()) == 1:
        return problems.delete_last_secret()
    account.revoke(secret.id, now)
    return Reply(status=204)


def _listed(account: Account) -> dict[str, Any]:
    return {
        "_links": {"self": {"href": f"/accounts/{account.api_key}/secrets"}},
        "_embedded": {"secrets": [_shown(account, secret) for secret in account.live()]},
    }


def _shown(account: Account, secret: SimSecret) -> dict[str, Any]:
    return {
        "_links": {"self": {"href": f"/accounts/{account.api_key}/secrets/{secret.id}"}},
        "id": secret.id,
        "created_at": secret.created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
