"""Rotations through three Raft nodes whose leader is killed, paused, deposed and sealed.

A daemon, which is killed and started anew itself, rotates some accounts over and over, commands
beside it rotate others. What consumers read is looked at from outside after each trouble, as the
accounts are at Vonage.
"""

import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests

from rotator.ledger.database import open_database
from rotator.ledger.reader import LedgerReader
from rotator.sim import VonageSimulator
from tests.acceptance.service import until
from tests.support import figures
from tests.support.commands import Command, CommandSpec
from tests.support.raft import Cluster, Node
from tests.support.restless_config import APPROLE, configuration, key_of, path_of
from tests.support.vault_commands import vault_commands

pytestmark = [
    pytest.mark.slow,
    pytest.mark.crash,
    pytest.mark.vault,
    pytest.mark.skipif("bao" not in vault_commands(), reason="no `bao` for this machine"),
]

#: Rotated by commands, for each trouble anew.
ACCOUNTS = ["account-a", "account-b"]
#: Rotated by the daemon, a few seconds after each other.
RESTLESS = [f"restless-{letter}" for letter in "abcd"]
#: Adopted, and rotated right after it.
ADOPTED = ["adopted-a", "adopted-b"]
#: An account with a secret that rotator did not make, in its second slot.
CROWDED = "crowded"
ALL = [*ACCOUNTS, *RESTLESS, CROWDED]
KILLS = 25
ROTATIONS = 100
#: How many of these are the daemon's, at least.
SHARE = 40
#: One in so many troubles kills the daemon, too.
FRAIL = 3
#: What Vault's troubles are called; none of them is for an operator to decide.
AWAY = {"vault-unavailable", "vault-not-ready", "vault-sealed", "vault-conflict", "vault-token"}
AWAY |= {"vault-version-missing", "busy"}
FIRST, STRANGERS = "FirstSecret1", "StrangersSecret1"
#: Seconds that a command may take, with the patience that it has for Vault.
PATIENCE = 110.0
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
        names = [*ALL, *ADOPTED]
        text = configuration(
            vonage=self.vonage.url,
            vault=self.cluster.url,
            login=APPROLE,
            ledger=f"sqlite:///{self.folder}/ledger.db",
            accounts=[(name, "3s" if name in RESTLESS else "30d", "0s") for name in names],
        )
        for name in names:
            self.vonage.add_account(key_of(name), FIRST)
        for name in ALL:
            entry = {"data": {"api_key": key_of(name), "api_secret": FIRST, "note": "kept"}}
            self.cluster.call("POST", f"secret/data/{path_of(name)}", entry)
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
        login = {**role_id["data"], "secret_id": secret_id["data"]["secret_id"]}
        until(lambda: all(self.takes(login, node) for node in self.cluster.nodes), seconds=PATIENCE)

    def takes(self, login: dict[str, str], node: Node) -> bool:
        """Whether a node knows the role and its secret id yet."""
        try:
            self.cluster.call("POST", "auth/approle/login", login, node=node)
        except requests.RequestException:
            return False
        return True

    def start(self, *arguments: str, stdin: Path = Path(os.devnull)) -> "Started":
        """Start a command."""
        self.commands += 1
        out, err = (self.folder / f"{self.commands}.{end}" for end in ("out", "err"))
        config = str(self.folder / "config.toml")
        order = CommandSpec(
            arguments=("--config", config, *arguments), stdout=out, stderr=err, stdin=stdin
        )
        return Started(Command(order), out, err)

    def check(self) -> None:
        """See that consumers read what works, and that nobody's secret is gone."""
        leader = self.cluster.leader
        for name in ALL:
            self.check_value(name, leader)
            assert 1 <= len(self.vonage.secrets(key_of(name))) <= 2
        assert self.foreign_id in {each.id for each in self.vonage.secrets(key_of(CROWDED))}

    def check_value(self, name: str, leader: Node) -> None:
        """See that what consumers read works, also while it is being replaced.

        What did not work and is read once more did not work when it was to be read.
        """
        path, key, dead = path_of(name), key_of(name), ""
        while True:
            entry = self.cluster.data(path, node=leader) or {}
            value = entry.get("api_secret", "")
            assert entry.get("note") == "kept", name
            assert value != dead, name
            if self.vonage.authenticates(key, value):
                return
            dead = value

    def completed(self, names: Iterable[str]) -> int:
        """Count the rotations of accounts that came to their end."""
        database = open_database(f"sqlite:///{self.folder}/ledger.db")
        with database.connect() as connection:
            rows = connection.exec_driver_sql("SELECT account, outcome FROM rotation")
            ended = [account for account, outcome in rows if outcome == "completed"]
        database.dispose()
        return sum(account in set(names) for account in ended)

    def until_restless(self, number: int) -> None:
        """Wait until the daemon has completed so many rotations."""
        until(lambda: self.completed(RESTLESS) >= number, seconds=PATIENCE, pause=0.1)


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


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    """Start a cluster, and a company that uses it."""
    folder = tmp_path_factory.mktemp("raft")
    cluster = Cluster(vault_commands()["bao"], folder / "nodes")
    company = Company(cluster, folder)
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
    """Make the leader step down."""
    company.cluster.call("PUT", "sys/step-down", {})


