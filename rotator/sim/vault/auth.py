"""Auth methods that give a token for a credential: AppRole, JWT, Kubernetes, TLS, userpass."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rotator.sim.http import Refused, Reply, Request
from rotator.sim.vault import kv, responses
from rotator.sim.vault.responses import body_of
from rotator.sim.vault.tokens import NotRenewable, Policy, Token, Tokens

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
class TokenTerms:
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
    terms: TokenTerms


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
        return responses.error_reply(status, text)


def _fits(login: Login, body: Mapping[str, object], certificate: bytes | None) -> bool:
    if login.certificate is not None and login.certificate != certificate:
        return False
    return all(body.get(name) == value for name, value in login.proof.items())


class TokenMethod:
    """Answers lookup-self, renew-self and revoke-self."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def answer(self, call: str, request: Request, now: int) -> Reply:
        """Carry out `call`, what follows `auth/token/`.

        Raises:
            Refused: the body does not fit.
        """
        token = self._tokens.find(request.headers, now)
        if token is None:
            return responses.bad_token()
        if not token.may_itself(f"auth/token/{call}"):
            return responses.denied()
        match request.method, call:
            case "GET" | "POST" | "PUT", "lookup-self":
                return responses.ok(token.shown(now))
            case "POST" | "PUT", "renew-self":
                return self._renew(token, request, now)
            case "POST" | "PUT", "revoke-self":
                return self._revoke(token)
            case _:
                return responses.unsupported()

    def _renew(self, token: Token, request: Request, now: int) -> Reply:
        increment = body_of(request).get("increment") or 0
        try:
            token.renew(kv.seconds(increment), now)
        except NotRenewable as error:
            return responses.error_reply(400, str(error))
        except ValueError as error:
            text = f'Field validation failed: error converting input for field "increment": {error}'
            raise Refused(responses.error_reply(400, text)) from error
        return responses.ok(None, more={"auth": token.granted(now)})

    def _revoke(self, token: Token) -> Reply:
        if token.type == "batch":
            return responses.error_reply(400, "batch tokens cannot be revoked")
        self._tokens.revoke(token.id)
        return responses.done()
