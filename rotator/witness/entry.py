"""An entry in Vault with the newest checkpoint; Vault keeps some versions before it."""

from typing import Protocol

from rotator.errors import CheckAndSetLost, WitnessConflict
from rotator.model.checkpoint import History, Note, Submission
from rotator.witness.conflicts import conflict_of


class VersionedEntry(Protocol):
    """The entry, as the store has it."""

    @property
    def shown(self) -> str:
        """Its path."""

    def read(self) -> tuple[str | None, int]:
        """Read the newest text, None for none, and its version.

        Raises:
            StoreError: it cannot be read, or holds something else.
        """

    def write(self, origin: str, text: str, version: int) -> None:
        """Write a text over `version`.

        Raises:
            CheckAndSetLost: that is not the newest version.
            StoreError: it may not be written.
        """


class Entry:
    """The entry as a place of checkpoints."""

    def __init__(self, entry: VersionedEntry) -> None:
        """Publish in `entry`."""
        self._entry = entry

    @property
    def name(self) -> str:
        """See `Target.name`."""
        return f"Vault's entry {self._entry.shown}"

    def compare(self, history: History) -> None:
        """Compare the newest version; see `Target.compare`."""
        self._look(history)

    def publish(self, history: History) -> None:
        """Write the newest checkpoint unless it is there; see `Target.publish`."""
        if history.newest is None:
            return
        text = history.submission(history.newest).text
        try:
            self._write(history, text)
        except CheckAndSetLost:
            # Another daemon was quicker; what it wrote is looked at as well.
            self._write(history, text)

    def _write(self, history: History, text: str) -> None:
        present, version = self._look(history)
        if present != text:
            self._entry.write(history.origin, text, version)

    def _look(self, history: History) -> tuple[str | None, int]:
        text, version = self._entry.read()
        if text is not None:
            try:
                note = Note.parse(Submission.parse(text).note)
            except ValueError as error:
                raise WitnessConflict(
                    f"{self.name} holds what is no checkpoint: {error}",
                    hint="somebody changed it: look at its versions, `vault kv metadata get`",
                ) from None
            if not history.has(note.text):
                raise conflict_of(self.name, note, history)
        return text, version
