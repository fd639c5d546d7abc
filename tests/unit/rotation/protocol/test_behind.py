"""Vault shows an older version than rotator wrote."""

from dataclasses import replace

import pytest

from rotator.model import Request, Written
from rotator.rotation import refusals
from rotator.rotation.steps.bookkeeping import Idle
from tests.unit.rotation.protocol.after_push import DELETING
from tests.unit.rotation.protocol.before_push import STAGING
from tests.unit.rotation.protocol.facts import ACCOUNT, CURRENT, Facts, decided
from tests.unit.rotation.protocol.opening import OPENING


def behind(facts: Facts, shown: int = 6) -> Facts:
    """Make Vault show version `shown` of an entry whose version 7 rotator wrote."""
    assert facts.observation.current.entry
    current = replace(facts.observation.current.entry, version=shown)
    return facts.but(current=current, written=Written(version=7))


@pytest.mark.parametrize("table", [OPENING, STAGING, DELETING])
def test_nothing_is_done_on_what_is_older_than_was_written(table: list[object]) -> None:
    """Neither before the push nor after it: a standby lags, or Vault was restored."""
    facts: Facts = table[0].values[0]  # type: ignore[attr-defined]

    assert decided(behind(facts)) == "drift"
    assert decided(behind(facts, shown=7)) == decided(facts)


def test_what_is_older_than_was_written_is_nothing_to_one_who_asks_for_nothing() -> None:
    """Where no rotation is open and none is asked for, there is nothing to refuse."""
    facts: Facts = OPENING[0].values[0]  # type: ignore[attr-defined]

    assert decided(behind(facts).but(request=Request(reason=None))) == Idle()


def test_versions_are_named() -> None:
    """Both, as it is the reader who knows which node was asked, and what was restored."""
    facts: Facts = OPENING[0].values[0]  # type: ignore[attr-defined]
    told = refusals.behind(ACCOUNT, behind(facts).observation)

    assert "it shows version 6 of vonage/" in told.why
    assert "version 7 was written" in told.why


@pytest.mark.parametrize(
    ("current", "removed", "cure"),
    [
        (replace(CURRENT, note=None), {}, "`vault kv rollback -version=8 secret/vonage/"),
        (None, {"current_version": 8}, "`vault kv undelete -versions=8 secret/vonage/"),
        (None, {}, "end the rotation with a value that works"),
    ],
)
def test_the_cure_for_a_changed_entry_is_one_that_works(
    current: object, removed: dict[str, int], cure: str
) -> None:
    """To what was deleted nobody can roll back, and what was removed is in no version."""
    facts: Facts = DELETING[0].values[0]  # type: ignore[attr-defined]
    assert facts.observation.rotation
    rotation = replace(facts.observation.rotation, vault_version=8)
    observation = facts.but(current=current, **removed).observation
    told = refusals.overwritten(ACCOUNT, rotation, observation)

    assert cure in (told.hint or "")


def test_a_deleted_entry_is_brought_back() -> None:
    """Before a rotation, too."""
    facts: Facts = OPENING[0].values[0]  # type: ignore[attr-defined]
    deleted = facts.but(current=None, current_version=3).observation
    never = facts.but(current=None).observation

    assert "undelete -versions=3" in refusals.entry_missing(ACCOUNT, deleted).hint
    assert "undelete" not in refusals.entry_missing(ACCOUNT, never).hint
