"""Where the Vault token comes from.

Each way to get one is a class here that is a `TokenSource`. One that has to ask Vault for it
does so through a `Connection` of its own that sends no token, with hvac's `use_token=False`:
the adapter gives answers, which hvac itself cannot take a token from.
"""

import threading
from pathlib import Path
from typing import Protocol

from rotator.errors import StoreForbidden


class TokenSource(Protocol):
    """Gives the token for each request. Shared by all threads."""

    def token(self) -> str:
        """Give the token to send; "" for none.

        Raises:
            StoreForbidden: there should be one, and there is none.
        """
        ...

    def after_denial(self, denied: str) -> str:
        """Give the token to try instead of `denied`; the same where there is no other.

        Raises:
            StoreForbidden: there should be one, and there is none.
        """
        ...


class GivenToken:
    """A token that was handed in and stays: from VAULT_TOKEN, or "" for none."""

    def __init__(self, token: str) -> None:
        """Check that `token` can be sent."""
        self._token = _checked(token, "VAULT_TOKEN") if token.strip() else ""

    def token(self) -> str:
        """Give it."""
        return self._token

    def after_denial(self, denied: str) -> str:  # noqa: ARG002  # of the protocol
        """Give the same: there is no other."""
        return self._token


class TokenFile:
    """A token that someone else, such as Vault Agent, keeps fresh in a file."""

    def __init__(self, path: str) -> None:
        """Read nothing yet: the file may come into being later."""
        self._path = Path(path)
        self._lock = threading.Lock()
        self._token = ""
        #: What the file was when it was read.
        self._seen: tuple[int, int, int] | None = None

    def token(self) -> str:
        """Give the token, reading it again if the file is another than last time."""
        with self._lock:
            try:
                if self._state() != self._seen:
                    self._read()
            except OSError as error:
                raise self._unreadable(error) from None
            return self._token

    def after_denial(self, denied: str) -> str:  # noqa: ARG002  # of the protocol
        """Read the file again, whatever it looks like: a clock may hide its change."""
        with self._lock:
            self._seen = None
        return self.token()

    def _state(self) -> tuple[int, int, int]:
        found = self._path.stat()
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _read(self) -> None:
        # Taken before the content, so that a change in between is seen next time.
        seen = self._state()
        content = self._path.read_bytes().decode("ascii", errors="replace")
        self._token = _checked(content, "vault.auth.token_file")
        self._seen = seen

    def _unreadable(self, error: OSError) -> StoreForbidden:
        return StoreForbidden(
            f"the Vault token cannot be read from {self._path}: {error.strerror or 'no file'}",
            hint="check vault.auth.token_file and who may read it",
        )


def token_source(token_file: str, given: str) -> TokenSource:
    """Take the token from `token_file`, or where that is "", `given`."""
    return TokenFile(token_file) if token_file else GivenToken(given)


def _checked(content: str, origin: str) -> str:
    """Give the token without the white space around it. Never repeated in the error."""
    token = content.strip()
    if not token:
        raise StoreForbidden(
            f"the Vault token in {origin} is empty", hint=f"write a token to {origin}"
        )
    if not token.isascii() or not token.isprintable() or " " in token:
        raise StoreForbidden(
            f"what {origin} holds is not a Vault token", hint=f"write a token to {origin}, alone"
        )
    return token
