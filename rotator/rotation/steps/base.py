"""What a step is: the kinds that there are, and what each kind owes whoever takes it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import ClassVar, Generic, TypeVar

from rotator.errors import CredentialRefused, RotatorError, SecretRejected
from rotator.model import Account, Credential, Request, Rotation, SecretValue, Step
from rotator.rotation.observation import Observation, Observed
from rotator.rotation.ports import Issuer, LastLook, NewEntry, Store

Result = TypeVar("Result")
#: What is known after a step, and what is recorded of it.
Change = tuple[Observation, NewEntry]
Detail = str | int | bool | None


@dataclass(frozen=True, kw_only=True)
class At:
    """What an outcome depends on besides the observation."""

    account: Account
    request: Request
    now: datetime


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where a step is performed: one account, and what reaches Vonage and Vault for it."""

    account: Account
    request: Request
    issuer: Issuer
    store: Store
    #: Generates a secret of the given length in characters.
    generate: Callable[[int], str]
    now: Callable[[], datetime]
    #: What was observed, with the values; kept up to date.
    observed: Observed
    #: Hash of the newest entry, which is the intent of what is performed.
    ledger_head: str

    @property
    def pending_value(self) -> SecretValue:
        """The value at the pending path."""
        if self.observed.pending.value is None:
            message = "decided on a pending entry that is not there"
            raise AssertionError(message)
        return self.observed.pending.value

    @property
    def credential(self) -> Credential:
        """The credential that Vonage accepted.

        Raises:
            CredentialRefused: it accepted none.
        """
        if self.observed.credential is None:
            raise CredentialRefused
        return self.observed.credential


@dataclass(frozen=True, kw_only=True)
class Sketch:
    """How a dry run says what a step would do, with the names of facts in the places of these."""

    step: str
    #: Who would be asked for it: "vonage", "vault", "hooks" or "ledger"; None for a wait.
    where: str | None
    what: str
    #: What else is said of it, with the facts that fill it.
    keeps: Mapping[str, str] = field(default_factory=dict)


class ObserveAgain(Exception):  # no error: what to do
    """What was asked is not to be relied on before another observation."""


@dataclass(frozen=True, kw_only=True)
class Action:
    """What the rules may decide: the one thing to do next; its fields are what it acts on."""

    #: Its step in the ledger; None for what happens at whatever step the rotation is at.
    name: ClassVar[Step | None] = None
    #: None for what a dry run does not tell.
    sketch: ClassVar[Sketch | None] = None

    #: Name of the rule that decided on it, for the log.
    rule: str = field(default="", compare=False, repr=False)

    def step_of(self, rotation: Rotation) -> Step:
        """Return the step that `rotation` is at while this is done."""
        return self.name or rotation.step


class Recording(Action, ABC):
    """Changes nothing at Vonage or Vault: its outcome alone is recorded."""

    @abstractmethod
    def done(self, observation: Observation, rotation: Rotation, at: At) -> Change:
        """Return the observation after it, and what to record. Pure."""


class Performed(Action, ABC, Generic[Result]):
    """What Vonage or Vault is asked for."""

    name: ClassVar[Step]

    @abstractmethod
    def done(self, observation: Observation, rotation: Rotation, result: Result, at: At) -> Change:
        """Return the observation after it, and what to record. Pure."""

    @abstractmethod
    def assumed(self, observation: Observation, rotation: Rotation, at: At) -> Result:
        """Return the result that a dry run assumes. Pure."""

    def entry(self, event: str, rotation: Rotation, **detail: Detail) -> NewEntry:
        """Return its entry in the ledger."""
        return new_entry(event, self.name, rotation, **detail)


class Check(Performed[Result]):
    """Asks, and changes nothing: it may be repeated, and its outcome alone is recorded."""

    #: Whether what is known is committed before it is asked.
    commits_first: ClassVar[bool] = True

    @abstractmethod
    def perform(self, site: Site, rotation: Rotation) -> Result:
        """Ask.

        Raises:
            CredentialRefused: Vonage does not accept the pending value, or not yet.
            ObserveAgain: the answer is not to be relied on.
            IssuerError: Vonage did not answer.
            StoreError: Vault did not.
        """

    def refused(self, observation: Observation, now: datetime) -> Observation:
        """Return the observation where the pending value did not authenticate; it may yet. Pure."""
        since = observation.pending.refused_since or now
        pending = replace(
            observation.pending, authenticated_at=None, refused_since=since, refused_at=now
        )
        return replace(observation, pending=pending)


class Effect(Performed[Result]):
    """Changes something at Vonage or Vault; see `LedgerSession.perform`."""

    @property
    def target(self) -> dict[str, Detail]:
        """What it is aimed at, for the ledger."""
        return {}

    def intent(self, observation: Observation, rotation: Rotation, now: datetime) -> Rotation:
        """Return the rotation as it is recorded before this is tried. Pure."""
        return replace(rotation, step=self.name)

    @abstractmethod
    def perform(self, site: Site, rotation: Rotation, look: LastLook) -> Result:
        """Do it: once, to be judged by who asked for it.

        `look` is the last look, to be made right before the first byte: it raises where this is
        not right any more, and nothing is sent.

        Raises:
            IssuerError: Vonage refused, or its answer was lost; see `RotatorError.definite`.
            StoreError: Vault refused, or its answer was lost; likewise.
            Withdrawn: nothing was sent, because the effect was no longer right.
            LeaseLost: nothing was sent, because another process may be working on the account.
        """

    def missed(
        self, event: str, before: Rotation, rotation: Rotation, error: RotatorError
    ) -> tuple[Rotation, NewEntry]:
        """Return the rotation where it was not seen to be done, and what to record. Pure.

        Where it was not sent after all, or the server refused, it certainly had no effect: all is
        as it was `before` the intent, except that a refused value counts as generated. Where the
        answer was lost, it may have taken place: the rotation stays as the intent left it.
        """
        if event == "withdrawn":
            return before, self.entry(event, before, **self.target)
        if event == "rejected":
            is_rejected = before.rejected or isinstance(error, SecretRejected)
            rotation = replace(
                before, values_generated=rotation.values_generated, rejected=is_rejected
            )
        return rotation, self.entry(event, rotation, code=error.code, **self.target)


def new_entry(event: str, step: Step, rotation: Rotation, **detail: Detail) -> NewEntry:
    """Return an entry about `rotation`."""
    return NewEntry(event=event, step=step, detail=detail, rotation_id=rotation.id)


def told(at: datetime) -> str:
    """Return a time in the format of an entry's facts: in full, as rows are compared with it."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")
