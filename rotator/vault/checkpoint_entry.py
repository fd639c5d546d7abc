"""The entry in Vault with the newest checkpoint of the ledger."""

from rotator.errors import UnexpectedEntry
from rotator.vault.kv import KvMount
from rotator.vault.session import VaultSession

#: The entry's only fields: whose it is, and the checkpoint.
_OWNER, _CHECKPOINT = "origin", "checkpoint"


class CheckpointEntry:
    """An entry of a KV version 2 mount for checkpoints alone."""

    def __init__(self, session: VaultSession, mount: str, path: str) -> None:
        """Use the entry at `path` in the mount named `mount`."""
        self._kv = KvMount(session, mount)
        self._path = path

    @property
    def shown(self) -> str:
        """The entry's path as operators and the vault command write it."""
        return self._kv.shown(self._path)

    def read(self) -> tuple[str | None, int]:
        """Read the newest checkpoint, None where the entry is empty, and its version.

        Raises:
            UnexpectedEntry: the entry holds something else.
            StoreError: it cannot be read.
        """
        found = self._kv.read_newest("read-checkpoint", self._path)
        if found.fields is None:
            return None, found.number
        text = found.fields.get(_CHECKPOINT)
        if found.fields.keys() != {_OWNER, _CHECKPOINT} or not isinstance(text, str):
            raise UnexpectedEntry(
                f"the entry at {self.shown} is not one of checkpoints, and is left as it is",
                hint="set ledger.witness.vault_path to a path that nothing else uses",
            )
        return text, found.number

    def write(self, origin: str, text: str, version: int) -> None:
        """Write a checkpoint over `version`.

        Raises:
            CheckAndSetLost: that is not the newest version.
            StoreError: any other failure; unless that is `definite`, it may have been written.
        """
        fields = {_OWNER: origin, _CHECKPOINT: text}
        self._kv.write("write-checkpoint", self._path, fields, version)
