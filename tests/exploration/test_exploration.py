"""Every order of events, explored to closure with the real engine and the real rules.

Each scenario is a world in which every effect may be applied or not and told or not, and the
process may die at any point; some have outsiders, a rival that takes the lease, or an operator
who changes the grace. In every state the rules are checked; from every state a process without
any fault must bring the rotation to its end.
"""

from collections.abc import Callable
from typing import Any

import pytest

import rotator.loop
from rotator.model import Rotation
from rotator.protocol import (
    Action,
    Create,
    Delete,
    Evict,
    Open,
    Probe,
    Push,
    Refuse,
    Stage,
    Verify,
    decide,
)
from tests.exploration import scenarios
from tests.exploration.explore import Scenario, Search
from tests.exploration.invariants import Violation

QUICK = (
    scenarios.REPLACED,
    scenarios.LEAKED,
    scenarios.FULL,
    scenarios.EVICTED,
    scenarios.UNNOTED,
    scenarios.ORPHANED,
    scenarios.GRACEFUL,
    scenarios.HASTY,
    scenarios.MEDDLED,
)

Decide = Callable[..., Action]


@pytest.mark.parametrize("scenario", QUICK, ids=lambda scenario: scenario.name)
def test_every_rule_holds_in_every_state(scenario: Scenario) -> None:
    """No order of faults, kills, outsiders and rivals breaks a rule, and all of them end well."""
    tally = Search(scenario).explore()
    print(  # noqa: T201  # shown with -s, and where it fails
        f"{scenario.name}: {tally.worlds} worlds, {tally.points} states, "
        f"{tally.transitions} transitions, {dict(tally.outcomes)}"
    )

    assert tally.points > 0
    assert tally.outcomes


def without_grace(*arguments: object, **named: object) -> Action:
    """Delete the predecessor as soon as the new value is in Vault."""
    action, rotation = _decided(arguments, named)
    if isinstance(action, Verify) and rotation is not None and rotation.predecessor_id:
        return Delete(secret_id=rotation.predecessor_id)
    return action


def with_another_value(*arguments: object, **named: object) -> Action:
    """Draw another value where it is not known whether the first one arrived."""
    action, rotation = _decided(arguments, named)
    if isinstance(action, Create) and rotation is not None and rotation.sent_at:
        return Stage(listed_ids=frozenset())
    return action


def without_asking_whose(*arguments: object, **named: object) -> Action:
    """Evict a stranger's secret."""
    action, rotation = _decided(arguments, named)
    if isinstance(action, Refuse) and action.code == "foreign-secret":
        if rotation is None:
            return Open(predecessor_id=scenarios.FIRST.id)
        return Evict(secret_id=scenarios.FOREIGN.id)
    return action


def without_probing(*arguments: object, **named: object) -> Action:
    """Push a value that nobody has seen authenticate."""
    action, rotation = _decided(arguments, named)
    if isinstance(action, Probe) and rotation is not None and rotation.new_id:
        return Push()
    return action


@pytest.mark.parametrize(
    ("wrong", "scenario"),
    [
        (without_grace, scenarios.GRACEFUL),
        (with_another_value, scenarios.UNNOTED),
        (without_asking_whose, scenarios.FULL),
        (without_probing, scenarios.PLAIN),
    ],
)
def test_a_wrong_rule_is_found(
    monkeypatch: pytest.MonkeyPatch, wrong: Decide, scenario: Scenario
) -> None:
    """The exploration sees each of these mistakes in the rules."""
    monkeypatch.setattr(rotator.loop, "decide", wrong)

    with pytest.raises(Violation):
        Search(scenario).explore()


def _decided(arguments: tuple[Any, ...], named: dict[str, Any]) -> tuple[Action, Rotation | None]:
    return decide(*arguments, **named), arguments[1].rotation
