"""Changes that are made without rotator: in the dashboard, or in Vault by hand."""

from typing import Any

from rotator.model import Account
from rotator.sim import Environment, SimSecret
from tests.support.fixture_options import NAME
from tests.support.invariant_monitor import InvariantMonitor, Snapshot


class ExternalActors:
    """Operators who look at the accounts of a fixture, and change them by hand."""

    world: Environment
    accounts: dict[str, Account]
    monitor: InvariantMonitor

    def make_foreign(self, name: str = NAME, value: str = "MadeByHand1") -> str:
        """Create a secret in the dashboard; return its id."""
        secret_id = self.world.vonage.add_secret(self.accounts[name].api_key, value)
        self.monitor.foreign.add(secret_id)
        return secret_id

    def revoke(self, secret_id: str, name: str = NAME) -> None:
        """Revoke a secret in the dashboard."""
        self.world.vonage.revoke(self.accounts[name].api_key, secret_id)

    def let_end(self, path: str, seconds: int) -> None:
        """Let later versions at `path` be deleted by themselves after `seconds`; 0 for never."""
        mount = self.world.vault._mounts["secret"]
        key = mount.key(path)
        key.delete_version_after = seconds

    def drop_pending(self, name: str = NAME) -> None:
        """Remove the pending entry with all its versions by hand, if there is one."""
        mount = self.world.vault._mounts["secret"]
        mount.keys.pop(self.accounts[name].pending_path, None)

    def spoil_pending(self, name: str = NAME, **fields: Any) -> None:  # noqa: ANN401  # any JSON
        """Write a pending entry by hand."""
        self.world.vault.write(self.accounts[name].pending_path, fields)

    def drop_current(self, name: str = NAME) -> None:
        """Remove the current entry with all its versions by hand."""
        mount = self.world.vault._mounts["secret"]
        del mount.keys[self.accounts[name].vault_path]

    def drop_field(self, field: str, name: str = NAME) -> None:
        """Take a field out of the current entry by hand."""
        fields = self.fields(name)
        fields.pop(field, None)
        self.world.vault.write(self.accounts[name].vault_path, fields)

    def roll_back(self, name: str = NAME) -> None:
        """Put back the version before by hand, as `vault kv rollback` does."""
        path = self.accounts[name].vault_path
        before = self.world.vault.versions(path)[-2]
        self.world.vault.write(path, before.data or {})

    def patch(self, name: str = NAME, **fields: Any) -> None:  # noqa: ANN401  # any JSON
        """Change fields of the current entry by hand."""
        path = self.accounts[name].vault_path
        self.world.vault.write(path, self.fields(name) | fields)

    # -- Observing. -----------------------------------------------------------------------

    def look(self, name: str = NAME) -> Snapshot:
        """Return the account as it is seen from outside."""
        return self.monitor.snapshot(self.accounts[name])

    def fields(self, name: str = NAME) -> dict[str, Any]:
        """Return the fields of the current entry."""
        return dict(self.world.vault.read(self.accounts[name].vault_path) or {})

    def secrets(self, name: str = NAME) -> list[SimSecret]:
        """Return the live secrets, the oldest first."""
        return list(reversed(self.world.vonage.secrets(self.accounts[name].api_key)))

    def history(self, name: str = NAME) -> list[SimSecret]:
        """Return every secret that ever was, the oldest first."""
        return self.world.vonage.history(self.accounts[name].api_key)
