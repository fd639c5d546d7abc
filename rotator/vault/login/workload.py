"""Tokens that a platform gives to what runs on it: Kubernetes and other OIDC issuers."""

from rotator.vault.endpoint import Line
from rotator.vault.login.file import CredentialFile
from rotator.vault.login.way import Proof, Way

#: Where Kubernetes puts the token of a pod's service account.
SERVICE_ACCOUNT_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/token"


class Jwt(Way):
    """Logs in with a signed token from a file, which its issuer may replace at any time."""

    method = "jwt"
    cure = "that vault.auth.jwt_file is not expired and fits vault.auth.role"

    def __init__(self, *, jwt_file: str, role: str = "", mount: str = "") -> None:
        """Read nothing yet; without a role Vault takes the method's default one."""
        super().__init__(mount)
        self._jwt = CredentialFile(jwt_file, "jwt_file", "workload token")
        self._role = role

    def proof(self, line: Line) -> Proof:  # noqa: ARG002  # of the base
        """Read the token."""
        body = {"jwt": self._jwt.read()}
        return Proof(body=body | ({"role": self._role} if self._role else {}))


class Kubernetes(Jwt):
    """Logs in as a pod's service account."""

    method = "kubernetes"
    cure = "that vault.auth.role is bound to this service account and namespace"

    def __init__(self, *, role: str, jwt_file: str = "", mount: str = "") -> None:
        """Read nothing yet."""
        super().__init__(jwt_file=jwt_file or SERVICE_ACCOUNT_FILE, role=role, mount=mount)
