"""Daemons that share one ledger and its witness, as real processes."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from rotator.daemon.service import LONGEST_PATIENCE
from rotator.ledger.checkpoints import Checkpoints
from rotator.model.checkpoint import Checkpoint, Note, Submission
from rotator.witness import load_signer
from tests.acceptance.service import Build, Service, building, until
from tests.support.tlog_witness import TlogWitness
from tests.support.webhook_receiver import WebhookReceiver, receiving

on_postgresql = pytest.mark.parametrize(
    "kind", [pytest.param("postgresql", marks=pytest.mark.postgres)]
)

VAULT_PATH = "rotator/witness"
#: Checkpoints of ever more entries that two daemons take, one a second, while they rotate.
ENOUGH = 4
#: The first call of each, once a checkpoint was signed, comes before its publication in a place.
PLACES = {
    "directory": "rotator.witness.directory:Directory.publish",
    "vault_path": "rotator.vault.checkpoint_entry:CheckpointEntry.write",
    "url": "rotator.witness.service:Service._send",
}


@pytest.fixture
def build(ledger_url: str, tmp_path: Path) -> Iterator[Build]:
    """Yield a builder of a world with due accounts, and of a service in it."""
    with building(tmp_path, ledger_url) as build:
        yield build


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    """Yield the web server of the witness."""
    with receiving() as made:
        yield made


@pytest.fixture
def witness(receiver: WebhookReceiver) -> TlogWitness:
    """Return a witness that refuses another history."""
    return TlogWitness(receiver)


def configure(run: Service, url: str, **policy: str) -> Path:
    """Publish a checkpoint each second, to every kind of place; return the directory."""
    key, folder = run.folder / "witness-key", run.folder / "checkpoints"
    private = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    key.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    folder.mkdir()
    run.configure(grace="0s", jitter="0s", **policy)
    run.config.write_text(
        f'{run.config.read_text()}\n[ledger.witness]\nkey_file = "{key}"\ndirectory = "{folder}"\n'
        f'vault_path = "{VAULT_PATH}"\nurl = "{url}"\nevery = "1s"\n'
    )
    return folder


def signed(run: Service) -> list[str]:
    """Return what the ledger has signed, oldest first."""
    return [each.note for each in Checkpoints(run.database).read().signed]


def files(folder: Path) -> list[str]:
    """Return the notes in the directory, oldest first."""
    paths = sorted(folder.glob("*.checkpoint"))
    return [Submission.parse(path.read_text()).note for path in paths]


def entry(run: Service) -> str | None:
    """Return the note in Vault."""
    found = run.world.vault.read(VAULT_PATH)
    return Submission.parse(found["checkpoint"]).note if found else None


def posted(receiver: WebhookReceiver) -> list[str]:
    """Return the notes that the witness was sent."""
    return [Submission.parse(each.body.decode()).note for each in receiver.taken]


def checkpoint(note: str) -> Checkpoint:
    """Return what a note says."""
    return Checkpoint.parse(Note.parse(note).text)


def everywhere(run: Service, folder: Path, receiver: WebhookReceiver) -> bool:
    """Whether each place has what the ledger has signed."""
    notes = signed(run)
    return (files(folder), entry(run)) == (notes, notes[-1]) and notes[-1] in posted(receiver)


def holds(run: Service, folder: Path) -> None:
    """Let both sides check it: with the ledger and its rules, and with the files alone."""
    origin = Checkpoints(run.database).default_origin()
    key = str(load_signer(run.folder / "witness-key", origin).verifier)
    compared = run.run("ledger", "verify", "--rules", "--witness", str(folder))
    checked = run.run("ledger", "witness", "check", str(folder), "--key", key)

    assert (compared.returncode, compared.stderr) == (0, "")
    assert (checked.returncode, checked.stderr) == (0, "")


def no_other_history(run: Service, receiver: WebhookReceiver, witness: TlogWitness) -> None:
    """See that nothing but the ledger's own checkpoints was ever shown, and no place refused."""
    notes = signed(run)
    roots = {(checkpoint(each).size, checkpoint(each).root) for each in notes}

    # By one of no entries, which every history extends, the witness is asked how far it has got.
    assert {each for each in posted(receiver) if checkpoint(each).size} <= set(notes)
    assert len(roots) == len({size for size, _ in roots})
    assert set(witness.answered) <= {200, 409}
    assert [run.logged(f'"{each}"') for each in ("witness-conflict", "away")] == [0, 0]


