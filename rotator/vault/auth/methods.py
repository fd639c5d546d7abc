"""Auth methods: what all share, the files that hold their credentials, and the simple ones."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

from rotator.errors import LoginFailed, StoreError, StoreUnavailable
from rotator.model import SecretValue
from rotator.model.redaction import is_plain
from rotator.vault.auth.token import TokenLifetime, granted
from rotator.vault.client import VaultClient
from rotator.vault.errors import no_namespace
from rotator.vault.response import VaultResponse, checked_index
from rotator.vault.transport import VaultRequest


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
    hint: ClassVar[str]
    #: The credential is the TLS client certificate, so that the login needs a connection of its
    #: own.
    by_client_certificate: ClassVar[bool] = False

    def __init__(self, mount: str) -> None:
        """Use the auth method at `mount`; "" for its default mount."""
        self.mount = mount or self.method

    @abstractmethod
    def login_request(self, client: VaultClient) -> LoginRequest:
        """Return the login request, with the credential read anew from where it is kept.

        Called by one thread at a time.

        Raises:
            LoginFailed: there is no credential.
            StoreError: it has to be requested from Vault, which does not provide it.
        """

    def log_in(self, client: VaultClient, now: float) -> TokenLifetime:
        """Log in; `now` is in seconds since the epoch.

        Raises:
            LoginFailed: the credential is missing, or Vault refuses it.
            StoreError: Vault did not answer.
        """
        login = self.login_request(client)
        if self.by_client_certificate:
            client.reconnect()
        request = self._request(login)
        response = client.ask(request)
        if response.status in _REFUSALS:
            raise self._refusal(response, request)
        auth = response.part("auth")
        lifetime = granted(auth, now, checked_index(response.index))
        if lifetime is not None:
            return lifetime
        if isinstance(auth, dict) and auth.get("mfa_requirement"):
            raise LoginFailed(
                f"Vault wants a second factor: {request}",
                hint="log in through an auth method without multi-factor authentication",
            )
        raise StoreUnavailable(f"Vault does not say what it granted: {request}")

    def _request(self, login: LoginRequest) -> VaultRequest:
        path = f"auth/{self.mount}/{login.path}"
        return VaultRequest(
            operation="log-in",
            path=path,
            purpose=f"logging in at {path}",
            send=lambda client: client.adapter.post(
                f"/v1/{quote(path, safe='/%')}", json=dict(login.body)
            ),
            # A second login, after a lost answer, leaves one token that expires on its own.
            repeatable=True,
            expected_statuses=_REFUSALS,
        )

    def _refusal(self, response: VaultResponse, request: VaultRequest) -> StoreError:
        if response.says("namespace not found"):
            return no_namespace(str(request))
        return LoginFailed(
            f"Vault refuses the {self.method} login ({response.code}): {request}",
            hint=f"check {self.hint}, and vault.auth.mount and vault.namespace;"
            " Vault's audit log says more",
        )


class Certificate(AuthMethod):
    """Logs in with the connection's client certificate."""

    method = "cert"
    hint = "that Vault trusts vault.client_cert_file, which may be expired"
    by_client_certificate = True

    def __init__(self, *, role: str = "", mount: str = "") -> None:
        """Without a role, Vault uses the first one that matches the certificate."""
        super().__init__(mount)
        self._role = role

    def login_request(self, client: VaultClient) -> LoginRequest:  # noqa: ARG002  # of the base
        """Return a login body that carries the role, if one is set."""
        return LoginRequest(body={"name": self._role} if self._role else {})


class Userpass(AuthMethod):
    """Logs in with a user name and a password from a file."""

    method = "userpass"
    hint = "vault.auth.username and vault.auth.password_file"

    def __init__(self, *, username: str, password_file: str, mount: str = "") -> None:
        """Store the settings; nothing is read yet."""
        super().__init__(mount)
        self._username = username
        self._password = CredentialFile(password_file, "password_file", "password")

    def login_request(self, client: VaultClient) -> LoginRequest:  # noqa: ARG002  # of the base
        """Read the password."""
        path = f"login/{quote(self._username, safe='')}"
        return LoginRequest(path=path, body={"password": self._password.read_text()})


#: Where Kubernetes mounts the token of a pod's service account.
SERVICE_ACCOUNT_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/token"


class Jwt(AuthMethod):
    """Logs in with a signed token from a file, which its issuer may replace at any time."""

    method = "jwt"
    hint = "that vault.auth.jwt_file is not expired and fits vault.auth.role"

    def __init__(self, *, jwt_file: str, role: str = "", mount: str = "") -> None:
        """Store the settings; without a role, Vault uses the method's default one."""
        super().__init__(mount)
        self._jwt = CredentialFile(jwt_file, "jwt_file", "workload token")
        self._role = role

    def login_request(self, client: VaultClient) -> LoginRequest:  # noqa: ARG002  # of the base
        """Read the token."""
        body = {"jwt": self._jwt.read()}
        return LoginRequest(body=body | ({"role": self._role} if self._role else {}))


class Kubernetes(Jwt):
    """Logs in as a pod's service account."""

    method = "kubernetes"
    hint = "that vault.auth.role is bound to this service account and namespace"

    def __init__(self, *, role: str, jwt_file: str = "", mount: str = "") -> None:
        """Store the settings; nothing is read yet."""
        super().__init__(jwt_file=jwt_file or SERVICE_ACCOUNT_FILE, role=role, mount=mount)
