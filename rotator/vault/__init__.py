"""The store in HashiCorp Vault or OpenBao: KV version 2, through hvac."""

from rotator.vault.connection import Connection
from rotator.vault.login import GivenToken, TokenFile, TokenSource, token_source
from rotator.vault.store import KvStore

__all__ = ["Connection", "GivenToken", "KvStore", "TokenFile", "TokenSource", "token_source"]
