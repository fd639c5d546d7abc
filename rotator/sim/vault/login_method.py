"""Auth methods that give a token for a credential: AppRole, JWT, Kubernetes, TLS, userpass."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rotator.sim.message import Reply, Request
from rotator.sim.vault import responses
from rotator.sim.vault.body import body_of
from rotator.sim.vault.policy import Policy
from rotator.sim.vault.tokens import Token, Tokens

#: What each method says to a credential that it does not take, with its status (OpenBao's
#: builtin/credential and its jwt and kubernetes plugins; a real Vault names more reasons).
REFUSALS: Mapping[str, tuple[int, str]] = {
    "approle": (400, "invalid role or secret ID"),
    "jwt": (400, "error validating token: error verifying token signature"),
    "kubernetes": (403, "permission denied"),
    "cert": (400, "invalid certificate or no client certificate supplied"),
    "userpass": (400, "invalid username or password"),
}


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a token is issued with. Spans are seconds."""

    policy: Policy
    ttl: float | None
    max_ttl: float | None
    renewable: bool
    kind: str
    #: requests that it is good for; 0 for any number
    num_uses: int = 0

    def issued(self, tokens: Tokens, now: int, path: str = "auth/token/create") -> Token:
        """Issue a token, as the call `path` does."""
        token = tokens.issue(
            self.policy,
            now,
            ttl=self.ttl,
            max_ttl=self.max_ttl,
            renewable=self.renewable,
            kind=self.kind,
            path=path,
        )
        token.num_uses = self.num_uses
        return token


@dataclass(frozen=True, kw_only=True)
class Login:
    """One credential that is taken, and the token it gives."""

    #: below the mount: `login`, or `login/<user>`
    path: str
    #: fields that the body must have
    proof: Mapping[str, str] = field(repr=False)
    #: the client's certificate in DER; None where none is asked for
    certificate: bytes | None = field(default=None, repr=False)
    terms: Terms


@dataclass(kw_only=True)
class LoginMethod:
    """One mounted auth method and the credentials that it takes."""

    kind: str
    mount: str
    tokens: Tokens
    logins: list[Login] = field(default_factory=list)

    def answer(self, call: str, request: Request, now: int) -> Reply:
        """Carry out `call`, what follows the mount; a login needs no token.

        Raises:
            Refused: the body does not fit.
        """
        if request.method not in ("POST", "PUT") or not call.startswith("login"):
            return responses.bad_token()
        body = body_of(request)
        for login in self.logins:
            if login.path == call and _fits(login, body, request.certificate):
                token = login.terms.issued(self.tokens, now, f"auth/{self.mount}/{call}")
                return responses.ok(None, more={"auth": token.granted(now)})
        status, text = REFUSALS[self.kind]
        return responses.error(status, text)


def _fits(login: Login, body: Mapping[str, object], certificate: bytes | None) -> bool:
    if login.certificate is not None and login.certificate != certificate:
        return False
    return all(body.get(name) == value for name, value in login.proof.items())
