"""The real command, killed at every instant that there is, and started again.

For each scenario, on SQLite and PostgreSQL: SIGKILL at every request to Vonage and Vault,
before it reaches its server, when it reaches it too late, and before its answer comes back;
and before and after every commit to the ledger. Then the same command again until it is done.
The rules are checked at every request, by the simulators' own account of the world.
"""

import itertools
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.killing import KILLED, Ground, Moment, ground
from tests.support import figures
from tests.support.seeded_ledger import end_graces

pytestmark = pytest.mark.crash

#: The exit code of a command that an operator has to decide about.
REFUSED = 3
#: More runs than any command needs to get done after a kill.
MOST_RUNS = 8
#: Even the shortest command, a `resume` that deletes, talks and commits more often than this.
FEWEST_MOMENTS = 4

SIDES = [
    ("request", "never"),
    ("request", "late"),
    ("request", "after"),
    ("commit", "before"),
    ("commit", "after"),
]

NewLedger = Callable[[Path], str]


class Scenario:
    """A rotation to be killed: what stands there, what is run, and what it must come to."""

    accounts, subaccounts = 1, 0

    def prepare(self, here: Ground) -> None:
        """Set the scene, unkilled."""

    def commands(self) -> list[tuple[str, ...]]:
        """Return the commands of the scenario, each to be run until it is done."""
        return [("rotate-now", "--all", "--grace", "0s")]

    def between(self, here: Ground, code: int, /) -> None:
        """Happens before a command that ended with `code` and is not done is run again."""

    def check(self, here: Ground) -> None:
        """Check what this scenario alone comes to."""

    #: How many secrets may be made for an account: a kill never costs one more.
    most_made = 1


class Plain(Scenario):
    """One account, no grace."""


class Grace(Scenario):
    """One account whose predecessor waits, its value in Vault; a second command deletes it.

    And it proves that.
    """

    def prepare(self, here: Ground) -> None:
        """Set the grace."""
        previous_field = "api_secret_previous"
        here.configure(grace="1h", prove_deletion=True, previous_field=previous_field)

    def commands(self) -> list[tuple[str, ...]]:
        """Rotate, then carry on what waits."""
        return [("rotate-now", "account-1"), ("resume",)]

    def check(self, here: Ground) -> None:
        """The old value was tried after its deletion, from what Vault had of it."""
        events = [entry.event for entry in here.queries.entries("account-1")]
        assert events.count("dead-after") == 1

    def between(self, here: Ground, _code: int, /) -> None:
        """Let the grace pass."""
        end_graces(here.database)


class Full(Scenario):
    """Both slots are taken; the secret that Vault does not hold is one that was superseded."""

    most_made = 2

    def prepare(self, here: Ground) -> None:
        """Rotate once, and have the predecessor come back."""
        api_key = here.world.accounts[0].api_key
        predecessor = here.world.vonage.secrets(api_key)[0].id
        assert here.run("rotate-now", "--all", "--grace", "0s") == 0
        here.world.vonage.restore(api_key, predecessor)


class Abort(Scenario):
    """The new secret is not accepted in time: the rotation is undone, the next one succeeds."""

    most_made = 2

    def prepare(self, here: Ground) -> None:
        """Make new secrets useless."""
        here.configure(propagation_timeout="1s")
        here.world.vonage.propagation = 3600

    def between(self, here: Ground, code: int, /) -> None:
        """Make the secrets that come from now on work at once.

        A secret whose id was lost with the answer, and which never authenticates, cannot be
        told from a stranger's: the command is refused, and the operator removes it.
        """
        here.world.vonage.propagation = 0
        if code == REFUSED:
            api_key = here.world.accounts[0].api_key
            here.world.vonage.revoke(api_key, here.world.vonage.secrets(api_key)[0].id)


class Family(Scenario):
    """A parent and its child, the child first. `--all` again rotates a finished child again."""

    subaccounts = 1
    most_made = 2


SCENARIOS = [Plain, Grace, Full, Abort, Family]