@on_postgresql
@pytest.mark.slow
def test_two_daemons_show_one_history(
    build: Build, receiver: WebhookReceiver, witness: TlogWitness
) -> None:
    """Whichever signs, every place gets each checkpoint, and it holds while rotations go on."""
    run = build(accounts=2)
    folder = configure(run, receiver.url, every="1s", max_age="1d")
    processes = [run.start(), run.start()]
    until(lambda: len({checkpoint(each).size for each in files(folder)}) >= ENOUGH)
    holds(run, folder)
    made = sum(run.made().values())
    until(lambda: sum(run.made().values()) > made)
    assert [run.stop(process) for process in processes] == [0, 0]
    assert run.run("ledger", "witness", "publish").returncode == 0

    assert everywhere(run, folder, receiver)
    no_other_history(run, receiver, witness)


def die_once_signed(place: str) -> None:
    """Make this process kill itself once it has signed, before the call that publishes in a place.

    Before it signs, it may make the same call to compare.
    """
    signatures: list[None] = []

    def note_signature(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  # as the original
        is_signed = original(*args, **kwargs)
        if is_signed:
            signatures.append(None)
        return is_signed

    def die(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401  # likewise
        if signatures:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **kwargs)

    replace("rotator.ledger.checkpoints:Checkpoints.add", note_signature)
    replace(PLACES[place], die)


def replace(name: str, wrapper: Callable[..., Any]) -> None:
    """Replace a class's method by a wrapper, which gets the method first."""
    module, _, path = name.partition(":")
    owner, _, method = path.partition(".")
    found = getattr(import_module(module), owner)
    original = getattr(found, method)
    setattr(found, method, lambda *args, **kwargs: wrapper(original, *args, **kwargs))


@on_postgresql
@pytest.mark.crash
@pytest.mark.parametrize("place", PLACES)
def test_what_a_killed_daemon_had_signed_is_published_by_the_other(
    build: Build, receiver: WebhookReceiver, witness: TlogWitness, place: str
) -> None:
    """Killed before it came to a place, it leaves nothing to repair, and no second content."""
    run = build()
    folder = configure(run, receiver.url)
    # It signs the first one alone, and publishes all.
    survivor = run.start(ROTATOR_LEDGER__WITNESS__EVERY="1h")
    until(lambda: run.are_done() and len(files(folder)) == 1)
    until(lambda: everywhere(run, folder, receiver))
    killed = run.start(partial(die_once_signed, place))

    assert killed.wait(60) == -signal.SIGKILL
    until(lambda: everywhere(run, folder, receiver))
    assert len(signed(run)) == 2
    assert run.run("ledger", "witness", "publish").returncode == 0
    until(lambda: everywhere(run, folder, receiver))
    assert run.stop(survivor) == 0
    no_other_history(run, receiver, witness)
    holds(run, folder)


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_witness_that_never_answers_delays_nothing(
    build: Build, receiver: WebhookReceiver
) -> None:
    """Accounts are looked at meanwhile, and the daemon ends at once."""
    receiver.answer = receiver.hang
    run = build(age=timedelta(days=1), daemon='listen = ""\ndrift_check = "1s"')
    configure(run, receiver.url)
    # Each exchange with the witness may take as long as one with Vault.
    run.config.write_text(run.config.read_text().replace("[vault]", '[vault]\ntimeout = "5m"'))
    process = run.start()
    until(lambda: receiver.taken and run.queries.last_seen())
    seen = run.queries.last_seen()
    until(lambda: run.queries.last_seen() != seen)
    began = time.monotonic()

    assert run.stop(process) == 0
    assert time.monotonic() - began < LONGEST_PATIENCE / 2
    assert len(receiver.taken) == 1
    assert run.logged('"away"') == 0
