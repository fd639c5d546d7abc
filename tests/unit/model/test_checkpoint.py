from base64 import b64encode
from datetime import UTC, datetime, timedelta, timezone

import pytest

from rotator.model.checkpoint import (
    Checkpoint,
    History,
    Note,
    SignedCheckpoint,
    Submission,
    VerifierKey,
)
from rotator.model.merkle import MerkleTree

NOW = datetime(2026, 11, 30, 10, 6, tzinfo=UTC)
KEY = VerifierKey(name="example.com/rotator", public=bytes(range(32)))
ROOT = b64encode(bytes(32)).decode()
#: An example of C2SP's tlog-witness, without the signatures' meaning.
BODY = f"""old 20852014
{ROOT}
{ROOT}

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
time 2026-11-30T10:06:00Z

— example.com/behind-the-sofa {b64encode(bytes(68)).decode()}
"""


def signed(text: str) -> str:
    """Return a note with a signature of zeros."""
    return f"{text}\n{KEY.sign_line(bytes(64))}"


def test_a_checkpoint_has_the_lines_of_a_transparency_log_and_its_time() -> None:
    """Origin, size and root are where every tool expects them."""
    checkpoint = Checkpoint(origin="example.com/rotator", size=12, root=bytes(32), at=NOW)

    assert checkpoint.text == f"example.com/rotator\n12\n{ROOT}\ntime 2026-11-30T10:06:00Z\n"
    assert Checkpoint.parse(checkpoint.text) == checkpoint


def test_the_time_is_read_in_any_zone_and_further_lines_are_passed_over() -> None:
    """What a later version adds does no harm."""
    text = f"log\n0\n{ROOT}\ntime 2026-11-30T11:06:00+01:00\nmore\n"

    assert Checkpoint.parse(text).at == NOW


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not the lines"),
        (f"log\n01\n{ROOT}\ntime 2026-11-30T10:06:00Z\n", "not the lines"),
        (f"log\n-1\n{ROOT}\ntime 2026-11-30T10:06:00Z\n", "not the lines"),
        (f"log\n1\n{ROOT}\n", "not the lines"),
        (f"log\n1\n{ROOT}\ntime yesterday\n", "time is none"),
        (f"log\n1\n{ROOT}\ntime 2026-11-30T10:06:00\n", "no zone"),
        (f"log\n1\n{ROOT}\ntime 0001-01-01T00:00:00+01:00\n", "time is none"),
        (f"log\n1\n{ROOT}\ntime 9999-12-31T23:59:59-01:00\n", "time is none"),
        ("log\n1\nAAAA\ntime 2026-11-30T10:06:00Z\n", "should be a hash"),
        ("log\n1\n?\ntime 2026-11-30T10:06:00Z\n", "should be base64"),
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str, why: str) -> None:
    """With the reason."""
    with pytest.raises(ValueError, match=why):
        Checkpoint.parse(text)


def test_a_note_is_split_at_its_last_empty_line() -> None:
    """The text may have empty lines itself, as C2SP's example has."""
    note = Note.parse(signed("one\n\ntwo\n"))

    assert note.text == "one\n\ntwo\n"
    assert note.signature_of(KEY) == bytes(64)


def test_a_signature_of_another_name_or_key_is_passed_over() -> None:
    """A witness may add its own, and only name and id together name a key."""
    note = Note.parse(signed("text\n") + "— w.example AAAAAAAA\n")

    assert [name for name, _, _ in note.signatures] == ["example.com/rotator", "w.example"]
    assert note.signature_of(VerifierKey(name="w.example", public=bytes(32))) is None
    assert note.signature_of(VerifierKey(name=KEY.name, public=bytes(32))) is None


