"""Credentials in files: read when they are needed, since they may have been replaced."""

from pathlib import Path

from rotator.errors import LoginFailed
from rotator.model import SecretValue
from rotator.model.redaction import is_plain


class CredentialFile:
    """A file that contains one credential and nothing else."""

    def __init__(self, path: str, key: str, kind: str) -> None:
        """Take the setting's `key` and the `kind` of its content, for messages."""
        self._path = Path(path)
        self._key = f"vault.auth.{key}"
        self._kind = kind
        #: Keeps the last credential alive, so that it is masked in logs and records.
        self._guard = SecretValue("")

    def __str__(self) -> str:
        """Return the file's path."""
        return str(self._path)

    def read(self) -> str:
        """Read the credential, without the white space around it.

        Raises:
            LoginFailed: the file cannot be read, or does not contain a valid credential.
        """
        content = self._content().decode("ascii", errors="replace")
        credential = checked(content, self._key, self._kind)
        self._guard = SecretValue(credential)
        return credential

    def read_text(self) -> str:
        """Read a credential that may hold any character, without its line end.

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
    """Return a token without the white space around it. The error never repeats it.

    Raises:
        LoginFailed: it is missing or invalid.
    """
    token = content.strip()
    if not token:
        raise LoginFailed(f"the {kind} in {origin} is empty", hint=f"write it to {origin}")
    if not is_plain(token):
        raise LoginFailed(f"what {origin} holds is no {kind}", hint=f"write it to {origin}, alone")
    return token
