"""The world that is explored: Vonage's two slots, Vault's two paths, the ledger and the clock.

Everything in it is a small value, so that a world is copied in no time. What rotator asks of it
is an `Effect`; `apply` is all that Vonage and Vault do with one.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal, Self

from rotator.errors import (
    CheckAndSetLost,
    CredentialRefused,
    LastSecret,
    SecretNotFound,
    SecretRejected,
    SlotsFull,
)
from rotator.ledger.deletions import Deletions
from rotator.ledger.replay import Replay
from rotator.model import (
    ABANDONED,
    NOTHING_WRITTEN,
    Freeze,
    Hold,
    Note,
    PendingEntry,
    Rotation,
    Step,
    Written,
)
from rotator.reporting.rules import RuleCheck
from tests.model_checking import entries
from tests.model_checking.fingerprint import describe, described

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: When every exploration begins, in seconds since 1970.
BEGIN = 1_600_000_000.0
#: The parent account's credential. Nothing happens to it.
PARENT = "v#parent"
SLOTS = 2
#: The fields of the current entry for the replaced value, if it is kept, and for someone else's.
FIELD, OTHER = "api_secret_previous", "team"


@dataclass(frozen=True, kw_only=True)
class Issued:
    """A secret that Vonage accepts, or soon will."""

    id: str
    value: str
    maker: Literal["rotator", "outsider"]
    #: When it was made, while the news of it may not have reached all of Vonage; else 0.
    since: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A version of the current entry."""

    value: str
    note: Note | None
    #: The value that the note was written with.
    noted: str | None
    #: Vault removes it by itself some day.
    ends: bool = False
    #: What is in the field for the replaced value, and what was when the note was written.
    previous: str | None = None
    previous_noted: str | None = None
    #: What is in a field that is not rotator's.
    other: str | None = None


@dataclass(frozen=True, kw_only=True)
class Staged:
    """A version of the pending entry."""

    value: str
    entry: PendingEntry
    #: Vault removes it by itself some day.
    ends: bool = False


@dataclass(frozen=True, kw_only=True)
class CreateSecret:
    """POST a secret."""

    credential: str
    value: str


@dataclass(frozen=True, kw_only=True)
class DeleteSecret:
    """DELETE a secret."""

    credential: str
    id: str


@dataclass(frozen=True, kw_only=True)
class WriteCurrent:
    """Write the current entry, check-and-set on version `base`."""

    base: int
    kept: Kept
    #: An operator adopts it.
    is_by_hand: bool = False
    #: Only the replaced value is taken out of it.
    is_withdrawal: bool = False


@dataclass(frozen=True, kw_only=True)
class WritePending:
    """Write the pending entry, check-and-set on version `base`."""

    base: int
    staged: Staged


@dataclass(frozen=True, kw_only=True)
class ClearPending:
    """Destroy the versions of the pending entry up to `upto`."""

    upto: int


Effect = CreateSecret | DeleteSecret | WriteCurrent | WritePending | ClearPending


@dataclass(frozen=True, kw_only=True)
class Intent:
    """The last thing that the ledger has: that a process is about to try something."""

    token: int
    step: str
    secret_id: str | None


@dataclass(frozen=True, kw_only=True)
class InFlight:
    """A request whose sender has given up waiting, and which may arrive yet."""

    effect: Effect
    until: float
    #: Where outsiders have acted since its sender looked.
    unseen: frozenset[str]


#: What a ledger has of its rotations: the open one, and the closed ones.
Rows = tuple[Rotation | None, tuple[Rotation, ...]]


