from dataclasses import replace
from datetime import timedelta

import pytest

from rotator.cli.dry_run import Plan
from rotator.model import CurrentEntry, Note, Outcome, Request, Secret, Step
from rotator.rotation.observation import Observation
from rotator.rotation.result import result_of
from rotator.rotation.steps.base import Action
from rotator.rotation.steps.bookkeeping import Abort, Close, Learn
from rotator.rotation.steps.issue import Create, Probe
from rotator.rotation.steps.prepare import Evict, Open, Stage
from rotator.rotation.steps.publish import Clear, Push, Verify
from rotator.rotation.steps.retire import Delete, Wait
from tests.support.observations import but, observed
from tests.support.samples import NOW, account, policy, rotation

NOTE = Note(secret_id="old", rotation_id="r0", rotated_at=NOW, ledger_head="", check="")
CURRENT = CurrentEntry(version=6, note=NOTE, intact=True, has_value=True)
OBSERVED = observed(
    listed=(Secret(id="old", created_at=NOW), Secret(id="orphan", created_at=NOW)),
    current=CURRENT,
    current_authenticated_at=NOW,
)
OPENED = rotation(
    account="a", reason="due", step=Step.WAIT, grace=timedelta(hours=1), verified_at=NOW
)
ASKED = Request(reason="asked")
WHOLE: list[Action] = [
    Open(predecessor_id="old"),
    Evict(secret_id="orphan"),
    Stage(listed_ids=frozenset({"old"})),
    Create(),
    Probe(),
    Push(),
    Verify(version=7),
    Clear(upto=1),
]
REST: list[Action] = [Delete(secret_id="old"), Close()]


LEAKED = Request(reason="compromised", grace=timedelta())


def plan(
    actions: list[Action],
    observation: Observation | None = OBSERVED,
    request: Request = ASKED,
    *,
    previous_field: str = "",
) -> Plan:
    """Make the plan of these actions."""
    rotation = observation.rotation if observation else None
    return Plan(
        account=account("a", previous_field=previous_field),
        request=request,
        result=result_of(account("a"), Outcome.PLANNED, rotation),
        actions=actions,
        observation=observation,
        mount="kv",
    )


def test_a_whole_rotation_is_told_step_by_step() -> None:
    """Each step names what it is aimed at, and what Vault is expected to hold."""
    until = NOW + timedelta(days=1)
    lines = list(plan([*WHOLE, Wait(until=until)]).lines())

    assert lines == [
        "a: would rotate",
        "  replaces secret old: the note in Vault names it",
        "   1  evict   delete secret orphan at Vonage, to free its slot",
        "   2  stage   write a new value to kv/rotator/pending/a in Vault, check-and-set version 0",
        "   3  create  make it a secret of abcd1234 at Vonage",
        "   4  probe   see it authenticate at Vonage",
        "   5  push    write it to kv/vonage/a in Vault, check-and-set version 6",
        "   6  verify  read version 7 back and compare",
        "   7  clear   destroy what kv/rotator/pending/a holds in Vault",
        "   8  wait    until 2026-11-24 07:28 UTC (grace 1d)",
        "   9  delete  delete secret old at Vonage",
        "  calls to Vonage: 6",
    ]


@pytest.mark.parametrize(
    ("current", "request_", "is_kept"),
    [
        (CURRENT, ASKED, True),
        (replace(CURRENT, is_previous_taken=True), ASKED, False),
        (CURRENT, Request(reason="asked", grace=timedelta()), False),
        (CURRENT, LEAKED, False),
        (None, ASKED, False),
    ],
)
def test_a_replaced_value_leaves_vault_before_its_secret_is_deleted(
    current: CurrentEntry | None, request_: Request, *, is_kept: bool
) -> None:
    """Where it is to be kept beside the new one until then."""
    seen = but(OBSERVED, current=current)
    actions = [*WHOLE, Wait(until=NOW + timedelta(days=1))]
    steps = plan(actions, seen, request_, previous_field="past").steps()
    none = plan(actions, seen, request_).steps()

    told = [(step["step"], step["what"], step["due_at"]) for step in steps[-2:]]
    assert (told[0][0] == "withdraw") is is_kept
    assert told[-1][0] == "delete"
    assert all(step["step"] != "withdraw" for step in none)
    if is_kept:
        assert told[0][1].startswith("remove field past from kv/vonage/a in Vault")
        assert told[0][2] == told[1][2] == "2026-11-24T07:28:00Z"


def test_a_replaced_value_of_an_open_rotation_leaves_vault_likewise() -> None:
    """It is there already, under the name that it was given then."""
    seen = but(OBSERVED, current=replace(CURRENT, previous="past"), rotation=OPENED)
    planned = plan([Wait(until=NOW)], seen)
    lines = list(planned.lines())

    assert [step["step"] for step in planned.steps()] == ["wait", "withdraw", "delete"]
    assert "   2  withdraw remove field past from kv/vonage/a in Vault" in lines[3]
    assert lines[4].startswith("   3  delete   delete secret")


