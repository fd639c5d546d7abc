"""Every order of events, explored to closure with the real reconciler and the real rules.

Each scenario is a world in which every effect may be applied or not and told or not, and the
process may die at any point; some have outsiders, a rival that takes the lease, an operator who
changes the grace, holds the account and releases it, adopts a secret, or abandons a rotation, a
ledger that goes back to what it was, a standby that lags, or a clock that jumps. In every state the
rules are checked; from every state a process without any fault must bring the rotation to its end.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import structlog

import rotator.rotation.passes
import rotator.rotation.session
from rotator.model import Account, Note, Request, Rotation
from rotator.rotation.observation import Observation
from rotator.rotation.protocol import decide
from rotator.rotation.steps import publish
from rotator.rotation.steps.base import Action
from rotator.rotation.steps.bookkeeping import Close, Refuse
from rotator.rotation.steps.issue import Create, Probe
from rotator.rotation.steps.prepare import Evict, Open, Stage
from rotator.rotation.steps.prove import Prove
from rotator.rotation.steps.publish import Push, Verify
from rotator.rotation.steps.retire import Delete, Notify, Wait
from tests.model_checking import operators, scenarios
from tests.model_checking.explore import Scenario, Search
from tests.model_checking.fingerprint import without_moot
from tests.model_checking.invariants import Violation
from tests.support import figures
from tests.support.observations import but

#: Those that take few seconds; every other one is slow.
BRIEF = (
    scenarios.FULL,
    scenarios.LEAKED,
    scenarios.ADOPTED,
    scenarios.GATED_TWICE,
    scenarios.FROZEN,
    scenarios.FOUND_SLUGGISH,
    scenarios.FOUND_FULL,
    scenarios.FOUND_FORGOTTEN,
    scenarios.ENDING_TROUBLED,
    scenarios.PROVED,
    scenarios.PROVED_SLOWLY,
    scenarios.KEPT,
    scenarios.KEPT_EVICTED,
    scenarios.KEPT_LEAKED,
    scenarios.KEPT_STANDBY,
    scenarios.KEPT_ADOPTED,
)

Decide = Callable[..., Action]


@pytest.fixture(autouse=True)
def unlogged() -> Iterator[None]:
    """Write no log: formatting it takes longer than all the rest."""

    def drop(_logger: object, _method: str, _event: structlog.typing.EventDict) -> str:
        raise structlog.DropEvent

    before = structlog.get_config()["processors"]
    structlog.configure(processors=[drop])
    yield
    structlog.configure(processors=before)


@pytest.mark.timeout(2400)
@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(
            scenario, id=scenario.name, marks=[] if scenario in BRIEF else [pytest.mark.slow]
        )
        for scenario in scenarios.ALL
    ],
)
def test_every_rule_holds_in_every_state(
    monkeypatch: pytest.MonkeyPatch, scenario: Scenario
) -> None:
    """No order of faults, kills, outsiders and rivals breaks a rule, and all of them end well."""
    monkeypatch.setattr(rotator.rotation.passes, "decide", twice(decide))
    began = time.process_time()
    tally = Search(scenario).explore()
    seconds = time.process_time() - began
    print(  # noqa: T201  # shown with -s, and where it fails
        f"{scenario.name}: {tally.worlds} worlds, {tally.points} states, "
        f"{tally.transitions} transitions, {dict(tally.outcomes)}"
    )
    figures.keep(
        "exploration",
        scenario.name,
        {
            "worlds": tally.worlds,
            "states": tally.points,
            "transitions": tally.transitions,
            "seconds": round(seconds),
        },
    )

    assert tally.points > 0
    assert tally.outcomes


def twice(decide: Decide) -> Decide:
    """Return `decide`, which sees with each decision that what states leave out changes nothing."""

    def decided(*arguments: Any, **named: Any) -> Action:  # noqa: ANN401  # as `decide`
        account, observation, request = arguments
        action, bare = decide(*arguments, **named), without_moot(observation)
        if bare is not observation and decide(account, bare, request, **named) != action:
            message = f"{action} depends on what states leave out of {observation}"
            raise AssertionError(message)
        return action

    return decided


def without_grace(*arguments: object, **named: object) -> Action:
    """Delete the predecessor as soon as the new value is in Vault."""
    action, rotation = _decided(arguments, named)
    if isinstance(action, Verify) and rotation is not None and rotation.predecessor_id:
        return Delete(secret_id=rotation.predecessor_id)
    return action


def with_another_value(*arguments: object, **named: object) -> Action:
    """Generate another value where it is not known whether the first one arrived."""
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


def with_a_stranger_as_predecessor(*arguments: object, **named: object) -> Action:
    """Take the one secret that a subaccount was found with for the one to be replaced."""
    action, _ = _decided(arguments, named)
    if isinstance(action, Open) and action.predecessor_id is None:
        return Open(predecessor_id=scenarios.FOREIGN.id)
    return action


def without_probing(*arguments: object, **named: object) -> Action:
    """Push a value that nobody has seen authenticate."""
    action, rotation = _decided(arguments, named)
    if isinstance(action, Probe) and rotation is not None and rotation.new_id:
        return Push()
    return action


def without_gates(*arguments: object, **named: object) -> Action:
    """Delete the predecessor though a gate is shut."""
    action, rotation = _decided(arguments, named)
    if isinstance(action, Wait) and action.gate and rotation and rotation.predecessor_id:
        return Delete(secret_id=rotation.predecessor_id)
    return action


def without_another_clock(*arguments: object, **named: object) -> Action:
    """Trust this machine's clock, whatever Vonage's says."""
    account, observation, request = arguments
    observation = but(observation, clock_offset=timedelta())  # type: ignore[arg-type]
    return decide(account, observation, request, **named)  # type: ignore[arg-type]


def without_minding_an_adoption(*arguments: object, **named: object) -> Action:
    """Evict what the policy names, though an operator adopted it a moment ago."""
    account, observation, request = arguments
    observation = but(observation, adopted_id=None)  # type: ignore[arg-type]
    return decide(account, observation, request, **named)  # type: ignore[arg-type]


def without_minding_deletions(*arguments: object, **named: object) -> Action:
    """Take for the new secret whatever was not listed before."""
    account, observation, request = arguments
    nothing: frozenset[str] = frozenset()
    observation = but(observation, deleted_ids=nothing, perhaps_deleted_ids=nothing)  # type: ignore[arg-type]
    return decide(account, observation, request, **named)  # type: ignore[arg-type]


def without_minding_what_rolls_off(*arguments: object, **named: object) -> Action:
    """Verify the version that was written, and no other."""
    action, rotation = _decided(arguments, named)
    if isinstance(action, Verify) and rotation is not None and rotation.vault_version:
        return Verify(version=rotation.vault_version)
    return action


def without_minding_an_end(*arguments: object, **named: object) -> Action:
    """Rely on what Vault is about to remove."""
    account, observation, request = arguments
    if entry := observation.current.entry:  # type: ignore[attr-defined]
        observation = but(observation, current=replace(entry, ends_at=None))  # type: ignore[arg-type]
    return decide(account, observation, request, **named)  # type: ignore[arg-type]


def without_minding_a_pending_end(*arguments: object, **named: object) -> Action:
    """Send a value whose only copy Vault is about to remove."""
    account, observation, request = arguments
    observation = but(observation, pending_ends_at=None)  # type: ignore[arg-type]
    return decide(account, observation, request, **named)  # type: ignore[arg-type]


def without_telling(*arguments: object, **named: object) -> Action:
    """Delete the predecessor before anyone was told of the new secret."""
    action, rotation = _decided(arguments, named)
    if isinstance(action, Notify) and rotation and rotation.predecessor_id:
        return Delete(secret_id=rotation.predecessor_id)
    return action


def without_proof(*arguments: object, **named: object) -> Action:
    """Take a deletion for done once Vonage says so."""
    action, _ = _decided(arguments, named)
    return Close() if isinstance(action, Prove) else action


def without_minding_a_freeze(*arguments: object, **named: object) -> Action:
    """Finish what has pushed, whatever the operator says."""
    account, observation, request = arguments
    if observation.ledger.hold and observation.rotation:  # type: ignore[attr-defined]
        observation = but(observation, hold=None)  # type: ignore[arg-type]
    return decide(account, observation, request, **named)  # type: ignore[arg-type]


def without_minding_a_change_freeze(*arguments: object, **named: object) -> Action:
    """Delete in a change freeze what nobody has to wait for otherwise."""
    account, observation, request = arguments
    account = replace(account, policy=replace(account.policy, freezes=()))  # type: ignore[type-var, attr-defined]
    return decide(account, observation, request, **named)  # type: ignore[arg-type]


def without_finishing(*arguments: object, **named: object) -> Action:
    """Take every hold for a freeze."""
    account, observation, request = arguments
    if observation.ledger.hold:  # type: ignore[attr-defined]
        observation = but(observation, hold=operators.FREEZE)  # type: ignore[arg-type]
    return decide(account, observation, request, **named)  # type: ignore[arg-type]


def without_minding_a_restored_ledger(*arguments: object, **named: object) -> Action:
    """Take back what the ledger has as never pushed, whatever Vault holds instead."""
    action, rotation = _decided(arguments, named)
    if isinstance(action, Refuse) and action.code == "unsafe-delete" and rotation:
        return Delete(secret_id=rotation.new_id or "")
    return action


def without_asking_for_whom(*arguments: object, **named: object) -> Action:
    """Take what is pending for this account's, whatever it says itself."""
    account, observation, request = arguments
    if pending := observation.pending.entry:  # type: ignore[attr-defined]
        nobody = dict.fromkeys(("api_key", "issuer", "vault_path", "ledger_id"))
        observation = but(observation, pending=replace(pending, **nobody))  # type: ignore[arg-type]
    return decide(account, observation, request, **named)  # type: ignore[arg-type]


