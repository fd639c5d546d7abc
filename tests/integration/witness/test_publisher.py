"""The publication of checkpoints: what every place gets, and what is never signed."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from rotator.errors import (
    CheckAndSetLost,
    RotatorError,
    StoreUnavailable,
    UnexpectedEntry,
    WitnessConflict,
    WitnessUnavailable,
)
from rotator.ledger.checkpoints import Checkpoints
from rotator.ledger.writer import LedgerWriter
from rotator.model.checkpoint import Checkpoint, History, Note, SignedCheckpoint, Submission, Target
from rotator.model.merkle import EMPTY_ROOT, is_extension
from rotator.rotation.ports import NewEntry
from rotator.sim import Environment
from rotator.vault import EnvToken, VaultSession
from rotator.vault.checkpoint_entry import CheckpointEntry
from rotator.witness import CheckpointSigner, Publisher, load_signer
from rotator.witness.directory import Directory
from rotator.witness.entry import Entry
from rotator.witness.service import Service
from tests.support.ledgers import another_ledger, backup, new_ledger, open_ledger
from tests.support.tlog_witness import TlogWitness
from tests.support.webhook_receiver import (
    Answer,
    WebhookHandler,
    WebhookReceiver,
    content,
    receiving,
    status,
)

NOW = datetime(2026, 11, 30, 10, 6, tzinfo=UTC)


class Ledger:
    """A ledger in a file, with a publisher of its checkpoints."""

    def __init__(self, file: Path, key: Path) -> None:
        self.file = file
        self.engine = open_ledger(f"sqlite:///{file}")
        self.checkpoints = Checkpoints(self.engine)
        self.key = key

    def write(self, name: str = "a", count: int = 1, days: int = 0) -> None:
        """Record some entries; the same at the same time are the same."""
        writer, now = LedgerWriter(self.engine, lease_seconds=60), NOW + timedelta(days=days)
        lease = writer.claim(name, now)
        entries = [NewEntry(event="done", step=None, detail={"n": each}) for each in range(count)]
        writer.commit(lease, rotation=None, entries=entries, snapshot=None, now=now)
        writer.release(lease)

    def signer(self, origin: str = "") -> CheckpointSigner:
        """Return the key under the log's name."""
        return load_signer(self.key, origin or self.checkpoints.default_origin())

    def publish(
        self, *targets: Target, days: int = 0, is_due: bool = True, origin: str = ""
    ) -> SignedCheckpoint | None:
        """Bring the places up to date."""
        signer = self.signer(origin)
        folders = [each for each in targets if isinstance(each, Directory)]
        publisher = Publisher(
            self.checkpoints,
            targets,
            origin=signer.verifier.name,
            sign=signer.note,
            archive=folders[0].notes_after if folders else lambda _: iter(()),
        )
        after = self.count if is_due else None
        return publisher.publish(NOW + timedelta(days=days), after=after)

    def history(self) -> History:
        """Return what it has."""
        return self.checkpoints.read().history(self.signer().verifier.name)

    @property
    def count(self) -> int:
        """Number of checkpoints that were signed."""
        return len(self.checkpoints.read().signed)

    def close(self) -> None:
        """Close the database."""
        self.engine.dispose()


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Return the file of a key."""
    path = tmp_path / "key.pem"
    private = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    path.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


@pytest.fixture
def ledger(tmp_path: Path, key: Path) -> Iterator[Ledger]:
    """Yield a ledger with two entries."""
    made = Ledger(new_ledger(tmp_path), key)
    made.write(count=2)
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty directory for checkpoints."""
    path = tmp_path / "checkpoints"
    path.mkdir()
    return path


def files(folder: Path) -> list[str]:
    """Return the names in a directory, hidden ones included."""
    return sorted(each.name for each in folder.iterdir())


def sizes(folder: Path) -> list[tuple[int, int]]:
    """Return the old and the new size of each checkpoint in a directory."""
    found = [Submission.parse((folder / name).read_text()) for name in files(folder)]
    return [(each.old, Checkpoint.parse(Note.parse(each.note).text).size) for each in found]


