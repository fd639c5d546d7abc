"""Checkpoints of the ledger, as C2SP writes those of transparency logs.

A checkpoint is a text of four lines: the log's name (its origin), the number of its leaves, the
root of its Merkle tree, and when it was made; then an empty line, and signatures. What a witness is
sent, and what a directory holds, has the proof in front that it extends the one before.

Source: c2sp.org/tlog-checkpoint, c2sp.org/signed-note, c2sp.org/tlog-witness.
"""

import hashlib
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, Self

from rotator.model.merkle import LONGEST_PROOF, WIDTH, MerkleTree
from rotator.model.times import rfc3339

#: A longer text is none of these.
LONGEST = 64 * 1024
#: A name in a signature's line.
NAME = r"[^\s+]+"
#: Ed25519's byte in key ids and verifier keys; the size of its public keys and signatures.
_ED25519 = b"\x01"
_KEY_SIZE, _SIGNATURE_SIZE, _ID_SIZE = 32, 64, 4
_NUMBER = r"0|[1-9][0-9]{0,18}"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What the ledger was at one time."""

    origin: str
    #: Number of entries, of all accounts.
    size: int
    #: Root of the tree of their hashes.
    root: bytes
    at: datetime

    @property
    def text(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{_encoded(self.root)}\ntime {rfc3339(self.at)}\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a signed text.

        Raises:
            ValueError: it is not the text of a ledger's checkpoint; the message says why.
        """
        form = rf"([^\n]+)\n({_NUMBER})\n([^\n]+)\ntime ([^\n]+)\n(?:[^\n]+\n)*"
        found = re.fullmatch(form, text)
        if found is None:
            raise ValueError("it has not the lines of a ledger's checkpoint")
        try:
            written = datetime.fromisoformat(found[4])
            at = written.astimezone(UTC)
        except (ValueError, OverflowError):
            # In UTC, it may be of a year that there is none of.
            raise ValueError("its time is none") from None
        if written.tzinfo is None:
            raise ValueError("its time has no zone")
        return cls(origin=found[1], size=int(found[2]), root=_hash(found[3]), at=at)


@dataclass(frozen=True, kw_only=True)
class VerifierKey:
    """The public half of a key that signs checkpoints, under its name."""

    name: str
    public: bytes

    @property
    def id(self) -> bytes:
        """The bytes that name this key in front of its signatures."""
        hashed = f"{self.name}\n".encode() + _ED25519 + self.public
        return hashlib.sha256(hashed).digest()[:_ID_SIZE]

    def __str__(self) -> str:
        """Return the key as C2SP writes it: NAME+ID+KEY."""
        return f"{self.name}+{self.id.hex()}+{_encoded(_ED25519 + self.public)}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `NAME+ID+KEY`.

        Raises:
            ValueError: it is no such key; the message says why.
        """
        found = re.fullmatch(rf"({NAME})\+([0-9a-f]{{8}})\+(\S+)", text)
        if found is None:
            raise ValueError("it is not of the form NAME+ID+KEY")
        raw = _decoded(found[3])
        if raw[:1] != _ED25519 or len(raw) != 1 + _KEY_SIZE:
            raise ValueError("it is not an Ed25519 key")
        key = cls(name=found[1], public=raw[1:])
        if key.id.hex() != found[2]:
            raise ValueError("its id is that of another key or name: it was cut or mistyped")
        return key

    def sign_line(self, signature: bytes) -> str:
        """Return the line of a note with this key's signature."""
        return f"— {self.name} {_encoded(self.id + signature)}\n"


@dataclass(frozen=True, kw_only=True)
class Note:
    """A signed text."""

    text: str
    #: Names, key ids and signatures.
    signatures: tuple[tuple[str, bytes, bytes], ...]

    @classmethod
    def parse(cls, note: str) -> Self:
        """Parse a signed note.

        Raises:
            ValueError: it is none; the message says why.
        """
        if len(note) > LONGEST:
            raise ValueError("it is longer than a checkpoint is")
        text, between, lines = note.rpartition("\n\n")
        if not between or not lines.endswith("\n"):
            raise ValueError("it is not signed, or was cut off")
        if re.search(r"[\x00-\x09\x0b-\x1f]", note):
            raise ValueError("it has control characters")
        return cls(text=f"{text}\n", signatures=tuple(map(_signature, lines[:-1].split("\n"))))

    def signature_of(self, key: VerifierKey) -> bytes | None:
        """Return the signature that is said to be the key's; None where there is none."""
        for name, key_id, signature in self.signatures:
            if (name, key_id) == (key.name, key.id):
                return signature
        return None


