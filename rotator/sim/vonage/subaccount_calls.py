"""The calls below /accounts/{api_key}/subaccounts; reading only."""

from typing import Any

from rotator.sim.message import Reply
from rotator.sim.vonage import problems
from rotator.sim.vonage.accounts import Account, Accounts


def listed(accounts: Accounts, primary: Account) -> Reply:
    """List a primary account and its subaccounts, in the shape of the Python SDK's fixture."""
    subaccounts = accounts.subaccounts(primary.api_key)
    document = {
        "_links": {"self": {"href": f"/accounts/{primary.api_key}/subaccounts"}},
        "total_balance": round(sum(each.balance for each in [primary, *subaccounts]), 2),
        "total_credit_limit": 0.0,
        "_embedded": {
            "primary_account": _shared(primary),
            "subaccounts": [_shown(each) for each in subaccounts],
        },
    }
    return Reply.json(200, document)


def one(accounts: Accounts, primary: Account, api_key: str) -> Reply:
    """Show one subaccount of a primary account."""
    account = accounts.get(api_key)
    if account is None or account.parent != primary.api_key:
        return problems.invalid_api_key(api_key)
    return Reply.json(200, _shown(account))


def _shown(account: Account) -> dict[str, Any]:
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
