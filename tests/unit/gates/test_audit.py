"""The gate of the audit log: who read which version, by the lines that Vault writes."""

import gzip
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rotator.gates import audit, log, paths
from rotator.gates.audit import Question, ReaderKey, check
from rotator.gates.verdict import Undecided, Verdict

#: When version 5 was written; a day of the log is before it.
PUSHED = datetime(2026, 11, 24, 7, 28, tzinfo=UTC)
BEGINNING = PUSHED - timedelta(days=2)
PATIENT = timedelta(seconds=60)
ROTATOR = {"entity_id": "e-rotator", "display_name": "approle"}


def line(at: datetime, **changes: Any) -> str:  # noqa: ANN401  # of a document
    """Return a line as OpenBao 2.7 writes it, of a read; `changes` name parts of it."""
    version = changes.pop("version", 4)
    auth = {
        "client_token": "hmac-sha256:77",
        "accessor": "hmac-sha256:0123456789abcdef",
        "display_name": "approle",
        "metadata": {"role_name": "sms"},
        "entity_id": "84e0f381-d9c0-e30e-9910-f0b55d17a0ce",
        **changes.pop("auth", {}),
    }
    request = {
        "operation": "read",
        "namespace": {"id": "root"},
        "path": "secret/data/vonage/sms",
        "remote_address": "10.0.0.1",
        **changes.pop("request", {}),
    }
    data: dict[str, Any] = {
        "data": {"api_secret": "hmac-sha256:11"},
        "metadata": {"version": version},
    }
    if request["operation"] != "read":
        data = {"created_time": "x", "version": version}
    document = {
        "time": f"{at:%Y-%m-%dT%H:%M:%S}.123456789Z",
        "type": "response",
        "auth": auth,
        "request": request,
        "response": {"mount_type": "kv", "data": data},
        **changes,
    }
    return json.dumps(document, separators=(",", ":"))


def minutes(count: float) -> datetime:
    """Return a time so long after the push."""
    return PUSHED + timedelta(minutes=count)


START = line(BEGINNING, request={"path": "sys/health"})
PUSH = line(PUSHED, auth=ROTATOR, request={"operation": "update"}, version=5)
OLD = line(minutes(-60))
NEW = line(minutes(5), version=5)


def question(**changes: Any) -> Question:  # noqa: ANN401  # of `Question`
    """Return the question of a hook, with changes."""
    usual: dict[str, Any] = {
        "namespace": "",
        "mount": "secret",
        "path": "vonage/sms",
        "vault_version": 5,
        "since": PUSHED - timedelta(days=1),
    }
    return Question(**(usual | changes))


