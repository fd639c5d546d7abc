"""Gates: what a command or a web address says of consumers, beside being open or shut."""

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rotator.hooks import HookDispatcher
from rotator.hooks.runner import HookRunner
from rotator.model import SecretValue, ShutGate
from rotator.model.convergence import Convergence
from rotator.model.notification import Event, Hook
from tests.support.samples import account, rotation
from tests.support.webhook_receiver import WebhookReceiver, content, receiving
from tests.unit.hooks.calling import MESSAGE, NOTICE, NOW, PATIENT, Script

FOUND = Convergence(consumers=3, converged=1, behind=("a", "b"))
ANSWER = json.dumps({"open": False, **FOUND.document()})


def ask(**hook: object) -> ShutGate | None:
    """Ask a gate as a pass does."""
    gate = Hook(name="g", on=frozenset({Event.GATE}), timeout=PATIENT, **hook)  # type: ignore[arg-type]
    dispatcher = HookDispatcher(
        hooks=[gate],
        accounts={},
        mount="secret",
        outbox=lambda: pytest.fail("nothing is recorded"),
        runner=HookRunner(environ={}),
        now=lambda: NOW,
    )
    return dispatcher.ask(account("sms"), rotation(verified_at=NOW), "g")


def says(script: Script, text: str, code: int = 1) -> ShutGate | None:
    """Ask a command that prints a text."""
    (program,) = script("")
    with open(program, "w") as file:  # noqa: PTH123  # the fixture's
        file.write(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\necho why >&2\nexit {code}\n")
    return ask(command=(program,))


def test_a_gate_may_say_how_many_consumers_use_the_new_secret(script: Script) -> None:
    """In the last line of its output, whatever stands before."""
    shut = ShutGate(name="g", reason="exit status 1: why", convergence=FOUND)

    assert says(script, ANSWER) == shut
    assert says(script, f"asking\n{{}}\n{ANSWER}\n\n") == shut
    assert says(script, "") == replace(shut, convergence=None)
    assert says(script, f"{ANSWER}\ndone") == replace(shut, convergence=None)


def test_what_it_says_of_consumers_opens_and_shuts_nothing(script: Script) -> None:
    """The exit status alone does."""
    all_use_it = json.dumps({"open": True, "consumers": 3, "converged": 3})
    shut = says(script, all_use_it)

    assert says(script, ANSWER, code=0) is None
    assert shut
    assert shut.convergence == Convergence(consumers=3, converged=3)


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        "[]",
        '{"consumers": 1}',
        "[" * 50_000,
        f'{{"consumers": 1{"0" * 5000}, "converged": 1}}',
        "x" * 70_000 + "\n" + ANSWER,
    ],
)
def test_anything_else_that_it_prints_says_nothing(script: Script, text: str) -> None:
    """Too much of it is not kept; it is still the gate's answer that counts."""
    assert says(script, text) == ShutGate(name="g", reason="exit status 1: why")


def test_endless_output_of_a_gate_is_bounded(script: Script) -> None:
    """It is read on, so that the command comes to its end."""
    command = script("yes | head -c 3000000; yes why | head -c 3000000 >&2; exit 1")

    assert ask(command=command) == ShutGate(name="g", reason="exit status 1: why")


def test_what_a_gates_child_keeps_open_is_not_waited_for(script: Script, tmp_path: Path) -> None:
    """The gate's own end counts."""
    shut = ask(command=script(f"sleep 300 & echo $! > child; echo '{ANSWER}'; exit 1"))
    os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)

    assert shut == ShutGate(name="g", reason="exit status 1", convergence=FOUND)


def test_names_are_masked(script: Script) -> None:
    """A gate may know more than it should say."""
    value = SecretValue("Xy7pQ2mN8vB4kL1zR5tW9cD3f")
    names = [value.reveal(), "api_secret=hunter2hunter2"]
    shut = says(script, json.dumps({"consumers": 2, "converged": 0, "behind": names}))

    assert shut
    assert shut.convergence
    assert shut.convergence.behind == ("***", "api_secret=***")


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    """Yield a web server."""
    with receiving() as made:
        yield made


def test_a_web_address_answers_with_it(receiver: WebhookReceiver) -> None:
    """It is asked since when the new secret is in Vault."""
    receiver.answer = content(ANSWER, code=409)
    shut = ask(url=receiver.url)
    [taken] = receiver.taken

    assert shut == ShutGate(name="g", reason="answered 409", convergence=FOUND)
    assert json.loads(taken.body)["since"] == "2026-11-24T07:28:00Z"


def test_an_open_web_address_is_open_however_much_it_answers(receiver: WebhookReceiver) -> None:
    """Too much is not read."""
    receiver.answer = content("x" * 100_000)

    assert ask(url=receiver.url) is None


def test_what_a_hook_that_is_no_gate_answers_is_not_read(
    receiver: WebhookReceiver, script: Script
) -> None:
    """Nobody asked it."""
    receiver.answer = content(ANSWER)
    runner = HookRunner(environ={})
    hooks = [Hook(name="h", on=frozenset({Event.PUSHED}), timeout=PATIENT, url=receiver.url)]
    hooks.append(replace(hooks[0], url=None, command=script(f"echo '{ANSWER}'")))

    assert [runner.run(hook, MESSAGE, at=NOW).convergence for hook in hooks] == [None, None]


def test_a_hook_is_told_of_consumers() -> None:
    """Names in one text for a command, in a list for a web address."""
    notice = replace(NOTICE, consumers=3, converged=1, behind=("a", "b\n"))
    message = replace(MESSAGE, notification=notice)
    told = message.environment({})

    assert (told["ROTATOR_CONSUMERS"], told["ROTATOR_CONVERGED"]) == ("3", "1")
    assert told["ROTATOR_BEHIND"] == "a, b "
    assert message.facts()["behind"] == ["a", "b\n"]
