"""The Merkle tree of RFC 6962: a hash of all leaves, and proofs that a tree extends another.

Source: RFC 6962, section 2.1.
"""

import hashlib
from collections.abc import Iterable, Sequence

#: Bytes of a hash.
WIDTH = 32
#: Hash of the tree without leaves.
EMPTY_ROOT = hashlib.sha256().digest()
#: A consistency proof has no more hashes. Source: C2SP tlog-witness.
LONGEST_PROOF = 63


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of the node above two others."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class MerkleTree:
    """A tree of hashed leaves, and of each tree that its first leaves make.

    Keeps the hash of each complete subtree: 64 bytes for each leaf.
    """

    def __init__(self, leaves: Iterable[bytes]) -> None:
        """Hash the data of the leaves."""
        level = b"".join(map(leaf_hash, leaves))
        #: Hashes of the complete subtrees of 1, 2, 4, … leaves, from left to right.
        self._levels = [level]
        while len(level) >= 2 * WIDTH:
            level = b"".join(
                hashlib.sha256(b"\x01" + level[at : at + 2 * WIDTH]).digest()
                for at in range(0, len(level) - 2 * WIDTH + 1, 2 * WIDTH)
            )
            self._levels.append(level)

    @property
    def size(self) -> int:
        """Number of leaves."""
        return len(self._levels[0]) // WIDTH

    def root(self, size: int) -> bytes:
        """Return the hash of the tree of the first `size` leaves."""
        return self._hash(0, size) if size else EMPTY_ROOT

    def proof(self, old: int, new: int) -> list[bytes]:
        """Return the proof that the tree of `new` leaves extends that of `old` leaves."""
        return self._proof(old, 0, new, is_known=True) if 0 < old < new else []

    def _proof(self, old: int, begin: int, end: int, *, is_known: bool) -> list[bytes]:
        """Return SUBPROOF of the RFC for the leaves from `begin` to `end`.

        `is_known` where the verifier has the hash of the `old` first of these already.
        """
        if old == end - begin:
            return [] if is_known else [self._hash(begin, end)]
        middle = begin + _split(end - begin)
        if old <= middle - begin:
            left = self._proof(old, begin, middle, is_known=is_known)
            return [*left, self._hash(middle, end)]
        right = self._proof(old - (middle - begin), middle, end, is_known=False)
        return [*right, self._hash(begin, middle)]

    def _hash(self, begin: int, end: int) -> bytes:
        count = end - begin
        if count & (count - 1) == 0:
            # The RFC asks for no subtree of 2^n leaves but at a multiple of 2^n.
            level, at = self._levels[count.bit_length() - 1], begin // count * WIDTH
            return level[at : at + WIDTH]
        middle = begin + _split(count)
        return node_hash(self._hash(begin, middle), self._hash(middle, end))


def _split(count: int) -> int:
    """Return the largest power of two that is less than `count`."""
    return 1 << ((count - 1).bit_length() - 1)


def is_extension(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Return whether `proof` shows that the new tree begins with the leaves of the old one."""
    if old_size > new_size:
        return False
    if old_size == new_size:
        return not proof and old_root == new_root
    if old_size == 0:
        return not proof and old_root == EMPTY_ROOT
    hashes = list(proof)
    try:
        found = _rebuilt(old_size, new_size, old_root, hashes)
    except IndexError:
        return False
    return not hashes and found == (old_root, new_root)


def _rebuilt(old: int, new: int, known: bytes | None, hashes: list[bytes]) -> tuple[bytes, bytes]:
    """Return the roots of the old and the new tree by a proof, which is consumed from its end.

    `known` is the root of the old tree where this is the whole of it, else None. Raises IndexError
    where the proof is too short.
    """
    if old == new:
        root = known or hashes.pop()
        return root, root
    middle, last = _split(new), hashes.pop()
    if old <= middle:
        of_old, of_new = _rebuilt(old, middle, known, hashes)
        return of_old, node_hash(of_new, last)
    of_old, of_new = _rebuilt(old - middle, new - middle, None, hashes)
    return node_hash(last, of_old), node_hash(last, of_new)
