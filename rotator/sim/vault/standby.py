"""A standby that answers reads from what it has replicated so far."""

from dataclasses import dataclass

from rotator.sim.vault.kv import Key


@dataclass
class Standby:
    """Makes reads stale, as Vault's performance standbys and OpenBao >= 2.5 may be."""

    #: so many of the next reads do not know a key's newest version yet
    stale_reads: int = 0

    def newest(self, key: Key) -> int:
        """Give the newest version that this read knows of, 0 for none; counts the read."""
        if self.stale_reads <= 0:
            return key.current
        self.stale_reads -= 1
        return key.current - 1
