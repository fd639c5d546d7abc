"""The store in HashiCorp Vault or OpenBao: KV version 2, through hvac."""

from rotator.network import Trust
from rotator.vault.auth.approle import AppRole
from rotator.vault.auth.login_token import LoggedIn
from rotator.vault.auth.methods import Certificate, Jwt, Kubernetes, Userpass, Way
from rotator.vault.auth.static_token import GivenToken, TokenFile
from rotator.vault.auth.token import Standing, TokenSource
from rotator.vault.session import Connection
from rotator.vault.store import KvStore

__all__ = [
    "AppRole",
    "Certificate",
    "Connection",
    "GivenToken",
    "Jwt",
    "Kubernetes",
    "KvStore",
    "LoggedIn",
    "Standing",
    "TokenFile",
    "TokenSource",
    "Trust",
    "Userpass",
    "Way",
]
