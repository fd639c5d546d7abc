"""Takes checkpoints of the ledger and publishes them, level-triggered.

Nothing is remembered of what was published where: each time, every place is looked at first, and
gets what it lacks. So a kill at any moment leaves nothing to repair, and a place that was away gets
everything later. Nothing is signed while any place holds another history: whoever keeps the former
checkpoints must not be shown a second, contradicting one.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Generic

from rotator.errors import RotatorError, WitnessConflict
from rotator.model.checkpoint import History, SignedCheckpoint, Target
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
    ) -> None:
        """Publish what `log` has, signed by `sign`, to all of `targets`."""
        self._log = log
        self._targets = targets
        self._origin = origin
        self._sign = sign

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
        away: dict[str, RotatorError] = {}
        for target in self._targets:
            known = self._tried(target.name, target.compare, known, away)
        if after == len(known.signed) and len(away) < len(self._targets):
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
