"""Takes checkpoints of the ledger and publishes them, level-triggered.

Nothing is remembered of what was published where: each time, every place is looked at first, and
gets what it lacks. So a kill at any moment leaves nothing to repair, and a place that was away gets
everything later. Nothing is signed while any place holds another history: whoever keeps the former
checkpoints must not be shown a second, contradicting one.

A ledger that was restored from a backup may have every entry that was published, and not every
checkpoint. Those that follow in the directory are then recorded again: what is signed with its own
key, and is the root of exactly its first entries, shows that nothing of them was lost or changed.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import takewhile
from typing import Generic

from rotator.errors import RotatorError, WitnessConflict
from rotator.model.checkpoint import Checkpoint, History, Note, SignedCheckpoint, Target
from rotator.witness.conflicts import changed_since
from rotator.witness.ports import CheckpointLog, Known


class Publisher(Generic[Known]):
    """Publishes the checkpoints of one ledger under one name."""

    def __init__(
        self,
        log: CheckpointLog[Known],
        targets: Sequence[Target],
        *,
        origin: str,
        sign: Callable[[str], str],
        archive: Callable[[int], Iterator[str]],
    ) -> None:
        """Publish what `log` has, signed by `sign`, to all of `targets`.

        `sign` makes the same note of the same text each time. `archive` yields the notes that were
        published after a number.
        """
        self._log = log
        self._targets = targets
        self._origin = origin
        self._sign = sign
        self._archive = archive

    def publish(self, now: datetime, *, after: int | None) -> SignedCheckpoint | None:
        """Bring every place up to date; return the newest checkpoint.

        Takes a new one if the newest is still number `after`, 0 for none: of several processes that
        find one due, one takes it. With None, none is taken.

        Raises:
            WitnessConflict: the entries, or what is published somewhere, are not of this history.
                Nothing was signed.
            RotatorError: some place could not be reached; the others have everything.
        """
        known = self._read()
        is_due = after == len(known.signed)
        known = self._restored(known)
        number = len(known.signed)
        away: dict[str, RotatorError] = {}
        for target in self._targets:
            known = self._tried(target.name, target.compare, known, away)
        if is_due and number == len(known.signed) and len(away) < len(self._targets):
            self._log.add(known, origin=self._origin, at=now, sign=self._sign)
            known = self._read()
        for target in self._targets:
            if target.name not in away:
                known = self._tried(target.name, target.publish, known, away)
        if away:
            raise next(iter(away.values()))
        return known.history(self._origin).newest

    def _read(self) -> Known:
        """Read the ledger; its entries must be those of its own checkpoints still.

        Raises:
            WitnessConflict: they are not.
        """
        known = self._log.read()
        if known.broken:
            raise WitnessConflict(
                f"{known.broken}: an entry is missing, or has no hash: nothing more is signed",
                hint="see `rotator ledger verify`, and compare with a backup",
            )
        if changed := known.changed():
            raise changed_since(changed)
        return known

    def _restored(self, known: Known) -> Known:
        """Return what the ledger has once it has recorded its own checkpoints again."""
        notes = [*takewhile(self._is_own, self._archive(len(known.signed)))]
        return self._read() if self._log.take_up(known, notes) else known

    def _is_own(self, note: str) -> bool:
        """Return whether this very note is what the key of this log signs."""
        try:
            text = Note.parse(note).text
            origin = Checkpoint.parse(text).origin
        except ValueError:
            return False
        return origin == self._origin and note == self._sign(text)

    def _tried(
        self,
        name: str,
        act: Callable[[History], None],
        known: Known,
        away: dict[str, RotatorError],
    ) -> Known:
        """Call a place with the history; return that, read again if it has grown meanwhile.

        Whatever another process has published is in the ledger, but perhaps not in what was read
        before. A place that cannot be reached is added to `away`.

        Raises:
            WitnessConflict: the place has another history.
        """
        while True:
            try:
                act(known.history(self._origin))
            except WitnessConflict:
                newer = self._read()
                if len(newer.signed) == len(known.signed):
                    raise
                known = newer
            except RotatorError as error:
                away[name] = error
                return known
            else:
                return known
