"""Rotations through three Raft nodes whose leader is killed, paused, deposed and sealed.

What consumers read is looked at from outside after each trouble, as the accounts are at Vonage.
"""

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from rotator.ledger.database import open_database
from rotator.ledger.queries import Queries
from rotator.sim import VonageSimulator
from tests.harness import figures
from tests.harness.commands import Command, Order
from tests.harness.raft import Cluster
from tests.harness.vault_commands import vault_commands

pytestmark = [
    pytest.mark.slow,
    pytest.mark.crash,
    pytest.mark.vault,
    pytest.mark.skipif("bao" not in vault_commands(), reason="no `bao` for this machine"),
]

ACCOUNTS = [f"account-{letter}" for letter in "abcd"]
#: An account with a secret that rotator did not make, in its second slot.
CROWDED = "crowded"
KILLS = 25
#: What Vault's troubles are called; none of them is for an operator to decide.
AWAY = {"vault-unavailable", "vault-not-ready", "vault-sealed", "vault-conflict", "vault-token"}
AWAY |= {"vault-version-missing", "busy"}
FIRST, STRANGERS = "FirstSecret1", "StrangersSecret1"
#: Seconds that a command may take, with the patience that it has for Vault.
PATIENCE = 110.0
CONFIG = """
[vonage]
api_url = "{vonage}"
rest_url = "{vonage}"
max_requests_per_second = 1000

[vault]
address = "{vault}"
timeout = "5s"
patience = "30s"

[vault.auth]
method = "approle"
role_id_file = "role-id"
secret_id_file = "secret-id"

[ledger]
url = "sqlite:///{folder}/ledger.db"

[policy]
grace = "0s"
"""
ACCOUNT = """
[[accounts]]
name = "{name}"
api_key = "{key}"
vault_path = "vonage/{name}"
"""
POLICY = """
path "secret/data/vonage/*" { capabilities = ["read", "create", "update"] }
path "secret/data/rotator/pending/*" { capabilities = ["read", "create", "update"] }
path "secret/destroy/rotator/pending/*" { capabilities = ["update"] }
"""


@dataclass
class Company:
    """Accounts at Vonage whose secrets are in a cluster, and the commands that rotate them."""

    cluster: Cluster
    folder: Path
    vonage: VonageSimulator = field(default_factory=VonageSimulator)
    chance: random.Random = field(default_factory=lambda: random.Random(35))
    kills: int = 0
    commands: int = 0
    foreign_id: str = ""

    def __post_init__(self) -> None:
        """Write the configuration, and what consumers read first."""
        self.vonage.start()
        text = CONFIG.format(vonage=self.vonage.url, vault=self.cluster.url, folder=self.folder)
        for name in (*ACCOUNTS, CROWDED):
            text += ACCOUNT.format(name=name, key=key_of(name))
            self.vonage.add_account(key_of(name), FIRST)
            entry = {"data": {"api_key": key_of(name), "api_secret": FIRST, "note": "kept"}}
            self.cluster.call("POST", f"secret/data/vonage/{name}", entry)
        (self.folder / "config.toml").write_text(text)
        self.cluster.call("POST", "sys/auth/approle", {"type": "approle"})
        self.cluster.call("POST", "sys/policies/acl/rotator", {"policy": POLICY})
        role = {"token_policies": ["rotator"], "token_ttl": "1h"}
        self.cluster.call("POST", "auth/approle/role/rotator", role)
        role_id = self.cluster.call("GET", "auth/approle/role/rotator/role-id") or {}
        secret_id = self.cluster.call("POST", "auth/approle/role/rotator/secret-id", {}) or {}
        for name, content in (
            ("role-id", role_id["data"]["role_id"]),
            ("secret-id", secret_id["data"]["secret_id"]),
        ):
            (self.folder / name).write_text(content)
            (self.folder / name).chmod(0o600)

    def start(self, *arguments: str) -> "Started":
        """Start a command."""
        self.commands += 1
        out, err = (self.folder / f"{self.commands}.{end}" for end in ("out", "err"))
        config = str(self.folder / "config.toml")
        order = Order(arguments=("--config", config, *arguments), stdout=out, stderr=err)
        return Started(Command(order), out, err)

    def check(self) -> None:
        """See that consumers read what works, and that nobody's secret is gone."""
        for name in (*ACCOUNTS, CROWDED):
            entry = self.cluster.data(f"vonage/{name}") or {}
            assert self.vonage.authenticates(key_of(name), entry.get("api_secret", "")), name
            assert entry["note"] == "kept"
            assert 1 <= len(self.vonage.secrets(key_of(name))) <= 2
        assert self.foreign_id in {each.id for each in self.vonage.secrets(key_of(CROWDED))}


