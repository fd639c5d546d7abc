import os
import threading
from pathlib import Path

import pytest

from rotator.errors import StoreForbidden
from rotator.model.redaction import redact
from rotator.vault import EnvToken, FileToken
from rotator.vault.client import Deadline, VaultClient
from rotator.vault.response import VaultResponse
from rotator.vault.transport import ConnectionPool

#: Nobody answers there.
CLIENT = VaultClient(
    ConnectionPool("http://127.0.0.1:1"), Deadline(1, sleep=lambda _: None), timeout=1
)

#: How a policy denies, and a node that does not know the token.
POLICYS = VaultResponse(
    status=403, body={"errors": ["1 error occurred:\n\t* permission denied\n\n"]}
)
UNKNOWN = VaultResponse(status=403, body={"errors": ["permission denied"]})


def write(path: Path, token: str, at: int) -> None:
    """Write a token file whose modification time is `at` nanoseconds."""
    path.write_text(token)
    os.utime(path, ns=(at, at))


def test_a_given_token_is_stripped_and_stays() -> None:
    """A token from the environment may have a newline, and there is no other after a denial."""
    source = EnvToken(" hvs.given\n")

    assert source.token(CLIENT) == "hvs.given"
    assert source.after_denial("hvs.given", POLICYS, CLIENT) is None


def test_a_token_is_never_shown(tmp_path: Path) -> None:
    """One that was handed in, and the one that a file has now."""
    given, kept = EnvToken("hvs.GivenByHand"), FileToken(str(tmp_path / "token"))
    write(tmp_path / "token", "hvs.FromAFile1", 1)
    first = kept.token(CLIENT)
    write(tmp_path / "token", "hvs.FromAFile2", 2)
    second = kept.token(CLIENT)

    assert first != second
    assert redact(f"{given.token(CLIENT)} {second}") == "*** ***"


def test_no_token_is_none_at_all() -> None:
    """Without a token none is sent: a Vault Agent may add its own."""
    assert EnvToken("").token(CLIENT) == ""
    assert EnvToken(" \n").token(CLIENT) == ""


def test_a_token_file_is_read_when_it_is_needed(tmp_path: Path) -> None:
    """The file may come into being after the source was made."""
    source = FileToken(str(tmp_path / "token"))
    write(tmp_path / "token", "hvs.late", 1)

    assert source.token(CLIENT) == "hvs.late"


def test_a_file_that_seems_unchanged_is_read_again(tmp_path: Path) -> None:
    """Its times and its size may not show that it was written to."""
    path = tmp_path / "token"
    source = FileToken(str(path))
    write(path, "hvs.aaa", 1)
    first = source.token(CLIENT)
    write(path, "hvs.bbb", 1)

    assert (first, source.token(CLIENT)) == ("hvs.aaa", "hvs.bbb")


def test_a_missing_token_file_is_named(tmp_path: Path) -> None:
    """A file that cannot be read is an error that names the file and the setting."""
    with pytest.raises(StoreForbidden) as caught:
        FileToken(str(tmp_path / "token")).token(CLIENT)

    assert str(tmp_path / "token") in caught.value.message
    assert "vault.auth.token_file" in (caught.value.hint or "")


def test_a_token_file_that_goes_away_is_an_error(tmp_path: Path) -> None:
    """A token is not used on after its file is gone."""
    source = FileToken(str(tmp_path / "token"))
    write(tmp_path / "token", "hvs.aaa", 1)
    source.token(CLIENT)
    (tmp_path / "token").unlink()

    with pytest.raises(StoreForbidden):
        source.token(CLIENT)


def test_a_directory_is_no_token_file(tmp_path: Path) -> None:
    """Whatever keeps the file from being read is the same kind of error."""
    with pytest.raises(StoreForbidden):
        FileToken(str(tmp_path)).token(CLIENT)


@pytest.mark.parametrize("content", ["", "\n", "hvs.aaa\nhvs.bbb", "two words", "tokén", "a\x00b"])
def test_what_is_no_token_is_refused_unseen(tmp_path: Path, content: str) -> None:
    """What could not be sent as a header is refused, and not repeated in the error."""
    write(tmp_path / "token", content, 1)
    with pytest.raises(StoreForbidden) as caught:
        FileToken(str(tmp_path / "token")).token(CLIENT)

    assert not content.strip() or content.strip() not in f"{caught.value}{caught.value.hint}"
    assert caught.value.__context__ is None


def test_a_given_token_that_cannot_be_sent_is_refused_unseen() -> None:
    """A VAULT_TOKEN that no header could carry is refused, and not repeated in the error."""
    with pytest.raises(StoreForbidden) as caught:
        EnvToken("sesame\nopen")

    assert "sesame" not in str(caught.value)


def test_threads_share_a_token_file(tmp_path: Path) -> None:
    """Many threads that ask at once all get the token."""
    write(tmp_path / "token", "hvs.aaa", 1)
    source = FileToken(str(tmp_path / "token"))
    got: list[str] = []
    threads = [threading.Thread(target=lambda: got.append(source.token(CLIENT))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert got == ["hvs.aaa"] * 8
