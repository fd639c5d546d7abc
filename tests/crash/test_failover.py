"""PostgreSQL fails over, a hundred times, in the middle of rotations.

The primary is killed at a request to Vonage or Vault, or at a commit, and the standby promoted,
with and without the last commits. A daemon goes on by itself, commands are started again, and
leaders of Vault die beside them.
"""

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.service import until
from tests.crash.failing_over import (
    DATABASE,
    PATIENCE,
    STRANGERS,
    Company,
    Started,
    company,
)
from tests.support import figures, pgbouncer
from tests.support.postgresql_pair import pair
from tests.support.raft import Cluster
from tests.support.restless_config import key_of
from tests.support.vault_commands import vault_commands

pytestmark = [
    pytest.mark.slow,
    pytest.mark.crash,
    pytest.mark.postgres,
    pytest.mark.vault,
    pytest.mark.skipif("bao" not in vault_commands(), reason="no `bao` for this machine"),
    pytest.mark.skipif(pgbouncer.COMMAND is None, reason="pgbouncer is not installed"),
]

#: Rotated by commands.
ASKED = ["account-a", "account-b"]
#: Rotated by the daemon, over and over; one of them with a grace.
RESTLESS = ["restless-a", "restless-b"]
#: An account with a secret that rotator did not make, in its second slot.
CROWDED = "crowded"
ACCOUNTS = {
    **dict.fromkeys((*ASKED, CROWDED), ("30d", "0s")),
    "restless-a": ("2s", "0s"),
    "restless-b": ("3s", "1s"),
}
#: How rotator reaches the primary.
WAYS = {"hosts": "both servers in the URL", "address": "an address that moves"}
WAYS |= {"pgbouncer": "PgBouncer"}
#: In each of the six tests, or a share of them.
FAILOVERS = 17
#: One in so many failovers kills the daemon, too, and one in so many Vault's leader.
FRAIL, LEADERLESS = 6, 5
#: What a failover may have a command report: that ledger or Vault are away, or are being worked on.
AWAY = {"ledger-unavailable", "lease-lost", "busy"}
AWAY |= {"vault-unavailable", "vault-not-ready", "vault-conflict", "vault-token"}
AWAY |= {"vault-version-missing"}
#: What is refused until an operator says so where the last rotation's commits are lost.
LOST = {"drift", "foreign-secret"}
#: What the next try gets over: the daemon was at it, as it ends what a command has left open; or
#: what was found of a lost rotation was of no use after an adoption.
AGAIN = {"busy", "overtaken"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Start three nodes of Vault's."""
    made = Cluster(vault_commands()["bao"], tmp_path_factory.mktemp("raft"))
    yield made
    made.close()


class Story:
    """One company's failovers."""

    def __init__(self, made: Company, seed: int, *, is_synchronous: bool) -> None:
        """Rotate each account once, and start a daemon."""
        self.company, self.pair = made, made.pair
        self.chance, self.is_synchronous = random.Random(seed), is_synchronous
        self.lost, self.unanswered, self.cured = 0, 0, 0
        self.lossy, self.daemons_killed, self.leaders_killed = 0, 0, 0
        self.killed = threading.Event()
        self.known: set[str] = set()
        assert made.run("rotate-now", *ACCOUNTS, "--json")[0] == 0
        made.foreign[CROWDED] = made.vonage.add_secret(key_of(CROWDED), STRANGERS)
        self.daemon = made.start("run")

    def fail_over(self, number: int) -> None:
        """Kill the primary at some point of the rotations, and go on with its standby."""
        self.killed.clear()
        started = self.company.start("rotate-now", *ASKED, CROWDED, "--json")
        self._kill_at_some_point(dies=number % FRAIL == FRAIL - 1)
        sent = self.company.witness.sent.copy()
        is_leaderless = number % LEADERLESS == LEADERLESS - 1
        if is_leaderless:
            self.company.cluster.leader.kill()
            self.leaders_killed += 1
        self.pair.promote()
        self.company.way.follow(self.pair.primary)
        self._count_losses()
        if self.is_synchronous:
            # The new primary has the intent of each effect that was sent.
            assert intents_missing(self.company.entries(self.pair.primary), sent) == set()
        self.pair.attach()
        if is_leaderless:
            self.company.cluster.heal()
        self._go_on(started)

    def _kill_at_some_point(self, *, dies: bool) -> None:
        points, relay = self.company.points, self.pair.relay
        first = self.chance.randrange(2, 90)
        if self.chance.random() < 0.4:
            # All that was answered is with the standby.
            points.plan((first, lambda: self._kill(dies=dies)))
        elif self.is_synchronous:
            # A commit waits for its answer when the primary is killed; the standby has it, or not.
            gate = self.chance.choice([relay.log, relay.answers])
            points.plan((first, gate.clear))
            until(lambda: not gate.is_set() and self.company.waiting_commits(), pause=0.01)
            if gate is relay.answers:
                self.pair.catch_up()
            self.unanswered += self.company.waiting_commits()
            self._kill(dies=dies)
        else:
            # What is committed between the two points is lost.
            last = first + self.chance.randrange(3, 120)
            points.plan((first, self._hold), (last, lambda: self._kill(dies=dies)))
        assert self.killed.wait(PATIENCE), "the point was not reached"
        if dies:
            assert self.daemon.command.wait(PATIENCE) == -signal.SIGKILL
            self.daemons_killed += 1
            self.daemon = self.company.start("run")

    def _hold(self) -> None:
        self.pair.catch_up()
        self.pair.relay.log.clear()

    def _kill(self, *, dies: bool) -> None:
        """Kill the primary, with the daemon if that is on the same machine."""
        if self.pair.relay.log.is_set() and not self.is_synchronous:
            self.pair.catch_up()
        self.known = {*self.company.entries(self.pair.primary)}
        self.pair.primary.kill()
        if dies:
            self.daemon.command.kill()
        self.killed.set()

    def _count_losses(self) -> None:
        lost = len(self.known - {*self.company.entries(self.pair.primary)})
        self.lost += lost
        self.lossy += bool(lost)

    def _go_on(self, started: Started) -> None:
        """See that what met the failover goes on: the daemon by itself, a command once more."""
        before = self.company.completed()
        self.company.check()
        code, reports = started.finished()
        problems = {each["error"]["code"] for each in reports if each["error"]}
        assert code in (0, 1, 3, 75), started.err.read_text()
        assert problems - LOST <= AWAY, reports
        self._rotate(*ASKED)
        try:
            until(lambda: self._have_gone_on(before), seconds=PATIENCE, pause=0.1)
        except AssertionError as error:
            raise AssertionError(self._evidence()) from error
        self.company.check()
        assert self.company.faults() == {}
        assert self.company.broken_rules() == {}

    def _have_gone_on(self, before: Counter[str]) -> bool:
        """Whether the daemon has completed a rotation of each account since."""
        left = [name for name in RESTLESS if self.company.completed()[name] <= before[name]]
        for name in left:
            if self.company.trouble(name):
                # An operator need not wait until the daemon tries again.
                self._rotate(name)
        return not left

    def _evidence(self) -> str:
        """Return what ledger and daemon have last, of a failure."""
        found = [f"exit code {self.daemon.command.poll()}", self.daemon.err.read_text()[-20000:]]
        with self.company.pair.primary.connected(DATABASE) as connection:
            for query in (
                "SELECT now()",
                "SELECT * FROM account",
                "SELECT * FROM rotation ORDER BY opened_at DESC LIMIT 6",
                "SELECT at, account, rotation_id, step, event FROM entry ORDER BY at DESC LIMIT 30",
                "SELECT pid, state, wait_event, xact_start, query FROM pg_stat_activity",
            ):
                rows = connection.execute(query)
                found += [str([column.name for column in rows.description or ()]), *map(str, rows)]
        return "\n".join(found)

    def _rotate(self, *names: str) -> None:
        self.cured += rotate(self.company, *names)


def rotate(made: Company, *names: str) -> int:
    """Rotate accounts, as an operator does who reads what is refused; count what that takes.

    The ledger may lack the last rotation, whose commits are lost: then the entry holds a value that
    the ledger does not know, or Vonage lists a predecessor that it does not know.
    """
    cured, deadline = 0, time.monotonic() + PATIENCE
    while True:
        code, reports = made.run("rotate-now", *names, "--json")
        found = {each["account"]: each["error"] for each in reports if each["error"]}
        assert {error["code"] for error in found.values()} <= LOST | AGAIN, found
        for name, error in found.items():
            if error["code"] == "drift":
                assert "the ledger has no record of what" in error["message"], found
                adopted = made.run("adopt", name, "--from-vault", "--json")
                assert adopted[0] == 0, adopted
            elif error["code"] == "foreign-secret":
                entry = made.cluster.data(made.path(name)) or {}
                secrets = {secret.id for secret in made.vonage.secrets(key_of(name))}
                (unknown,) = secrets - {entry["rotator"]["secret_id"]}
                deleted = made.run("secrets", "delete", name, unknown, "--yes", "--json")
                assert deleted[0] == 0, deleted
            cured += error["code"] in LOST
        if code == 0 or names[0] in RESTLESS:
            return cured
        assert time.monotonic() < deadline, reports


def lacking_noted(verified: list[dict[str, Any]]) -> set[str]:
    """Return the accounts of which a ledger is whole but for the entry that Vault's note names."""
    return {
        each["account"]
        for each in verified
        if each["chain"]["verdict"] == "whole" and each["rows"]["verdict"] == "match"
        if str(each["vault_head"]["fault"]).startswith("the ledger lacks the entry")
    }


def intents_missing(
    entries: Mapping[str, tuple[str, str, str]], sent: Mapping[tuple[str, str], int]
) -> set[tuple[str, str]]:
    """Return the accounts and effects of which more were sent than a ledger has intents."""
    steps = {"create": "create", "delete": "delete", "evict": "delete"}
    intents = Counter(
        (account, steps[step])
        for account, event, step in entries.values()
        if event == "intent" and step in steps
    )
    return {each for each, number in sent.items() if number > intents[each]}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["synchronous", "asynchronous"])