@dataclass(frozen=True)
class Started:
    """A command that runs, and where its streams go."""

    command: Command
    out: Path
    err: Path

    def finished(self) -> tuple[int, list[Any]]:
        """Wait for its end; return its exit code and what it reports."""
        code = self.command.wait(PATIENCE)
        text = self.out.read_text()
        return code, json.loads(text) if text.startswith("[") else []


def key_of(name: str) -> str:
    """Return an account's api key."""
    return name.replace("-", "")


@pytest.fixture
def company(tmp_path: Path) -> Iterator[Company]:
    """Start a cluster, and a company that uses it."""
    cluster = Cluster(vault_commands()["bao"], tmp_path / "nodes")
    company = Company(cluster, tmp_path)
    yield company
    company.vonage.close()
    cluster.close()


# -- Troubles; each is over when it returns, or when the cluster is healed. --------------------


def kill(company: Company) -> None:
    """Kill the leader."""
    company.cluster.leader.kill()
    company.kills += 1


def pause(company: Company) -> None:
    """Stop the leader's process for longer than its followers wait for it."""
    leader = company.cluster.leader
    leader.pause()
    threading.Event().wait(3.0)
    leader.go_on()


def depose(company: Company) -> None:
    """Have the leader step down."""
    company.cluster.call("PUT", "sys/step-down", {})


def seal(company: Company) -> None:
    """Seal the leader, which stays so until it is started anew."""
    leader = company.cluster.leader
    company.cluster.call("PUT", "sys/seal", {}, node=leader)
    leader.kill()


def lag(company: Company) -> None:
    """Have a follower lag by two seconds, and then kill the leader."""
    company.cluster.followers[0].link.delay = 2.0
    kill(company)


TROUBLES: list[Callable[[Company], None]] = [pause, depose, seal, lag]


@pytest.mark.timeout(600)
def test_no_trouble_of_a_cluster_costs_a_value(company: Company) -> None:
    """A hundred rotations through twenty-five leaders' deaths and what else befalls a cluster."""
    outcomes: list[str] = []
    assert company.start("rotate-now", "--all", "--json").finished()[0] == 0
    company.foreign_id = company.vonage.add_secret(key_of(CROWDED), STRANGERS)
    troubles = [*TROUBLES, *[kill] * (KILLS - 1)]
    company.chance.shuffle(troubles)
    began = time.monotonic()
    for trouble in troubles:
        started = company.start("rotate-now", *ACCOUNTS, CROWDED, "--json")
        time.sleep(company.chance.uniform(0.3, 1.5))
        trouble(company)
        company.cluster.heal()
        code, reports = started.finished()
        company.check()
        told = {each["account"]: each for each in reports}
        problems = {each["error"]["code"] for each in reports if each["error"]}
        outcomes += [told[name]["outcome"] for name in ACCOUNTS if name in told]

        assert problems - {"foreign-secret"} <= AWAY, (trouble.__name__, reports)
        assert code in (1, 3, 75), (trouble.__name__, code, started.err.read_text())
    assert company.start("resume").finished()[0] in (0, 3)
    last = company.start("rotate-now", *ACCOUNTS, "--json").finished()
    company.check()
    verified = company.start("ledger", "verify").finished()
    completed = check_record(company)
    figures.keep(
        "three Raft nodes",
        "leaders killed, paused, deposed, sealed; a follower that lags",
        {
            "rotations": completed,
            "leaders killed": company.kills,
            "passes": len(outcomes),
            "completed by the command that met the trouble": outcomes.count("completed"),
            "seconds": round(time.monotonic() - began),
        },
    )

    assert last[0] == 0
    assert verified[0] == 0
    assert company.kills >= KILLS
    assert completed >= 100


def check_record(company: Company) -> int:
    """See that nothing is open or pending; return how many rotations were completed."""
    database = open_database(f"sqlite:///{company.folder}/ledger.db")
    with database.connect() as connection:
        rows = connection.exec_driver_sql("SELECT account, outcome, closed_at FROM rotation")
        ended = [(account, outcome) for account, outcome, _ in rows]
    records = Queries(database).accounts(ACCOUNTS)
    database.dispose()
    for name in ACCOUNTS:
        metadata = company.cluster.call("GET", f"secret/metadata/rotator/pending/{name}") or {}
        versions = metadata["data"]["versions"].values()
        assert all(version["destroyed"] for version in versions), name
        assert len(company.vonage.secrets(key_of(name))) == 1, name
    assert all(record.last_rotation for record in records)
    assert {outcome for _, outcome in ended} == {"completed"}
    return len(ended)
