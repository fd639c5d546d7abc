"""Each rule by a small history that keeps it, and the same history with one thing changed."""

import json

import pytest

from rotator.ledger.chain import GENESIS, Entry
from rotator.ledger.replay import Replay
from rotator.reporting.rules import MOST, RuleCheck
from tests.support.small_histories import DISHONEST, HONEST, Draft, check, deletion, rotation


@pytest.mark.parametrize("drafts", HONEST.values(), ids=HONEST)
def test_an_honest_history_breaks_nothing(drafts: list[Draft]) -> None:
    """What a kill, a person, an older version or a restored ledger leaves behind."""
    assert check(drafts) == []


@pytest.mark.parametrize(("rule", "words", "drafts"), DISHONEST.values(), ids=DISHONEST)
def test_a_broken_rule_is_named(rule: int, words: str, drafts: list[Draft]) -> None:
    """By its number, and in words."""
    found = check(drafts)

    assert any(one.rule == rule and words in one.why for one in found), found


def test_a_violation_names_its_entry() -> None:
    """For people and for programs."""
    first, *_ = check([*rotation(), *deletion(at=23)])

    assert str(first).startswith("entry 12 breaks rule 4: the secret is to be deleted")
    assert json.loads(json.dumps(first.document())) == {
        "rule": 4,
        "seq": 12,
        "rotation_id": "r1",
        "fault": first.why,
    }


def test_no_more_are_kept_than_anyone_reads() -> None:
    """What follows the first may follow from it."""
    found = check([(0, "r1", "done", "create", {"secret_id": "x"})] * (2 * MOST))

    assert len(found) == MOST


@pytest.mark.parametrize("detail", ["", "null", "[]", '{"fencing_token":"x"}', "\ud800"])
def test_what_cannot_be_read_is_no_crash(detail: str) -> None:
    """Another program may have written it."""
    entry = Entry(
        account="a",
        seq=1,
        rotation_id="r1",
        at="yesterday",
        event="intent",
        step="delete",
        detail=detail,
        prev_hash=GENESIS,
        hash="",
    )
    rules = RuleCheck()
    rules.read(entry, Replay())

    assert [one.seq for one in rules.violations][:1] == [1]