Ask = Callable[..., Verdict]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Write a log and ask the gate."""

    def asked(*lines: str, **changes: Any) -> Verdict:  # noqa: ANN401  # of `Question`
        (tmp_path / "audit.log").write_text("".join(f"{each}\n" for each in lines))
        return check([str(tmp_path / "audit.log")], question(**changes), timeout=PATIENT)

    return asked


def behind(verdict: Verdict) -> list[str]:
    """Return the names of those that are behind."""
    found: list[str] = verdict.document()["behind"]
    return found


def test_it_opens_once_every_reader_of_the_old_version_has_read_the_new_one(ask: Ask) -> None:
    """Counted and named; rotator, which wrote the new one, is nobody to wait for."""
    looked = [line(minutes(-2), auth=ROTATOR), line(minutes(1), auth=ROTATOR, version=5)]
    voice = {"entity_id": "11111111-aaaa", "metadata": {"role_name": "voice"}}
    others = [line(minutes(-9), auth=voice), line(minutes(9), auth=voice, version=6)]
    before = ask(START, OLD, others[0], *looked, PUSH, NEW)
    after = ask(START, OLD, others[0], *looked, PUSH, NEW, others[1])

    assert before.document() == {
        "open": False,
        "reason": "1 of 2 consumers use the new secret; not yet: approle voice 11111111 "
        "(it read only an older version)",
        "consumers": 2,
        "converged": 1,
        "behind": ["approle voice 11111111"],
    }
    assert after.document() == {
        "open": True,
        "reason": "2 of 2 consumers use the new secret",
        "consumers": 2,
        "converged": 2,
        "behind": [],
    }


def test_the_version_counts_and_not_the_time(ask: Ask) -> None:
    """A lagging standby, or a request for a version, answers with the old one later."""
    late = line(minutes(30))

    assert not ask(START, OLD, PUSH, late).is_open
    assert not ask(START, PUSH, late).is_open
    assert ask(START, PUSH, late, NEW).is_open
    assert ask(START, PUSH, NEW, late).is_open


def test_files_may_come_in_any_order(tmp_path: Path) -> None:
    """By patterns, none twice, and compressed ones, as logrotate leaves them."""
    (tmp_path / "audit.log").write_text(f"{PUSH}\n{NEW}\n")
    (tmp_path / "audit.log.1").write_text(f"{OLD}\n")
    (tmp_path / "audit.log.2.gz").write_bytes(gzip.compress(f"{START}\n".encode()))
    (tmp_path / "audit.log.3.gz").write_bytes(gzip.compress(b""))
    patterns = [str(tmp_path / "audit.log*"), str(tmp_path / "audit.log")]

    assert check(patterns, question(), timeout=PATIENT).is_open


@pytest.mark.parametrize(
    "other",
    [
        line(minutes(5), version=5, request={"path": "secret/data/vonage/sms2"}),
        line(minutes(5), version=5, request={"path": "other/data/vonage/sms"}),
        line(minutes(5), version=5, request={"path": "secret/metadata/vonage/sms"}),
        line(minutes(5), version=5, request={"namespace": {"id": "x", "path": "team/"}}),
        line(minutes(5), version=5, request={"operation": "list"}),
        line(minutes(5), version=5, request={"operation": "delete"}),
        line(minutes(5), version=5, type="request"),
        line(minutes(5), version=5, error="1 error occurred: permission denied"),
        line(minutes(5), response={"mount_type": "kv"}),
        line(minutes(5), response={"data": {"http_status_code": 404}}),
        line(minutes(5), response={"data": {"data": None, "metadata": {"version": 5}}}),
        line(minutes(5), response={"wrap_info": {"token": "hmac-sha256:1"}}),
        line(minutes(5), version="5"),
        line(minutes(5), version=True),
        line(minutes(5), version=5, auth={"entity_id": "another"}),
    ],
)
def test_nothing_else_is_a_read_of_the_new_version(ask: Ask, other: str) -> None:
    """Another entry, another namespace, no answer, a failure, or another reader."""
    assert behind(ask(START, OLD, PUSH, other)) == ["approle sms 84e0f381"]


@pytest.mark.parametrize(
    "other",
    [
        line(minutes(-60), request={"path": "secret/data/vonage/sms2"}),
        line(minutes(-60), type="request"),
        line(minutes(-60), error="permission denied"),
        line(minutes(-60), response={"data": {"http_status_code": 404}}),
        line(minutes(-60), request={"operation": "list"}),
    ],
)
def test_nobody_waits_for_whoever_read_nothing(ask: Ask, other: str) -> None:
    """Not even if only such have asked."""
    with pytest.raises(Undecided, match="no consumer has read an older version since 2026-11-23"):
        ask(START, other, PUSH)


def test_a_namespace_is_found_however_it_is_written(ask: Ask) -> None:
    """In the namespace's own path, or as a part of the mount."""
    team = {"namespace": {"id": "x", "path": "team/a/"}}
    lines = [
        START,
        line(minutes(-60), request=team),
        line(PUSHED, auth=ROTATOR, version=5, request={"operation": "create", **team}),
        line(minutes(5), version=5, request=team),
    ]

    assert ask(*lines, namespace="team/a").is_open
    assert ask(*lines, namespace="team", mount="a/secret").is_open
    with pytest.raises(Undecided, match="no record of who wrote version 5 of secret/data/vonage"):
        ask(*lines)


