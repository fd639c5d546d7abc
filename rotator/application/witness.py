"""The publication of the ledger's checkpoints that the settings describe."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from rotator.config import Settings
from rotator.errors import ConfigError, Stopping
from rotator.model.checkpoint import Checkpoint, SignedCheckpoint, Target
from rotator.model.merkle import EMPTY_ROOT
from rotator.vault.checkpoint_entry import CheckpointEntry
from rotator.witness import CheckpointSigner, Publisher, load_signer
from rotator.witness.directory import Directory
from rotator.witness.entry import Entry
from rotator.witness.service import Service

if TYPE_CHECKING:
    from rotator.application.clients import Clients
    from rotator.application.ledger import LedgerAccess
    from rotator.ledger.checkpoints import WitnessedLedger


class WitnessAccess:
    """The key, the places and the publisher of checkpoints, built on first use."""

    def __init__(
        self,
        settings: Settings,
        *,
        ledger: "LedgerAccess",
        clients: "Callable[[], Clients]",
        should_stop: Callable[[], bool],
    ) -> None:
        """Build from `settings`; Vault's client only where an entry is configured."""
        self._settings = settings.ledger.witness
        self._vault = settings.vault
        self._ledger = ledger
        self._clients = clients
        self._should_stop = should_stop

    @cached_property
    def origin(self) -> str:
        """The name of the ledger's log."""
        return self._settings.name or self._ledger.checkpoints.default_origin()

    @cached_property
    def signer(self) -> CheckpointSigner:
        """The key.

        Raises:
            ConfigError: none is configured, or it cannot be used.
        """
        if self._settings.key_file is None:
            raise ConfigError(
                "no key for checkpoints is configured",
                hint="set key_file in [ledger.witness]; docs/witness.md has all of the set-up",
            )
        return load_signer(self._settings.key_file, self.origin)

    def publish(self, now: datetime, *, after: int | None) -> SignedCheckpoint | None:
        """Bring every place up to date; see `Publisher.publish`."""
        publisher: Publisher[WitnessedLedger] = Publisher(
            self._ledger.checkpoints,
            list(self.targets()),
            origin=self.origin,
            sign=self.signer.note,
            archive=self._archived,
        )
        return publisher.publish(now, after=after)

    def targets(self, *, with_url: bool = True) -> Iterator[Target]:
        """Yield the places that are configured; the address only if it is wanted."""
        settings = self._settings
        if settings.directory:
            yield Directory(settings.directory)
        if settings.vault_path:
            yield Entry(
                CheckpointEntry(self._clients().vault, self._vault.mount, settings.vault_path)
            )
        if settings.url and with_url:
            yield Service(
                settings.url,
                timeout=self._vault.timeout,
                empty=self._empty,
                interrupt=self._interrupt,
            )

    def _archived(self, number: int) -> Iterator[str]:
        """Yield the notes that were published after a number: only the directory has numbers."""
        directory = self._settings.directory
        return Directory(directory).notes_after(number) if directory else iter(())

    def _empty(self) -> SignedCheckpoint:
        """Sign the checkpoint of no entries, which every history extends."""
        nothing = Checkpoint(origin=self.origin, size=0, root=EMPTY_ROOT, at=datetime.now(UTC))
        return SignedCheckpoint(number=0, checkpoint=nothing, note=self.signer.note(nothing.text))

    def _interrupt(self) -> None:
        if self._should_stop():
            raise Stopping
