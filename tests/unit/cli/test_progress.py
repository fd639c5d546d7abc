from dataclasses import replace
from datetime import UTC, datetime

import pytest

from rotator.cli import progress
from rotator.cli.progress import Live
from rotator.model import Outcome, PassResult, Problem, Step
from rotator.rotation.ports import NewEntry
from rotator.rotation.result import result_of
from tests.support.samples import account

FACTS: dict[str, str | int | bool | None] = {
    "secret_id": "s-1",
    "vault_version": 7,
    "code": "vonage-unavailable",
    "reason": "due",
    "outcome": "completed",
}


def entry(event: str, step: Step | None) -> NewEntry:
    """Make a ledger entry."""
    return NewEntry(event=event, step=step, detail=FACTS)


@pytest.mark.parametrize(
    ("event", "step", "text"),
    [
        ("opened", Step.OPEN, "rotation opened (due)"),
        ("intent", Step.CREATE, "sending it to Vonage"),
        ("done", Step.CREATE, "new secret created (id s-1)"),
        ("done", Step.VERIFY, "verified in Vault as version 7"),
        ("done", Step.DELETE, "secret deleted (id s-1)"),
        ("learned", Step.PUSH, "found in Vault as version 7"),
        ("rejected", Step.CREATE, "not done (vonage-unavailable); looking again"),
        (
            "unknown",
            Step.CREATE,
            "not certain (vonage-unavailable); checking what became of it",
        ),
        ("aborting", Step.ABORT, "undoing the rotation (vonage-unavailable)"),
        ("closed", Step.COMPLETE, "rotation completed"),
        ("refused", None, "refused (vonage-unavailable)"),
        ("not-begun", None, "- not begun (vonage-unavailable)"),
        ("asked", Step.WAIT, "the open rotation goes on as asked for"),
        ("invented", None, "invented (vonage-unavailable)"),
    ],
)
def test_entries_are_put_in_words(event: str, step: Step | None, text: str) -> None:
    """Each kind of entry has its words, and one that is not known does no harm."""
    assert progress.in_words(entry(event, step)) == text


def test_a_missing_fact_does_no_harm() -> None:
    """What is only shown never ends a rotation."""
    bare = NewEntry(event="done", step=Step.CREATE, detail={})

    assert progress.in_words(bare) == "new secret created (id -)"
    assert progress.in_words(NewEntry(event="invented", step=Step.WAIT, detail={})) == "invented"


def test_lines_are_for_what_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    """Where lines cannot change, what is only intended has none."""
    with progress.display(["long-name", "x"], is_quiet=False, live=True) as shown:
        shown.entry_recorded("x", entry("intent", Step.PUSH))
        shown.entry_recorded("x", entry("done", Step.PUSH))
        shown.waiting("x", datetime(2026, 11, 24, 7, 28, tzinfo=UTC))
        shown.pass_finished("x", None)

    assert capsys.readouterr().err.splitlines() == [
        "x          push      written to Vault as version 7",
        "x          wait      waiting until 2026-11-24 07:28 UTC",
    ]


def test_silence_is_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    """With `--json` nothing is shown on the way."""
    with progress.display(["x"], is_quiet=True, live=True) as shown:
        shown.entry_recorded("x", entry("done", Step.PUSH))
        shown.waiting("x", datetime(2026, 11, 24, 7, 28, tzinfo=UTC))
        shown.pass_finished("x", None)

    assert capsys.readouterr() == ("", "")


def test_live_lines_come_and_go() -> None:
    """An account has a line while it is worked on, and may end without ever having had one."""
    live = Live(width=3)
    live.entry_recorded("x", entry("intent", Step.PUSH))
    live.waiting("x", datetime(2026, 11, 24, 7, 28, tzinfo=UTC))
    (task,) = live._progress.tasks
    live.pass_finished("x", None)
    live.pass_finished("y", None)

    assert task.description == "waiting until 2026-11-24 07:28 UTC"
    assert not live._progress.tasks


def result(*, error: bool = False) -> PassResult:
    """Make a result."""
    return replace(
        result_of(account("x"), Outcome.COMPLETED, None),
        error=Problem(code="c", message="m", hint=None) if error else None,
    )


def test_the_time_left_follows_the_rate() -> None:
    """As fast as so far, but no faster than the rate limit allows, also before anything is done."""
    now = 0.0
    tally = progress.Tally(1000, least=0.8, clock=lambda: now)
    at_first = (tally.count, tally.rest)
    for _ in range(10):
        tally.add(result())
    now = 20.0
    slow = (tally.count, tally.rest)
    for _ in range(490):
        tally.add(None)
    fast = (tally.count, tally.rest)

    assert at_first == ("0/1000", "13m 20s left")
    assert slow == ("10/1000", "33m left")
    assert fast == ("500/1000", "490 failed, 6m 40s left")


def test_of_many_accounts_there_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    """Not one for each step, and none before a while has passed."""
    now = 0.0
    summary = progress.Summary(progress.Tally(4, least=1, clock=lambda: now), lambda: now)
    for seconds, each in ((1, result()), (10, result(error=True)), (12, None)):
        now = seconds
        summary.entry_recorded("x", entry("done", Step.PUSH))
        summary.waiting("x", datetime(2026, 11, 24, 7, 28, tzinfo=UTC))
        summary.pass_finished("x", each)

    assert capsys.readouterr().err == "2/4 accounts done, 1 failed, 10s left\n"


@pytest.mark.parametrize(("accounts", "kind"), [(20, progress.Lines), (21, progress.Summary)])
def test_few_accounts_have_a_line_for_each_step(accounts: int, kind: type) -> None:
    """With more, that would hide how far they are."""
    names = [f"a{number}" for number in range(accounts)]
    with progress.display(names, is_quiet=False, live=True) as shown:
        assert type(shown) is kind


def test_a_terminal_shows_as_many_accounts_as_there_is_room_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Below how far all of them are; one that ends makes room for another."""
    monkeypatch.setenv("LINES", "5")
    monkeypatch.setenv("TERM", "xterm")
    live = Live(width=2, tally=progress.Tally(5, least=1))
    for name in ("a1", "a2", "a3", "a4", "a5"):
        live.entry_recorded(name, entry("intent", Step.PUSH))
    before = [task.visible for task in live._progress.tasks]
    live.pass_finished("a2", result())
    overall, *after = live._progress.tasks

    assert before == [True, True, True, True, False, False]
    assert [task.visible for task in after] == [True, True, True, False]
    assert overall.fields["account"] == "1/5"
    assert overall.description.endswith(" left")


def test_a_line_for_what_takes_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal it shows the newest text; elsewhere there is none."""
    monkeypatch.setenv("TERM", "xterm")
    with progress.line() as show:
        show("12 checks made")
    silent = capsys.readouterr()
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with progress.line() as show:
        show("12 checks made, [/the last]: x")
    shown = capsys.readouterr()

    assert silent == ("", "")
    assert "12 checks made, [/the last]: x" in shown.err
    assert shown.out == ""


def test_that_line_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is longer than the terminal is wide is cut: a second line would come and go."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with progress.line() as show:
        show(f"13 checks made, the last: {'secret/' * 99}")

    assert capsys.readouterr().err.count("secret/") in range(1, 12)
