"""What is said at the end of a leak."""

from dataclasses import replace

import pytest

from rotator.cli.closing import verdict, with_earlier
from rotator.errors import StoreSealed
from rotator.model import Outcome, PassResult
from rotator.rotation.result import failure, result_of
from tests.support.samples import NOW, account, rotation

DEAD = result_of(account("a"), Outcome.COMPLETED, rotation(dead_at=NOW))
#: No older version in Vault has its value any more.
UNPROVED = replace(DEAD, account="d", old_secret_dead_at=None)
ALIVE = failure(account("b"), rotation(), StoreSealed())
WAITING = result_of(account("c"), Outcome.AWAITING_DELETION, rotation())
#: Consumers had none before.
FIRST = replace(UNPROVED, old_secret_id=None)


@pytest.mark.parametrize(
    ("results", "said"),
    [
        ([DEAD], "1 of 1 leaked secret is dead"),
        ([DEAD, DEAD, FIRST], "2 of 2 leaked secrets are dead"),
        ([FIRST], ""),
        ([UNPROVED], "0 of 1 leaked secret is dead; 1 is not: d (not proved)"),
        ([DEAD, ALIVE], "1 of 2 leaked secrets is dead; 1 is not: b (vault-sealed)"),
        (
            [replace(ALIVE, old_secret_id=None), WAITING],
            "0 of 2 leaked secrets are dead; 2 are not: b (vault-sealed), c (awaiting-deletion)",
        ),
    ],
)
def test_what_is_not_dead_is_named(results: list[PassResult], said: str) -> None:
    """Whatever did not come to its end counts as alive."""
    assert verdict(results) == said


def test_each_secret_that_a_pass_replaced_counts() -> None:
    """The rotation that waited in its grace and was ended first had one, too."""
    both = with_earlier([replace(DEAD, earlier=UNPROVED), FIRST])

    assert [each.account for each in both] == ["d", "a", "d"]
    assert verdict(both) == "1 of 2 leaked secrets is dead; 1 is not: d (not proved)"


def test_a_sentence_names_the_first_only() -> None:
    """The document has all of them."""
    said = verdict([replace(ALIVE, account=f"a{number}") for number in range(25)])

    assert said.endswith("a19 (vault-sealed) and 5 more")
    assert "a20" not in said
