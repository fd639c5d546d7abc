"""Logging in: the parts that all auth methods share."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import ClassVar
from urllib.parse import quote

from rotator.errors import LoginFailed, MountUnusable, StoreUnavailable
from rotator.vault.auth.credential_file import CredentialFile
from rotator.vault.auth.token import TokenLifetime, granted
from rotator.vault.client import TimedClient
from rotator.vault.headers import checked_index
from rotator.vault.transport import VaultRequest, VaultResponse

#: Vault's answers to a refused credential, or to a mount that does not exist. Methods differ:
#: AppRole sends 400, Kubernetes 403, and OpenBao 404 for a mount without logins.
_REFUSALS = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
    }
)


@dataclass(frozen=True, kw_only=True)
class LoginRequest:
    """A login request: path and body."""

    #: Path below the auth method's mount, encoded.
    path: str = "login"
    #: Body as JSON. Contains credentials: never shown.
    body: Mapping[str, str] = field(repr=False)


class AuthMethod(ABC):
    """An auth method, mounted at `auth/<mount>`.

    The sources of each login's path, fields and answer are the API pages of Vault's auth
    methods; OpenBao has the same.
    """

    #: The auth method's name, in the configuration and as its default mount.
    method: ClassVar[str]
    #: Hint on what to check when Vault refuses.
    cure: ClassVar[str]
    #: The credential is the TLS client certificate, so that the login needs a connection of its
    #: own.
    by_connection: ClassVar[bool] = False

    def __init__(self, mount: str) -> None:
        """Use the auth method at `mount`; "" for its default mount."""
        self.mount = mount or self.method

    @abstractmethod
    def proof(self, line: TimedClient) -> LoginRequest:
        """Return the proof of rotator's identity, read anew from where it is kept.

        Called by one thread at a time.

        Raises:
            LoginFailed: there is no credential.
            StoreError: it has to be requested from Vault, which does not provide it.
        """

    def log_in(self, line: TimedClient, now: float) -> TokenLifetime:
        """Log in; `now` is in seconds since the epoch.

        Raises:
            LoginFailed: the credential is missing, or Vault refuses it.
            StoreError: Vault did not answer.
        """
        proof = self.proof(line)
        if self.by_connection:
            line.reconnect()
        call = self._call(proof)
        answer = line.ask(call)
        if answer.status in _REFUSALS:
            raise self._refusal(answer, call)
        auth = answer.part("auth", dict)
        if auth and auth.get("mfa_requirement") and not auth.get("client_token"):
            raise LoginFailed(
                f"Vault wants a second factor: {call}",
                hint="log in through an auth method without multi-factor authentication",
            )
        lease = granted(auth or {}, now, checked_index(answer.index))
        if lease is None:
            raise StoreUnavailable(f"Vault does not say what it granted: {call}")
        return lease

    def _call(self, proof: LoginRequest) -> VaultRequest:
        path = f"auth/{self.mount}/{proof.path}"
        return VaultRequest(
            operation="log-in",
            path=path,
            send=lambda client: client.adapter.post(
                f"/v1/{quote(path, safe='/%')}", json=dict(proof.body)
            ),
            # A second login, after a lost answer, leaves one token that expires on its own.
            repeatable=True,
            expected_statuses=_REFUSALS,
        )

    def _refusal(self, answer: VaultResponse, call: VaultRequest) -> LoginFailed | MountUnusable:
        if answer.says("namespace not found"):
            return MountUnusable(f"no such Vault namespace: {call}", hint="check vault.namespace")
        return LoginFailed(
            f"Vault refuses the {self.method} login ({answer.code}): {call}",
            hint=f"check {self.cure}, and vault.auth.mount and vault.namespace;"
            " Vault's audit log says more",
        )


class Certificate(AuthMethod):
    """Logs in with the connection's client certificate."""

    method = "cert"
    cure = "that Vault trusts vault.client_cert_file, which may be expired"
    by_connection = True

    def __init__(self, *, role: str = "", mount: str = "") -> None:
        """Without a role, Vault uses the first one that matches the certificate."""
        super().__init__(mount)
        self._role = role

    def proof(self, line: TimedClient) -> LoginRequest:  # noqa: ARG002  # of the base
        """Return a login body that carries the role, if one is set."""
        return LoginRequest(body={"name": self._role} if self._role else {})


class Userpass(AuthMethod):
    """Logs in with a user name and a password from a file."""

    method = "userpass"
    cure = "vault.auth.username and vault.auth.password_file"

    def __init__(self, *, username: str, password_file: str, mount: str = "") -> None:
        """Store the settings; nothing is read yet."""
        super().__init__(mount)
        self._username = username
        self._password = CredentialFile(password_file, "password_file", "password")

    def proof(self, line: TimedClient) -> LoginRequest:  # noqa: ARG002  # of the base
        """Read the password."""
        path = f"login/{quote(self._username, safe='')}"
        return LoginRequest(path=path, body={"password": self._password.read_text()})


#: Where Kubernetes mounts the token of a pod's service account.
SERVICE_ACCOUNT_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/token"


class Jwt(AuthMethod):
    """Logs in with a signed token from a file, which its issuer may replace at any time."""

    method = "jwt"
    cure = "that vault.auth.jwt_file is not expired and fits vault.auth.role"

    def __init__(self, *, jwt_file: str, role: str = "", mount: str = "") -> None:
        """Store the settings; without a role, Vault uses the method's default one."""
        super().__init__(mount)
        self._jwt = CredentialFile(jwt_file, "jwt_file", "workload token")
        self._role = role

    def proof(self, line: TimedClient) -> LoginRequest:  # noqa: ARG002  # of the base
        """Read the token."""
        body = {"jwt": self._jwt.read()}
        return LoginRequest(body=body | ({"role": self._role} if self._role else {}))


class Kubernetes(Jwt):
    """Logs in as a pod's service account."""

    method = "kubernetes"
    cure = "that vault.auth.role is bound to this service account and namespace"

    def __init__(self, *, role: str, jwt_file: str = "", mount: str = "") -> None:
        """Store the settings; nothing is read yet."""
        super().__init__(jwt_file=jwt_file or SERVICE_ACCOUNT_FILE, role=role, mount=mount)
