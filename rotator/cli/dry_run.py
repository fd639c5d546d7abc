"""Output of `rotate-now --dry-run`: the steps of a rotation, in words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from rotator.cli import output, parallel, rotate
from rotator.cli.rotate import complain, exit_code, internal, reports_document
from rotator.model import Account, PassResult, Request
from rotator.reporting import text
from rotator.rotation.observation import Observation
from rotator.rotation.steps import (
    Action,
    AskGates,
    Close,
    Delete,
    Observe,
    Open,
    SecretDeletion,
    Wait,
)

if TYPE_CHECKING:
    from rotator.application import Application


@dataclass(frozen=True, kw_only=True)
class Foreseen:
    """A step that a rotation would take."""

    #: Its name.
    step: str
    #: Target of the step: "vonage", "vault", "hooks" or "ledger"; None for a wait.
    where: str | None
    #: Description in words.
    what: str
    #: Mount and path of the Vault entry.
    path: str | None = None
    #: The version that Vault must have for the write to succeed; 0 for no entry.
    check_and_set: int | None = None
    #: The version that would be read back.
    vault_version: int | None = None
    #: The secret that would be deleted.
    secret_id: str | None = None
    #: The earliest time of the step.
    due_at: datetime | None = None

    def line(self) -> str:
        """Return the step as one line of text."""
        return f"{self.step:7} {self.what}"

    def document(self) -> dict[str, Any]:
        """Return the step as `--json` prints it."""
        return vars(self) | {"due_at": text.rfc3339(self.due_at)}


def foresee(action: Action, facts: Mapping[str, Any]) -> Foreseen | None:
    """Return what an action would do; None for one that only the ledger records.

    `facts` are those of the account and its observation: `api_key`, `current` and `pending` with
    their versions `base` and `pending_base`, `gates`, `grace` in words.
    """
    sketch = action.sketch
    if sketch is None:
        return None
    known = {**facts, **vars(action)}
    if "until" in known:
        known["moment"] = text.moment(known["until"])
    return Foreseen(
        step=sketch.step,
        where=sketch.where,
        what=sketch.what.format_map(known),
        **{name: known[fact] for name, fact in sketch.keeps.items()},
    )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The planned actions for one account."""

    account: Account
    #: Contains only what is certain in advance.
    report: PassResult
    #: Up to the wait, end or refusal of the rotation; empty where the account could not be
    #: observed.
    actions: Sequence[Action]
    world: Observation | None
    #: The Vault mount.
    mount: str

    @property
    def opened(self) -> Open | None:
        """The action that opens the rotation; None where one is open already."""
        return next((action for action in self.actions if isinstance(action, Open)), None)

    @property
    def wait(self) -> Wait | None:
        """The wait for the grace, if any."""
        return next((action for action in self.actions if isinstance(action, Wait)), None)

    @property
    def predecessor_id(self) -> str | None:
        """The secret that would be replaced."""
        if self.opened:
            return self.opened.predecessor_id
        return self.report.old_secret_id

    def lines(self, request: Request) -> Iterator[str]:
        """Yield the whole plan, line by line."""
        yield f"{self.account.name}: {self._headline()}"
        yield f"  replaces {self._predecessor()}"
        for number, step in enumerate(self.steps(request), start=1):
            yield f"  {number:2}  {step.line()}"
        yield f"  calls to Vonage: {self.calls()}"
        for secret_id in self.undecided(request):
            yield f"  leaves secret {secret_id}, which may have leaked, too: decide about it"
        if self._is_twice(request):
            yield "  and then rotate once more, as what replaced it may have leaked, too"

    def document(self, request: Request) -> dict[str, Any] | None:
        """Return the plan as `--json` prints it; None where nothing could be observed."""
        if self.world is None:
            return None
        rotation = self.world.rotation
        return {
            "carries_on": rotation.id if rotation else self.opened and self.opened.recovered_id,
            "predecessor": {"secret_id": self.predecessor_id, "why": self._why()},
            "steps": [step.document() for step in self.steps(request)],
            "vonage_calls": self.calls(),
            "undecided_secret_ids": list(self.undecided(request)),
            "rotates_once_more": self._is_twice(request),
        }

    def steps(self, request: Request) -> list[Foreseen]:
        """List the steps, including those after the grace."""
        facts = self._facts(request)
        # The closing of a rotation is implied, unless it is the only step left.
        told = [
            action
            for action in self.actions
            if not isinstance(action, Close) or len(self.actions) == 1
        ]
        steps = [step for action in told if (step := foresee(action, facts))]
        if not self.wait or not self.predecessor_id:
            return steps
        later: list[Action] = [Delete(secret_id=self.predecessor_id)]
        if self._gates() and request.reason != "compromised":
            later.insert(0, AskGates())
        due = self.wait.until
        foreseen = [step for action in later if (step := foresee(action, facts))]
        return steps + [replace(step, due_at=due) for step in foreseen]

    def undecided(self, request: Request) -> list[str]:
        """Return the secrets a compromise leaves over: any may have leaked, not only the last."""
        if request.reason != "compromised":
            return []
        touched = {
            action.secret_id for action in self.actions if isinstance(action, SecretDeletion)
        }
        listed = self.world.listing.ids if self.world else frozenset()
        return sorted(listed - touched - {self.predecessor_id or ""})

    def _is_twice(self, request: Request) -> bool:
        """Return whether another rotation would follow the open one."""
        rotation = self.world.rotation if self.world else None
        return bool(request.reason == "compromised" and rotation and rotation.verified_at)

    def calls(self) -> int:
        """Count calls to Vonage, including observations before the first step and after a wait."""
        calls = 1 + sum(
            isinstance(action, Observe) or bool(action.sketch and action.sketch.where == "vonage")
            for action in self.actions
        )
        return calls + 2 if self.wait else calls

    def _headline(self) -> str:
        rotation = self.world.rotation if self.world else None
        if rotation:
            return f"would carry on rotation {rotation.id}, which is at step {rotation.step}"
        if self.opened and self.opened.recovered_id:
            return f"would carry on rotation {self.opened.recovered_id}, which Vault knows of"
        return "would rotate"

    def _predecessor(self) -> str:
        secret_id, why = self.predecessor_id, self._why()
        if secret_id is None:
            return "nothing: no secret at Vonage is known to be the one that Vault holds"
        return f"secret {secret_id}{f': {why}' if why else ''}"

    def _why(self) -> str | None:
        """Return the evidence for which secret is to be replaced; None where there is none."""
        secret_id, world = self.predecessor_id, self.world
        if secret_id is None or world is None:
            return None
        if world.rotation:
            return "recorded when the rotation was opened"
        if (entry := world.current.entry) and entry.note and entry.note.secret_id == secret_id:
            return "the note in Vault names it"
        if len(world.listing.secrets or ()) == 1:
            return "the only one, and Vault's value authenticates"
        return None

    def _grace(self, request: Request) -> timedelta:
        rotation = self.world.rotation if self.world else None
        own = rotation.grace if rotation else self.account.policy.grace
        return own if request.grace is None else request.grace

    def _gates(self) -> str:
        return ", ".join(self.world.gates.names) if self.world else ""

    def _facts(self, request: Request) -> dict[str, Any]:
        return {
            "api_key": self.account.api_key,
            "current": f"{self.mount}/{self.account.vault_path}",
            "base": self.world.current.version if self.world and self.world.current.entry else 0,
            "pending": f"{self.mount}/{self.account.pending_path}",
            "pending_base": self.world.pending.version if self.world else 0,
            "gates": self._gates(),
            "grace": text.span(self._grace(request)),
        }


