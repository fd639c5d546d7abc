"""Output of `rotate-now --dry-run`: the steps of a rotation, in words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from rotator.cli import output, parallel, rotate
from rotator.model import Account, PassResult, Request
from rotator.model.rotation import SecretRole
from rotator.model.times import rfc3339
from rotator.reporting import text
from rotator.rotation.observation import Observation
from rotator.rotation.steps.base import Action
from rotator.rotation.steps.bookkeeping import Close, Observe
from rotator.rotation.steps.prepare import Open
from rotator.rotation.steps.prove import Prove
from rotator.rotation.steps.publish import Push
from rotator.rotation.steps.retire import AskGates, Delete, SecretDeletion, Wait
from rotator.rotation.steps.withdraw import Withdraw

if TYPE_CHECKING:
    from rotator.application import Application

#: What a step has besides its name, its target and its description; None where it does not apply:
#: mount and path of the entry, the version that Vault must have for the write to succeed (0 for no
#: entry), the version that is read back, the secret that is deleted, and the earliest time.
_FACTS = ("path", "check_and_set", "vault_version", "secret_id", "due_at")
#: Characters for the name of a step; there are more only if a longer one is among them.
_WIDTH = 7


def describe(action: Action, facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """Describe an action as `--json` prints it; return None for one that is not shown.

    `facts` are those of the account and its observation: `api_key`, `current` and `pending` with
    their versions `base` and `pending_base`, `gates`, `grace` in words.
    """
    sketch = action.sketch
    if sketch is None:
        return None
    known = {**facts, **vars(action)}
    if isinstance(action, Wait):
        known |= {"moment": text.moment(action.until), "until": rfc3339(action.until)}
    step = {"step": sketch.step, "where": sketch.where, "what": sketch.what.format_map(known)}
    return step | dict.fromkeys(_FACTS) | {key: known[fact] for key, fact in sketch.facts.items()}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The planned actions for one account, on `request`."""

    account: Account
    request: Request
    #: Contains only what is certain in advance.
    result: PassResult
    #: Up to the wait, end or refusal of the rotation; empty where the account could not be
    #: observed.
    actions: Sequence[Action]
    observation: Observation | None
    #: The Vault mount.
    mount: str

    @cached_property
    def opened(self) -> Open | None:
        """The action that opens the rotation; None where one is open already."""
        return next((action for action in self.actions if isinstance(action, Open)), None)

    @cached_property
    def wait(self) -> Wait | None:
        """The wait for the grace, if any."""
        return next((action for action in self.actions if isinstance(action, Wait)), None)

    @property
    def predecessor_id(self) -> str | None:
        """The secret that would be replaced."""
        return self.opened.predecessor_id if self.opened else self.result.old_secret_id

    def lines(self) -> Iterator[str]:
        """Yield the whole plan, line by line."""
        yield f"{self.account.name}: {self._headline()}"
        yield f"  replaces {self._predecessor()}"
        steps = self.steps()
        width = max([_WIDTH, *(len(step["step"]) for step in steps)])
        for number, step in enumerate(steps, start=1):
            yield f"  {number:2}  {step['step']:{width}} {step['what']}"
        yield f"  calls to Vonage: {self.calls()}"
        for secret_id in self.undecided():
            which = f"secret {secret_id} ({self._role(secret_id)})"
            yield f"  leaves {which}, which may have leaked, too: decide what to do"
        if self._is_twice:
            yield "  and then rotate once more, as what replaced it may have leaked, too"

    def document(self) -> dict[str, Any] | None:
        """Return the plan as `--json` prints it; None where nothing could be observed."""
        if self.observation is None:
            return None
        rotation = self.observation.rotation
        return {
            "carries_on": rotation.id if rotation else self.opened and self.opened.recovered_id,
            "predecessor": {"secret_id": self.predecessor_id, "why": self._why()},
            "steps": self.steps(),
            "vonage_calls": self.calls(),
            "undecided_secret_ids": self.undecided(),
            "rotates_once_more": self._is_twice,
        }

    def steps(self) -> list[dict[str, Any]]:
        """List the steps, including those after the grace."""
        # The closing of a rotation is implied, unless it is the only step left.
        now = [each for each in self.actions if not isinstance(each, Close)] or self.actions
        later: list[Action] = []
        due_at = None
        if self.wait and self.predecessor_id:
            if self._gates() and not self._is_compromised:
                later.append(AskGates())
            if field := self._previous_field():
                later.append(Withdraw(field=field))
            later.append(Delete(secret_id=self.predecessor_id))
            if self.account.policy.prove_deletion:
                later.append(Prove())
            due_at = rfc3339(self.wait.until)
        facts = self._facts()
        steps = [step for action in now if (step := describe(action, facts))]
        after_wait = [step for action in later if (step := describe(action, facts))]
        return steps + [step | {"due_at": due_at} for step in after_wait]

    def undecided(self) -> list[str]:
        """Return the secrets a compromise leaves over: any may have leaked, not only the last."""
        if not self._is_compromised:
            return []
        touched = {
            action.secret_id for action in self.actions if isinstance(action, SecretDeletion)
        }
        listed = self.observation.listing.ids if self.observation else frozenset()
        return sorted(listed - touched - {self.predecessor_id or ""})

    def _role(self, secret_id: str) -> SecretRole:
        seen = self.observation
        return SecretRole.of(
            secret_id,
            current_id=seen.current_secret_id if seen else None,
            opened=seen.rotation if seen else None,
            expendable_ids=seen.ledger.expendable_ids if seen else (),
        )

    @property
    def _is_compromised(self) -> bool:
        return self.request.reason == "compromised"

    @property
    def _is_twice(self) -> bool:
        """Whether another rotation would follow the open one."""
        rotation = self.observation.rotation if self.observation else None
        return bool(self._is_compromised and rotation and rotation.verified_at)

    def calls(self) -> int:
        """Count calls to Vonage, including observations before the first step and after a wait."""
        calls = 1 + sum(
            isinstance(action, Observe) or bool(action.sketch and action.sketch.where == "vonage")
            for action in self.actions
        )
        is_proved = self.account.policy.prove_deletion and self.predecessor_id is not None
        return calls + (3 if is_proved else 2) if self.wait else calls

    def _headline(self) -> str:
        rotation = self.observation.rotation if self.observation else None
        if rotation:
            return f"would continue rotation {rotation.id}, which is at step {rotation.step}"
        if self.opened and self.opened.recovered_id:
            return f"would continue rotation {self.opened.recovered_id}, which Vault knows of"
        return "would rotate"

    def _predecessor(self) -> str:
        if self.predecessor_id is None:
            return "nothing: no secret at Vonage is known to be the one that Vault holds"
        why = self._why()
        return f"secret {self.predecessor_id}{f': {why}' if why else ''}"

    def _why(self) -> str | None:
        """Return the evidence for which secret is to be replaced; None where there is none."""
        secret_id, observed = self.predecessor_id, self.observation
        if secret_id is None or observed is None:
            return None
        entry = observed.current.entry
        note = entry.note if entry else None
        if observed.rotation:
            return "recorded when the rotation was opened"
        if note and note.secret_id == secret_id:
            return "the note in Vault names it"
        if len(observed.listing.secrets or ()) == 1:
            return "the only one, and Vault's value authenticates"
        return None

    def _grace(self) -> timedelta:
        rotation = self.observation.rotation if self.observation else None
        own = rotation.grace if rotation else self.account.policy.grace
        return own if self.request.grace is None else self.request.grace

    def _previous_field(self) -> str | None:
        """Return the field with the replaced value when the grace is over; None for none."""
        entry = self.observation.current.entry if self.observation else None
        if entry is None or not any(isinstance(action, Push) for action in self.actions):
            return entry.previous if entry else None
        is_kept = self._grace() and not self._is_compromised and not entry.is_previous_taken
        return self.account.previous_field or None if is_kept else None

    def _gates(self) -> str:
        return ", ".join(self.observation.gates.names) if self.observation else ""

    def _facts(self) -> dict[str, Any]:
        seen = self.observation
        return {
            "api_key": self.account.api_key,
            "current": f"{self.mount}/{self.account.vault_path}",
            "base": seen.current.version if seen and seen.current.entry else 0,
            "pending": f"{self.mount}/{self.account.pending_path}",
            "pending_base": seen.pending.version if seen else 0,
            "gates": self._gates(),
            "grace": text.span(self._grace()),
        }


