"""Vonage's Account API: balance, top-up, settings, secrets and subaccounts, over HTTP."""

from rotator.vonage.accounts import Accounts, Balance, Settings
from rotator.vonage.client import Transport
from rotator.vonage.request import RestAuth
from rotator.vonage.secrets import Secrets
from rotator.vonage.subaccounts import PrimaryAccount, Subaccount, SubaccountList, Subaccounts

__all__ = [
    "Accounts",
    "Balance",
    "PrimaryAccount",
    "RestAuth",
    "Secrets",
    "Settings",
    "Subaccount",
    "SubaccountList",
    "Subaccounts",
    "Transport",
]