@pytest.mark.parametrize("path", ["vonage/sms prod", "möbel/ä", "a&b/<c>", "ä"])
def test_a_path_is_found_as_json_spells_it(ask: Ask, path: str) -> None:
    """Go writes some characters as escapes."""
    lines = [
        START,
        line(minutes(-60), request={"path": f"secret/data/{path}"}),
        line(
            PUSHED,
            auth=ROTATOR,
            version=5,
            request={"operation": "patch", "path": f"secret/data/{path}"},
        ),
    ]
    spelled = [each.replace("&", r"\u0026").replace("<", r"\u003c") for each in lines]

    assert behind(ask(*spelled, path=path)) == ["approle sms 84e0f381"]


def test_a_reader_is_an_entity_a_token_or_an_entity_at_an_address(ask: Ask) -> None:
    """Several processes may share a role: whoever needs to tell them apart says by what."""
    first, second = {"accessor": "hmac-sha256:1"}, {"accessor": "hmac-sha256:2"}
    here, there = {"remote_address": "10.0.0.1"}, {"remote_address": "10.0.0.2"}
    lines = [
        START,
        line(minutes(-60), auth=first, request=here),
        line(minutes(-59), auth=second, request=there),
        PUSH,
        line(minutes(5), auth=first, request=here, version=5),
    ]

    assert ask(*lines).document()["consumers"] == 1
    assert ask(*lines).is_open
    assert behind(ask(*lines, per=ReaderKey.TOKEN)) == ["approle sms 2"]
    assert behind(ask(*lines, per=ReaderKey.ADDRESS)) == ["approle sms 84e0f381 10.0.0.2"]


def test_a_token_without_an_entity_is_a_reader(ask: Ask) -> None:
    """A batch token has not even an accessor, and is told apart by its hash."""
    alone = {"entity_id": "", "metadata": None, "display_name": "token"}
    batch = {**alone, "accessor": "", "client_token": "hmac-sha256:bbbbbbbbbbbb"}
    old = [line(minutes(-60), auth=alone), line(minutes(-60), auth=batch)]
    verdict = ask(START, *old, PUSH)

    assert behind(verdict) == ["token 01234567", "token bbbbbbbb"]


def test_a_reader_without_any_identity_is_always_behind(ask: Ask) -> None:
    """Each read of it may be another's."""
    nobody = dict.fromkeys(("entity_id", "accessor", "client_token", "display_name", "metadata"))
    verdict = ask(
        START, line(minutes(-60), auth=nobody), PUSH, line(minutes(5), auth=nobody, version=5)
    )

    assert behind(verdict) == ["unknown"]


@pytest.mark.parametrize(
    "name", ["approle sms 84e0f381", "approle", "sms", "84e0f381-d9c0-e30e-9910-f0b55d17a0ce"]
)
def test_a_reader_may_be_left_out(ask: Ask, name: str) -> None:
    """By any of its names; with nobody else, none is left."""
    other = line(minutes(-9), auth={"entity_id": "o", "display_name": "o", "metadata": None})

    assert behind(ask(START, OLD, other, PUSH, ignored=[name])) == ["o o"]
    with pytest.raises(Undecided, match="no consumer has read an older version"):
        ask(START, OLD, PUSH, ignored=[name])


def test_whoever_wrote_another_version_is_a_consumer(ask: Ask) -> None:
    """A consumer may keep fields of its own in the entry."""
    wrote = line(minutes(-30), request={"operation": "patch"}, version=4)

    assert behind(ask(START, OLD, wrote, PUSH)) == ["approle sms 84e0f381"]


