"""The kinds of steps, and the contract of each."""

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
    """One account, and the clients and observed values with which a step is performed."""

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
    """Description of a step for a dry run: texts with the names of facts to fill in."""

    step: str
    #: Who would be asked for it: "vonage", "vault", "hooks" or "ledger"; None for a wait.
    where: str | None
    what: str
    #: Further keys of the description, each with the name of its fact.
    facts: Mapping[str, str] = field(default_factory=dict)


class StillAccepted(Exception):  # no error: what to do
    """Vonage still accepts a value that it should refuse: pause, and try it again."""


class ObserveAgain(Exception):  # no error: what to do
    """The answer is not to be relied on: observe again."""


@dataclass(frozen=True, kw_only=True)
class Action:
    """One thing to do next, as the rules decide; its fields are what it acts on."""

    #: Its step in the ledger; None where the rotation stays at the step that it is at.
    name: ClassVar[Step | None] = None
    #: None where a dry run does not show it.
    sketch: ClassVar[Sketch | None] = None

    #: Name of the rule that decided on it, for the log.
    rule: str = field(default="", compare=False, repr=False)

    def step_of(self, rotation: Rotation) -> Step:
        """Return the step that `rotation` is at while this is done."""
        return self.name or rotation.step


class Recording(Action, ABC):
    """A step that changes nothing at Vonage or Vault: its outcome alone is recorded."""

    @abstractmethod
    def done(self, observation: Observation, rotation: Rotation, at: At) -> Change:
        """Return the observation after it, and what to record. Pure."""


class Performed(Action, ABC, Generic[Result]):
    """A step that sends a request to Vonage or Vault."""

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
    """A request that only reads: it may be repeated, and its outcome alone is recorded."""

    #: Whether what is known is committed before the request.
    commits_first: ClassVar[bool] = True

    @abstractmethod
    def perform(self, site: Site, rotation: Rotation) -> Result:
        """Send the request.

        Raises:
            CredentialRefused: Vonage does not accept the pending value, or not yet.
            StillAccepted: Vonage accepts the deleted value, or still does.
            ObserveAgain: the answer is not to be relied on.
            IssuerError: Vonage did not answer.
            StoreError: Vault did not.
        """

    @property
    def pause(self) -> float:
        """Seconds before the next try, at least, if the answer may yet change."""
        return 0.0

    def unsettled(
        self, observation: Observation, rotation: Rotation, now: datetime
    ) -> tuple[Observation, NewEntry | None]:
        """Return the observation where the answer may yet change, and what to record. Pure.

        Here, the pending value did not authenticate.
        """
        del rotation
        since = observation.pending.refused_since or now
        pending = replace(
            observation.pending, authenticated_at=None, refused_since=since, refused_at=now
        )
        return replace(observation, pending=pending), None


class Effect(Performed[Result]):
    """A request that changes something at Vonage or Vault; see `LedgerSession.perform`."""

    @property
    def target(self) -> dict[str, Detail]:
        """What it is aimed at, for the ledger."""
        return {}

    def intent(self, observation: Observation, rotation: Rotation, now: datetime) -> Rotation:
        """Return the rotation as it is recorded before this is tried. Pure."""
        return replace(rotation, step=self.name)

    def grounds(self, observation: Observation, rotation: Rotation, at: At) -> dict[str, Detail]:
        """Return what it is decided on, to be recorded with its intent. Pure.

        It is for whoever checks by the entries alone that the rules were kept.
        """
        return {}

    @abstractmethod
    def perform(self, site: Site, rotation: Rotation, look: LastLook) -> Result:
        """Send the request, once. The caller decides what its outcome means.

        `look` is the last look, to be made right before the first byte: it raises if the effect is
        no longer right, and then nothing is sent.

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


def timestamp(at: datetime) -> str:
    """Return a time in the format of an entry's facts: in full, as rows are compared with it."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")
