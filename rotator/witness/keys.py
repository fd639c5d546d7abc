"""Ed25519: the key that signs checkpoints, and the verification of its signatures."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from rotator.errors import ConfigError, reason_of
from rotator.model.checkpoint import LONGEST, Note, VerifierKey

_HOW_TO_MAKE_A_KEY = "make one: `(umask 077; openssl genpkey -algorithm ed25519 -out KEY.pem)`"
_HOW_TO_NAME_A_KEY = "`rotator ledger witness key` prints it on the ledger's side: NAME+ID+KEY"


@dataclass(frozen=True, kw_only=True)
class CheckpointSigner:
    """Signs checkpoints."""

    verifier: VerifierKey
    _private: Ed25519PrivateKey = field(repr=False)

    def note(self, text: str) -> str:
        """Return the signed note of a text; the same for the same text."""
        signature = self._private.sign(text.encode())
        return f"{text}\n{self.verifier.sign_line(signature)}"


def load_signer(path: Path, name: str) -> CheckpointSigner:
    """Load the private key in a PEM file; its signatures bear `name`.

    Raises:
        ConfigError: the file cannot be read, or holds no such key.
    """
    where = f"ledger.witness.key_file: {str(path)!r}"
    try:
        private = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise ConfigError(
            f"{where} cannot be read: {reason_of(error)}", hint=_HOW_TO_MAKE_A_KEY
        ) from None
    except (TypeError, ValueError, UnsupportedAlgorithm):
        # Not quoted: it may hold the key.
        raise ConfigError(
            f"{where} is not an unencrypted private key in PEM", hint=_HOW_TO_MAKE_A_KEY
        ) from None
    if not isinstance(private, Ed25519PrivateKey):
        raise ConfigError(f"{where} is not an Ed25519 key", hint=_HOW_TO_MAKE_A_KEY)
    public = private.public_key().public_bytes_raw()
    return CheckpointSigner(verifier=VerifierKey(name=name, public=public), _private=private)


def is_signed(note: Note, key: VerifierKey) -> bool:
    """Return whether a note is signed with `key`; a signature that is not the key's is none."""
    signature = note.signature_of(key)
    if signature is None:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, note.text.encode())
    except (InvalidSignature, ValueError):
        return False
    return True


def key_from(text: str) -> VerifierKey:
    """Return the verifier key that is given itself, or as the only line of a file of that name.

    Raises:
        ConfigError: it is none.
    """
    written, where = text.strip(), "--key"
    if not re.fullmatch(r"\S+\+[0-9a-f]{8}\+\S+", written):
        where = f"--key: the file {text!r}"
        try:
            with Path(text).open(encoding="utf-8") as file:
                written = file.read(LONGEST).strip()
        except OSError as error:
            reason = f"cannot be read: {reason_of(error)}"
            raise ConfigError(f"{where} {reason}", hint=_HOW_TO_NAME_A_KEY) from None
        except UnicodeDecodeError:
            written = ""
    try:
        return VerifierKey.parse(written)
    except ValueError as error:
        raise ConfigError(f"{where} is no verifier key: {error}", hint=_HOW_TO_NAME_A_KEY) from None