@dataclass(kw_only=True)
class World:
    """All that outlives a process."""

    now: float = BEGIN
    live: tuple[Issued, ...]
    #: The secret revoked last, while Vonage may still accept it; `since` says when it was.
    lingering: Issued | None = None
    #: Versions of the current entry; None is a deleted one. Consumers read the last.
    current: tuple[Kept | None, ...]
    pending: tuple[Staged | None, ...] = ()
    in_flight: InFlight | None = None
    #: Values that do not comply with Vonage's rules.
    unfit: frozenset[str] = frozenset()

    #: The ledger: its id, its open rotation, the closed ones, the last entry if it is an intent.
    ledger_id: str = "l#001"
    rotation: Rotation | None = None
    adopted_id: str | None = None
    adopted_base_version: int = 0
    #: Which secrets were deleted, or may have been.
    deletions: Deletions = ()
    #: What the ledger has of the last push.
    written: Written = NOTHING_WRITTEN
    closed: tuple[Rotation, ...] = ()
    intent: Intent | None = None
    #: Who holds the account.
    hold: Hold | None = None
    #: The change freeze that the configuration has for the account.
    freeze: Freeze | None = None
    #: What the ledger's entries say, which its rows must not differ from.
    replay: Replay = field(default_factory=Replay)
    #: Whether these show that the rules were kept.
    rules: RuleCheck = field(default_factory=RuleCheck)
    #: What was recorded since, for the replay to take in before it is asked.
    unread: tuple[entries.Commit, ...] = ()
    #: The lease: its fencing token, its holder, and when it ends.
    token: int = 0
    owner: str | None = None
    expires: float = 0.0

    #: How Vonage spreads news: for how many seconds a new secret may be refused, or not be
    #: listed, and whether a revoked one may be accepted for as long.
    spread: float = 0.0
    lingers: bool = False
    #: A secret that was revoked may be listed for as long, too, and a new one not be listed even
    #: to its own value.
    lists_revoked: bool = False
    #: How many versions of an entry Vault keeps; 0 for all.
    keeps: int = 0
    #: Names of the gates, how often they may still be shut, and whether hooks are to be told.
    gates: tuple[str, ...] = ()
    shuts: int = 0
    has_hooks: bool = False
    #: What may still go wrong in this world.
    outsiders: int = 0
    lates: int = 0
    #: A late request may arrive at any time, if only in a later rotation.
    is_patient: bool = False
    rejections: int = 0
    losses: int = 0
    #: How often the ledger may go back to what it was, and what it was.
    relapses: int = 0
    past: tuple[Rows, ...] = ()
    #: Of which entries Vault removes by itself what is written from now on: `current`, `pending`.
    ends: frozenset[str] = frozenset()
    #: How often a read of Vault may be answered by a standby that lags, and what it has.
    lags: int = 0
    current_before: tuple[Kept | None, ...] | None = None
    pending_before: tuple[Staged | None, ...] | None = None
    #: How often the clock may jump, and how far, in seconds.
    jumps: int = 0
    leap: float = 1000.0
    #: How far it is ahead of Vonage's, in seconds.
    astray: float = 0.0
    #: When the grace of the open rotation began, by Vonage's clock.
    begun: float = 0.0
    #: How often another host may stage a value for an account of its own at the same path.
    neighbours: int = 0
    #: How often an operator may adopt a secret.
    adoptions: int = 0
    #: Values that the operator keeps: what was adopted, or stands in an older version at Vault.
    kept_by_hand: frozenset[str] = frozenset()
    #: How often an operator may forget the account and abandon its rotation, and whether the ledger
    #: has yet to learn again what the account is.
    abandons: int = 0
    is_forgotten: bool = False
    #: How often an operator may still hold the account, or release it.
    holds: int = 0

    #: For the invariants: what outsiders revoked or took out of Vault, ids that Vault once held,
    #: the rotation whose push landed last, and how many rotations were completed.
    harmed: frozenset[str] = frozenset()
    held: frozenset[str] = frozenset()
    pushed: str | None = None
    #: Values of the secrets whose deletion was sent; without those that an outsider put back into
    #: the current entry since. Only where replaced values are kept there.
    doomed: frozenset[str] = frozenset()
    #: The rotation that the hooks were told of.
    told: str | None = None
    #: Deletions are to be proved; and the secrets that were revoked.
    proves: bool = False
    graves: tuple[Issued, ...] = ()
    completed: int = 0
    #: The secret that was replaced last, and until when, by Vonage's clock, consumers may go on
    #: using it.
    resting: tuple[str, float] | None = None
    #: Counts names, so that none is used twice.
    serial: int = 100

    def __post_init__(self) -> None:
        """Make the entries agree with the rows at the beginning."""
        self.start_over()

    def start_over(self) -> None:
        """Make the entries say what the rows do, and no more."""
        self.replay, self.unread = entries.of_rows(self.rows), ()
        self.rules = entries.rules_from(self.rotation)

    @property
    def rows(self) -> tuple[Rotation, ...]:
        """All rotations that the ledger has."""
        return (*self.closed, self.rotation) if self.rotation else self.closed

    def copy(self) -> Self:
        """Return a world that changes apart from this one."""
        return copy(self)

    def name(self, kind: str) -> str:
        """Make up a name: `s` for an id, `v` for a value, `r` for a rotation."""
        self.serial += 1
        return f"{kind}#{self.serial}"

    @property
    def true(self) -> float:
        """The time by Vonage's clock."""
        return self.now - self.astray

    # -- What is so. -----------------------------------------------------------------------

    @property
    def consumed(self) -> Kept | None:
        """What consumers read."""
        return self.current[-1] if self.current else None

    @property
    def staged(self) -> Staged | None:
        """What is pending."""
        return self.pending[-1] if self.pending else None

    def issued(self, value: str) -> Issued | None:
        """Return the live secret with `value`."""
        return next((secret for secret in self.live if secret.value == value), None)

    def find(self, secret_id: str) -> Issued | None:
        """Return the live secret with that id."""
        return next((secret for secret in self.live if secret.id == secret_id), None)

    def buried(self, secret_id: str) -> str | None:
        """Return the value of a secret that was revoked."""
        return next((secret.value for secret in self.graves if secret.id == secret_id), None)

    def works(self, value: str | None) -> bool:
        """Whether consumers can use `value`, whichever of Vonage's servers they ask."""
        secret = self.issued(value) if value else None
        return bool(secret and not self.is_news(secret))

    def is_news(self, secret: Issued) -> bool:
        """Whether `secret` may still be refused somewhere."""
        return self.now < secret.since + self.spread

    @property
    def expendable(self) -> frozenset[str]:
        """Ids that the ledger has as superseded or as orphans; see `LedgerWriter.load`."""
        return _expendable(self.rows)

    def knows(self, rotation_id: str) -> bool:
        """Whether the ledger ever had that rotation, and it was not abandoned."""
        return any(each.id == rotation_id and not _is_abandoned(each) for each in self.rows)

    def knows_secret(self, secret_id: str) -> bool:
        """Whether the ledger ever had that secret."""
        return secret_id in _secrets_of(self.rows) or secret_id == self.adopted_id

    @property
    def is_strange(self) -> bool:
        """Whether something is pending in a rotation that the ledger does not have."""
        return self.staged is not None and not self.knows(self.staged.entry.rotation_id)

    def text(self) -> str:
        """Describe all of it that can still matter.

        What may yet happen is left to `left`, and what the ledger may go back to, to `text_of`.
        """
        stored = {version.value for version in (*self.current, *self.pending) if version}
        stored |= {version.previous for version in self.current if version and version.previous}
        values = stored | {secret.value for secret in self.live}
        listable = self._ids | {self.lingering.id} if self.lingering else self._ids
        staged = self.staged
        parts = (
            *map(described, (self.live, self.current, self.pending, self.hold)),
            describe((self.in_flight, self.lingering, self.adopted_id, self.adopted_base_version)),
            describe((self.held & self._ids, self.harmed & values, self.unfit & values)),
            describe((self.kept_by_hand & values, self.written.version, self.ends)),
            describe(self.doomed & values),
            describe(sorted(one for one in self.deletions if one[0] in listable)),
            f"{staged and staged.entry.ledger_id == self.ledger_id} {self.completed} {self.astray}",
            str(self.is_forgotten),
            describe(self.freeze),
            *map(described, (self.current_before, self.pending_before) if self.lags else ()),
            self.text_of((self.rotation, self.closed)),
        )
        return "\n".join(parts)

    @property
    def left(self) -> tuple[int, ...]:
        """Count what may yet happen. Whatever can happen with less of it can with more."""
        return (
            *(self.outsiders, self.lates, self.rejections, self.losses, self.relapses, self.lags),
            *(self.jumps, self.neighbours, self.adoptions, self.abandons, self.holds, self.shuts),
        )

    def text_of(self, rows: Rows) -> str:
        """Describe what would matter of a ledger that has these rotations.

        A closed one matters by what it makes expendable, and by the ids that a pass may look up:
        those of what is pending, and of the notes at Vault. Whatever else it tells is never asked.
        """
        opened, closed = rows
        rotations = (*closed, opened) if opened else closed
        facts = (
            (_expendable(rotations) & self._ids, self._looked_up(rotations)),
            (opened and self.pushed == opened.id, opened and self.told == opened.id),
            ((self.gates or self.freeze) and opened and opened.reason == "compromised"),
            (self.jumps or self.astray) and opened and opened.verified_at and self.begun,
            self._is_resting_apart(opened) and self.resting,
            self.proves and opened and self.buried(opened.predecessor_id or ""),
        )
        return f"{describe(opened)}\n{describe(facts)}"

    @property
    def _ids(self) -> frozenset[str]:
        return frozenset(secret.id for secret in self.live)

    def _looked_up(self, rotations: Sequence[Rotation]) -> list[bool]:
        """Return for each id that a pass may look up whether `rotations` have it."""
        versions = (*self.pending, *(self.pending_before or ())) if self.lags else self.pending
        began = [version.entry.rotation_id for version in versions if version]
        noted = [version.note.secret_id for version in self.current if version and version.note]
        known = {rotation.id for rotation in rotations if not _is_abandoned(rotation)}
        secrets = _secrets_of(rotations)
        return [*(one in known for one in began), *(one in secrets for one in noted)]

    def _is_resting_apart(self, opened: Rotation | None) -> bool:
        """Whether an open rotation does not tell already who rests, and for how long."""
        resting_id = self.resting[0] if self.resting else ""
        is_told = opened and opened.predecessor_id == resting_id
        return self.find(resting_id) is not None and not is_told

    # -- What happens. ---------------------------------------------------------------------

    def pass_time(self, seconds: float) -> None:
        """Let time go by; a request that has not arrived for long enough never will."""
        self.now += seconds
        if self.lingering and not self.is_news(self.lingering):
            self.lingering = None
        if self.in_flight and self.in_flight.until <= self.now:
            self.in_flight = None

    def lingers_on(self, value: str) -> bool:
        """Whether `value` was revoked, and may be accepted all the same."""
        secret = self.lingering
        return bool(secret and secret.value == value and self.is_news(secret))

    def remember(self) -> None:
        """Keep what the ledger is now, for it to go back to."""
        self.past = (*self.past, (self.rotation, self.closed))

    def jump(self, seconds: float) -> None:
        """Let the clock be put forward or back, while no time goes by."""
        self.astray += seconds
        self.now += seconds
        self.expires += seconds
        self.live = tuple(
            replace(secret, since=secret.since + seconds) if secret.since else secret
            for secret in self.live
        )
        if self.lingering:
            self.lingering = replace(self.lingering, since=self.lingering.since + seconds)
        if self.in_flight:
            self.in_flight = replace(self.in_flight, until=self.in_flight.until + seconds)

    def forget(self) -> None:
        """Let a process end: nobody remembers the lease, or which versions there were."""
        self.owner = self.intent = None
        is_named = self.in_flight or (self.rotation and self.rotation.pending_version)
        if not is_named and len(self.pending) > 1 and self.pending[0] is None:
            self.pending = (None, *(version for version in self.pending if version))
            self.rules = self.rules.copy()
            self.rules.past.staged_version = 1

    def heard(self, value: str, *, accepted: bool) -> None:
        """Remember how Vonage took a credential: what was accepted once stays accepted."""
        if self.lingers_on(value) and not accepted:
            self.lingering = None
        if accepted:
            self.live = tuple(
                replace(secret, since=0.0) if secret.value == value and secret.since else secret
                for secret in self.live
            )

    def revoke(self, secret_id: str) -> None:
        """Revoke a secret."""
        secret = self.find(secret_id)
        self.live = tuple(secret for secret in self.live if secret.id != secret_id)
        self.graves += (secret,) if secret and self.proves else ()
        if secret and self.lingers:
            self.lingering = replace(secret, since=self.now)