def test_reads_before_the_time_in_question_do_not_count(ask: Ask) -> None:
    """Up to a minute, as lines are not strictly in order."""
    long_ago = line(PUSHED - timedelta(hours=30), auth={"entity_id": "gone"})
    filler = [line(PUSHED - timedelta(hours=29), request={"path": "x" * 2000})] * 2000

    assert ask(START, long_ago, *filler, OLD, PUSH, NEW).document()["consumers"] == 1


# -- What the log does not show. -----------------------------------------------------------


def test_a_log_that_begins_too_late_is_shut(ask: Ask) -> None:
    """A reader may be in a file that was not named."""
    with pytest.raises(Undecided) as caught:
        ask(OLD, PUSH, NEW)

    assert str(caught.value) == (
        "the log begins at 2026-11-24T06:28:00Z, later than 2026-11-23T07:28:00Z: name the "
        "rotated files, too, or a shorter --within"
    )


def test_a_log_without_the_push_is_shut(ask: Ask) -> None:
    """It is of another server, or of another time."""
    with pytest.raises(Undecided, match="no record of who wrote version 5"):
        ask(START, OLD, NEW)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the log begins at None"),
        ("\n", "is not what an audit device writes"),
        ("hello\n" * 9, "is not what an audit device writes"),
        ('{"time": 5}\n', "is not what an audit device writes"),
        (f"{START}\n" + "secret/data/vonage/sms {\n", "has a line that is not JSON"),
        (f"{START}\n" + '["secret/data/vonage/sms"]\n', "has a line that is not JSON"),
        (f"{START}\n" + '{"a": "data/vonage/sms"' + "[" * 99_999 + "\n", "that is not JSON"),
    ],
)
def test_what_is_no_audit_log_is_shut(tmp_path: Path, text: str, reason: str) -> None:
    """Nothing is guessed."""
    (tmp_path / "audit.log").write_text(text)
    with pytest.raises(Undecided, match=reason):
        check([str(tmp_path / "audit.log")], question(), timeout=PATIENT)


@pytest.mark.parametrize(
    "odd",
    [
        "{}",
        '{"type":"response","request":"data/vonage/sms","auth":[],"response":5}',
        '{"type":"response","request":{"path":"secret/data/vonage/sms","namespace":5}}',
    ],
)
def test_a_line_of_another_kind_is_passed_over(ask: Ask, odd: str) -> None:
    """It says of nobody that something was read."""
    assert ask(START, odd, OLD, PUSH, NEW, odd).is_open


