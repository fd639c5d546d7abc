"""What people read of an entry that breaks a rule: words, whatever somebody wrote into it."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from rotator.ledger.chain import canonical_json
from rotator.ledger.replay import Replay
from rotator.reporting import rules
from rotator.reporting.rules import Check, RuleCheck, Violation
from rotator.reporting.rules.past import Seen
from tests.support.small_histories import (
    DISHONEST,
    HONEST,
    Draft,
    check,
    checked,
    entries_of,
    rotation,
)
from tests.support.words import unfit

#: What may stand in an entry in place of any fact.
VALUES: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1.5, 7, 10**30),
    *("", "x", "2026-11-01T00:00:00+00:00", "0001-01-01T00:00:00+14:00"),
    *("9999-12-31T23:59:59-14:00", ["x"], {"x": "y"}),
)
#: In place of its time, event or step.
TEXTS = ("", "x", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-14:00")
COLUMNS = ("rotation_id", "at", "event", "step")
#: As whole ones, and what only dishonest ones have.
ALTERED = {name: drafts for name, drafts in HONEST.items() if name != "two"} | {
    name: DISHONEST[name][2]
    for name in (
        "proved dead twice",
        "a deletion by hand that nobody asked for",
        "an adopted secret",
    )
}


def altered(drafts: list[Draft]) -> Iterator[list[Violation]]:
    """Yield what breaks a rule as it is, and once one fact, or one column, is any other."""
    entries, past, replay = entries_of(drafts), RuleCheck(), Replay()
    yield checked(entries)
    for place, entry in enumerate(entries):
        facts = drafts[place][4]
        details = [facts | {name: value} for name in facts for value in VALUES]
        others = [entry._replace(detail=canonical_json(detail)) for detail in details]
        changes: list[dict[str, Any]] = [{name: text} for name in COLUMNS for text in TEXTS]
        others += [entry._replace(**change) for change in changes]
        for other in others:
            yield checked([other, *entries[place + 1 :]], past.copy(), replay.copy())
        checked([entry], past, replay)


@pytest.mark.parametrize("drafts", ALTERED.values(), ids=ALTERED)
def test_nothing_that_an_entry_says_is_a_crash_or_quoted_as_python(drafts: list[Draft]) -> None:
    """No fact that is missing, of another kind, or beyond all years."""
    found = {str(one) for violations in altered(drafts) for one in violations}

    assert found
    assert [text for text in found if unfit(text)] == []


def test_every_check_has_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each speaks of one of these histories at least, in words for people."""
    silent: set[str] = set()
    spoken: set[str] = set()

    def listening(check_: Check) -> Check:
        silent.add(check_.__name__)

        def listen(seen: Seen) -> str | None:
            why = check_(seen)
            spoken.update({check_.__name__} if why else ())
            return why

        return listen

    for name in ("CHECKS", "PASSED"):
        table: Mapping[str, tuple[tuple[int, Check], ...]] = getattr(rules, name)
        heard = {
            event: tuple((rule, listening(one)) for rule, one in checks)
            for event, checks in table.items()
        }
        monkeypatch.setattr(rules, name, heard)
    found = {str(one) for _, _, drafts in DISHONEST.values() for one in check(drafts)}

    assert silent - spoken == set()
    assert [text for text in found if unfit(text)] == []


def test_what_is_quoted_is_on_one_line() -> None:
    """Whoever forged an entry writes no line of ours, and nothing that a terminal obeys."""
    forged = [*rotation()[:4], (0, "r1", "done", "create", {"secret_id": "x"})]
    found = check([*forged, (0, "r1", "done", "probe", {"secret_id": "y\nhint: \x1b[2J"})])

    assert [one.why for one in found] == [
        "it is about secret y hint: \N{REPLACEMENT CHARACTER}[2J, and the rotation made secret x"
    ]