def test_nothing_is_lost_when_postgresql_fails_over(
    cluster: Cluster, tmp_path: Path, way: str, kind: str, pytestconfig: pytest.Config
) -> None:
    """Seventeen times each; with synchronous replication, no commit that was answered is gone."""
    failovers = round(FAILOVERS * pytestconfig.getoption("share"))
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"seed: {seed}")  # noqa: T201  # of a failure, to repeat it
    is_synchronous = kind == "synchronous"
    with (
        pair(is_synchronous=is_synchronous) as servers,
        company(servers, cluster, tmp_path, ACCOUNTS, way) as made,
    ):
        began = time.monotonic()
        story = Story(made, seed, is_synchronous=is_synchronous)
        for number in range(failovers):
            story.fail_over(number)
        story.daemon.command.send_signal(signal.SIGTERM)
        stopped = story.daemon.command.wait(PATIENCE)
        resumed = made.run("resume", "--json")
        verified = made.run("ledger", "verify", "--json")
        made.check()
        figures.keep(
            "PostgreSQL fails over",
            f"{kind}, {WAYS[way]}",
            {
                "failovers": servers.failovers,
                "that lost commits": story.lossy,
                "entries lost": story.lost,
                "commits unanswered": story.unanswered,
                "cured by an operator": story.cured,
                "daemons killed": story.daemons_killed,
                "leaders of Vault killed": story.leaders_killed,
                "rotations": sum(made.completed().values()),
                "seconds": round(time.monotonic() - began),
            },
        )

        assert stopped == 0, story.daemon.err.read_text()
        assert resumed[0] in (0, 3), resumed
        assert verified[0] in (0, 1), verified
        # Until an account's next push, Vault's note may name an entry that is lost.
        lacking = {each["account"] for each in verified[1] if not each["ok"]}
        assert lacking <= (lacking_noted(verified[1]) if story.lost else set()), verified
        assert not is_synchronous or (story.lost, story.cured) == (0, 0)


