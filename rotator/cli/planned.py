"""`rotate-now --dry-run`: what a rotation would do, in words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from rotator import words
from rotator.actions import (
    Abort,
    Action,
    Ask,
    Clear,
    Close,
    Create,
    Delete,
    Evict,
    Learn,
    Look,
    Notify,
    Open,
    Probe,
    Push,
    Stage,
    Verify,
    Wait,
)
from rotator.cli import fleet, output, passes, results
from rotator.model import Account, Observation, Report, Request

if TYPE_CHECKING:
    from rotator.wiring import Wiring


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What would be done with one account."""

    account: Account
    #: With nothing but what is certain in advance.
    report: Report
    #: Up to where the rotation waits, ends or is refused; empty where it could not be seen.
    actions: Sequence[Action]
    world: Observation | None
    #: The Vault mount.
    mount: str

    @property
    def opened(self) -> Open | None:
        """The opening of the rotation; None where one is open already."""
        return next((action for action in self.actions if isinstance(action, Open)), None)

    @property
    def wait(self) -> Wait | None:
        """The grace, where there is one."""
        return next((action for action in self.actions if isinstance(action, Wait)), None)

    @property
    def predecessor_id(self) -> str | None:
        """The secret that would be replaced."""
        if self.opened:
            return self.opened.predecessor_id
        return self.report.old_secret_id

    def lines(self, request: Request) -> Iterator[str]:
        """Say it all, one line for each thing."""
        grace = self._grace(request)
        yield f"{self.account.name}: {self._headline()}"
        yield f"  replaces {self._predecessor()}"
        steps = [text for action in self.actions if (text := self._step(action, grace))]
        if self.wait and self.predecessor_id:
            if self._gates() and request.reason != "compromised":
                steps.append(f"gates   ask {self._gates()}")
            steps.append(f"delete  delete secret {self.predecessor_id} at Vonage")
        yield from (f"  {number:2}  {step}" for number, step in enumerate(steps, start=1))
        yield f"  calls to Vonage: {self.calls()}"
        rotation = self.world.rotation if self.world else None
        if request.reason == "compromised":
            yield from self._undecided()
        if request.reason == "compromised" and rotation and rotation.verified_at:
            yield "  and then rotate once more, as what replaced it may have leaked, too"

    def _undecided(self) -> Iterator[str]:
        """Name what would be left: a leak may have been of any secret, not of the last alone."""
        touched = {
            action.secret_id for action in self.actions if isinstance(action, Evict | Delete)
        }
        listed = self.world.listed_ids if self.world else frozenset()
        for secret_id in sorted(listed - touched - {self.predecessor_id}):
            yield f"  leaves secret {secret_id}, which may have leaked, too: decide about it"

    def calls(self) -> int:
        """Count the calls to Vonage, the look before the first step and after a wait included."""
        counted = (Evict, Create, Probe, Delete, Look)
        calls = 1 + sum(isinstance(action, counted) for action in self.actions)
        return calls + 2 if self.wait else calls

    def _headline(self) -> str:
        rotation = self.world.rotation if self.world else None
        if rotation:
            return f"would carry on rotation {rotation.id}, which is at step {rotation.step}"
        if self.opened and self.opened.recovered_id:
            return f"would carry on rotation {self.opened.recovered_id}, which Vault knows of"
        return "would rotate"

    def _predecessor(self) -> str:
        secret_id, world = self.predecessor_id, self.world
        if secret_id is None:
            return "nothing: no secret at Vonage is known to be the one that Vault holds"
        if world is None or world.rotation:
            return f"secret {secret_id}"
        if world.current and world.current.note and world.current.note.secret_id == secret_id:
            return f"secret {secret_id}: the note in Vault names it"
        if len(world.listed or ()) == 1:
            return f"secret {secret_id}: the only one, and Vault's value authenticates"
        return f"secret {secret_id}"

    def _step(self, action: Action, grace: timedelta) -> str | None:
        """Say what an action would do; None for what only the ledger hears of."""
        if isinstance(action, Close) and len(self.actions) == 1:
            return "close   record that it is over"
        text = _TEXTS.get(type(action))
        return text.format_map(self._facts(grace) | vars(action)) if text else None

    def _grace(self, request: Request) -> timedelta:
        rotation = self.world.rotation if self.world else None
        own = rotation.grace if rotation else self.account.policy.grace
        return own if request.grace is None else request.grace

    def _gates(self) -> str:
        return ", ".join(self.world.gates) if self.world else ""

    def _facts(self, grace: timedelta) -> dict[str, object]:
        current = self.world.current if self.world else None
        return {
            "api_key": self.account.api_key,
            "current": f"{self.mount}/{self.account.vault_path}",
            "base": current.version if current else 0,
            "pending": f"{self.mount}/{self.account.pending_path}",
            "gates": self._gates(),
            "pending_base": self.world.pending_version if self.world else 0,
            "moment": words.moment(self.wait.until) if self.wait else "",
            "grace": words.span(grace),
        }


_TEXTS: Mapping[type[Action], str] = {
    Evict: "evict   delete secret {secret_id} at Vonage, to free its slot",
    Stage: "stage   write a new value to {pending} in Vault, check-and-set version {pending_base}",
    Create: "create  make it a secret of {api_key} at Vonage",
    Probe: "probe   see it authenticate at Vonage",
    Push: "push    write it to {current} in Vault, check-and-set version {base}",
    Verify: "verify  read version {version} back and compare",
    Clear: "clear   remove {pending} from Vault",
    Notify: "hooks   tell of the new secret",
    Ask: "gates   ask {gates}",
    Wait: "wait    until {moment} (grace {grace})",
    Delete: "delete  delete secret {secret_id} at Vonage",
    Learn: "learn   record what is seen to have been done",
    Abort: "abort   undo the rotation ({code})",
}


def show(wiring: "Wiring", accounts: Sequence[Account], request: Request, *, as_json: bool) -> int:
    """Print what a rotation of each account would do, and give the exit code."""
    unready = passes.preflight(wiring, changes_nothing=True)
    if unready:
        return passes.refuse(accounts, unready, as_json=as_json)
    engine, brake = wiring.engine(ledger=wiring.present_book), fleet.Brake()

    def plan(account: Account) -> Plan:
        try:
            report, actions, world = engine.plan(account, request)
        except Exception as error:  # noqa: BLE001  # a worker's loop: the others go on
            report, actions, world = results.internal(account, error), [], None
        mount = wiring.settings.vault.mount
        return Plan(account=account, report=report, actions=actions, world=world, mount=mount)

    plans = fleet.run(accounts, plan, concurrency=wiring.settings.daemon.concurrency, brake=brake)
    reports = [_foreseen(plan) for plan in plans]
    if as_json:
        results.show(reports, as_json=True)
        return results.exit_code(reports)
    for plan_ in plans:
        if not plan_.report.error:
            output.write("\n".join(plan_.lines(request)))
    output.flush()
    results.complain(reports)
    output.say("dry run: nothing was changed")
    return results.exit_code(reports)


def _foreseen(plan: Plan) -> Report:
    """Add to the report what is certain in advance."""
    if plan.report.error:
        return plan.report
    return replace(
        plan.report,
        old_secret_id=plan.predecessor_id,
        delete_due_at=plan.wait.until if plan.wait else plan.report.delete_due_at,
    )
