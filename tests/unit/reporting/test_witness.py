from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from rotator.ledger.checkpoints import WitnessedLedger
from rotator.model.checkpoint import Checkpoint, Submission
from rotator.model.merkle import MerkleTree
from rotator.reporting.witness import check_published, compare_ledger
from rotator.witness.published import Published, Unusable

NOW = datetime(2026, 11, 30, 10, 6, tzinfo=UTC)
TREE = MerkleTree([bytes([each]) for each in range(20)])
#: Another history, from the sixth entry on.
FORK = MerkleTree([bytes([each if each < 5 else each + 100]) for each in range(20)])


def published(*sizes: int, tree: MerkleTree = TREE, origin: str = "log") -> list[Published]:
    """Return checkpoints of a history, a day apart, each with the proof from the one before."""
    found: list[Published] = []
    for number, size in enumerate(sizes, start=1):
        at = NOW + timedelta(days=number)
        checkpoint = Checkpoint(origin=origin, size=size, root=tree.root(size), at=at)
        old = sizes[number - 2] if number > 1 else 0
        proof = tuple(tree.proof(old, size))
        submission = Submission(old=old, proof=proof, note="")
        found.append(Published(name=f"{number}", checkpoint=checkpoint, submission=submission))
    return found


def ledger(covered: int, tree: MerkleTree = TREE) -> WitnessedLedger:
    """Return a ledger whose checkpoints cover so many entries."""
    return WitnessedLedger(signed=(), tree=tree, covered=covered, rest={}, broken=None)


def test_a_ledger_that_has_grown_extends_each_checkpoint() -> None:
    """Also the one of nothing, and one of nothing new."""
    found = compare_ledger(published(0, 3, 3, 8), ledger(10), {"log"})

    assert (found.verdict, found.holding, found.entries_since) == ("holds", 4, 12)
    assert found.sentence("the ledger extends") == (
        "the ledger extends 4 checkpoints, 2026-12-01T10:06:00Z to 2026-12-04T10:06:00Z, "
        "8 entries; 12 entries since"
    )


def test_a_ledger_that_was_cut_off_or_restored_lacks_what_was_witnessed() -> None:
    """The dates between which it was recorded are told."""
    left = MerkleTree([bytes([each]) for each in range(8)])
    found = compare_ledger(published(3, 8, 12), ledger(8, left), {"log"})

    assert (found.verdict, found.holding) == ("FAILED", 2)
    assert found.fault
    assert "lacks what it recorded from 2026-12-02T10:06:00Z to 2026-12-03T10:06:00Z" in found.fault
    assert "12 entries were witnessed, and its own checkpoints cover 8" in found.fault


def test_a_ledger_that_lacks_only_the_checkpoint_extends_it() -> None:
    """As one that was restored from a backup which has every entry."""
    found = compare_ledger(published(3, 8, 12), ledger(8), {"log"})

    assert (found.verdict, found.holding, found.entries_since) == ("holds", 3, 8)


def test_a_ledger_that_was_rewritten_does_not_hold_from_then_on() -> None:
    """The first checkpoint that has an altered entry is named, with what was recorded when."""
    found = compare_ledger(published(3, 5, 8, 12), ledger(20, FORK), {"log"})

    assert found.fault
    assert found.fault.startswith("3 does not hold: the ledger is not what it was on 2026-12-03")
    assert "recorded from 2026-12-02T10:06:00Z to 2026-12-03T10:06:00Z" in found.fault
    assert found.document()["checkpoints"] == 2


def test_a_ledger_without_a_checkpoint_that_others_follow_may_have_been_restored() -> None:
    """From a backup of the moment in which it was signed; the hint records it again."""
    found = compare_ledger(published(3, 8, 12), ledger(3), {"log"})

    assert (found.verdict, found.holding) == ("FAILED", 2)
    assert found.fault
    assert found.fault.startswith("3 does not hold: the ledger has its entries, and not the")
    assert found.fault.endswith("of that very moment, or somebody removed checkpoints")
    assert found.hint
    assert "`rotator ledger witness publish` records again" in found.hint


@pytest.mark.parametrize(
    ("is_of_another_key", "cure"),
    [(True, "give `--key` twice"), (False, "get the file again")],
)
def test_a_file_that_cannot_be_relied_on_says_nothing_about_the_ledger(
    *, is_of_another_key: bool, cure: str
) -> None:
    """The hint is about its key, or another copy of it, and not about the ledger's backups."""
    file = Unusable(name="1", why="why", is_of_another_key=is_of_another_key)

    for found in (compare_ledger([file], ledger(20), {"log"}), check_published([file], NOW)):
        assert found.hint
        assert cure in found.hint
        assert ("--key" in found.hint) == is_of_another_key
        assert "backup" not in found.hint
        assert found.sentence("the ledger extends") == "no checkpoint could be compared"


def test_a_ledger_of_which_no_checkpoint_holds_is_told_so() -> None:
    """Unlike one that could not be compared."""
    found = compare_ledger(published(3), ledger(20, MerkleTree([])), {"log"})

    assert found.sentence("the ledger extends") == "no checkpoint holds"


def test_a_ledger_of_another_name_was_lost_and_made_anew() -> None:
    """Its own name is told as well."""
    found = compare_ledger(published(3), ledger(20), {"new"})

    assert found.fault
    assert "another ledger, log, and this one is new" in found.fault


