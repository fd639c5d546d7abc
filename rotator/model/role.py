"""What rotator knows a secret at Vonage as."""

from collections.abc import Collection
from enum import StrEnum

from rotator.model.rotation import Rotation


class SecretRole(StrEnum):
    """A secret's role in its account."""

    #: Vault holds its value.
    CURRENT = "current"
    #: The open rotation created it.
    NEW = "new"
    #: The open rotation replaces it.
    PREDECESSOR = "predecessor"
    #: A rotation superseded it, or created it and was undone: it may be deleted.
    EXPENDABLE = "expendable"
    #: rotator neither created nor superseded it.
    FOREIGN = "foreign"

    @classmethod
    def of(
        cls,
        secret_id: str,
        *,
        current_id: str | None,
        opened: Rotation | None,
        expendable_ids: Collection[str],
    ) -> "SecretRole":
        """Return the role of a listed secret; `opened` is the account's open rotation."""
        if secret_id == current_id:
            return cls.CURRENT
        if opened and secret_id == opened.predecessor_id:
            return cls.PREDECESSOR
        if opened and secret_id == opened.new_id:
            return cls.NEW
        return cls.EXPENDABLE if secret_id in expendable_ids else cls.FOREIGN
