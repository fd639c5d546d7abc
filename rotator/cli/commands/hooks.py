"""`hooks test`: call hooks, and show what comes back."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rotator.cli import output
from rotator.cli.context import CommandContext, JsonOption, hook_completions
from rotator.errors import ConfigError
from rotator.model.notification import Event, Hook, Notification

if TYPE_CHECKING:
    from rotator.config import Settings
    from rotator.hooks import HookDispatcher
    from rotator.hooks.answer import Answer

HEADERS = ("hook", "test", "answer")


def try_(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="only the hook of this name", autocompletion=hook_completions
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Call every hook, or one, with the event `test`, and show what comes back.

    Whatever events the hook is for. Nothing is recorded, no notification counts as delivered, and
    no gate is opened. Exits with 1 if a hook failed.
    """
    with CommandContext.of(context).application(as_written=True) as application:
        hooks = _chosen(application.settings, name)
        tested = [_test(application.dispatcher, application.settings, hook) for hook in hooks]
    document = {"hooks": [each.document() for each in tested]}
    output.show_table(document, HEADERS, [each.row() for each in tested], as_json=as_json)
    if not tested:
        output.say("no hook is configured")
    for hook in hooks:
        if Event.GATE in hook.on:
            output.say(f"note: hook {hook.name} is a gate; its answer to a test is not used")
    raise typer.Exit(0 if all(each.answer.succeeded for each in tested) else 1)


@dataclass(frozen=True, kw_only=True)
class _Tested:
    hook: Hook
    answer: "Answer"

    @property
    def outcome(self) -> str:
        return "ok" if self.answer.succeeded else "failed"

    def row(self) -> tuple[str, ...]:
        return self.hook.name, self.outcome, self.answer.text

    def document(self) -> dict[str, Any]:
        return {
            "name": self.hook.name,
            "outcome": self.outcome,
            "answer": self.answer.text,
            "gate": Event.GATE in self.hook.on,
        }


def _chosen(settings: "Settings", name: str | None) -> Sequence[Hook]:
    """Return the hook of that name; without one, all hooks.

    Raises:
        ConfigError: no hook has that name.
    """
    found = [hook for hook in settings.hooks if name in (None, hook.name)]
    if name is not None and not found:
        names = ", ".join(hook.name for hook in settings.hooks)
        hint = f"configured are {names}" if names else "no hook is configured"
        raise ConfigError(f"no hook {name!r} is configured", hint=hint)
    return found


def _test(dispatcher: "HookDispatcher", settings: "Settings", hook: Hook) -> _Tested:
    accounts = sorted(hook.accounts) or [account.name for account in settings.accounts]
    notification = Notification(
        id=uuid.uuid4().hex,
        event=Event.TEST,
        account=accounts[0] if accounts else "sample",
        at=datetime.now(UTC),
        reason="a test; nothing has happened",
    )
    return _Tested(hook=hook, answer=dispatcher.call(hook, notification))