def test_files_that_cannot_be_read_are_shut(tmp_path: Path) -> None:
    """None, a folder, or one that was cut off while it was compressed."""
    half = gzip.compress(f"{START}\n".encode() * 1000)
    (tmp_path / "half.gz").write_bytes(half[: len(half) // 2])
    (tmp_path / "no.gz").write_bytes(b"plain")
    reasons = {
        "gone": "no such file or directory",
        ".": "it is not a regular file",
        "half.gz": "it is not whole",
        "no.gz": "no reason given",
    }
    for name, reason in reasons.items():
        with pytest.raises(Undecided, match=f"cannot be read: {reason}"):
            check([str(tmp_path / name)], question(), timeout=PATIENT)


def test_a_line_that_is_being_written_is_not_read(tmp_path: Path) -> None:
    """Its end comes next time."""
    path = tmp_path / "audit.log"
    path.write_text(f"{START}\n{OLD}\n{PUSH}\n{NEW[:-9]}")
    before = check([str(path)], question(), timeout=PATIENT)
    path.write_text(f"{START}\n{OLD}\n{PUSH}\n{NEW}\n")

    assert not before.is_open
    assert check([str(path)], question(), timeout=PATIENT).is_open


def test_a_device_may_write_a_prefix(ask: Ask) -> None:
    """As some collectors of logs want it."""
    assert ask(*(f"@cee: {each}" for each in (START, OLD, PUSH, NEW))).is_open


def test_a_line_without_end_is_shut(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a file is, little of it is in memory."""
    monkeypatch.setattr(log, "_LONGEST_LINE", 5000)

    with pytest.raises(Undecided, match="has a line longer than"):
        ask(START, "x" * 5000, OLD)


def test_too_many_readers_are_shut(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are all in memory."""
    monkeypatch.setattr(audit, "_MOST_READERS", 2)
    many = [line(minutes(-9), auth={"entity_id": f"e{number}"}) for number in range(3)]

    with pytest.raises(Undecided, match="more than 2 readers"):
        ask(START, *many, PUSH)


def test_files_that_are_renamed_are_opened_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was moved between two openings might be read by no one."""
    path = tmp_path / "audit.log"
    path.write_text(f"{START}\n{OLD}\n")
    opened = paths.opened
    moved: list[Path] = []

    def rotating(name: str) -> Any:  # noqa: ANN401  # a file
        if not moved:
            moved.append(path.rename(tmp_path / "audit.log-1"))
            path.write_text(f"{PUSH}\n{NEW}\n")
        return opened(name)

    monkeypatch.setattr(log, "opened", rotating)

    assert check([f"{path}*"], question(), timeout=PATIENT).is_open


def test_files_that_never_rest_are_shut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried a few times only."""
    path = tmp_path / "audit.log"
    path.write_text("")
    opened = paths.opened

    def rotating(name: str) -> Any:  # noqa: ANN401  # a file
        file = opened(name)
        (tmp_path / "next").write_text("")
        (tmp_path / "next").rename(path)
        return file

    monkeypatch.setattr(log, "opened", rotating)

    with pytest.raises(Undecided, match="being renamed"):
        check([str(path)], question(), timeout=PATIENT)


# -- Large logs. ---------------------------------------------------------------------------


def written(path: Path, seconds: int, every: str) -> None:
    """Write a line for each second of a log, and what is asked for where it belongs."""
    known = {PUSHED - timedelta(hours=1): OLD, PUSHED: PUSH, minutes(5): NEW}
    with path.open("w") as file:
        for number in range(seconds):
            at = BEGINNING + timedelta(seconds=number)
            file.write(f'{{"time":"{at:%Y-%m-%dT%H:%M:%S.5Z}",{every}}}\n')
            if at in known:
                file.write(f"{known[at]}\n")


def test_only_the_end_of_a_log_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The start of the time in question is searched for, not read up to."""
    path = tmp_path / "audit.log"
    written(path, 180_000, '"type":"request","pad":"' + "x" * 100 + '"')
    read = 0
    real = log.Log._line

    def counting(self: log.Log) -> bytes | None:
        nonlocal read
        found = real(self)
        read += len(found or b"")
        return found

    monkeypatch.setattr(log.Log, "_line", counting)
    monkeypatch.setattr(log, "_NEAR", 64 * 1024)
    within = timedelta(hours=2)
    verdict = check([str(path)], question(since=PUSHED - within), timeout=PATIENT)

    assert verdict.is_open
    assert read < path.stat().st_size / 10


def test_a_log_with_undated_lines_is_searched_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They say of no line on which side it is."""
    path = tmp_path / "audit.log"
    noise = f"{'noise ' * 30}\n" * 2000
    path.write_text(f"{START}\n{noise}{OLD}\n{noise}{PUSH}\n{noise}{NEW}\n{noise}")
    monkeypatch.setattr(log, "_NEAR", 4096)

    assert check([str(path)], question(), timeout=PATIENT).is_open


def test_a_log_that_takes_too_long_is_shut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the gate's own time, so that it still says why."""
    path = tmp_path / "audit.log"
    path.write_text(f"{START}\n" + f"{OLD}\n" * 5000)
    clock = iter(range(10**6))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))

    with pytest.raises(Undecided, match="the log was not read within 3 s"):
        check([str(path)], question(), timeout=timedelta(seconds=3))
