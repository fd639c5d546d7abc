"""The values that all of rotator speaks of. Frozen, keyword-only, no input or output.

None of the records here holds a secret value. Values travel as `SecretValue`, which
shows itself only when asked to, beside these records and never inside them.
"""

import hashlib
import hmac
import weakref
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, NoReturn

from rotator.model.account import _WORDS, Identity

#: Times that others tell are moved between these, so that a duration can be added to them.
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)

LATEST = datetime(3000, 1, 1, tzinfo=UTC)


def believable(told: datetime) -> datetime:
    """Return a time that a server told, in UTC, moved to `EARLIEST` or `LATEST` if beyond."""
    return min(max(told, EARLIEST), LATEST).astimezone(UTC)


class SecretValue:
    """A secret's value, masked in every rendering, compared in constant time."""

    __slots__ = ("__weakref__", "_value")

    #: Every value that is still in memory, by its object's id; keeps none of them there.
    _alive: ClassVar[dict[int, "weakref.ref[SecretValue]"]] = {}

    def __init__(self, value: str) -> None:
        """Wrap `value`."""
        self._value = value
        key, alive = id(self), self._alive
        alive[key] = weakref.ref(self, lambda _gone: alive.pop(key, None))

    @classmethod
    def alive(cls) -> "list[SecretValue]":
        """Give every value that is in memory: for who has to keep them from being shown."""
        # A copy is made at once, while other threads add and drop values.
        found = (reference() for reference in cls._alive.copy().values())
        return [value for value in found if value is not None]

    def reveal(self) -> str:
        """Give the bare value: for a request's body or credential, nothing else."""
        return self._value

    def digest(self, salt: str) -> str:
        """Bind the value to `salt`: hex SHA-256 of both, to recognise the value again."""
        return hashlib.sha256(f"{salt}\0{self._value}".encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        """Compare in constant time."""
        if not isinstance(other, SecretValue):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    __hash__ = None  # type: ignore[assignment]  # a value is no key

    def __repr__(self) -> str:
        """Mask the value."""
        return "SecretValue(***)"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: a value leaves the process only over TLS."""
        message = "a secret value cannot be pickled"
        raise TypeError(message)


@dataclass(frozen=True, kw_only=True)
class Credential:
    """What Vonage's Basic authentication takes."""

    api_key: str
    secret: SecretValue


@dataclass(frozen=True, kw_only=True)
class Secret:
    """A secret as Vonage lists it: an id, never a value."""

    id: str
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Note:
    """What rotator writes beside the value in the current entry (field `rotator`)."""

    #: Vonage's id of the value beside it.
    secret_id: str
    rotation_id: str
    rotated_at: datetime
    #: Hash of the account's newest ledger entry when this was written.
    ledger_head: str
    #: Binds the note to the value: a value changed by hand no longer matches its note.
    check: str

    @staticmethod
    def check_of(value: SecretValue, *, secret_id: str, rotation_id: str) -> str:
        """Give the `check` of a note with these ids beside `value`."""
        return value.digest(f"{secret_id}\0{rotation_id}")

    def matches(self, value: SecretValue) -> bool:
        """Whether the value beside this note is the one it was written with."""
        expected = self.check_of(value, secret_id=self.secret_id, rotation_id=self.rotation_id)
        return hmac.compare_digest(self.check.encode(), expected.encode())


@dataclass(frozen=True, kw_only=True)
class CurrentEntry:
    """What consumers read: the account's entry in Vault, without its value."""

    #: KV version, counted from 1.
    version: int
    note: Note | None
    #: Whether the value is the one that the note was written with; False without a note.
    intact: bool
    #: The entry has a value in the configured field.
    has_value: bool
    #: The entry has another text than the account's api key in the configured field. What that
    #: is, is not kept: where fields are mistaken for each other, it is a value.
    is_foreign: bool = False
    #: When Vault removes this version by itself (`delete_version_after`); None for never.
    ends_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Written:
    """A version of the current entry that rotator wrote. Standbys may not show it yet."""

    #: 0 for none.
    version: int = 0
    #: What the store calls the state that has it, to ask for it by; "" where it has no name.
    index: str = ""
    #: When the store removes it by itself; None for never.
    ends_at: datetime | None = None


#: Nothing was ever written, as far as is known.
NOTHING_WRITTEN = Written()


@dataclass(frozen=True, kw_only=True)
class PendingEntry:
    """The write-ahead copy of a value that Vonage may already know, without the value."""

    rotation_id: str
    #: Ids that Vonage listed before the value was sent there. Any other is new.
    listed_ids: frozenset[str]
    #: The secret to be replaced, for a ledger that has lost the rotation; None for none.
    predecessor_id: str | None = None
    #: Whose value it is and where it was to go, as in `Identity`; None where an older version
    #: of rotator wrote the entry.
    api_key: str | None = None
    issuer: str | None = None
    vault_path: str | None = None
    #: Id of the ledger that has the rotation; None likewise.
    ledger_id: str | None = None

    def difference(self, identity: Identity) -> tuple[str, str] | None:
        """Return the part in which it differs from `identity`, in words, and its value there.

        None where nothing differs. What stands in the entry is not part of the answer: it came from
        Vault, and might be a value.
        """
        for key in ("api_key", "issuer", "vault_path"):
            if getattr(self, key) not in (None, getattr(identity, key)):
                return _WORDS[key], getattr(identity, key)
        return None