def test_a_first_checkpoint_that_does_not_hold_has_no_date_before() -> None:
    """What was recorded until then is all."""
    found = compare_ledger(published(8), ledger(20, FORK), {"log"})

    assert found.fault
    assert "recorded up to 2026-12-01T10:06:00Z" in found.fault


def test_a_forged_checkpoint_is_a_fault_and_none_at_all_is_not_compared() -> None:
    """Neither counts as a ledger that holds."""
    forged = compare_ledger([Unusable(name="1", why="forged")], ledger(20), {"log"})
    nothing = compare_ledger([], ledger(20), {"log"})

    assert (forged.verdict, forged.fault) == ("FAILED", "1: forged")
    assert (nothing.verdict, nothing.fault) == ("not compared", None)
    assert nothing.sentence("the ledger") == "no checkpoint was compared"


def test_a_history_of_checkpoints_holds_by_its_own_proofs() -> None:
    """Neither the ledger nor its entries are needed."""
    found = check_published(published(0, 3, 3, 8, 12), NOW)

    assert (found.verdict, found.holding, found.entries_since) == ("holds", 5, None)


def test_removed_old_files_are_no_gap() -> None:
    """A history may begin anywhere."""
    assert check_published(published(0, 3, 8, 12)[2:], NOW).verdict == "holds"


def test_a_missing_file_is_a_gap() -> None:
    """Nothing shows that what follows extends what came before; the rest is checked."""
    files = published(3, 8, 12, 15)
    del files[1]
    found = check_published(files, NOW)

    assert (found.verdict, found.holding, found.fault) == ("not compared", 3, None)
    assert found.gap == (
        "3: a checkpoint of 8 entries is missing before it: nothing shows that it extends that of "
        "2026-12-01T10:06:00Z"
    )


def test_a_checkpoint_without_its_proof_is_a_gap() -> None:
    """As one that was copied from elsewhere."""
    first, second = published(3, 8)
    found = check_published([first, replace(second, submission=None)], NOW)

    assert found.gap == "2: it has no proof that it extends the one before it"


def begun_anew() -> list[Published]:
    """Return a history that goes on with one that does not continue it."""
    anew = replace(published(12)[0].checkpoint, at=NOW + timedelta(days=9))
    submission = Submission(old=0, proof=(), note="")
    return [*published(3, 8), Published(name="3", checkpoint=anew, submission=submission)]


def forked() -> list[Published]:
    """Return a history whose newest checkpoint belongs to another."""
    return [*published(3, 8), published(3, 8, 12, tree=FORK)[2]]


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ([*published(3), *published(3, 8, origin="new")[1:]], "of another ledger, new"),
        ([*published(3), *published(3, 2)[1:]], "less than the 3 of the one before"),
        (
            [*published(3, 8), *published(3, 8, 8, tree=FORK)[2:]],
            "its entries are others: the ledger was rewritten since 2026-12-02",
        ),
        (begun_anew(), "does not continue the one before it"),
        (forked(), "does not extend the one before it: the ledger was rewritten"),
        ([*published(3), Unusable(name="2", why="forged")], "forged"),
    ],
)
def test_checkpoints_that_contradict_each_other_are_found(
    files: list[Published | Unusable], why: str
) -> None:
    """The first contradiction is told, and what came before holds."""
    found = check_published(files, NOW)

    assert found.verdict == "FAILED"
    assert why in (found.fault or "")


def test_the_newest_checkpoint_may_be_too_old() -> None:
    """Silence is what somebody outside sees of a daemon that refuses to sign."""
    files = published(3, 8)
    late = check_published(files, NOW + timedelta(days=5), max_age=timedelta(days=2))
    in_time = check_published(files, NOW + timedelta(days=3), max_age=timedelta(days=2))

    assert late.fault == "the newest checkpoint is 3d old, of 2026-12-02T10:06:00Z"
    assert in_time.fault is None


def test_a_time_that_goes_back_contradicts_nothing() -> None:
    """A clock was ahead once, or that of another daemon is a second behind: the proof counts."""
    first, second, third = published(3, 8, 12)
    ahead = replace(second.checkpoint, at=NOW + timedelta(days=90))
    found = check_published([first, replace(second, checkpoint=ahead), third], NOW)

    assert (found.verdict, found.holding) == ("holds", 3)


def test_a_newest_checkpoint_from_far_ahead_is_not_young() -> None:
    """Else nobody would hear of the silence that follows, until then."""
    found = check_published(published(3), NOW - timedelta(days=9), max_age=timedelta(days=2))

    assert found.fault == (
        "the newest checkpoint is of 2026-12-01T10:06:00Z, which is yet to come: a clock is wrong"
    )


def test_without_checkpoints_nothing_is_known() -> None:
    """An empty directory is not a history that holds."""
    assert check_published([], NOW).gap == "there are no checkpoints"


def test_one_checkpoint_has_one_time_and_one_entry_is_no_entries() -> None:
    """The sentence is in English, of one as of several."""
    found = compare_ledger(published(1), ledger(20), {"log"})

    assert found.sentence("the ledger extends") == (
        "the ledger extends 1 checkpoint, 2026-12-01T10:06:00Z, 1 entry; 19 entries since"
    )