def seal(company: Company) -> None:
    """Seal the leader, which stays so until it is started anew."""
    leader = company.cluster.leader
    company.cluster.call("PUT", "sys/seal", {}, node=leader)
    leader.kill()


def lag(company: Company) -> None:
    """Make a follower lag by two seconds, and then kill the leader."""
    company.cluster.followers[0].link.delay = 2.0
    kill(company)


TROUBLES: list[Callable[[Company], None]] = [pause, depose, seal, lag]


def test_what_was_just_adopted_is_rotated_at_a_node_that_lags(company: Company) -> None:
    """The ledger knows which state it is in, and the node asks the active one for it."""
    follower = company.cluster.followers[0]
    (company.folder / "first").write_text(FIRST)
    for name in ADOPTED:
        adopting = company.start("adopt", name, stdin=company.folder / "first")
        assert adopting.finished()[0] == 0, adopting.err.read_text()
        follower.link.delay = 2.0
        company.cluster.balance.only = follower.address
        rotating = company.start("rotate-now", name, "--json")
        code, reports = rotating.finished()
        follower.link.delay = 0.0
        company.cluster.balance.only = None

        assert code == 0, (reports, rotating.err.read_text())
        assert [each["outcome"] for each in reports] == ["completed"]
    for name in ADOPTED:
        value = (company.cluster.data(path_of(name)) or {})["api_secret"]
        assert company.vonage.authenticates(key_of(name), value)
        assert len(company.vonage.secrets(key_of(name))) == 1


def test_a_fresh_login_is_good_at_any_node(company: Company) -> None:
    """Each command logs in, each request meets another node, and one of them lags."""
    company.cluster.followers[0].link.delay = 1.0
    started = [company.start("rotate-now", "--dry-run", *ACCOUNTS, "--json") for _ in range(15)]
    ended = [(each.finished()[0], each.err.read_text()) for each in started]
    company.cluster.heal()

    assert [said for code, said in ended if code != 0] == []


@pytest.mark.timeout(600)
def test_no_trouble_of_a_cluster_costs_a_value(company: Company) -> None:
    """A hundred rotations through twenty-five leaders' deaths and what else befalls a cluster."""
    outcomes: list[str] = []
    assert company.start("rotate-now", *ALL, "--json").finished()[0] == 0
    company.foreign_id = company.vonage.add_secret(key_of(CROWDED), STRANGERS)
    troubles = [*TROUBLES, *[kill] * (KILLS - 1)]
    company.chance.shuffle(troubles)
    began = time.monotonic()
    daemon, deaths = company.start("run"), 0
    for number, trouble in enumerate(troubles):
        started = company.start("rotate-now", *ACCOUNTS, CROWDED, "--json")
        time.sleep(company.chance.uniform(0.1, 0.7))
        trouble(company)
        if number % FRAIL == 0:
            daemon.command.kill()
            assert daemon.command.wait(PATIENCE) == -signal.SIGKILL, daemon.err.read_text()
            deaths += 1
            daemon = company.start("run")
        company.cluster.heal()
        code, reports = started.finished()
        company.check()
        told = {each["account"]: each for each in reports}
        problems = {each["error"]["code"] for each in reports if each["error"]}
        outcomes += [told[name]["outcome"] for name in ACCOUNTS if name in told]

        assert problems - {"foreign-secret"} <= AWAY, (trouble.__name__, reports)
        assert code in (1, 3, 75), (trouble.__name__, code, started.err.read_text())
    company.until_restless(max(SHARE, ROTATIONS - company.completed(ACCOUNTS)))
    daemon.command.send_signal(signal.SIGTERM)
    assert daemon.command.wait(PATIENCE) == 0, daemon.err.read_text()
    assert company.start("resume").finished()[0] in (0, 3)
    last = company.start("rotate-now", *ACCOUNTS, "--json").finished()
    company.check()
    verified = company.start("ledger", "verify", "--rules").finished()
    check_record(company)
    completed = company.completed(ALL)
    figures.keep(
        "three Raft nodes",
        "leaders killed, paused, deposed, sealed; a follower that lags",
        {
            "rotations": completed,
            "by a daemon": company.completed(RESTLESS),
            "daemons killed": deaths,
            "leaders killed": company.kills,
            "passes": len(outcomes),
            "completed by the command that met the trouble": outcomes.count("completed"),
            "seconds": round(time.monotonic() - began),
        },
    )

    assert last[0] == 0
    assert verified[0] == 0
    assert company.kills >= KILLS
    assert completed >= ROTATIONS


def check_record(company: Company) -> None:
    """See that nothing is open or pending, and nothing ended in another way than it should."""
    database = open_database(f"sqlite:///{company.folder}/ledger.db")
    with database.connect() as connection:
        rows = connection.exec_driver_sql("SELECT DISTINCT outcome FROM rotation")
        outcomes = {outcome for (outcome,) in rows}
    records = LedgerReader(database).accounts([*ACCOUNTS, *RESTLESS])
    database.dispose()
    for name in (*ACCOUNTS, *RESTLESS):
        metadata = company.cluster.call("GET", f"secret/metadata/rotator/pending/{name}") or {}
        versions = metadata["data"]["versions"].values()
        assert all(version["destroyed"] for version in versions), name
        assert len(company.vonage.secrets(key_of(name))) == 1, name
    assert all(record.last_rotation for record in records)
    assert outcomes == {"completed"}
