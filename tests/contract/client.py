"""rotator's side: connections and stores whose pauses take no time."""

from rotator.vault import EnvToken, KvStore, LoginToken, TokenSource, Trust, VaultSession
from tests.contract.access import Access
from tests.support.clock import FakeTimer
from tests.support.observers import CallObserver


def link(url: str, source: TokenSource, trust: Trust | None = None) -> VaultSession:
    """Return a connection that waits ten seconds that pass at once."""
    time = FakeTimer()
    return VaultSession(
        url, token_source=source, timeout=10, trust=trust, sleep=time.sleep, clock=time
    )


def connect(url: str, token: str, mount: str = "secret") -> KvStore:
    """Return a store on such a connection."""
    return KvStore(link(url, EnvToken(token)), mount)


class Client:
    """A connection by one way, its store, and what it asked of Vault."""

    def __init__(self, access: Access) -> None:
        #: What a token's life is counted by.
        self.clock = FakeTimer(1_000_000_000.0)
        self.source = LoginToken(access.way, clock=self.clock)
        self.calls: list[str] = []
        self.connection = link(access.url, self.source, access.trust)
        self.connection._pool._observer = CallObserver(
            lambda operation, code, _: self.calls.append(f"{operation} {code}")
        )
        self.store = KvStore(self.connection, "secret")

    @property
    def token(self) -> str:
        """The token that it has."""
        assert self.source.lifetime
        return self.source.lifetime.token

    def advance(self, seconds: float) -> None:
        """Let time pass for it, though not for the server."""
        self.clock.now += seconds

    def count(self, call: str) -> int:
        """How often it made a call."""
        return self.calls.count(call)