def test_the_same_for_programs() -> None:
    """Each step has its target, what Vault is expected to hold, and when it is due, as values."""
    planned = plan([*WHOLE, Wait(until=NOW + timedelta(days=1))]).document()
    assert planned
    steps = {step.pop("step"): step for step in planned.pop("steps")}

    assert planned == {
        "carries_on": None,
        "predecessor": {"secret_id": "old", "why": "the note in Vault names it"},
        "vonage_calls": 6,
        "undecided_secret_ids": [],
        "rotates_once_more": False,
    }
    assert list(steps) == (
        ["evict", "stage", "create", "probe", "push", "verify", "clear", "wait", "delete"]
    )
    assert steps["push"] == {
        "where": "vault",
        "what": "write it to kv/vonage/a in Vault, check-and-set version 6",
        "path": "kv/vonage/a",
        "check_and_set": 6,
        "vault_version": None,
        "secret_id": None,
        "due_at": None,
    }
    assert (steps["stage"]["path"], steps["stage"]["check_and_set"]) == ("kv/rotator/pending/a", 0)
    assert steps["verify"]["vault_version"] == 7
    assert steps["evict"]["secret_id"] == "orphan"
    assert steps["wait"]["where"] is None
    assert (steps["delete"]["secret_id"], steps["delete"]["due_at"]) == (
        "old",
        "2026-11-24T07:28:00Z",
    )


def test_a_program_is_told_what_a_leak_leaves() -> None:
    """With an open rotation that has replaced one: which, what else works, and that it is anew."""
    listed = (*(OBSERVED.listing.secrets or ()), Secret(id="foreign", created_at=NOW))
    planned = plan(REST, but(OBSERVED, listed=listed, rotation=OPENED), LEAKED).document()

    assert planned
    assert (planned["carries_on"], planned["rotates_once_more"]) == ("r1", True)
    assert planned["undecided_secret_ids"] == ["foreign", "orphan"]
    assert [step["step"] for step in planned["steps"]] == ["delete"]


def test_a_leak_may_have_been_of_any_secret() -> None:
    """What a compromised account would keep besides the new secret is named."""
    listed = (*(OBSERVED.listing.secrets or ()), Secret(id="foreign", created_at=NOW))
    observation = but(OBSERVED, listed=listed)
    after_leak = plan([*WHOLE, *REST], observation, LEAKED).lines()

    left = [line for line in after_leak if "leaves" in line]
    assert left == [
        "  leaves secret foreign (foreign), which may have leaked, too: decide what to do"
    ]
    assert not [line for line in plan([*WHOLE, *REST], observation).lines() if "leaves" in line]


def test_without_a_grace_there_is_one_look_less() -> None:
    """Four calls where there is nothing to wait for and nothing to evict."""
    actions = [action for action in WHOLE if not isinstance(action, Evict)] + REST
    planned = plan(actions)

    assert planned.calls() == 4
    assert list(planned.lines())[-2] == "   7  delete  delete secret old at Vonage"


def test_a_rotation_under_way_is_carried_on() -> None:
    """What is open is named, with where it stands; a leak is cured by rotating once more."""
    planned = plan(REST, but(OBSERVED, rotation=OPENED))

    assert list(planned.lines()) == [
        "a: would continue rotation r1, which is at step wait",
        "  replaces secret old: recorded when the rotation was opened",
        "   1  delete  delete secret old at Vonage",
        "  calls to Vonage: 2",
    ]
    after_leak = plan(REST, but(OBSERVED, rotation=OPENED), LEAKED).lines()
    assert "once more" in list(after_leak)[-1]


@pytest.mark.parametrize(
    ("actions", "line"),
    [
        ([Learn(new_id="new"), *REST], "   1  learn   record what is seen to have been done"),
        ([Abort(code="pending-lost"), Close()], "   1  abort   undo the rotation (pending-lost)"),
        ([Close()], "   1  close   record that it is over"),
    ],
)
def test_what_is_left_of_a_rotation(actions: list[Action], line: str) -> None:
    """Also the steps that only the ledger hears of are told where they are all there is."""
    assert line in list(plan(actions, but(OBSERVED, rotation=OPENED)).lines())


def test_a_rotation_that_only_vault_knows() -> None:
    """A lost ledger does not lose the rotation: it is found in Vault."""
    planned = plan([Open(predecessor_id=None, recovered_id="r9"), *WHOLE[3:]])

    lines = list(planned.lines())
    assert lines[0] == "a: would continue rotation r9, which Vault knows of"
    assert lines[1].startswith("  replaces nothing")


def test_the_only_secret_is_the_predecessor() -> None:
    """Without a note it is known because there is no other."""
    alone = but(
        OBSERVED, current=replace(CURRENT, note=None), listed=(Secret(id="old", created_at=NOW),)
    )

    assert "the only one, and Vault's value authenticates" in list(plan(WHOLE, alone).lines())[1]


def test_an_account_that_was_not_observed_has_no_facts() -> None:
    """Where nothing could be seen, nothing is made up."""
    planned = plan([], None)

    assert planned.calls() == 1
    assert planned.wait is None
    assert planned.predecessor_id is None
    assert planned.document() is None


def test_a_proof_is_part_of_the_plan_where_the_policy_asks_for_it() -> None:
    """After the grace as well, with its one call."""
    proving = account("a", policy=policy(prove_deletion=True))
    waiting: list[Action] = [*WHOLE, Wait(until=NOW + timedelta(days=1))]
    plain, proved = plan(waiting), replace(plan(waiting), account=proving)

    assert [step["step"] for step in proved.steps()][-2:] == ["delete", "prove"]
    assert [step["step"] for step in plain.steps()][-1] == "delete"
    assert proved.calls() == plain.calls() + 1
