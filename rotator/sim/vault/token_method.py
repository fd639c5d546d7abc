"""The calls below /v1/auth/token: a token's business with itself."""

from rotator.sim.message import Refused, Reply, Request
from rotator.sim.vault import duration, responses
from rotator.sim.vault.body import body_of
from rotator.sim.vault.tokens import NotRenewable, Token, Tokens


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
            token.renew(duration.seconds(increment), now)
        except NotRenewable as error:
            return responses.error(400, str(error))
        except ValueError as error:
            text = f'Field validation failed: error converting input for field "increment": {error}'
            raise Refused(responses.error(400, text)) from error
        return responses.ok(None, more={"auth": token.granted(now)})

    def _revoke(self, token: Token) -> Reply:
        if token.type == "batch":
            return responses.error(400, "batch tokens cannot be revoked")
        self._tokens.revoke(token.id)
        return responses.done()
