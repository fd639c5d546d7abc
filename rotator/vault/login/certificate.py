"""TLS certificates: the connection itself says who rotator is."""

from rotator.vault.endpoint import Line
from rotator.vault.login.way import Proof, Way


class Certificate(Way):
    """Logs in with the client certificate of the connection."""

    method = "cert"
    cure = "that Vault trusts vault.client_cert_file, which may be expired"
    by_connection = True

    def __init__(self, *, role: str = "", mount: str = "") -> None:
        """Without a role, Vault takes the first one that the certificate fits."""
        super().__init__(mount)
        self._role = role

    def proof(self, line: Line) -> Proof:  # noqa: ARG002  # of the base
        """Name the role."""
        return Proof(body={"name": self._role} if self._role else {})
