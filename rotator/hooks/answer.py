"""What comes back from one call of a hook."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer of a hook, or why there is none. Contains no secret."""

    succeeded: bool
    #: The exit status with the first line of standard error, the HTTP status, or the failure.
    text: str

    @property
    def reason(self) -> str | None:
        """Reason of the failure; None for success."""
        return None if self.succeeded else self.text


def failed(reason: str) -> Answer:
    """Return that a call failed."""
    return Answer(succeeded=False, text=reason)
