"""The store in HashiCorp Vault or OpenBao: KV version 2, through hvac."""

from rotator.network import Trust
from rotator.vault.connection import Connection
from rotator.vault.login.approle import AppRole
from rotator.vault.login.certificate import Certificate
from rotator.vault.login.held import GivenToken, TokenFile
from rotator.vault.login.lease import Standing
from rotator.vault.login.logged_in import LoggedIn
from rotator.vault.login.source import TokenSource
from rotator.vault.login.userpass import Userpass
from rotator.vault.login.way import Way
from rotator.vault.login.workload import Jwt, Kubernetes
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