def _signature(line: str) -> tuple[str, bytes, bytes]:
    found = re.fullmatch(rf"— ({NAME}) (\S+)", line)
    raw = _decoded(found[2]) if found else b""
    if found is None or len(raw) <= _ID_SIZE:
        raise ValueError("a line of its signatures is none")
    return found[1], raw[:_ID_SIZE], raw[_ID_SIZE:]


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A signed checkpoint, and the proof that it extends one of `old` entries.

    Its text is the body of C2SP's `add-checkpoint`.
    """

    old: int
    proof: tuple[bytes, ...]
    note: str

    @property
    def text(self) -> str:
        """The whole text."""
        lines = [f"old {self.old}", *map(_encoded, self.proof)]
        return "".join(f"{line}\n" for line in lines) + f"\n{self.note}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a whole text.

        Raises:
            ValueError: it is none; the message says why.
        """
        head, between, note = text.partition("\n\n")
        first, *hashes = head.split("\n")
        found = re.fullmatch(rf"old ({_NUMBER})", first)
        if found is None:
            raise ValueError("it does not begin with `old` and a number")
        if not between:
            raise ValueError("it ends before its checkpoint begins")
        if len(hashes) > LONGEST_PROOF:
            raise ValueError("its proof is longer than any")
        return cls(old=int(found[1]), proof=tuple(map(_hash, hashes)), note=note)


@dataclass(frozen=True, kw_only=True)
class SignedCheckpoint:
    """A checkpoint of the ledger, as the ledger keeps it."""

    #: Counted from 1.
    number: int
    checkpoint: Checkpoint
    note: str


@dataclass(frozen=True, kw_only=True)
class History:
    """The ledger's checkpoints under one name, oldest first, and the tree of its entries."""

    #: The name.
    origin: str
    signed: tuple[SignedCheckpoint, ...]
    #: Of all entries; those that no checkpoint covers yet come last.
    tree: MerkleTree

    @property
    def newest(self) -> SignedCheckpoint | None:
        """The newest checkpoint; None where there is none."""
        return self.signed[-1] if self.signed else None

    @property
    def size(self) -> int:
        """Number of entries that the newest checkpoint covers."""
        return self.newest.checkpoint.size if self.newest else 0

    def submission(self, each: SignedCheckpoint, old: int | None = None) -> Submission:
        """Return a checkpoint with the proof that it extends one of `old` entries.

        By default, with that of the checkpoint before it.
        """
        if old is None:
            before = [one for one in self.signed if one.number < each.number]
            old = before[-1].checkpoint.size if before else 0
        proof = self.tree.proof(old, each.checkpoint.size)
        return Submission(old=old, proof=tuple(proof), note=each.note)

    def has(self, text: str, number: int | None = None) -> bool:
        """Return whether a checkpoint has this text; if `number` is given, the one of that."""
        return any(
            each.checkpoint.text == text
            for each in self.signed
            if number is None or each.number == number
        )


class Target(Protocol):
    """A place where checkpoints are published. It holds no more than one ledger's."""

    @property
    def name(self) -> str:
        """What it is, in words."""

    def compare(self, history: History) -> None:
        """Return if what is published there is the beginning of `history`, or nothing is.

        Raises:
            WitnessConflict: it is not; nothing may be published, nor signed.
            RotatorError: it cannot be reached.
        """

    def publish(self, history: History) -> None:
        """Publish what is not there yet, after a comparison. Idempotent: the same bytes each time.

        Raises:
            WitnessConflict: as `compare`.
            RotatorError: it may not be there.
        """


def _encoded(raw: bytes) -> str:
    return b64encode(raw).decode()


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except ValueError:
        raise ValueError("what should be base64 is not") from None


def _hash(text: str) -> bytes:
    raw = _decoded(text)
    if len(raw) != WIDTH:
        raise ValueError("what should be a hash is not")
    return raw
