"""The person who runs a command, for the record."""

from dataclasses import dataclass

from rotator.model.redaction import printable, redact

#: Characters of a text about a person that the record keeps.
LONGEST = 200


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who acts, from where, and why.

    It is what the system and the person say of themselves, not proof.
    """

    #: Login name, or the name that was given instead.
    by: str
    #: Where from: the host, and the address of the client whose session it is.
    host: str
    #: The reason that was given; None for none.
    because: str | None = None

    def facts(self) -> dict[str, str]:
        """Return the facts of an entry: each on one line, of bounded length, without live values.

        An entry can never be changed, and these are texts that a person may have typed.
        """
        texts = {"by": self.by, "from": self.host, "because": self.because}
        return {key: redact(printable(text))[:LONGEST] for key, text in texts.items() if text}
