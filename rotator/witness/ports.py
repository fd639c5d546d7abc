"""The ledger as a publisher of its checkpoints needs it."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from rotator.model.checkpoint import Checkpoint, History, SignedCheckpoint


class WitnessedEntries(Protocol):
    """The checkpoints of the ledger, and its entries as they are now."""

    @property
    def signed(self) -> tuple[SignedCheckpoint, ...]:
        """Every checkpoint, oldest first."""

    @property
    def broken(self) -> str | None:
        """An account whose newest entries cannot be taken in; None for none."""

    def history(self, origin: str) -> History:
        """Return the checkpoints under one name."""

    def changed(self) -> Checkpoint | None:
        """Return the first checkpoint that the entries do not have any more; None for none."""


Known = TypeVar("Known", bound=WitnessedEntries)


class CheckpointLog(Protocol[Known]):
    """Where checkpoints are recorded."""

    def read(self) -> Known:
        """Return all checkpoints, and the entries as they are now.

        Raises:
            WitnessConflict: somebody changed the checkpoints.
            LedgerError: it cannot be read.
        """

    def add(self, known: Known, *, origin: str, at: datetime, sign: Callable[[str], str]) -> bool:
        """Sign and record the next checkpoint, durably; return false if another process did.

        Raises:
            LedgerError: it may not be recorded.
        """

    def take_up(self, known: Known, notes: Sequence[str]) -> bool:
        """Record notes that continue the checkpoints; return false if none does.

        Up to the first that is not of the first entries, or that is recorded already.

        Raises:
            LedgerError: they may not be recorded.
        """
