"""The tables of rules: the first answer wins, with its rule's name."""

import pytest

from rotator.rotation import protocol
from rotator.rotation.protocol.facts import Facts, Rule, first, when
from rotator.rotation.steps.bookkeeping import Idle, Observe
from tests.support.samples import NOW
from tests.unit.rotation.protocol.facts import ACCOUNT, ASKED, PATIENCE, QUIET

FACTS = Facts(
    account=ACCOUNT, observation=QUIET, request=ASKED, propagation_timeout=PATIENCE, now=NOW
)


def always(_facts: Facts) -> bool:
    """Return true."""
    return True


def never(_facts: Facts) -> bool:
    """Return false."""
    return False


def silent(_facts: Facts) -> None:
    """Apply to nothing."""


def looks(_facts: Facts) -> Observe:
    """Apply always."""
    return Observe()


def rests(_facts: Facts) -> Idle:
    """Apply always."""
    return Idle()


@pytest.mark.parametrize(
    ("rules", "answer", "name"),
    [
        ((silent, looks, rests), Observe(), "looks"),
        ((silent, when(always, (silent, rests)), looks), Idle(), "rests"),
        ((when(never, (rests,)), looks), Observe(), "looks"),
    ],
)
def test_the_first_answer_wins(rules: tuple[Rule, ...], answer: object, name: str) -> None:
    """With the name of the rule it is from, however deep that one is."""
    action = first(rules, FACTS)

    assert action == answer
    assert action is not None
    assert action.rule == name


def test_no_answer_is_none() -> None:
    """Where no rule applies, the next table is asked."""
    assert first((silent,), FACTS) is None


def test_there_is_always_a_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    """No fact may be left without a rule."""
    monkeypatch.setattr(protocol, "RULES", (silent,))

    with pytest.raises(AssertionError, match="last rule"):
        protocol.decide(ACCOUNT, QUIET, ASKED, propagation_timeout=PATIENCE, now=NOW)


def test_a_rule_about_a_rotation_needs_one() -> None:
    """Where none is open, such a rule is not asked."""
    with pytest.raises(AssertionError, match="no rotation"):
        _ = FACTS.rotation
