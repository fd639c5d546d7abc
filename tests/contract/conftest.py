"""Servers to hold the store to its contract: the simulator, and real ones where there are any."""

import json
import os
import re
import shutil
import socket
import subprocess
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import sleep
from typing import Any

import pytest
import requests

from rotator.model import Account, Note, OnForeign, PendingEntry, Policy, SecretValue
from rotator.sim import VaultSimulator
from rotator.vault import Connection, GivenToken, KvStore, TokenSource, Trust
from tests.contract import access

#: OpenBao takes none that looks like its own, `hvs.…`.
ROOT = "root-of-the-tests"
Document = dict[str, Any]
#: The real servers to test against; without any, the one to be skipped.
COMMANDS = [command for command in ("bao", "vault") if shutil.which(command)] or ["bao"]
POLICY = Policy(
    every=timedelta(days=30),
    cron=None,
    timezone="UTC",
    jitter=timedelta(0),
    grace=timedelta(hours=24),
    max_age=timedelta(days=45),
    length=25,
    on_foreign=OnForeign.REFUSE,
)


class Server(ABC):
    """A Vault with a KV version 2 mount `secret` and a version 1 mount `plain`."""

    url: str

    def __init__(self) -> None:
        self._session = requests.Session()
        self._session.trust_env = False

    def call(self, method: str, path: str, body: Document | None = None) -> Document | None:
        """Call the API as root; give what is in the answer, None where it is 404."""
        headers = {"X-Vault-Token": ROOT}
        answer = self._session.request(
            method, f"{self.url}/v1/{path}", headers=headers, json=body, timeout=10
        )
        if answer.status_code == 404:
            return None
        answer.raise_for_status()
        document: Document = answer.json() if answer.content else {}
        return document.get("data") or document

    def write(self, path: str, fields: Document) -> int:
        """Write as an outsider, without check-and-set; give the version."""
        written = self.call("POST", f"secret/data/{path}", {"data": fields})
        assert written
        return int(written["version"])

    def data(self, path: str, version: int = 0) -> Document | None:
        """Give an entry's data; None where there is none."""
        found = self.call("GET", f"secret/data/{path}?version={version}")
        return found and found["data"]

    def metadata(self, path: str) -> Document | None:
        """Give an entry's metadata; None where there is none."""
        return self.call("GET", f"secret/metadata/{path}")

    def delete(self, path: str) -> None:
        """Soft-delete the newest version."""
        self.call("DELETE", f"secret/data/{path}")

    def destroy(self, path: str, *versions: int) -> None:
        """Destroy versions."""
        self.call("POST", f"secret/destroy/{path}", {"versions": versions})

    def stop(self) -> None:
        """Be of no more use."""
        self._session.close()

    @abstractmethod
    def issue_token(self, policies: Mapping[str, Sequence[str]], **terms: Any) -> str:  # noqa: ANN401  # JSON
        """Issue a token that may do what `policies` say: path patterns to capabilities.

        `terms` are `ttl` in seconds, and `type`.
        """

    @abstractmethod
    def open_way(self, means: access.Means, method: str, terms: access.Terms) -> access.Access:
        """Let rotator in by an auth method that is mounted for this."""

    @abstractmethod
    def wrap_secret_id(self, way_in: access.Access) -> str:
        """Wrap the secret id of an AppRole access; give the wrapping token."""

    @abstractmethod
    def wrap(self, data: Document) -> str:
        """Wrap anything, as anyone can; give the wrapping token."""

    @abstractmethod
    def revoke_token(self, token: str) -> None:
        """Revoke a token."""

    @abstractmethod
    def seal(self) -> None:
        """Seal."""

    @abstractmethod
    def unseal(self) -> None:
        """Unseal, and return when the mounts are ready."""


