"""The store in HashiCorp Vault or OpenBao: KV version 2, through hvac."""

from rotator.network import Trust
from rotator.vault.auth.approle import AppRole
from rotator.vault.auth.login_token import LoginToken
from rotator.vault.auth.methods import AuthMethod, Certificate, Jwt, Kubernetes, Userpass
from rotator.vault.auth.static_token import EnvToken, FileToken
from rotator.vault.auth.token import TokenInfo, TokenSource
from rotator.vault.session import VaultSession
from rotator.vault.store import KvStore

__all__ = [
    "AppRole",
    "AuthMethod",
    "Certificate",
    "EnvToken",
    "FileToken",
    "Jwt",
    "Kubernetes",
    "KvStore",
    "LoginToken",
    "TokenInfo",
    "TokenSource",
    "Trust",
    "Userpass",
    "VaultSession",
]
