"""User name and password."""

from urllib.parse import quote

from rotator.vault.endpoint import Line
from rotator.vault.login.file import CredentialFile
from rotator.vault.login.way import Proof, Way


class Userpass(Way):
    """Logs in with a user name and a password from a file."""

    method = "userpass"
    cure = "vault.auth.username and vault.auth.password_file"

    def __init__(self, *, username: str, password_file: str, mount: str = "") -> None:
        """Read nothing yet."""
        super().__init__(mount)
        self._username = username
        self._password = CredentialFile(password_file, "password_file", "password")

    def proof(self, line: Line) -> Proof:  # noqa: ARG002  # of the base
        """Read the password."""
        path = f"login/{quote(self._username, safe='')}"
        return Proof(path=path, body={"password": self._password.read_text()})
