"""Secrets: values, notes, Vault's entries."""

import hashlib
import hmac
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import ClassVar, NoReturn

from rotator.errors import ConfigError
from rotator.model.account import _WORDS, Identity

#: External times are clamped to this range, so that a duration can be added to them.
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)

LATEST = datetime(3000, 1, 1, tzinfo=UTC)


def believable(at: datetime) -> datetime:
    """Return a server's time in UTC, clamped to `EARLIEST` and `LATEST`."""
    return min(max(at, EARLIEST), LATEST).astimezone(UTC)


#: As many characters of an id are enough where they are unambiguous.
SHORTEST_ID = 4


def whole_id(given: str, listed: Iterable[str]) -> str:
    """Return the listed id that is `given`, or the only one that begins with it.

    An id that is not listed is returned as it is.

    Raises:
        ConfigError: several begin with it, or it is too short. It is not repeated, as it may be a
            misplaced value.
    """
    ids = sorted(listed)
    found = [secret_id for secret_id in ids if secret_id.startswith(given)]
    if given in ids or not found:
        return given
    if len(given) < SHORTEST_ID:
        raise ConfigError(
            "the secret's id is too short",
            hint=f"give {SHORTEST_ID} characters of it or more: {' or '.join(found)}",
        )
    if len(found) > 1:
        raise ConfigError(
            "the secret's id is ambiguous", hint=f"give more of it: {' or '.join(found)}"
        )
    return found[0]


class SecretValue:
    """A secret's value: masked in every rendering, compared in constant time."""

    __slots__ = ("__weakref__", "_derived", "_value")

    #: Every live value by its object's id; weak references keep none of them alive.
    _alive: ClassVar[dict[int, "weakref.ref[SecretValue]"]] = {}

    def __init__(self, value: str) -> None:
        """Wrap `value`."""
        self._value = value
        self._derived: tuple[str, ...] | None = None
        key, alive = id(self), self._alive
        alive[key] = weakref.ref(self, lambda _gone: alive.pop(key, None))

    @classmethod
    def alive(cls) -> "list[SecretValue]":
        """Return every live secret value, so that output can be redacted."""
        # Copied in one step, as other threads add and remove values.
        found = (reference() for reference in cls._alive.copy().values())
        return [value for value in found if value is not None]

    def reveal(self) -> str:
        """Return the bare value: for a request's body or credential, nothing else."""
        return self._value

    def derived(self, derive: Callable[[str], tuple[str, ...]]) -> tuple[str, ...]:
        """Return what `derive`, the same at each call, makes of the bare value.

        Made once, and kept no longer than the value: many are looked for in each external text.
        """
        if self._derived is None:
            self._derived = derive(self._value)
        return self._derived

    def digest(self, salt: str) -> str:
        """Return hex SHA-256 of `salt` and the value, to recognise the value later."""
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
    """A credential for Vonage's Basic authentication."""

    api_key: str
    secret: SecretValue


@dataclass(frozen=True, kw_only=True)
class Secret:
    """A secret as Vonage lists it: its id, never its value."""

    id: str
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Note:
    """The note that rotator writes beside the value in the current entry (field `rotator`)."""

    #: Vonage's id of the value beside it.
    secret_id: str
    rotation_id: str
    rotated_at: datetime
    #: Hash of the account's newest ledger entry when the note was written.
    ledger_head: str
    #: Binds the note to the value: a value changed by hand does not match it.
    check: str
    #: Field beside it with the value that this one replaced, as long as that works; None for none.
    previous_field: str | None = None
    #: Binds that field's name and value to the note: no other field is ever removed.
    previous_check: str | None = None
    #: For consumers, and never read back: when the replaced secret may be deleted at the earliest
    #: unless someone ends its grace, and when the next rotation is due; None for never.
    old_valid_until: datetime | None = field(default=None, compare=False)
    next_rotation_at: datetime | None = field(default=None, compare=False)

    @staticmethod
    def check_of(value: SecretValue, *, secret_id: str, rotation_id: str) -> str:
        """Return the `check` of a note with these ids beside `value`."""
        return value.digest(f"{secret_id}\0{rotation_id}")

    def matches(self, value: SecretValue) -> bool:
        """Return whether the value beside this note is the one it was written with."""
        expected = self.check_of(value, secret_id=self.secret_id, rotation_id=self.rotation_id)
        return hmac.compare_digest(self.check.encode(), expected.encode())

    def keeping(self, previous: SecretValue, name: str) -> "Note":
        """Return the note beside which `previous` is kept in the field `name`."""
        check = self._previous_check(previous, name)
        return replace(self, previous_field=name, previous_check=check)

    def keeps(self, previous: SecretValue, name: str) -> bool:
        """Return whether the field `name` was written beside this note, with `previous` in it."""
        expected = self._previous_check(previous, name)
        return hmac.compare_digest((self.previous_check or "").encode(), expected.encode())

    def _previous_check(self, previous: SecretValue, name: str) -> str:
        return previous.digest(f"{self.secret_id}\0{self.rotation_id}\0{name}")


@dataclass(frozen=True, kw_only=True)
class CurrentEntry:
    """The account's entry in Vault, which consumers read, without its value."""

    #: KV version, counted from 1.
    version: int
    note: Note | None
    #: Whether the value is the one that the note was written with; False without a note.
    intact: bool
    #: The entry has a value in the configured field.
    has_value: bool
    #: The entry's api key field contains something other than the account's api key. The content is
    #: not kept: if the fields were swapped, it is a secret value.
    is_foreign: bool = False
    #: When Vault removes this version on its own (`delete_version_after`); None for never.
    ends_at: datetime | None = None
    #: Field with the replaced value, as rotator wrote it there; None for none.
    previous: str | None = None
    #: The field that is configured for it holds something else, which is not touched.
    is_previous_taken: bool = False


@dataclass(frozen=True, kw_only=True)
class Written:
    """The last version of the current entry that rotator wrote. Standbys may not show it yet."""

    #: 0 for none.
    version: int = 0
    #: The store's name for the state that includes the version, for later reads; "" for none.
    index: str = ""
    #: When the store removes the version on its own; None for never.
    ends_at: datetime | None = None


#: Nothing was ever written, as far as known.
NOTHING_WRITTEN = Written()


@dataclass(frozen=True, kw_only=True)
class PendingEntry:
    """The write-ahead copy of a value that Vonage may already have, without the value."""

    rotation_id: str
    #: Ids that Vonage listed before the value was sent. Any other id is new.
    listed_ids: frozenset[str]
    #: The secret to be replaced, in case the ledger has lost the rotation; None for none.
    predecessor_id: str | None = None
    #: The value's account and its target path, as in `Identity`; None where an older version of
    #: rotator wrote the entry.
    api_key: str | None = None
    issuer: str | None = None
    vault_path: str | None = None
    #: Id of the ledger that has the rotation; None likewise.
    ledger_id: str | None = None

    def difference(self, identity: Identity) -> tuple[str, str] | None:
        """Return the name of the part that differs from `identity`, and its value in `identity`.

        None where nothing differs. The entry's own content is not returned: it came from Vault and
        might be a secret value.
        """
        for key in ("api_key", "issuer", "vault_path"):
            if getattr(self, key) not in (None, getattr(identity, key)):
                return _WORDS[key], getattr(identity, key)
        return None
