"""What published checkpoints show: of themselves, and of the ledger as it is now."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from rotator.model.merkle import is_extension
from rotator.model.times import rfc3339, rough_duration
from rotator.witness.published import Published, Unusable

if TYPE_CHECKING:
    from rotator.ledger.checkpoints import WitnessedLedger
    from rotator.model.checkpoint import Checkpoint

#: What to do where the ledger is not what was witnessed.
LEDGER_HINT = (
    "keep the ledger and the checkpoints as evidence; compare the ledger with a backup of then, or "
    "with an earlier `rotator ledger export`"
)
#: What to do where the checkpoints contradict each other.
LOG_HINT = (
    "whoever signs them has shown two histories, or somebody changed the files: compare them with "
    "another copy, and the ledger with `rotator ledger verify --witness PATH`"
)
#: What to do where the ledger lacks only checkpoints, and not their entries.
_RESTORED_HINT = (
    "if it was restored, `rotator ledger witness publish` records again what is published; if not, "
    "keep the ledger and the checkpoints as evidence, and compare it with a backup of then"
)
#: What to do where a file is not what somebody with the key has signed.
_FILE_HINT = "get the file again from where it was published, or compare it with another copy"
#: What to do where somebody with another key has.
_KEY_HINT = (
    "if the key was replaced, give `--key` twice, the former and the new one; if not, the file was "
    "forged: compare it with another copy"
)
_GAP_HINT = "get the missing files; or compare with `rotator ledger verify --witness PATH`"
#: What to do where there are none: files by other names are left alone.
_NONE_HINT = "name the directory that has the files `0000000001.checkpoint` and so on"


@dataclass(frozen=True, kw_only=True)
class WitnessVerdict:
    """The result of checking published checkpoints."""

    #: Those that hold, up to the first that does not.
    holding: int
    #: The first and the last of those.
    first: "Checkpoint | None" = None
    last: "Checkpoint | None" = None
    #: Entries of the ledger that no checkpoint covers; None where there was no ledger to count.
    entries_since: int | None = None
    #: What is wrong, from the first checkpoint on that does not hold.
    fault: str | None = None
    #: Whether that is in its file, so that it was not compared.
    is_unusable: bool = False
    #: What could not be compared.
    gap: str | None = None
    hint: str | None = None

    @property
    def verdict(self) -> str:
        """The result in a word or two."""
        if self.fault:
            return "FAILED"
        return "not compared" if self.gap or not self.holding else "holds"

    def document(self) -> dict[str, Any]:
        """Return the result for `--json`."""
        return {
            "verdict": self.verdict.lower(),
            "checkpoints": self.holding,
            "first_at": rfc3339(self.first.at if self.first else None),
            "last_at": rfc3339(self.last.at if self.last else None),
            "entries": self.last.size if self.last else 0,
            "entries_since": self.entries_since,
            "fault": self.fault or self.gap,
        }

    def sentence(self, beginning: str) -> str:
        """Return the result in a sentence with that beginning; wrong things are said elsewhere."""
        if not self.first or not self.last:
            if self.is_unusable:
                return "no checkpoint could be compared"
            return "no checkpoint holds" if self.fault else "no checkpoint was compared"
        first, last = rfc3339(self.first.at), rfc3339(self.last.at)
        when = first if first == last else f"{first} to {last}"
        more = ""
        if self.entries_since is not None and not self.fault:
            more = f"; {_counted(self.entries_since, 'entry')} since"
        return (
            f"{beginning} {_counted(self.holding, 'checkpoint')}, {when}, "
            f"{_counted(self.last.size, 'entry')}{more}"
        )


def compare_ledger(
    published: Iterable[Published | Unusable], ledger: "WitnessedLedger", origins: Collection[str]
) -> WitnessVerdict:
    """Compare the ledger with each checkpoint: whether it extends that one's tree.

    `origins` are the names that the ledger's checkpoints have had.
    """
    held: list[Checkpoint] = []
    for each in published:
        if isinstance(each, Unusable):
            return _unusable(held, each)
        if fault := _mismatch(each, ledger, origins, held):
            return _verdict(held, fault=fault, hint=LEDGER_HINT)
        if fault := _unrecorded(each, ledger, held):
            return _verdict(held, fault=fault, hint=_RESTORED_HINT)
        held.append(each.checkpoint)
    if not held:
        return _verdict(held, gap="there are no checkpoints to compare with", hint=_NONE_HINT)
    return _verdict(held, entries_since=ledger.tree.size - held[-1].size)


def _mismatch(
    each: Published,
    ledger: "WitnessedLedger",
    origins: Collection[str],
    held: list["Checkpoint"],
) -> str | None:
    """Return how the ledger does not have the entries of a checkpoint; None where it has."""
    seen = each.checkpoint
    if seen.origin not in origins:
        return (
            f"{each.name} is a checkpoint of another ledger, {seen.origin}, and this one is "
            f"{' and '.join(sorted(origins))}: the ledger was lost or replaced since "
            f"{rfc3339(seen.at)}"
        )
    when = f"up to {rfc3339(seen.at)}"
    if held:
        when = f"from {rfc3339(held[-1].at)} to {rfc3339(seen.at)}"
    # A backup from right before a checkpoint may have all of its entries, and not the checkpoint.
    holds = seen.size <= ledger.tree.size and ledger.tree.root(seen.size) == seen.root
    if seen.size > ledger.covered and not holds:
        return (
            f"{each.name} does not hold: the ledger lacks what it recorded {when}. "
            f"{_counted(seen.size, 'entry')} were witnessed, and its own checkpoints cover "
            f"{ledger.covered}: it was restored from a backup, cut off, or lost and begun anew"
        )
    if not holds:
        return (
            f"{each.name} does not hold: the ledger is not what it was on {rfc3339(seen.at)}. An "
            f"entry recorded {when} was changed or removed since, or the ledger was lost and "
            "written to again"
        )
    return None


def _unrecorded(each: Published, ledger: "WitnessedLedger", held: list["Checkpoint"]) -> str | None:
    """Return how the ledger lacks a checkpoint, and has entries from after it; None if it does not.

    A backup from before a checkpoint has no entry from after it, unless it was taken between the
    look at the entries and the record of their checkpoint.
    """
    if not held or not ledger.covered < held[-1].size < each.checkpoint.size:
        return None
    return (
        f"{each.name} does not hold: the ledger has its entries, and not the checkpoint that "
        f"rotator signed before it, on {rfc3339(held[-1].at)}. Its own checkpoints cover "
        f"{ledger.covered} entries, and {held[-1].size} were signed then: it was restored from a "
        "backup of that very moment, or somebody removed checkpoints"
    )


def check_published(
    published: Iterable[Published | Unusable],
    now: datetime,
    *,
    max_age: timedelta | None = None,
) -> WitnessVerdict:
    """Check checkpoints by themselves: each signed, and proved to extend the one before.

    With `max_age`, the newest must not be older, nor as far ahead.
    """
    held: list[Checkpoint] = []
    gap: str | None = None
    for each in published:
        if isinstance(each, Unusable):
            return _unusable(held, each)
        if held and (fault := _contradiction(each, held[-1])):
            return _verdict(held, fault=f"{each.name}: {fault}", hint=LOG_HINT)
        if held and (missing := _missing(each, held[-1])):
            gap = gap or f"{each.name}: {missing}"
        held.append(each.checkpoint)
    if not held:
        return _verdict(held, gap="there are no checkpoints", hint=_NONE_HINT)
    if max_age is not None and (fault := _age_fault(held[-1].at, now, max_age)):
        hint = "ask whoever runs rotator why there is no newer one, or why it did not arrive"
        return _verdict(held, fault=fault, hint=hint)
    return _verdict(held, gap=gap, hint=_GAP_HINT if gap else None)


def _age_fault(at: datetime, now: datetime, max_age: timedelta) -> str | None:
    """Return how the newest checkpoint is too old; None where it is not.

    One from far ahead shows nothing of the time until then: the clock that it is of was wrong.
    """
    if now - at > max_age:
        return f"the newest checkpoint is {rough_duration(now - at)} old, of {rfc3339(at)}"
    if at - now > max_age:
        return f"the newest checkpoint is of {rfc3339(at)}, which is yet to come: a clock is wrong"
    return None


def _contradiction(each: Published, before: "Checkpoint") -> str | None:
    """Return how a checkpoint contradicts the one before it; None where it does not.

    Its time may be an earlier one, after a clock that was ahead: the entries show the order.
    """
    seen, submission = each.checkpoint, each.submission
    since = f"since {rfc3339(before.at)}"
    if seen.origin != before.origin:
        return f"it is of another ledger, {seen.origin}: the ledger was lost or replaced {since}"
    if seen.size < before.size:
        return (
            f"it has {_counted(seen.size, 'entry')}, less than the {before.size} of the one before "
            f"it: the ledger was lost, restored or cut off {since}"
        )
    if seen.size == before.size:
        is_same = seen.root == before.root
        return None if is_same else f"its entries are others: the ledger was rewritten {since}"
    if submission and submission.old < before.size:
        return f"it does not continue the one before it: the ledger was lost or restored {since}"
    if submission and submission.old == before.size:
        proof = submission.proof
        if not is_extension(before.size, before.root, seen.size, seen.root, proof):
            return f"it does not extend the one before it: the ledger was rewritten {since}"
    return None


def _missing(each: Published, before: "Checkpoint") -> str | None:
    """Return why it cannot be known whether a checkpoint extends the one before; None if it is."""
    seen, submission = each.checkpoint, each.submission
    if seen.size == before.size or (submission and submission.old == before.size):
        return None
    if submission is None:
        return "it has no proof that it extends the one before it"
    return (
        f"a checkpoint of {_counted(submission.old, 'entry')} is missing before it: nothing shows "
        f"that it extends that of {rfc3339(before.at)}"
    )


def _unusable(held: list["Checkpoint"], each: Unusable) -> WitnessVerdict:
    """Return that a file says nothing of the ledger, nor of other checkpoints."""
    hint = _KEY_HINT if each.is_of_another_key else _FILE_HINT
    return _verdict(held, fault=f"{each.name}: {each.why}", is_unusable=True, hint=hint)


def _verdict(  # noqa: PLR0913  # all by name
    held: list["Checkpoint"],
    *,
    fault: str | None = None,
    is_unusable: bool = False,
    gap: str | None = None,
    hint: str | None = None,
    entries_since: int | None = None,
) -> WitnessVerdict:
    return WitnessVerdict(
        holding=len(held),
        first=held[0] if held else None,
        last=held[-1] if held else None,
        fault=fault,
        is_unusable=is_unusable,
        gap=gap,
        hint=hint,
        entries_since=entries_since,
    )


def _counted(number: int, noun: str) -> str:
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"