def show(
    application: "Application", accounts: Sequence[Account], request: Request, *, as_json: bool
) -> int:
    """Print the dry run of each account, and return the exit code."""
    unready = rotate.preflight(application, changes_nothing=True)
    if unready:
        return rotate.refuse(accounts, unready, as_json=as_json, also={"plan": None})
    reconciler = application.reconciler(ledger=application.ledger.dry_run_writer)
    mount = application.settings.vault.mount

    def plan(account: Account) -> Plan:
        try:
            result, actions, observation = reconciler.dry_run(account, request)
        except Exception as error:  # noqa: BLE001  # a worker's loop: the others go on
            result, actions, observation = rotate.internal(account, error), [], None
        return Plan(
            account=account,
            request=request,
            result=result,
            actions=actions,
            observation=observation,
            mount=mount,
        )

    concurrency = application.settings.daemon.concurrency
    plans = parallel.run(accounts, plan, concurrency=concurrency, cancel=parallel.CancelToken())
    results = [_certain(plan) for plan in plans]
    if as_json:
        documents = zip(rotate.results_document(results), plans, strict=True)
        output.write_json([result | {"plan": plan.document()} for result, plan in documents])
    for each in plans:
        if not as_json and not each.result.error:
            output.write("\n".join(output.fitted(line, indent=14) for line in each.lines()))
    output.flush()
    rotate.complain(results)
    if not as_json:
        output.say("dry run: nothing was changed")
    return rotate.exit_code(results)


def _certain(plan: Plan) -> PassResult:
    """Add the facts that are certain in advance to the result."""
    if plan.result.error:
        return plan.result
    return replace(
        plan.result,
        old_secret_id=plan.predecessor_id,
        delete_due_at=plan.wait.until if plan.wait else plan.result.delete_due_at,
    )