def without_asking_which_ledger(*arguments: object, **named: object) -> Action:
    """Recover whatever is pending, whoever began it."""
    account, observation, request = arguments
    request = replace(request, takes_over=True)  # type: ignore[type-var]
    return decide(account, observation, request, **named)  # type: ignore[arg-type]


def without_withdrawing(*arguments: object, **named: object) -> Action:
    """Delete a secret though its value is still beside the current one."""
    account, observation, request = arguments
    if entry := observation.current.entry:  # type: ignore[attr-defined]
        observation = but(observation, current=replace(entry, previous=None))  # type: ignore[arg-type]
    return decide(account, observation, request, **named)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "scenario"),
    [
        (without_grace, scenarios.GRACEFUL),
        (with_another_value, scenarios.UNNOTED),
        (without_asking_whose, scenarios.FULL),
        (without_probing, scenarios.PLAIN),
        (without_gates, scenarios.GATED),
        (without_another_clock, scenarios.ASTRAY_GRACE),
        (without_another_clock, scenarios.ASTRAY_DAYS),
        (without_minding_an_adoption, scenarios.ADOPTED_UNSEEN),
        pytest.param(
            without_minding_deletions, scenarios.REMEMBERED_STRANGER, marks=pytest.mark.slow
        ),
        pytest.param(
            without_minding_what_rolls_off,
            scenarios.MEDDLED_FORGETFUL,
            marks=pytest.mark.slow,
        ),
        (without_minding_an_end, scenarios.ENDING),
        (without_minding_a_pending_end, scenarios.ENDING),
        (without_telling, scenarios.GATED),
        (without_proof, scenarios.PROVED),
        (without_minding_a_freeze, scenarios.HELD),
        (without_minding_a_change_freeze, scenarios.FROZEN),
        pytest.param(without_finishing, scenarios.HELD, marks=pytest.mark.slow),
        (with_a_stranger_as_predecessor, scenarios.FOUND_REPLACED),
        pytest.param(without_minding_a_restored_ledger, scenarios.RESTORED, marks=pytest.mark.slow),
        (without_asking_for_whom, scenarios.NEIGHBOUR),
        (without_asking_which_ledger, scenarios.FORGOTTEN),
        (without_withdrawing, scenarios.KEPT),
        (without_withdrawing, scenarios.KEPT_EVICTED),
    ],
)
def test_a_wrong_rule_is_found(
    monkeypatch: pytest.MonkeyPatch, wrong: Decide, scenario: Scenario
) -> None:
    """The exploration sees each of these mistakes in the rules."""
    monkeypatch.setattr(rotator.rotation.passes, "decide", wrong)

    with pytest.raises(Violation):
        Search(scenario).explore()


