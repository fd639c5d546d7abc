"""Calls of Vault, for tests of how any call is made."""

from rotator.vault.transport import VaultRequest

READ = VaultRequest(
    operation="read-current",
    path="secret/data/x",
    purpose="reading secret/data/x",
    send=lambda client: client.secrets.kv.v2.read_secret_version(
        "x", mount_point="secret", raise_on_deleted_version=False
    ),
    repeatable=True,
)
WRITE = VaultRequest(
    operation="write-current",
    path="secret/data/x",
    purpose="writing secret/data/x",
    send=lambda client: client.secrets.kv.v2.create_or_update_secret(
        "x", {"value": "Abcdefgh1"}, mount_point="secret"
    ),
    repeatable=False,
)
