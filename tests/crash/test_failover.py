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
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.service import until
from tests.crash.failing_over import PATIENCE, STRANGERS, Company, Started, company, key_of
from tests.support import figures, pgbouncer
from tests.support.postgresql_pair import pair
from tests.support.raft import Cluster
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
#: In each of the six tests.
FAILOVERS = 17
#: One in so many failovers kills the daemon, too, and one in so many Vault's leader.
FRAIL, LEADERLESS = 6, 5
#: What a failover may have a command report: that ledger or Vault are away, or are being worked on.
AWAY = {"ledger-unavailable", "lease-lost", "busy"}
AWAY |= {"vault-unavailable", "vault-not-ready", "vault-conflict", "vault-token"}
AWAY |= {"vault-version-missing"}


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
            self._check_intents(sent)
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
            last = first + self.chance.randrange(1, 25)
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

    def _check_intents(self, sent: dict[tuple[str, str], int]) -> None:
        """See that the new primary has the intent of each effect that was sent."""
        intents: dict[tuple[str, str], int] = {}
        for account, event, step in self.company.entries(self.pair.primary).values():
            effect = {"create": "create", "delete": "delete", "evict": "delete"}.get(step)
            if event == "intent" and effect:
                intents[account, effect] = intents.get((account, effect), 0) + 1
        assert {each for each, number in sent.items() if number > intents.get(each, 0)} == set()

    def _go_on(self, started: Started) -> None:
        """See that what met the failover goes on: the daemon by itself, a command once more."""
        before = self.company.completed()
        self.company.check()
        code, reports = started.finished()
        problems = {each["error"]["code"] for each in reports if each["error"]}
        assert code in (0, 1, 3, 75), started.err.read_text()
        assert problems - {"foreign-secret"} <= AWAY, reports
        self._rotate(*ASKED)
        until(lambda: self._have_gone_on(before), pause=0.1)
        self.company.check()
        assert self.company.faults() == {}

    def _have_gone_on(self, before: Counter[str]) -> bool:
        """Whether the daemon has completed a rotation of each account since."""
        left = [name for name in RESTLESS if self.company.completed()[name] <= before[name]]
        for name in left:
            if self.company.trouble(name):
                # An operator need not wait until the daemon tries again.
                self._rotate(name)
        return not left

    def _rotate(self, *names: str) -> None:
        """Rotate accounts, as an operator does who reads what is refused."""
        code, reports = self.company.run("rotate-now", *names, "--json")
        found = {each["account"]: each["error"] for each in reports if each["error"]}
        refused = [name for name, error in found.items() if error["code"] == "foreign-secret"]
        for name in refused:
            self._delete_unknown(name)
        if set(found) > set(refused):
            # The daemon was at it.
            assert {error["code"] for error in found.values()} <= {"foreign-secret", "busy"}, found
        if code != 0:
            code, reports = self.company.run("rotate-now", *names, "--json")
        assert code == 0 or names[0] in RESTLESS, reports

    def _delete_unknown(self, name: str) -> None:
        """Delete a predecessor that the ledger does not know: its rotation's commits are lost."""
        entry = self.company.cluster.data(self.company.path(name)) or {}
        current = entry["rotator"]["secret_id"]
        secrets = {secret.id for secret in self.company.vonage.secrets(key_of(name))}
        (unknown,) = secrets - {current}
        deleted = self.company.run("secrets", "delete", name, unknown, "--yes", "--json")
        assert deleted[0] == 0, deleted
        self.cured += 1


@pytest.mark.timeout(600)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["synchronous", "asynchronous"])
def test_nothing_is_lost_when_postgresql_fails_over(
    cluster: Cluster, tmp_path: Path, way: str, kind: str
) -> None:
    """Seventeen times each; with synchronous replication, no commit that was answered is gone."""
    seed = random.SystemRandom().randrange(1_000_000)
    print(f"seed: {seed}")  # noqa: T201  # of a failure, to repeat it
    is_synchronous = kind == "synchronous"
    with (
        pair(is_synchronous=is_synchronous) as servers,
        company(servers, cluster, tmp_path, ACCOUNTS, way) as made,
    ):
        began = time.monotonic()
        story = Story(made, seed, is_synchronous=is_synchronous)
        for number in range(FAILOVERS):
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
                "secrets deleted by an operator": story.cured,
                "daemons killed": story.daemons_killed,
                "leaders of Vault killed": story.leaders_killed,
                "rotations": sum(made.completed().values()),
                "seconds": round(time.monotonic() - began),
            },
        )

        assert stopped == 0, story.daemon.err.read_text()
        assert resumed[0] in (0, 3), resumed
        assert verified[0] == 0, verified
        assert not is_synchronous or (story.lost, story.cured) == (0, 0)
