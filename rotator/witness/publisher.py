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
from rotator.model.checkpoint import SignedCheckpoint, Target
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

    def publish(self, now: datetime, *, is_due: bool) -> SignedCheckpoint | None:
        """Bring every place up to date, with a new checkpoint if one `is_due`; return the newest.

        Raises:
            WitnessConflict: the entries, or what is published somewhere, are not of this history.
                Nothing was signed, and nothing was published.
            RotatorError: some place could not be reached; the others have everything.
        """
        known = self._read()
        away = self._compared(known)
        if is_due and len(away) < len(self._targets):
            self._log.add(known, origin=self._origin, at=now, sign=self._sign)
            known = self._read()
        history = known.history(self._origin)
        failures = list(away.values())
        for target in self._targets:
            if target.name not in away:
                try:
                    target.publish(history)
                except WitnessConflict:
                    raise
                except RotatorError as error:
                    failures.append(error)
        if failures:
            raise failures[0]
        return history.newest

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

    def _compared(self, known: Known) -> dict[str, RotatorError]:
        """Compare every place; return those that cannot be reached, and why.

        Raises:
            WitnessConflict: one of them has another history.
        """
        away: dict[str, RotatorError] = {}
        for target in self._targets:
            try:
                target.compare(known.history(self._origin))
            except WitnessConflict:
                raise
            except RotatorError as error:
                away[target.name] = error
        return away