def with_a_look_back(*arguments: object, **named: object) -> Action:
    """Notify everyone once more of a value that was not the first to be generated."""
    action, rotation = _decided(arguments, named)
    is_pushed = rotation is not None and rotation.vault_version is not None
    return Notify() if is_pushed and rotation and rotation.values_generated else action


def test_a_rule_that_asks_what_states_leave_out_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """States that differ in it would be told apart no more, and all but one of them be skipped."""
    monkeypatch.setattr(rotator.rotation.passes, "decide", twice(with_a_look_back))

    with pytest.raises(AssertionError, match="states leave out"):
        Search(scenarios.PLAIN).explore()


@pytest.mark.parametrize(
    "scenario", [scenarios.HELD, scenarios.REPLACED, scenarios.MEDDLED], ids=lambda one: one.name
)
def test_an_effect_without_a_last_look_is_found(
    monkeypatch: pytest.MonkeyPatch, scenario: Scenario
) -> None:
    """While an effect waits for its turn, a hold, a rival or an outsider may forbid it."""
    monkeypatch.setattr(rotator.rotation.session.LedgerSession, "last_look", lambda *_, **__: None)

    with pytest.raises(Violation):
        Search(scenario).explore()


@pytest.mark.parametrize("found", [True, False], ids=["dead", "unknown"])
def test_a_proof_without_a_try_is_found(monkeypatch: pytest.MonkeyPatch, *, found: bool) -> None:
    """Neither is a secret dead that Vonage has not refused, nor unknown while Vault has it."""
    monkeypatch.setattr(Prove, "perform", lambda *_: found)

    with pytest.raises(Violation, match="I13"):
        Search(scenarios.PROVED).explore()


def test_a_field_that_is_known_by_its_name_alone_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A note that somebody changed would cost a field that is not rotator's."""
    monkeypatch.setattr(Note, "keeps", lambda *_: True)

    with pytest.raises(Violation, match="I15"):
        Search(scenarios.KEPT_MEDDLED).explore()


def test_a_value_that_leaked_and_is_kept_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is to go at once is not put where consumers may try it."""

    def without_minding_a_leak(
        account: Account, _observation: Observation, rotation: Rotation, _request: Request
    ) -> bool:
        return bool(account.previous_field and rotation.predecessor_id)

    monkeypatch.setattr(publish, "keeps_previous", without_minding_a_leak)

    with pytest.raises(Violation, match="I14"):
        Search(scenarios.KEPT_LEAKED).explore()


def _decided(arguments: tuple[Any, ...], named: dict[str, Any]) -> tuple[Action, Rotation | None]:
    return decide(*arguments, **named), arguments[1].rotation
