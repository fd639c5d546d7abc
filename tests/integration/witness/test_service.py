"""A witness over HTTP: what it is sent, and what its answers mean."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from rotator.errors import WitnessConflict, WitnessUnavailable
from rotator.model.checkpoint import Checkpoint, SignedCheckpoint, Submission
from rotator.model.merkle import EMPTY_ROOT
from rotator.witness.directory import Directory
from rotator.witness.service import Service
from tests.support.ledgers import backup
from tests.support.published_ledger import NOW, Opened, PublishedLedger
from tests.support.tlog_witness import TlogWitness
from tests.support.webhook_receiver import (
    Answer,
    WebhookHandler,
    WebhookReceiver,
    content,
    receiving,
    status,
)

SIZE = "text/x.tlog.size"


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    """Yield a web server."""
    with receiving() as made:
        yield made


def service(ledger: PublishedLedger, receiver: WebhookReceiver, seconds: float = 10) -> Service:
    """Return the witness's address as a place."""
    signer = ledger.signer()

    def empty() -> SignedCheckpoint:
        nothing = Checkpoint(origin=signer.verifier.name, size=0, root=EMPTY_ROOT, at=NOW)
        return SignedCheckpoint(number=0, checkpoint=nothing, note=signer.note(nothing.text))

    return Service(
        receiver.url, timeout=timedelta(seconds=seconds), empty=empty, interrupt=lambda: None
    )


def test_a_witness_is_shown_each_checkpoint_with_its_proof(
    ledger: PublishedLedger, receiver: WebhookReceiver
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
    ledger: PublishedLedger, receiver: WebhookReceiver, folder: Path
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
    ledger: PublishedLedger, receiver: WebhookReceiver
) -> None:
    """An answer of 2xx is enough."""
    ledger.publish(service(ledger, receiver))
    given = Submission.parse(receiver.taken[-1].body.decode())

    assert given.text == ledger.history().submission(ledger.history().signed[0]).text


def test_a_witness_that_has_seen_more_ends_the_signing(
    ledger: PublishedLedger, receiver: WebhookReceiver, opened: Opened
) -> None:
    """A restored backup is found before anything is signed, also one without checkpoints."""
    TlogWitness(receiver)
    kept = backup(ledger.file)
    ledger.publish(service(ledger, receiver))
    restored = opened(kept)

    with pytest.raises(WitnessConflict, match="has seen 2"):
        restored.publish(service(restored, receiver))
    assert restored.count == 0


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
    ledger: PublishedLedger, receiver: WebhookReceiver, answer: Answer | None
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
    ledger: PublishedLedger, receiver: WebhookReceiver, folder: Path
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
    ledger: PublishedLedger,
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
    ledger: PublishedLedger, receiver: WebhookReceiver, size: str, then: int
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


def test_a_witness_that_hangs_is_away(ledger: PublishedLedger, receiver: WebhookReceiver) -> None:
    """The whole exchange has one deadline."""
    receiver.answer = receiver.hang

    with pytest.raises(WitnessUnavailable, match="does not answer: timeout"):
        ledger.publish(service(ledger, receiver, seconds=0.2))


def test_the_path_of_a_witness_is_not_repeated(ledger: PublishedLedger) -> None:
    """It may hold a token."""
    gone = WebhookReceiver(url="http://127.0.0.1:1/token")

    with pytest.raises(WitnessUnavailable, match="refused") as told:
        ledger.publish(service(ledger, gone))
    assert "token" not in f"{told.value.message} {told.value.hint}"