def show(
    application: "Application", accounts: Sequence[Account], request: Request, *, as_json: bool
) -> int:
    """Print the dry run of each account, and return the exit code."""
    unready = rotate.preflight(application, changes_nothing=True)
    if unready:
        return rotate.refuse(accounts, unready, as_json=as_json, also={"plan": None})
    engine, brake = application.engine(ledger=application.present_book), parallel.CancelToken()

    def plan(account: Account) -> Plan:
        try:
            report, actions, world = engine.dry_run(account, request)
        except Exception as error:  # noqa: BLE001  # a worker's loop: the others go on
            report, actions, world = internal(account, error), [], None
        mount = application.settings.vault.mount
        return Plan(account=account, report=report, actions=actions, world=world, mount=mount)

    plans = parallel.run(
        accounts, plan, concurrency=application.settings.daemon.concurrency, brake=brake
    )
    reports = [_reported(plan) for plan in plans]
    if as_json:
        documents = reports_document(reports)
        told = [each.document(request) for each in plans]
        output.write_json([a | {"plan": b} for a, b in zip(documents, told, strict=True)])
        output.flush()
        complain(reports)
        return exit_code(reports)
    for plan_ in plans:
        if not plan_.report.error:
            output.write("\n".join(plan_.lines(request)))
    output.flush()
    complain(reports)
    output.say("dry run: nothing was changed")
    return exit_code(reports)


def _reported(plan: Plan) -> PassResult:
    """Add the facts that are certain in advance to the result."""
    if plan.report.error:
        return plan.report
    return replace(
        plan.report,
        old_secret_id=plan.predecessor_id,
        delete_due_at=plan.wait.until if plan.wait else plan.report.delete_due_at,
    )
