"""Witnesses outside of the ledger: checkpoints of it, signed, published, and checked.

What is published contains hashes, sizes and times alone.
"""

from rotator.witness.keys import CheckpointSigner, is_signed, key_from, load_signer
from rotator.witness.publisher import Publisher

__all__ = ["CheckpointSigner", "Publisher", "is_signed", "key_from", "load_signer"]