@pytest.mark.parametrize(
    ("note", "why"),
    [
        ("text\n", "not signed"),
        ("text\n\n— name AAAAAAAA", "cut off"),
        ("text\n\nname AAAAAAAA\n", "line of its signatures"),
        ("text\n\n— name AAAA\n", "line of its signatures"),
        ("text\n\n— a+b AAAAAAAA\n", "line of its signatures"),
        ("text\n\n— name ?\n", "should be base64"),
        ("te\x07xt\n\n— name AAAAAAAA\n", "control"),
        ("x" * 70_000 + "\n\n— name AAAAAAAA\n", "longer"),
    ],
)
def test_what_is_no_note_is_refused(note: str, why: str) -> None:
    """With the reason."""
    with pytest.raises(ValueError, match=why):
        Note.parse(note)


def test_a_verifier_key_is_read_as_it_is_written() -> None:
    """The one of C2SP's example."""
    text = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"

    assert str(VerifierKey.parse(text)) == text
    assert VerifierKey.parse(text).name == "example.com/foo"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "form"),
        ("PeterNeumann+c74f20a3", "form"),
        ("PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "form"),
        ("PeterNeumann+c74f20a3+AhpC2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "Ed25519"),
        ("PeterNeumann+c74f20a3+ARpc2QcUPDhM", "Ed25519"),
        ("PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "cut or mistyped"),
        ("PeterNeumann+c74f20a3+?", "base64"),
    ],
)
def test_what_is_no_verifier_key_is_refused(text: str, why: str) -> None:
    """A key that was mistyped would find everything forged."""
    with pytest.raises(ValueError, match=why):
        VerifierKey.parse(text)


def test_a_submission_is_read_as_it_is_written() -> None:
    """Old size, proof, empty line, note: C2SP's body of add-checkpoint."""
    submission = Submission.parse(BODY)

    assert submission.old == 20852014
    assert submission.proof == (bytes(32), bytes(32))
    assert Checkpoint.parse(Note.parse(submission.note).text).size == 20852163
    assert submission.text == BODY


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("example.com\n1\n\n— name AAAAAAAA\n", "does not begin"),
        ("old 1\n", "ends before its checkpoint"),
        ("old 1\nAAAA", "ends before its checkpoint"),
        ("old 01\n\nnote", "does not begin"),
        ("old 1\nAAAA\n\nnote", "hash"),
        (f"old 1\n{(ROOT + chr(10)) * 64}\nnote", "longer than any"),
    ],
)
def test_what_is_no_submission_is_refused(text: str, why: str) -> None:
    """With the reason."""
    with pytest.raises(ValueError, match=why):
        Submission.parse(text)


def history(*sizes: int) -> History:
    """Return checkpoints of these sizes."""
    tree = MerkleTree([bytes([each]) for each in range(sizes[-1] if sizes else 0)])
    checkpoints = [
        Checkpoint(origin="log", size=size, root=tree.root(size), at=NOW + timedelta(days=number))
        for number, size in enumerate(sizes, start=1)
    ]
    return History(
        origin="log",
        signed=tuple(
            # As where the first ones have another name.
            SignedCheckpoint(number=number, checkpoint=each, note=signed(each.text))
            for number, each in enumerate(checkpoints, start=4)
        ),
        tree=tree,
    )


def test_a_submission_extends_the_checkpoint_before_unless_another_size_is_wanted() -> None:
    """What goes to a directory depends on nothing but the history; a witness names its size."""
    known = history(3, 7)
    first, second = known.signed

    assert known.submission(first).old == 0
    assert known.submission(second).old == 3
    assert known.submission(second).proof == tuple(known.tree.proof(3, 7))
    assert known.submission(second, 5).proof == tuple(known.tree.proof(5, 7))


def test_a_history_knows_its_newest_checkpoint_and_each_text() -> None:
    """Without any, it covers nothing."""
    known = history(3, 7)
    text = known.signed[0].checkpoint.text

    assert known.size == 7
    assert known.has(text)
    assert known.has(text, 4)
    assert not known.has(text, 5)
    assert not known.has("other")
    assert (history().size, history().newest) == (0, None)


def test_a_time_of_another_zone_is_written_in_utc() -> None:
    """The text is the same wherever the ledger is."""
    berlin = datetime(2026, 11, 30, 11, 6, tzinfo=timezone(timedelta(hours=1)))

    assert "10:06:00Z" in Checkpoint(origin="a", size=0, root=bytes(32), at=berlin).text