# -- The former primary is cut off, and not dead. ------------------------------------------------


@pytest.mark.timeout(300)
def test_an_isolated_primary_changes_nothing(cluster: Cluster, tmp_path: Path) -> None:
    """With synchronous replication it commits no intent, so that whoever is on it does nothing."""
    chance = random.Random(seed := random.SystemRandom().randrange(1_000_000))
    print(f"seed: {seed}")  # noqa: T201  # of a failure, to repeat it
    with (
        pair(is_synchronous=True) as servers,
        company(servers, cluster, tmp_path, ACCOUNTS, "hosts") as made,
    ):
        assert made.run("rotate-now", *ASKED, "--json")[0] == 0
        for _ in range(5):
            former = servers.primary
            made.points.plan((chance.randrange(1, 70), servers.relay.log.clear))
            stranded = made.start("rotate-now", *ASKED, "--json", config=made.pinned(former))
            until(lambda: not servers.relay.log.is_set() and made.waiting_commits(), pause=0.01)
            servers.promote()
            servers.primary.wait_for_standbys("")
            made.end_leases()
            known = made.entries(servers.primary)
            until(partial(made.is_still, stranded), pause=0.5)
            sent = made.witness.sent.copy()
            # With both in the URL, one could as well meet the former primary, and wait there.
            promoted = made.pinned(servers.primary)
            asked = ("rotate-now", *ASKED, "--json")
            again = [made.run(*asked, config=promoted) for _ in range(2)]
            made.check()
            is_waiting = stranded.command.poll() is None
            former.kill()
            code, _ = stranded.finished()
            servers.primary.wait_for_standbys("*")
            servers.attach()

            assert intents_missing(known, sent) == set()
            assert is_waiting
            assert code in (1, 75)
            assert again[-1][0] == 0, again
        assert made.run("ledger", "verify", "--json")[0] == 0