class Store:
    """An entry whose store does what a test wants."""

    shown = "secret/rotator/witness"

    def __init__(self) -> None:
        self.text: str | None = None
        self.version = 0
        #: Called before each write.
        self.first: Any = None
        #: Raised by the next read.
        self.failure: RotatorError | None = None

    def read(self) -> tuple[str | None, int]:
        """Read what is there."""
        if self.failure:
            raise self.failure
        return self.text, self.version

    def write(self, origin: str, text: str, version: int) -> None:
        """Write with check-and-set."""
        del origin
        if self.first:
            self.first()
        if version != self.version:
            raise CheckAndSetLost
        self.text, self.version = text, self.version + 1


@pytest.fixture
def store() -> Store:
    """Return an empty entry."""
    return Store()


# -- A directory. --------------------------------------------------------------------------


def test_each_checkpoint_becomes_a_file_with_its_proof(ledger: Ledger, folder: Path) -> None:
    """Whoever has the files alone can check that each extends the one before."""
    ledger.publish(Directory(folder))
    ledger.write("b", 3)
    ledger.publish(Directory(folder), days=1)
    first, second = (Submission.parse((folder / name).read_text()) for name in files(folder))
    old, new = (Checkpoint.parse(Note.parse(each.note).text) for each in (first, second))

    assert files(folder) == ["0000000001.checkpoint", "0000000002.checkpoint"]
    assert sizes(folder) == [(0, 2), (2, 5)]
    assert is_extension(old.size, old.root, new.size, new.root, second.proof)
    assert (folder / files(folder)[0]).stat().st_mode & 0o777 == 0o644


def test_nothing_is_taken_before_it_is_due(ledger: Ledger, folder: Path) -> None:
    """What is there already stays as it is."""
    ledger.publish(Directory(folder))
    before = (folder / files(folder)[0]).stat()
    published = ledger.publish(Directory(folder), is_due=False)

    assert published
    assert published.number == 1
    assert (folder / files(folder)[0]).stat() == before


def test_what_was_never_due_is_not_published(ledger: Ledger, folder: Path) -> None:
    """Without a checkpoint there is nothing to write."""
    assert ledger.publish(Directory(folder), is_due=False) is None
    assert files(folder) == []


def test_a_link_in_the_way_is_replaced(ledger: Ledger, folder: Path, tmp_path: Path) -> None:
    """Somebody else may write there: no file outside of the directory is written to."""
    other = tmp_path / "other"
    other.write_text("kept")
    (folder / ".checkpoint.new").symlink_to(other)
    ledger.publish(Directory(folder))
    (made,) = folder.iterdir()

    assert other.read_text() == "kept"
    assert made.is_file()
    assert not made.is_symlink()


def test_a_pipe_in_the_way_is_no_checkpoint(ledger: Ledger, folder: Path) -> None:
    """It is not waited for, even if somebody keeps it open and writes nothing."""
    os.mkfifo(folder / "0000000001.checkpoint")
    silent = os.open(folder / "0000000001.checkpoint", os.O_RDWR)

    with pytest.raises(WitnessConflict, match="is no checkpoint"):
        ledger.publish(Directory(folder))
    os.close(silent)
    with pytest.raises(WitnessConflict, match="is no checkpoint"):
        ledger.publish(Directory(folder))


