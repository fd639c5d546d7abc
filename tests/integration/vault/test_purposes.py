"""What an error says of the request that failed."""

from collections.abc import Callable, Iterator

import pytest

from rotator.errors import StoreError
from rotator.sim import Fault, VaultSimulator
from rotator.vault import EnvToken, VaultSession
from rotator.vault.kv import KvMount
from rotator.vault.system import SystemApi
from tests.support.observers import CallObserver


@pytest.fixture
def operations() -> list[str]:
    """Names of the operations that were tried."""
    return []


@pytest.fixture
def session(operations: list[str]) -> Iterator[VaultSession]:
    """Yield a session with a Vault that refuses everything."""
    observer = CallObserver(lambda operation, _code, _seconds: operations.append(operation))
    with VaultSimulator(root_token="hvs.SimulatedRoot") as vault:
        refusal = {"errors": ["no"]}
        vault.faults.add(Fault("status", path="", status=400, body=refusal, times=None))
        source = EnvToken(vault.token)
        yield VaultSession(vault.url, token_source=source, timeout=60, observer=observer)


CALLS: dict[str, Callable[[VaultSession], object]] = {
    "looking at the mount secret": lambda session: KvMount(session, "secret").check(
        session.deadline()
    ),
    "reading the configuration of the mount secret": lambda session: KvMount(
        session, "secret"
    ).read_configuration(),
    "reading secret/data/x": lambda session: KvMount(session, "secret").read_newest(
        "read-current", "x"
    ),
    "writing secret/data/x": lambda session: KvMount(session, "secret").write(
        "write-current", "x", {}, 0
    ),
    "destroying versions, secret/destroy/x": lambda session: KvMount(session, "secret").destroy(
        "clear-pending", "x", [1]
    ),
    "asking what rotator's token may do": lambda session: SystemApi(session).capabilities(["x"]),
    "looking up rotator's own token": lambda session: session.look_up_token(),
}


@pytest.mark.parametrize("purpose", CALLS)
def test_an_error_names_what_was_tried_in_words(
    session: VaultSession, operations: list[str], purpose: str
) -> None:
    """Not by the operation's name in metrics, nor by a path that no operator knows."""
    with pytest.raises(StoreError) as caught:
        CALLS[purpose](session)

    assert caught.value.message.endswith(f": {purpose}")
    assert operations
    assert not [operation for operation in operations if operation in caught.value.message]
    assert "sys/" not in caught.value.message
