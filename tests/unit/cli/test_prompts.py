import io
import signal
import sys
from collections.abc import Callable

import pytest
import typer

from rotator.cli import main, prompts
from rotator.cli.signals import Interrupted


@pytest.mark.parametrize("answer", ["y\n", "YES\n", "maybe\n y \n"])
def test_only_a_yes_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: str
) -> None:
    """What is neither yes nor no is asked about again."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    prompts.confirm("delete it?")

    asked = capsys.readouterr().err
    assert asked.count("delete it? [y/N]: ") == asked.count("answer y or n") + 1
    assert ("answer y or n" in asked) is ("maybe" in answer)


@pytest.mark.parametrize("answer", ["n\n", "\n", "No\n", "", "maybe\n"])
def test_everything_else_does_nothing(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    """No, an empty line, or the end of what is typed."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
    with pytest.raises(typer.Abort):
        prompts.confirm("delete it?")


def test_what_is_no_text_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that the terminal's encoding does not know are no yes, and no bug."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff\ny\n"), "utf-8"))
    with pytest.raises(typer.Abort):
        prompts.confirm("delete it?")


@pytest.mark.parametrize("ask", [prompts.confirm, prompts.blind])
def test_a_signal_instead_of_an_answer(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ask: Callable[[str], object],
) -> None:
    """Nothing had begun, so nothing is to be resumed; the message has a line of its own."""

    def interrupted(*_arguments: object) -> str:
        raise Interrupted(signal.SIGINT)

    monkeypatch.setattr("getpass.getpass", interrupted)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    monkeypatch.setattr(sys.stdin, "readline", interrupted)
    monkeypatch.setattr(main, "_invoke", lambda *_: ask("delete it?"))

    assert main.run("rotator", []) == 130
    assert capsys.readouterr().err.endswith("\ninterrupted; nothing was done\n")