def carry_through(here: Ground, scenario: Scenario, nth: int, moment: Moment) -> bool:
    """Run the scenario's commands, killing the nth at `moment`; tell whether that happened."""
    was_killed = False
    for index, command in enumerate(scenario.commands()):
        armed = moment if index == nth else None
        was_killed |= until_done(here, scenario, command, armed)
    return was_killed


def until_done(
    here: Ground, scenario: Scenario, command: tuple[str, ...], armed: Moment | None
) -> bool:
    """Run one command until the world is where it should bring it; tell whether it was killed."""
    was_killed = False
    codes: list[int] = []
    while len(codes) < MOST_RUNS:
        codes.append(here.run(*command, moment=None if was_killed else armed))
        was_killed |= codes[-1] == KILLED
        if is_done(here, command):
            return was_killed
        scenario.between(here, codes[-1])
    pytest.fail(f"{command} is not done; its exit codes were {codes}")


def is_done(here: Ground, command: tuple[str, ...]) -> bool:
    """Whether the world is where `command` is to bring it, seen from outside."""
    has_rotated = all(
        len(here.world.vonage.history(account.api_key)) > 1
        and "rotator" in (here.world.vault.read(account.vault_path) or {})
        for account in here.world.accounts
    )
    is_alone = set(here.secrets_left().values()) == {1}
    if command[:1] == ("rotate-now",) and "--all" not in command:
        return has_rotated and not here.pending()
    return has_rotated and is_alone and not here.pending() and not here.queries.open_accounts()


def check(here: Ground, scenario: Scenario) -> None:
    """Whatever happened, this is how it has to be in the end."""
    assert here.broken == []
    assert here.world.violations() == []
    assert set(here.secrets_left().values()) == {1}
    assert here.pending() == []
    assert here.queries.open_accounts() == []
    for account in here.world.accounts:
        note = (here.world.vault.read(account.vault_path) or {})["rotator"]
        verdict = here.queries.verify(account.name, anchor=note["ledger_head"])
        assert (verdict.fault, verdict.has_anchor) == (None, True)
        assert len(here.world.vonage.history(account.api_key)) - 1 <= scenario.most_made
    assert here.leaks() == []
    assert here.broken_rules() == []
    scenario.check(here)


@pytest.mark.parametrize(("what", "side"), [("request", "after"), ("commit", "before")])
@pytest.mark.parametrize("kind", ["sqlite"])
def test_plain_rotation_survives_a_kill(
    new_ledger: NewLedger, tmp_path: Path, kind: str, what: str, side: str
) -> None:
    """A rotation without grace, on SQLite, is killed after each answer and before each commit."""
    matrix(new_ledger, tmp_path, kind, Plain(), what, side)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("what", "side"), SIDES, ids=["-".join(side) for side in SIDES])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_survives_a_kill_anywhere(  # noqa: PLR0913, PLR0917  # fixtures
    new_ledger: NewLedger,
    tmp_path: Path,
    kind: str,
    scenario: type[Scenario],
    what: str,
    side: str,
) -> None:
    """Each scenario, on both databases, is killed at every moment and completes."""
    matrix(new_ledger, tmp_path, kind, scenario(), what, side)


def matrix(  # noqa: PLR0913, PLR0917  # one of each
    new_ledger: NewLedger,
    folder: Path,
    kind: str,
    scenario: Scenario,
    what: str,
    side: str,
) -> None:
    """Kill each command at the first moment of this kind, at the second, until there is none."""
    began, kills = time.monotonic(), 0
    for nth, _ in enumerate(scenario.commands()):
        for number in itertools.count(1):
            place = folder / f"{nth}-{number}"
            place.mkdir()
            with ground(
                place,
                new_ledger(place),
                accounts=scenario.accounts,
                subaccounts=scenario.subaccounts,
            ) as here:
                scenario.prepare(here)
                was_killed = carry_through(here, scenario, nth, Moment(what, side, number))
                check(here, scenario)
            if not was_killed:
                break
        assert number >= FEWEST_MOMENTS
        kills += number - 1
    figures.keep(
        "kill matrix",
        f"{type(scenario).__name__}, {kind}",
        {"kills": kills, "seconds": round(time.monotonic() - began)},
        part=f"{what}, {side}",
    )
