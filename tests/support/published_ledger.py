"""A ledger whose checkpoints are published, and what is there afterwards."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from rotator.errors import CheckAndSetLost, RotatorError
from rotator.ledger.checkpoints import Checkpoints
from rotator.ledger.writer import LedgerWriter
from rotator.model.checkpoint import Checkpoint, History, Note, SignedCheckpoint, Submission, Target
from rotator.rotation.ports import NewEntry
from rotator.witness import CheckpointSigner, Publisher, load_signer
from rotator.witness.directory import Directory
from tests.support.ledgers import open_ledger

#: When entries are recorded and checkpoints taken, unless it is some days later.
NOW = datetime(2026, 11, 30, 10, 6, tzinfo=UTC)


def write_key(path: Path, seed: bytes = bytes(range(32))) -> Path:
    """Write the key that signs checkpoints to a file; return its path."""
    private = Ed25519PrivateKey.from_private_bytes(seed)
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


class PublishedLedger:
    """A ledger in a file, with a publisher of its checkpoints."""

    def __init__(self, file: Path, key: Path) -> None:
        self.file = file
        self.engine = open_ledger(f"sqlite:///{file}")
        self.checkpoints = Checkpoints(self.engine)
        self.key = key

    def write(self, name: str = "a", count: int = 1, days: int = 0) -> None:
        """Record some entries; the same at the same time are the same."""
        writer, now = LedgerWriter(self.engine, lease_seconds=60), NOW + timedelta(days=days)
        lease = writer.claim(name, now)
        entries = [NewEntry(event="done", step=None, detail={"n": each}) for each in range(count)]
        writer.commit(lease, rotation=None, entries=entries, snapshot=None, now=now)
        writer.release(lease)

    def signer(self, origin: str = "") -> CheckpointSigner:
        """Return the key under the log's name."""
        return load_signer(self.key, origin or self.checkpoints.default_origin())

    def publish(
        self, *targets: Target, days: int = 0, is_due: bool = True, origin: str = ""
    ) -> SignedCheckpoint | None:
        """Bring the places up to date."""
        signer = self.signer(origin)
        folders = [each for each in targets if isinstance(each, Directory)]
        publisher = Publisher(
            self.checkpoints,
            targets,
            origin=signer.verifier.name,
            sign=signer.note,
            archive=folders[0].notes_after if folders else lambda _: iter(()),
        )
        after = self.count if is_due else None
        return publisher.publish(NOW + timedelta(days=days), after=after)

    def history(self) -> History:
        """Return what it has."""
        return self.checkpoints.read().history(self.signer().verifier.name)

    @property
    def count(self) -> int:
        """Number of checkpoints that were signed."""
        return len(self.checkpoints.read().signed)

    def close(self) -> None:
        """Close the database."""
        self.engine.dispose()


#: Opens a file as a ledger with the same key.
Opened = Callable[[Path], PublishedLedger]


class Store:
    """An entry whose store does what a test wants."""

    shown = "secret/rotator/witness"

    def __init__(self) -> None:
        self.text: str | None = None
        self.version = 0
        #: Called before each write.
        self.first: Any = None
        #: Raised by the next read.
        self.failure: RotatorError | None = None

    def read(self) -> tuple[str | None, int]:
        """Read what is there."""
        if self.failure:
            raise self.failure
        return self.text, self.version

    def write(self, origin: str, text: str, version: int) -> None:
        """Write with check-and-set."""
        del origin
        if self.first:
            self.first()
        if version != self.version:
            raise CheckAndSetLost
        self.text, self.version = text, self.version + 1


def files(folder: Path) -> list[str]:
    """Return the names in a directory, hidden ones included."""
    return sorted(each.name for each in folder.iterdir())


def sizes(folder: Path) -> list[tuple[int, int]]:
    """Return the old and the new size of each checkpoint in a directory."""
    found = [Submission.parse((folder / name).read_text()) for name in files(folder)]
    return [(each.old, Checkpoint.parse(Note.parse(each.note).text).size) for each in found]