def test_a_directory_that_stays_locked_is_away(
    ledger: Ledger, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may read it can lock it: the daemon's other checks do not wait for that."""
    monkeypatch.setattr("rotator.witness.directory._PATIENCE", 0.2)
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        with pytest.raises(WitnessUnavailable, match="another process keeps the directory"):
            ledger.publish(Directory(folder))
    finally:
        os.close(descriptor)
    ledger.publish(Directory(folder), is_due=False)

    assert [path.name for path in folder.iterdir()] == ["0000000001.checkpoint"]


def test_a_directory_that_was_away_gets_everything_later(
    ledger: Ledger, folder: Path, tmp_path: Path
) -> None:
    """With the same bytes as the one that was there."""
    second = tmp_path / "second"
    ledger.publish(Directory(folder))
    with pytest.raises(WitnessUnavailable, match="second cannot be used: no such file"):
        ledger.publish(Directory(folder), Directory(second), days=1)
    second.mkdir()
    ledger.publish(Directory(folder), Directory(second), is_due=False)

    assert ledger.count == 2
    for name in files(folder):
        assert (second / name).read_bytes() == (folder / name).read_bytes()


def test_nothing_is_signed_while_no_place_can_be_reached(ledger: Ledger, tmp_path: Path) -> None:
    """It could not be compared with what anybody has."""
    with pytest.raises(WitnessUnavailable):
        ledger.publish(Directory(tmp_path / "nowhere"))

    assert ledger.count == 0


def test_a_missing_file_is_written_again_and_removed_old_ones_are_not(
    ledger: Ledger, folder: Path
) -> None:
    """Files before the oldest one were removed by somebody who keeps a year of them."""
    for days in range(5):
        ledger.publish(Directory(folder), days=days)
    for number in (1, 2, 4):
        (folder / f"{number:010d}.checkpoint").unlink()
    (folder / "README").write_text("of the operator")
    ledger.publish(Directory(folder), is_due=False)

    assert files(folder) == [*(f"{number:010d}.checkpoint" for number in (3, 4, 5)), "README"]


def test_a_file_that_a_kill_left_half_written_is_no_checkpoint(
    ledger: Ledger, folder: Path
) -> None:
    """It never had a checkpoint's name, and the next publication uses its place."""
    (folder / ".checkpoint.new").write_text("old 0\n\nhalf")
    ledger.publish(Directory(folder))

    assert files(folder) == ["0000000001.checkpoint"]
    assert sizes(folder) == [(0, 2)]


def test_a_kill_between_the_record_and_the_publication_is_made_up_for(
    ledger: Ledger, folder: Path
) -> None:
    """The checkpoint that was signed is published by whoever comes next: the same one."""
    known = ledger.checkpoints.read()
    signer = ledger.signer()
    ledger.checkpoints.add(known, origin=signer.verifier.name, at=NOW, sign=signer.note)
    ledger.publish(Directory(folder), is_due=False)

    assert sizes(folder) == [(0, 2)]
    assert ledger.count == 1


@pytest.mark.parametrize("text", ["", "old 0\n\nnothing", "nothing at all"])
def test_a_damaged_newest_file_is_told_and_nothing_is_signed(
    ledger: Ledger, folder: Path, text: str
) -> None:
    """Nothing is replaced: the operator moves it away."""
    ledger.publish(Directory(folder))
    (folder / files(folder)[0]).write_text(text)

    with pytest.raises(WitnessConflict, match=r"0000000001\.checkpoint is no checkpoint") as told:
        ledger.publish(Directory(folder))
    assert "move it away" in (told.value.hint or "")
    assert ledger.count == 1


# -- Another history. ----------------------------------------------------------------------


def test_a_ledger_that_was_lost_and_begun_anew_signs_nothing(
    ledger: Ledger, folder: Path, tmp_path: Path, key: Path
) -> None:
    """The directory holds another ledger's checkpoints."""
    ledger.publish(Directory(folder))
    new = Ledger(another_ledger(tmp_path), key)
    new.write(count=5)

    with pytest.raises(WitnessConflict, match="another ledger, rotator/") as told:
        new.publish(Directory(folder))
    assert "ledger.witness.name" in (told.value.hint or "")
    assert new.count == 0
    assert sizes(folder) == [(0, 2)]
    new.close()


def test_a_restored_backup_signs_nothing(ledger: Ledger, folder: Path, key: Path) -> None:
    """Its history ends before what was published, until an operator begins a new one."""
    ledger.publish(Directory(folder))
    kept = backup(ledger.file)
    ledger.write(count=3)
    ledger.publish(Directory(folder), days=1)
    restored = Ledger(kept, key)

    with pytest.raises(WitnessConflict, match=r"cover 2 entries, and .* has one of 5"):
        restored.publish(Directory(folder), days=2)
    restored.write(count=30, days=2)
    with pytest.raises(WitnessConflict, match="cover 2 entries"):
        restored.publish(Directory(folder), days=3)
    assert restored.count == 1
    restored.close()


def test_a_restored_backup_that_lacks_no_entry_goes_on(
    ledger: Ledger, folder: Path, store: Store, key: Path
) -> None:
    """It records the checkpoints that it had published again, and takes the next one."""
    ledger.publish(Directory(folder), Entry(store))
    ledger.write(count=3)
    restored = Ledger(backup(ledger.file), key)
    for days in (1, 2):
        ledger.publish(Directory(folder), Entry(store), days=days)
    before = ledger.history().signed
    published = restored.publish(Directory(folder), Entry(store), days=3)

    assert published
    assert published.number == 4
    assert restored.history().signed[:3] == before
    assert sizes(folder) == [(0, 2), (2, 5), (5, 5), (5, 5)]
    restored.close()


@pytest.mark.parametrize("forgery", ["key", "name", "text", "again", "missing"])
def test_only_what_was_signed_of_this_ledger_is_recorded_again(
    ledger: Ledger, folder: Path, key: Path, tmp_path: Path, forgery: str
) -> None:
    """By its own key, under its own name, as the next in the directory, and no former one."""
    ledger.publish(Directory(folder))
    restored = Ledger(backup(ledger.file), key)
    second = folder / "0000000002.checkpoint"
    if forgery == "again":
        second.write_text((folder / files(folder)[0]).read_text())
    else:
        ledger.publish(Directory(folder), days=1)
        text, signer = Note.parse(Submission.parse(second.read_text()).note).text, ledger.signer()
        if forgery == "key":
            other = tmp_path / "other.pem"
            private = Ed25519PrivateKey.from_private_bytes(bytes(32))
            other.write_bytes(
                private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            )
            signer = load_signer(other, signer.verifier.name)
        elif forgery == "name":
            text = text.replace("rotator/", "rotator/another-")
        elif forgery == "text":
            text = "nothing\n"
        second.write_text(f"old 2\n\n{signer.note(text)}")
        if forgery == "missing":
            second.rename(folder / "0000000003.checkpoint")

    with pytest.raises(WitnessConflict):
        restored.publish(Directory(folder), days=2)
    assert restored.count == 1
    restored.close()


def test_two_copies_of_a_ledger_do_not_both_publish(
    ledger: Ledger, folder: Path, key: Path, tmp_path: Path
) -> None:
    """The second one has another history, even where it has signed as many checkpoints."""
    ledger.publish(Directory(folder))
    copy = Ledger(backup(ledger.file), key)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    copy.write("b", 3)
    copy.publish(Directory(elsewhere), days=1)
    ledger.write("c", 3)
    ledger.publish(Directory(folder), days=1)

    with pytest.raises(WitnessConflict, match="another history than the one that was published"):
        copy.publish(Directory(folder), days=2)
    assert copy.count == 2
    copy.close()


def test_a_new_name_and_a_new_directory_begin_a_new_log(
    ledger: Ledger, folder: Path, tmp_path: Path
) -> None:
    """What was signed under the former name is not in it."""
    ledger.publish(Directory(folder))
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    ledger.publish(Directory(fresh), days=1, origin="example.com/new")

    assert files(fresh) == ["0000000002.checkpoint"]
    assert sizes(fresh) == [(0, 2)]


def test_an_entry_that_was_changed_ends_the_signing(ledger: Ledger, folder: Path) -> None:
    """Whoever waits for the next checkpoint sees that none comes."""
    ledger.publish(Directory(folder))
    with closing(sqlite3.connect(ledger.file)) as file, file:
        file.execute("DROP TRIGGER entry_no_update")
        file.execute("UPDATE entry SET hash = prev_hash WHERE seq = 1")

    with pytest.raises(WitnessConflict, match="first 2 entries are not those that were signed on"):
        ledger.publish(Directory(folder), days=1)
    assert ledger.count == 1


def test_a_missing_new_entry_ends_the_signing(ledger: Ledger, folder: Path) -> None:
    """What follows a gap is not signed."""
    with closing(sqlite3.connect(ledger.file)) as file, file:
        file.execute("DROP TRIGGER entry_no_delete")
        file.execute("DELETE FROM entry WHERE seq = 1")

    with pytest.raises(WitnessConflict, match="a: an entry is missing"):
        ledger.publish(Directory(folder))
    assert ledger.count == 0


# -- An entry in Vault. --------------------------------------------------------------------


def test_the_entry_has_the_newest_checkpoint(ledger: Ledger, store: Store, folder: Path) -> None:
    """The same bytes as the newest file; written once."""
    for days in range(2):
        ledger.publish(Entry(store), Directory(folder), days=days)
    ledger.publish(Entry(store), is_due=False)

    assert store.text == (folder / files(folder)[-1]).read_text()
    assert store.version == 2


def test_without_a_checkpoint_the_entry_stays_empty(ledger: Ledger, store: Store) -> None:
    """There is nothing to write."""
    ledger.publish(Entry(store), is_due=False)

    assert store.version == 0


def test_another_daemon_that_was_quicker_is_followed(ledger: Ledger, store: Store) -> None:
    """It has written the same, and what it wrote is looked at before anything is replaced."""

    def other() -> None:
        store.first = None
        ledger.publish(Entry(store), is_due=False)

    store.first = other
    ledger.publish(Entry(store))

    assert store.version == 1


def test_what_another_daemon_published_since_the_ledger_was_read_is_no_conflict(
    ledger: Ledger, store: Store, folder: Path
) -> None:
    """The ledger has it by then, and is read again; the other's checkpoint is enough."""

    class Late(Entry):
        """An entry that is compared once another daemon has published there."""

        def compare(self, history: History) -> None:
            """Let another daemon come first."""
            if not store.version:
                ledger.publish(Entry(store), Directory(folder))
            super().compare(history)

    published = ledger.publish(Late(store), Directory(folder))

    assert published
    assert (published.number, ledger.count, store.version) == (1, 1, 1)


def test_an_entry_that_is_written_to_all_the_time_is_told(ledger: Ledger, store: Store) -> None:
    """Nothing is forced."""

    def other() -> None:
        store.version += 1

    store.first = other
    with pytest.raises(CheckAndSetLost):
        ledger.publish(Entry(store))


def test_an_entry_with_something_else_in_it_is_a_conflict(ledger: Ledger, store: Store) -> None:
    """It is left as it is."""
    store.text, store.version = "nothing", 4

    with pytest.raises(WitnessConflict, match=r"Vault's entry .* holds what is no checkpoint"):
        ledger.publish(Entry(store))
    assert (store.text, store.version) == ("nothing", 4)


def test_an_entry_with_another_history_is_a_conflict(
    ledger: Ledger, store: Store, tmp_path: Path, key: Path
) -> None:
    """A signature over something that is no ledger's checkpoint, too."""
    ledger.publish(Entry(store))
    new = Ledger(another_ledger(tmp_path), key)

    with pytest.raises(WitnessConflict, match="another ledger"):
        new.publish(Entry(store))
    store.text = f"old 0\n\n{ledger.signer().note('not a checkpoint' + chr(10))}"
    with pytest.raises(WitnessConflict, match="holds what is no checkpoint of a ledger"):
        ledger.publish(Entry(store))
    new.close()


def test_vault_that_is_away_keeps_no_file_from_being_written(
    ledger: Ledger, store: Store, folder: Path
) -> None:
    """It gets the newest once it is back."""
    store.failure = StoreUnavailable("away")
    with pytest.raises(StoreUnavailable):
        ledger.publish(Entry(store), Directory(folder))
    store.failure = None
    ledger.publish(Entry(store), Directory(folder), is_due=False)

    assert sizes(folder) == [(0, 2)]
    assert store.version == 1


def test_a_place_that_fails_once_it_was_compared_does_not_keep_others_from_publishing(
    ledger: Ledger, store: Store, folder: Path
) -> None:
    """What failed is told at the end."""

    def fail() -> None:
        raise StoreUnavailable("away")

    store.first = fail
    with pytest.raises(StoreUnavailable):
        ledger.publish(Entry(store), Directory(folder))

    assert sizes(folder) == [(0, 2)]


def test_the_simulators_entry_takes_checkpoints_and_refuses_what_is_not_its_own(
    ledger: Ledger, folder: Path
) -> None:
    """Two fields, written with check-and-set; any other entry at its path is left alone."""
    with Environment.build(accounts=1, subaccounts=0) as world:
        token = EnvToken(world.vault.issue_token())
        session = VaultSession(world.vault.url, token_source=token, timeout=10)
        entry = CheckpointEntry(session, "secret", "rotator/witness")
        ledger.publish(Entry(entry), Directory(folder))
        text, version = entry.read()
        other = CheckpointEntry(session, "secret", world.accounts[0].vault_path)
        with pytest.raises(UnexpectedEntry, match="left as it is"):
            other.read()
        session.close()

    assert text == (folder / files(folder)[0]).read_text()
    assert version == 1


# -- A witness over HTTP. ------------------------------------------------------------------


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    """Yield a web server."""
    with receiving() as made:
        yield made


def service(ledger: Ledger, receiver: WebhookReceiver, seconds: float = 10) -> Service:
    """Return the witness's address as a place."""
    signer = ledger.signer()

    def empty() -> SignedCheckpoint:
        nothing = Checkpoint(origin=signer.verifier.name, size=0, root=EMPTY_ROOT, at=NOW)
        return SignedCheckpoint(number=0, checkpoint=nothing, note=signer.note(nothing.text))

    return Service(
        receiver.url, timeout=timedelta(seconds=seconds), empty=empty, interrupt=lambda: None
    )


def test_a_witness_is_shown_each_checkpoint_with_its_proof(
    ledger: Ledger, receiver: WebhookReceiver
) -> None:
    """It is asked first how far it has got, by something that it can only agree to."""
    witness = TlogWitness(receiver)
    for days in range(3):
        ledger.publish(service(ledger, receiver), days=days)
        ledger.write(count=3)

    assert witness.size == 8
    assert sorted(set(witness.accepted)) == [0, 2, 5, 8]
    assert receiver.taken[-1].headers["Content-Type"] == "text/plain; charset=utf-8"


def test_a_witness_that_missed_some_is_given_the_proof_from_where_it_is(
    ledger: Ledger, receiver: WebhookReceiver, folder: Path
) -> None:
    """It answers 409 with its size, of which the ledger has every proof."""
    witness = TlogWitness(receiver)
    ledger.publish(service(ledger, receiver))
    for days in range(1, 4):
        ledger.write(count=3)
        ledger.publish(Directory(folder), days=days)
    ledger.publish(service(ledger, receiver), Directory(folder), is_due=False)

    assert witness.size == 11


def test_a_webhook_that_takes_whatever_comes_gets_the_checkpoint(
    ledger: Ledger, receiver: WebhookReceiver
) -> None:
    """An answer of 2xx is enough."""
    ledger.publish(service(ledger, receiver))
    given = Submission.parse(receiver.taken[-1].body.decode())

    assert given.text == ledger.history().submission(ledger.history().signed[0]).text


def test_a_witness_that_has_seen_more_ends_the_signing(
    ledger: Ledger, receiver: WebhookReceiver, key: Path
) -> None:
    """A restored backup is found before anything is signed, also one without checkpoints."""
    TlogWitness(receiver)
    kept = backup(ledger.file)
    ledger.publish(service(ledger, receiver))
    restored = Ledger(kept, key)

    with pytest.raises(WitnessConflict, match="has seen 2"):
        restored.publish(service(restored, receiver))
    assert restored.count == 0
    restored.close()


@pytest.mark.parametrize(
    "answer",
    [
        None,
        # As some implementations have it.
        status(422),
        content("2\n", 409, Content_Type="text/x.tlog.size; charset=utf-8"),
    ],
)
def test_a_witness_of_another_history_of_the_same_size_ends_the_signing(
    ledger: Ledger, receiver: WebhookReceiver, answer: Answer | None
) -> None:
    """It says by 409 alone that it has another root; asked for its size, it says that, too."""
    witness = TlogWitness(receiver)
    ledger.publish(service(ledger, receiver))
    witness.root = bytes(32)

    def refuse(handler: WebhookHandler) -> None:
        old = Submission.parse(handler.received.body.decode()).old
        (answer if answer and old else witness.answer)(handler)

    receiver.answer = refuse
    with pytest.raises(WitnessConflict, match="has seen another history"):
        ledger.publish(service(ledger, receiver), days=1)
    assert ledger.count == 1


def test_a_witness_of_another_shorter_history_ends_the_signing(
    ledger: Ledger, receiver: WebhookReceiver, folder: Path
) -> None:
    """It says how far it has got, and does not accept the proof from there."""
    witness = TlogWitness(receiver)
    ledger.publish(service(ledger, receiver))
    ledger.write(count=3)
    ledger.publish(Directory(folder), days=1)
    witness.root = bytes(32)

    with pytest.raises(WitnessConflict, match="has seen another history"):
        ledger.publish(service(ledger, receiver), days=2)
    assert ledger.count == 2
    assert witness.answered[-1] == 422


SIZE = "text/x.tlog.size"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (status(404), "answered 404"),
        (status(403), "answered 403"),
        (status(500), "answered 500"),
        (status(302, Location="http://127.0.0.1:1/"), "answered 302"),
        (status(409), "answered 409, and not how far it has got"),
        (status(422), "answered 422, and not how far it has got"),
        (content("<html>422</html>", 422, Content_Type="text/html"), "not how far it has got"),
        (content("999999999", 409), "not how far it has got"),
        (content("999999999", 409, Content_Type="text/plain"), "not how far it has got"),
        (content("999999999", 422, Content_Type=SIZE), "not how far it has got"),
        (content("many", 409, Content_Type=SIZE), "not how far it has got"),
        (content("é", 409, Content_Type=SIZE), "not how far it has got"),
        (content("1" * 100_000, 409, Content_Type=SIZE), "not how far it has got"),
        (content("0\n", 409, Content_Type=SIZE), "contradicts"),
    ],
)
def test_a_witness_that_refuses_is_away(
    ledger: Ledger,
    receiver: WebhookReceiver,
    folder: Path,
    answer: Answer,
    why: str,
) -> None:
    """It is tried again, with what to do; what is no witness's answer ends no signing."""
    receiver.answer = answer
    ledger.publish(Directory(folder))

    with pytest.raises(WitnessUnavailable, match=why) as told:
        ledger.publish(service(ledger, receiver), Directory(folder), days=1)
    hint = told.value.hint or ""
    assert ("witness key" in hint) is (why in ("answered 404", "answered 403"))
    assert ("something else may answer" in hint) is ("not how far" in why)
    assert ledger.count == 2


