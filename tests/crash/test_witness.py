"""The publication of a checkpoint, killed at each of its steps, and by two at once."""

import os
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli_fixture import CliFixture
from tests.support.commands import Command, CommandSpec
from tests.support.webhook_receiver import WebhookReceiver, receiving

pytestmark = pytest.mark.crash

#: What is called at each step of a publication, and how many times before.
STEPS = (
    ("rotator.ledger.checkpoints:Checkpoints.add", 1),
    ("os:fsync", 1),
    ("pathlib:Path.rename", 1),
    ("os:fsync", 2),
    ("rotator.vault.checkpoint_entry:CheckpointEntry.write", 1),
    ("rotator.witness.service:Service._send", 1),
    ("rotator.witness.service:Service._send", 2),
)


def die_at(step: str, when: str, number: int) -> None:
    """Make this process kill itself before or after the `number`th call of a step."""
    module, _, path = step.partition(":")
    *owners, name = path.split(".")
    owner: Any = import_module(module)
    for each in owners:
        owner = getattr(owner, each)
    original: Callable[..., Any] = getattr(owner, name)
    calls: list[None] = []

    def patched(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  # as the original
        calls.append(None)
        is_now = len(calls) == number
        if is_now and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*args, **kwargs)
        if is_now:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, patched)


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    """Yield a webhook."""
    with receiving() as made:
        yield made


@pytest.fixture
def cli(tmp_path: Path, sqlite_template: Path, receiver: WebhookReceiver) -> Iterator[CliFixture]:
    """Yield a rotated account whose checkpoints go to every kind of place."""
    with CliFixture(tmp_path, ledger=sqlite_template) as made:
        key = tmp_path / "key.pem"
        generate = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(key)]
        subprocess.run(generate, check=True, timeout=60)
        (tmp_path / "checkpoints").mkdir()
        made.config.write_text(
            f'{made.text}\n[ledger.witness]\nkey_file = "{key}"\n'
            f'directory = "{tmp_path}/checkpoints"\nvault_path = "rotator/witness"\n'
            f'url = "{receiver.url}"\n'
        )
        made.rotate()
        yield made


def spec(cli: CliFixture, name: str, first: Callable[[], None] | None = None) -> CommandSpec:
    """Return the command that publishes."""
    out, err = cli.folder / f"{name}.out", cli.folder / f"{name}.err"
    for path in (out, err):
        path.write_text("")
    return CommandSpec(
        arguments=("ledger", "witness", "publish"),
        environment=cli.environment,
        stdout=out,
        stderr=err,
        first=first,
    )


def assert_published(cli: CliFixture, receiver: WebhookReceiver) -> None:
    """Check every place against the ledger."""
    folder = cli.folder / "checkpoints"
    with closing(sqlite3.connect(cli.ledger)) as ledger:
        notes = [note for (note,) in ledger.execute("SELECT note FROM checkpoint ORDER BY number")]
    texts = [path.read_text() for path in sorted(folder.iterdir())]
    verified = cli.run("ledger", "verify", "--offline", "--witness", str(folder))
    key = cli.run("ledger", "witness", "key").out.strip()
    checked = cli.run("ledger", "witness", "check", str(folder), "--key", key)
    entry = cli.world.vault.read("rotator/witness")

    assert [text.partition("\n\n")[2] for text in texts] == notes
    assert entry
    assert entry["checkpoint"] == texts[-1]
    # Where one was published twice, it was the same one.
    assert {each.body.decode().partition("\n\n")[2] for each in receiver.taken} >= {notes[-1]}
    assert (verified.code, checked.code) == (0, 0), verified.err + checked.err


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("step", "number"), STEPS)
def test_a_publication_that_is_killed_is_completed_by_the_next(
    cli: CliFixture, receiver: WebhookReceiver, step: str, when: str, number: int
) -> None:
    """Nothing is to be repaired, and no checkpoint has two contents anywhere."""
    assert cli.run("ledger", "witness", "publish").code == 0
    killed = Command(spec(cli, "killed", partial(die_at, step, when, number)))
    ended = killed.wait()
    again = cli.run("ledger", "witness", "publish")

    assert ended == -signal.SIGKILL
    assert again.code == 0, again.err
    assert_published(cli, receiver)


def test_several_that_publish_at_once_take_one_history(
    cli: CliFixture, receiver: WebhookReceiver
) -> None:
    """Whoever comes second publishes what the first has taken."""
    started = [Command(spec(cli, f"{number}")) for number in range(4)]
    codes = [each.wait() for each in started]
    again = cli.run("ledger", "witness", "publish")

    assert codes == [0] * 4, [(cli.folder / f"{each}.err").read_text() for each in range(4)]
    assert again.code == 0, again.err
    assert_published(cli, receiver)
