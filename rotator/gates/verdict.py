"""What a gate finds: consumers, those that are behind, and whether it is open."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rotator.model.convergence import MOST_NAMES, Convergence, bounded, named
from rotator.model.redaction import printable


class Undecided(Exception):
    """The gate cannot say who uses what, so it is shut. The message says why, without a value."""


@dataclass(frozen=True, kw_only=True)
class NewSecret:
    """What identifies the secret that consumers are to use; no value."""

    #: Vonage's id of it, as the entry's note has it.
    secret_id: str
    #: The id of the one that it replaces; None where it is not known.
    old_secret_id: str | None = None
    #: The entry's version in Vault that has it; None where it is not known.
    vault_version: int | None = None

    def lag(self, text: str) -> str | None:
        """Return why a consumer's text does not show the new secret in use; None where it does."""
        if self.old_secret_id and _has_word(text, self.old_secret_id):
            return "it names the old secret"
        return None if _has_word(text, self.secret_id) else "it does not name the new secret"


def _has_word(text: str, word: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", text) is not None


@dataclass(frozen=True, kw_only=True)
class Consumer:
    """One consumer that was looked at."""

    name: str
    #: Why it does not count as using the new secret; None where it uses it.
    lag: str | None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a gate is open, and what it found."""

    is_open: bool
    #: In words, on one line.
    reason: str
    convergence: Convergence | None = None

    @classmethod
    def of(cls, consumers: Sequence[Consumer]) -> "Verdict":
        """Return open if there are consumers and none is behind."""
        behind = [consumer for consumer in consumers if consumer.lag]
        convergence = Convergence(
            consumers=len(consumers),
            converged=len(consumers) - len(behind),
            behind=tuple(bounded(each.name) for each in behind[:MOST_NAMES]),
        )
        lags = (f"{bounded(each.name)} ({each.lag})" for each in behind)
        counted = convergence.counted
        reason = f"{counted}; not yet: {named(lags, len(behind))}" if behind else counted
        if not consumers:
            reason = "there is no consumer to ask"
        is_open = bool(consumers) and not behind
        return cls(is_open=is_open, reason=printable(reason), convergence=convergence)

    def document(self) -> dict[str, Any]:
        """Return the verdict for programs, and for rotator as the gate's caller."""
        unknown: dict[str, Any] = {"consumers": None, "converged": None, "behind": []}
        counted = self.convergence.document() if self.convergence else unknown
        return {"open": self.is_open, "reason": self.reason, **counted}
