"""Vonage's Account API: balance, top-up, settings, secrets and subaccounts; its Audit API."""

from rotator.vonage.accounts import Accounts, AccountSettings, Balance
from rotator.vonage.audit import Audit
from rotator.vonage.client import VonageClient
from rotator.vonage.request import RestAuth
from rotator.vonage.secrets import Secrets
from rotator.vonage.subaccounts import PrimaryAccount, Subaccount, SubaccountList, Subaccounts

__all__ = [
    "AccountSettings",
    "Accounts",
    "Audit",
    "Balance",
    "PrimaryAccount",
    "RestAuth",
    "Secrets",
    "Subaccount",
    "SubaccountList",
    "Subaccounts",
    "VonageClient",
]