@pytest.mark.parametrize(("size", "then"), [("1\n", 409), ("0\n", 422)])
def test_a_refusal_that_no_witness_has_a_reason_for_ends_no_signing(
    ledger: Ledger, receiver: WebhookReceiver, size: str, then: int
) -> None:
    """A 409 without a size is about a root of that size, and every history extends nothing."""
    ledger.publish(service(ledger, receiver))

    def refuse(handler: WebhookHandler) -> None:
        receiver.answer = status(then)
        content(size, 409, Content_Type=SIZE)(handler)

    receiver.answer = refuse
    with pytest.raises(WitnessUnavailable, match=f"answered {then}, and not how far"):
        ledger.publish(service(ledger, receiver), days=1)
    assert ledger.count == 1


def test_a_witness_that_hangs_is_away(ledger: Ledger, receiver: WebhookReceiver) -> None:
    """The whole exchange has one deadline."""
    receiver.answer = receiver.hang

    with pytest.raises(WitnessUnavailable, match="does not answer: timeout"):
        ledger.publish(service(ledger, receiver, seconds=0.2))


def test_the_path_of_a_witness_is_not_repeated(ledger: Ledger) -> None:
    """It may hold a token."""
    gone = WebhookReceiver(url="http://127.0.0.1:1/token")

    with pytest.raises(WitnessUnavailable, match="refused") as told:
        ledger.publish(service(ledger, gone))
    assert "token" not in f"{told.value.message} {told.value.hint}"
