"""Vault's HTTP API: which call a path is, and whether the token may make it."""

from dataclasses import dataclass, field

from rotator.sim.http import Reply, Request
from rotator.sim.vault import responses, system
from rotator.sim.vault.auth import LoginMethod, TokenMethod
from rotator.sim.vault.kv import Mounts, Standby
from rotator.sim.vault.kv_api import VersionedCalls
from rotator.sim.vault.system import PREFIX as WRAPPING
from rotator.sim.vault.system import Wrappings
from rotator.sim.vault.tokens import Token, Tokens

#: What a mount answers while it is new, unsealed or has just failed over (OpenBao's kv/upgrade.go);
#: it passes by itself.
INITIALISING = (
    "Upgrading from non-versioned to versioned data. This backend will be unavailable for a "
    "brief period and will resume service shortly."
)

_OPERATIONS = {"GET": "read", "POST": "write", "PUT": "write", "DELETE": "delete"}


@dataclass(kw_only=True)
class VaultApi:
    """Answers every request below /v1/."""

    mounts: Mounts
    tokens: Tokens
    standby: Standby = field(default_factory=Standby)
    wrappings: Wrappings = field(default_factory=Wrappings)
    #: auth methods by their mount, besides `token`; each decides which calls need a token
    methods: dict[str, LoginMethod] = field(default_factory=dict)
    #: the one namespace there is; empty: the header is ignored
    namespace: str = ""
    sealed: bool = False
    #: so many of the next calls on a mount meet `INITIALISING`
    initialising: int = 0

    def __post_init__(self) -> None:
        self._token_method = TokenMethod(self.tokens)
        self._calls = {
            name: VersionedCalls(mount, self.standby) for name, mount in self.mounts.items()
        }

    def answer(self, request: Request, now: int) -> Reply:
        """Carry out one request.

        Raises:
            Refused: its body does not fit.
        """
        prefix, _, path = request.path.lstrip("/").partition("/")
        if prefix != "v1":
            return responses.error_reply(404)
        if path == "sys/health":
            if request.headers.get("x-vault-namespace"):
                return responses.error_reply(400, "operation unavailable in namespaces")
            return system.health(request, sealed=self.sealed, now=now)
        if not self._is_namespace(request):
            return responses.no_namespace()
        if self.sealed:
            return responses.error_reply(503, "Vault is sealed")
        return self._unsealed(path, request, now)

    def _unsealed(self, path: str, request: Request, now: int) -> Reply:
        if path.startswith("auth/token/"):
            return self._token_method.answer(path.removeprefix("auth/token/"), request, now)
        for name, method in self.methods.items():
            if path.startswith(f"auth/{name}/"):
                return method.answer(path.removeprefix(f"auth/{name}/"), request, now)
        if path.startswith(WRAPPING):
            return self.wrappings.answer(path.removeprefix(WRAPPING), request, now)
        token = self.tokens.find(request.headers, now)
        if token is None:
            return responses.bad_token()
        if path == "sys/capabilities-self":
            if not token.may_itself(path):
                return responses.denied()
            return system.capabilities_self(request, token)
        if path.startswith(system.UI_MOUNTS):
            return system.ui_mount(request, path, self.mounts, token)
        return self._on_mount(path, request, token, now)

    def _on_mount(self, path: str, request: Request, token: Token, now: int) -> Reply:
        operation = _OPERATIONS.get(request.method)
        if operation is None:
            return responses.unsupported()
        if operation == "write" and path.endswith("/"):
            return responses.error_reply(400, "cannot write to a path ending in '/'")
        name = self.mounts.of(path)
        # The ACL is checked first, so an ordinary token cannot tell what is mounted.
        if not token.allows(self._capability(operation, path, name), path):
            return responses.denied()
        if name is None:
            return responses.no_handler(path)
        if self.initialising > 0:
            self.initialising -= 1
            return responses.error_reply(400, INITIALISING)
        return self._calls[name].answer(operation, _within(path, name), request, now)

    def _capability(self, operation: str, path: str, name: str | None) -> str:
        if operation != "write":
            return operation
        exists = name is not None and self._calls[name].exists(_within(path, name))
        return "update" if exists else "create"

    def _is_namespace(self, request: Request) -> bool:
        given = request.headers.get("x-vault-namespace", "").strip("/")
        return not self.namespace or given == self.namespace.strip("/")


def _within(path: str, mount: str) -> str:
    return path.removeprefix(mount).removeprefix("/")