def _expendable(rotations: Sequence[Rotation]) -> frozenset[str]:
    failed = [each for each in rotations if each.outcome == "failed"]
    superseded = {
        each.predecessor_id for each in rotations if each.verified_at and each not in failed
    }
    unread = [each for each in failed if each.vault_version is None and each.step != Step.PUSH]
    orphans = {each.new_id for each in unread}
    return frozenset(secret_id for secret_id in superseded | orphans if secret_id)


def _is_abandoned(rotation: Rotation) -> bool:
    return rotation.error_code == ABANDONED


def _secrets_of(rotations: Sequence[Rotation]) -> set[str | None]:
    return {each for rotation in rotations for each in (rotation.new_id, rotation.predecessor_id)}


@lru_cache(maxsize=10_000)
def when(seconds: float) -> datetime:
    """Return a time on the world's clock as a date."""
    return EPOCH + timedelta(seconds=seconds)


def end_of(version: Kept | Staged) -> datetime | None:
    """Return when Vault removes a version by itself; None for never."""
    return when(2 * BEGIN) if version.ends else None


def apply(world: World, effect: Effect) -> None:
    """Do as asked.

    Raises:
        RotatorError: as Vonage or Vault would refuse; nothing has changed.
    """
    match effect:
        case CreateSecret():
            _create(world, effect)
        case DeleteSecret():
            _delete(world, effect)
        case WriteCurrent(base=base, kept=kept):
            if base != len(world.current):
                raise CheckAndSetLost
            world.current_before = world.current
            world.current = (*world.current, replace(kept, ends="current" in world.ends))
        case WritePending(base=base, staged=staged):
            if base != len(world.pending):
                raise CheckAndSetLost
            world.pending_before = world.pending
            world.pending = (*world.pending, replace(staged, ends="pending" in world.ends))
        case ClearPending(upto=upto):
            world.pending_before = world.pending
            world.pending = (*(None for _ in world.pending[:upto]), *world.pending[upto:])


def _create(world: World, effect: CreateSecret) -> None:
    _authenticate(world, effect.credential)
    if effect.value in world.unfit or world.issued(effect.value):
        raise SecretRejected
    if len(world.live) == SLOTS:
        raise SlotsFull
    secret_id = world.name("s")
    since = world.now if world.spread else 0.0
    secret = Issued(id=secret_id, value=effect.value, maker="rotator", since=since)
    world.live = (*world.live, secret)


def _delete(world: World, effect: DeleteSecret) -> None:
    _authenticate(world, effect.credential)
    if world.find(effect.id) is None:
        raise SecretNotFound
    if len(world.live) == 1:
        raise LastSecret
    world.revoke(effect.id)


def _authenticate(world: World, value: str) -> None:
    if value != PARENT and not world.lingers_on(value) and not world.issued(value):
        raise CredentialRefused
