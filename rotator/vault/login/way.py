"""Logging in: what every way has in common."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import ClassVar
from urllib.parse import quote

from rotator.errors import LoginFailed, MountUnusable, StoreUnavailable
from rotator.vault.call import Call
from rotator.vault.endpoint import Line
from rotator.vault.headers import checked_index
from rotator.vault.login.lease import Lease, granted
from rotator.vault.transport import Answer

#: What Vault says to a credential that it does not take, or to a mount that it does not have.
#: Methods differ: AppRole says 400, Kubernetes 403, and OpenBao 404 to a mount without logins.
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
class Proof:
    """What is shown to Vault at a login."""

    #: Below the auth method's mount, quoted.
    path: str = "login"
    #: As JSON. Holds credentials: never shown.
    body: Mapping[str, str] = field(repr=False)


class Way(ABC):
    """A way to log in, through an auth method that is mounted at `auth/<mount>`.

    The sources of each login's path, fields and answer are the API pages of Vault's auth
    methods; OpenBao has the same.
    """

    #: The auth method's name, in the configuration and as its default mount.
    method: ClassVar[str]
    #: What to look at when Vault refuses.
    cure: ClassVar[str]
    #: The login is what TLS says, so that it needs a connection of its own.
    by_connection: ClassVar[bool] = False

    def __init__(self, mount: str) -> None:
        """Use the auth method at `mount`; "" for where it is by default."""
        self.mount = mount or self.method

    @abstractmethod
    def proof(self, line: Line) -> Proof:
        """Give what proves who rotator is, read anew from where it is kept.

        Called by one thread at a time.

        Raises:
            LoginFailed: there is none.
            StoreError: Vault has to be asked for it, and does not give it.
        """

    def log_in(self, line: Line, now: float) -> Lease:
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

    def _call(self, proof: Proof) -> Call:
        path = f"auth/{self.mount}/{proof.path}"
        return Call(
            operation="log-in",
            path=path,
            send=lambda client: client.adapter.post(
                f"/v1/{quote(path, safe='/%')}", json=dict(proof.body)
            ),
            # Twice in, for an answer that was lost, leaves a token that ends by itself.
            repeatable=True,
            welcome=_REFUSALS,
        )

    def _refusal(self, answer: Answer, call: Call) -> LoginFailed | MountUnusable:
        if answer.says("namespace not found"):
            return MountUnusable(f"no such Vault namespace: {call}", hint="check vault.namespace")
        return LoginFailed(
            f"Vault refuses the {self.method} login ({answer.code}): {call}",
            hint=f"check {self.cure}, and vault.auth.mount and vault.namespace;"
            " Vault's audit log says more",
        )