class Simulated(Server):
    """The simulator."""

    def __init__(self) -> None:
        super().__init__()
        self.vault = VaultSimulator(root_token=ROOT, mounts={"secret": 2, "plain": 1}).start()
        self.url = self.vault.url

    def stop(self) -> None:
        """Close it."""
        super().stop()
        self.vault.close()

    def issue_token(self, policies: Mapping[str, Sequence[str]], **terms: Any) -> str:  # noqa: ANN401  # JSON
        """Issue a token."""
        return self.vault.issue_token(policies=policies, **terms)

    def open_way(self, means: access.Means, method: str, terms: access.Terms) -> access.Access:
        """Let rotator in."""
        return access.of_simulator(self.vault, means, method, terms)

    def wrap_secret_id(self, way_in: access.Access) -> str:
        """Wrap the secret id."""
        path = f"auth/{way_in.way.mount}/role/rotator/secret-id"
        return self.vault.wrap({"secret_id": way_in.content}, path)

    def wrap(self, data: Document) -> str:
        """Wrap anything."""
        return self.vault.wrap(data, "sys/wrapping/wrap")

    def revoke_token(self, token: str) -> None:
        """Revoke a token."""
        self.vault.revoke_token(token)

    def seal(self) -> None:
        """Seal."""
        self.vault.sealed = True

    def unseal(self) -> None:
        """Unseal."""
        self.vault.sealed = False


class Real(Server):
    """A server in dev mode: in memory, on loopback, with one unseal key."""

    def __init__(self, command: str, directory: Path, certificate: Path) -> None:
        super().__init__()
        port, tls_port = _free_ports()
        self.url, self.tls_url = f"http://127.0.0.1:{port}", f"https://127.0.0.1:{tls_port}"
        self._log = directory / "log"
        listener = {
            "address": f"127.0.0.1:{tls_port}",
            "tls_cert_file": str(certificate),
            "tls_key_file": str(certificate.with_suffix(".key")),
        }
        (directory / "tls.json").write_text(json.dumps({"listener": [{"tcp": listener}]}))
        options = [f"-dev-listen-address=127.0.0.1:{port}", f"-dev-root-token-id={ROOT}"]
        options.append("-config=tls.json")
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [command, "server", "-dev", *options],
                # Nothing of the caller's BAO_ or VAULT_ settings, nor of its home.
                env={"HOME": str(directory), "PATH": os.environ["PATH"]},
                cwd=directory,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._wait()
        self.call("POST", "sys/mounts/plain", {"type": "kv", "options": {"version": "1"}})

    def stop(self) -> None:
        """End this one process."""
        super().stop()
        self._process.terminate()
        self._process.wait(10)

    def policy(self, policies: Mapping[str, Sequence[str]]) -> str:
        """Write a policy; give its name."""
        name = f"policy-{uuid.uuid4()}"
        rules = {path: {"capabilities": list(its)} for path, its in policies.items()}
        self.call("POST", f"sys/policies/acl/{name}", {"policy": json.dumps({"path": rules})})
        return name

    def issue_token(self, policies: Mapping[str, Sequence[str]], **terms: Any) -> str:  # noqa: ANN401  # JSON
        """Issue a token with a policy of its own."""
        body = {"policies": [self.policy(policies)], **terms}
        issued = self.call("POST", "auth/token/create", body)
        assert issued
        return str(issued["auth"]["client_token"])

    def open_way(self, means: access.Means, method: str, terms: access.Terms) -> access.Access:
        """Let rotator in."""
        return access.of_real(self, means, method, terms)

    def wrap_secret_id(self, way_in: access.Access) -> str:
        """Wrap a new secret id."""
        return self._wrapped(f"auth/{way_in.way.mount}/role/rotator/secret-id", {})

    def wrap(self, data: Document) -> str:
        """Wrap anything."""
        return self._wrapped("sys/wrapping/wrap", data)

    def _wrapped(self, path: str, body: Document) -> str:
        headers = {"X-Vault-Token": ROOT, "X-Vault-Wrap-TTL": "300"}
        url = f"{self.url}/v1/{path}"
        answer = self._session.post(url, headers=headers, json=body, timeout=10)
        answer.raise_for_status()
        return str(answer.json()["wrap_info"]["token"])

    def revoke_token(self, token: str) -> None:
        """Revoke a token."""
        self.call("POST", "auth/token/revoke", {"token": token})

    def seal(self) -> None:
        """Seal."""
        self.call("POST", "sys/seal")

    def unseal(self) -> None:
        """Unseal with the key that the server printed at its start."""
        key = re.search(r"Unseal Key: (\S+)", self._log.read_text())
        assert key
        self.call("POST", "sys/unseal", {"key": key[1]})
        self._wait()

    def _wait(self) -> None:
        """Wait until the mounts are ready, which is a little later than the server."""
        for _ in range(400):
            if self._process.poll() is not None:
                break
            try:
                self.call("GET", "secret/data/ready")
            except requests.RequestException:
                sleep(0.05)
            else:
                return
        raise RuntimeError(f"the server did not get ready:\n{self._log.read_text()}")


