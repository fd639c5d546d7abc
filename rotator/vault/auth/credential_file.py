"""Credentials in files: read when they are needed, as another may have replaced them."""

from pathlib import Path

from rotator.errors import LoginFailed
from rotator.model import SecretValue


class CredentialFile:
    """A file that holds one credential and nothing else."""

    def __init__(self, path: str, key: str, kind: str) -> None:
        """Name the setting by `key`, and what it holds by `kind`, for messages."""
        self._path = Path(path)
        self._key = f"vault.auth.{key}"
        self._kind = kind
        #: Has what was read last masked in whatever is logged or kept.
        self._guard = SecretValue("")

    def __str__(self) -> str:
        """Name the file."""
        return str(self._path)

    def read(self) -> str:
        """Give the credential without the white space around it.

        Raises:
            LoginFailed: the file cannot be read, or holds no such credential.
        """
        content = self._content().decode("ascii", errors="replace")
        credential = checked(content, self._key, self._kind)
        self._guard = SecretValue(credential)
        return credential

    def read_text(self) -> str:
        """Give a credential that may hold any character, without the line's end.

        Raises:
            LoginFailed: the file cannot be read, is empty or is not UTF-8.
        """
        try:
            text = self._content().decode()
        except UnicodeDecodeError:
            text = ""
        text = text.removesuffix("\n").removesuffix("\r")
        if not text:
            raise LoginFailed(
                f"the {self._kind} in {self._key} is empty or not UTF-8",
                hint=f"write the {self._kind} to {self._path}, alone",
            )
        self._guard = SecretValue(text)
        return text

    def _content(self) -> bytes:
        try:
            return self._path.read_bytes()
        except OSError as error:
            reason = (error.strerror or "no file").lower()
            raise LoginFailed(
                f"the {self._kind} cannot be read from {self._path}: {reason}",
                hint=f"check {self._key} and who may read it",
            ) from None


def checked(content: str, origin: str, kind: str) -> str:
    """Give a token without the white space around it. Never repeated in the error.

    Raises:
        LoginFailed: there is none, or it is none.
    """
    token = content.strip()
    if not token:
        raise LoginFailed(f"the {kind} in {origin} is empty", hint=f"write it to {origin}")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise LoginFailed(f"what {origin} holds is no {kind}", hint=f"write it to {origin}, alone")
    return token
