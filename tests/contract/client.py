"""rotator's side: connections and stores whose pauses take no time."""

from rotator.vault import Connection, GivenToken, KvStore, TokenSource, Trust


class FakeTime:
    """A clock that only moves when someone sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        """Give the seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Move on at once."""
        self.now += seconds


def link(url: str, source: TokenSource, trust: Trust | None = None) -> Connection:
    """Give a connection that waits ten seconds that pass at once."""
    time = FakeTime()
    return Connection(
        url, token_source=source, timeout=10, trust=trust, sleep=time.sleep, clock=time.clock
    )


def connect(url: str, token: str, mount: str = "secret") -> KvStore:
    """Give a store on such a connection."""
    return KvStore(link(url, GivenToken(token)), mount)