def _free_ports() -> list[int]:
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        return [each.getsockname()[1] for each in (one, two)]


@pytest.fixture(scope="session")
def means(tmp_path_factory: pytest.TempPathFactory) -> Iterator[access.Means]:
    """Give what ways into a server are made of."""
    found = access.Means(tmp_path_factory.mktemp("means"))
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
    tmp_path_factory: pytest.TempPathFactory, means: access.Means
) -> Iterator[Callable[[str], Server]]:
    """Give what starts a real server, once for each command."""
    running: dict[str, Server] = {}

    def start(command: str) -> Server:
        if shutil.which(command) is None:
            pytest.skip("there is neither `bao` nor `vault` on PATH")
        if command not in running:
            folder = tmp_path_factory.mktemp(command)
            running[command] = Real(command, folder, means.server_certificate)
        return running[command]

    yield start
    for server in running.values():
        server.stop()


@pytest.fixture(
    params=["simulator", *(pytest.param(command, marks=pytest.mark.vault) for command in COMMANDS)]
)
def server(
    request: pytest.FixtureRequest, simulated: Simulated, real: Callable[[str], Server]
) -> Server:
    """Give each server in turn."""
    return simulated if request.param == "simulator" else real(request.param)


@pytest.fixture
def vault(simulated: Simulated) -> Iterator[VaultSimulator]:
    """Give the simulator, and put right afterwards what the test made go wrong."""
    simulated.vault.exchanges.clear()
    yield simulated.vault
    simulated.vault.faults.clear()
    simulated.vault.stale_reads = simulated.vault.initialising = 0


@pytest.fixture
def account() -> Account:
    """Give an account that nobody used before."""
    name = f"account-{uuid.uuid4()}"
    return Account(
        name=name,
        api_key="abcd1234",
        vault_path=f"vonage/{name}",
        pending_path=f"rotator/pending/{name}",
        secret_field="api_secret",
        key_field="api_key",
        managed_by="",
        policy=POLICY,
    )


@pytest.fixture
def new() -> SecretValue:
    """Give the value to be pushed."""
    return SecretValue("Zyxwvuts9")


@pytest.fixture
def note(new: SecretValue) -> Note:
    """Give the note to be pushed with it."""
    return Note(
        secret_id="id-1",
        rotation_id="rotation-1",
        rotated_at=datetime(2026, 11, 23, 7, 28, 0, 123456, tzinfo=UTC),
        ledger_head="f" * 64,
        check=Note.check_of(new, secret_id="id-1", rotation_id="rotation-1"),
    )


@pytest.fixture
def pending() -> PendingEntry:
    """Give the entry to be staged."""
    return PendingEntry(rotation_id="rotation-1", listed_ids=frozenset({"id-0", "id-2"}))


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


@pytest.fixture
def store_as(server: Server) -> Callable[..., KvStore]:
    """Give what connects to the server: with a token, and another mount than `secret`."""
    return lambda token=ROOT, mount="secret": connect(server.url, token, mount)


@pytest.fixture
def store(store_as: Callable[..., KvStore]) -> KvStore:
    """Give a store that may do everything."""
    return store_as()


@pytest.fixture
def simulated_store(vault: VaultSimulator) -> KvStore:
    """Give a store on the simulator alone, for what only a simulator does wrong."""
    return connect(vault.url, vault.token)
