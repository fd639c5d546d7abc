import subprocess
from base64 import b64decode
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from rotator.errors import ConfigError
from rotator.model.checkpoint import Note, VerifierKey
from rotator.witness import is_signed, key_from, load_signer

#: Key, text and note of Go's golang.org/x/mod/sumdb/note.
VERIFIER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PRIVATE = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
NOTE = (
    f"{TEXT}\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqf"
    "qdngotpRZb6KE6RyyBwJnAM=\n"
)
#: Likewise of C2SP's signed-note.
C2SP_VERIFIER = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
C2SP_NOTE = (
    "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONn"
    "cAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """Return the file of Go's private key."""
    private = Ed25519PrivateKey.from_private_bytes(b64decode(PRIVATE)[1:])
    path = tmp_path / "key.pem"
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def test_a_note_is_the_one_that_go_signs(key_file: Path) -> None:
    """Byte for byte: the key, its id, and the signature, which is deterministic."""
    signer = load_signer(key_file, "PeterNeumann")

    assert str(signer.verifier) == VERIFIER
    assert signer.note(TEXT) == NOTE


@pytest.mark.parametrize(("note", "key"), [(NOTE, VERIFIER), (C2SP_NOTE, C2SP_VERIFIER)])
def test_a_note_of_others_verifies(note: str, key: str) -> None:
    """Go's and C2SP's."""
    assert is_signed(Note.parse(note), VerifierKey.parse(key))


def test_a_text_that_was_changed_is_not_signed() -> None:
    """Nor is a text with another's signature, nor one under another's name."""
    key = VerifierKey.parse(VERIFIER)

    assert not is_signed(Note.parse(NOTE.replace("answer", "question")), key)
    assert not is_signed(Note.parse(C2SP_NOTE), key)
    assert not is_signed(Note.parse(NOTE), VerifierKey(name="Other", public=key.public))


def test_openssls_key_is_loaded(tmp_path: Path) -> None:
    """By the command that the documentation has."""
    path = tmp_path / "key.pem"
    made = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(path)]
    subprocess.run(made, check=True, timeout=60)
    signer = load_signer(path, "example.com/log")

    assert is_signed(Note.parse(signer.note("text\n")), signer.verifier)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not an unencrypted private key"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "not an unencrypted"),
        (b"\xff\x00", "not an unencrypted private key"),
    ],
)
def test_what_is_no_key_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    """The content is not repeated, as it may be a key."""
    path = tmp_path / "key.pem"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match=why) as refused:
        load_signer(path, "log")
    assert "openssl genpkey" in (refused.value.hint or "")


@pytest.mark.parametrize("arguments", [["rsa"], ["ed25519", "-aes256", "-pass", "pass:x"]])
def test_a_key_of_another_kind_or_an_encrypted_one_is_refused(
    tmp_path: Path, arguments: list[str]
) -> None:
    """Nobody is there to type a passphrase."""
    path = tmp_path / "key.pem"
    made = ["openssl", "genpkey", "-quiet", "-algorithm", *arguments, "-out", str(path)]
    subprocess.run(made, check=True, timeout=60)

    with pytest.raises(ConfigError, match="not an"):
        load_signer(path, "log")


def test_a_missing_key_is_told_with_its_path(tmp_path: Path) -> None:
    """And with the key of the configuration."""
    with pytest.raises(ConfigError, match=r"key_file: .*nowhere.* no such file"):
        load_signer(tmp_path / "nowhere", "log")


def test_a_verifier_key_is_given_itself_or_in_a_file(tmp_path: Path) -> None:
    """Whichever is at hand."""
    path = tmp_path / "log.vkey"
    path.write_text(f"{VERIFIER}\n")

    assert key_from(VERIFIER) == key_from(str(path))


@pytest.mark.parametrize("content", [b"nothing", b"\xff\xfe"])
def test_a_file_without_a_verifier_key_is_refused(tmp_path: Path, content: bytes) -> None:
    """The hint says where the key comes from."""
    path = tmp_path / "log.vkey"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match="no verifier key") as refused:
        key_from(str(path))
    assert "ledger witness key" in (refused.value.hint or "")


def test_a_missing_file_with_a_verifier_key_is_refused() -> None:
    """What is neither a key nor a file is taken for a file's name."""
    with pytest.raises(ConfigError, match="cannot be read"):
        key_from("/nowhere/log.vkey")