@pytest.mark.timeout(300)
def test_two_primaries_at_once_cost_no_value(cluster: Cluster, tmp_path: Path) -> None:
    """Without it, both go on with the same accounts: Vault's check-and-set keeps what is in use."""
    chance = random.Random(seed := random.SystemRandom().randrange(1_000_000))
    print(f"seed: {seed}")  # noqa: T201  # of a failure, to repeat it
    with (
        pair(is_synchronous=False) as servers,
        company(servers, cluster, tmp_path, ACCOUNTS, "hosts") as made,
    ):
        # Two processes that look and then send do not know of each other.
        made.witness.looks_count = False
        assert made.run("rotate-now", *ASKED, "--json")[0] == 0
        for _ in range(6):
            former = servers.primary
            made.points.plan((chance.randrange(1, 70), servers.relay.log.clear))
            old = made.start("rotate-now", *ASKED, "--json", config=made.pinned(former))
            until(lambda: not servers.relay.log.is_set(), pause=0.01)
            servers.promote()
            made.end_leases()
            for _ in range(2):
                new = made.start("rotate-now", *ASKED, config=made.pinned(servers.primary))
                made.check()
                old.finished()
                old = made.start("rotate-now", *ASKED, config=made.pinned(former))
                made.check()
                new.finished()
            old.finished()
            former.kill()
            made.check()
            servers.attach()
            rotate(made, *ASKED)
            made.check()
            assert made.faults() == {}
            assert made.broken_rules() == {}
