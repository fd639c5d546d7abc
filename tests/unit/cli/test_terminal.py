import os
import pty

import pytest

from rotator.cli import output, terminal
from rotator.model import State
from tests.support.terminal import chunks

ID = "3b8f0a52-1a6c-4f0e-9d6e-2f5f3c1f7a10"
HINT = 'in the token\'s policy: path "secret/data/vonage/sms-prod" { capabilities = ["create"] }'
HEADERS = ("account", "state", "id", "notes", "hint")
ROWS = [
    ("sms-prod", "broken", ID, "Vonage refuses the value that Vault holds", HINT),
    ("voice-prod", "healthy", ID, "-", "-"),
]


@pytest.fixture(autouse=True)
def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set up a terminal without colours, whose width each test sets."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("FORCE_COLOR", raising=False)


def drawn(
    capsys: pytest.CaptureFixture[str],
    width: int,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_terminal: bool = True,
) -> str:
    """Return the rows as drawn on a terminal of that width, or as written to a pipe."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: is_terminal)
    monkeypatch.setenv("COLUMNS", str(width))
    output.table(HEADERS, ROWS)
    return capsys.readouterr().out


@pytest.mark.parametrize("term", ["xterm", "dumb"])
@pytest.mark.parametrize("width", [*range(42, 200, 7), 80, 300])
def test_no_word_is_broken_and_no_line_is_too_long(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int, term: str
) -> None:
    """Whatever the width, each word stands whole on a line, and each line fits."""
    monkeypatch.setenv("TERM", term)
    lines = drawn(capsys, width, monkeypatch).splitlines()
    words = {word for line in lines for word in line.split()}

    assert words >= {word for row in ROWS for cell in row for word in cell.split()} - {"-"}
    assert max(len(line) for line in lines) <= width


def test_a_row_that_does_not_fit_is_a_block(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The short cells are a heading; each sentence has a label; what is missing has no line."""
    assert drawn(capsys, 80, monkeypatch).splitlines() == [
        "account     state    id",
        f"sms-prod    broken   {ID}",
        "  notes: Vonage refuses the value that Vault holds",
        '  hint: in the token\'s policy: path "secret/data/vonage/sms-prod" { capabilities',
        '    = ["create"] }',
        f"voice-prod  healthy  {ID}",
    ]


def test_rows_that_fit_are_a_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its header is ruled off, and sentences are wrapped in their column."""
    lines = drawn(capsys, 140, monkeypatch).splitlines()

    assert lines[0].split() == list(HEADERS)
    assert set(lines[1]) == {"─"}
    assert lines[2].startswith(f"sms-prod    broken   {ID}  Vonage refuses the")


def test_no_command_is_broken(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a cell, a block, a line of output and an error, a command stays on one line.

    One that is longer than the terminal is wide has its own line, which the terminal wraps.
    """
    command = "`rotator secrets delete sms-prod --yes`"
    hint = f"if nothing uses it, and nothing will, delete it with {command}, or keep it as it is"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    for width in range(20, 160):
        monkeypatch.setenv("COLUMNS", str(width))
        output.table(("account", "hint"), [("sms-prod", hint)])
        output.write(output.fitted(hint))
        output.complain("both slots are taken", hint)
        out, err = capsys.readouterr()

        lines = [line.strip() for line in f"{out}{err}".splitlines()]
        whole = [line for line in lines if command in line]
        assert len(whole) == 3
        assert "\ue000" not in out + err
        if width < len(command):
            assert set(whole) == {f"{command},"}
        elif width > len(command) + 4:
            assert max(map(len, whole)) <= width


def test_an_id_wider_than_the_terminal_is_left_to_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not cut: it can still be copied."""
    assert ID in drawn(capsys, 20, monkeypatch).split()


@pytest.mark.parametrize(
    ("environment", "is_coloured"),
    [
        ({"NO_COLOR": ""}, True),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": "0"}, False),
        ({"NO_COLOR": "", "TERM": "dumb"}, False),
    ],
)
@pytest.mark.parametrize("width", [80, 200])
def test_states_are_coloured_where_colours_are_wanted(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    environment: dict[str, str],
    width: int,
    *,
    is_coloured: bool,
) -> None:
    """$NO_COLOR, set to anything, and a dumb terminal leave the words alone."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = drawn(capsys, width, monkeypatch)

    assert ("\x1b[31mbroken" in found, "\x1b[32mhealthy" in found) == (is_coloured, is_coloured)
    assert ("\x1b" in found) == is_coloured
    assert "broken" in found


@pytest.mark.parametrize("state", State)
def test_every_state_has_a_colour(state: State) -> None:
    """Red is for what needs somebody now; the worst never looks like the best."""
    assert terminal._colour("state", state.value)
    assert (terminal._colour("state", state.value) == "green") is (state is State.HEALTHY)


def test_only_columns_of_states_are_coloured() -> None:
    """A hold's reason that begins with a state's word is no state."""
    assert terminal._colour("state", "waiting: grace until noon") == terminal._colour(
        "outcome", "awaiting-deletion"
    )
    assert terminal._colour("hold", "broken since noon") == ""


def test_a_pipe_gets_whole_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a terminal each row is one line without colours, however narrow $COLUMNS is."""
    monkeypatch.setenv("NO_COLOR", "")
    found = drawn(capsys, 40, monkeypatch, is_terminal=False)

    assert len(found.splitlines()) == 1 + len(ROWS)
    assert HINT in found
    assert "\x1b" not in found


def test_a_terminal_without_a_size_has_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new pseudo-terminal has none; nothing is divided by it."""
    monkeypatch.delenv("COLUMNS", raising=False)
    controller, other = pty.openpty()
    with os.fdopen(other, "w") as stream:
        monkeypatch.setattr("sys.__stdout__", stream)
        monkeypatch.setattr("sys.stdout", stream)
        output.table(HEADERS, ROWS)
    found = b"".join(chunks(controller)).decode()
    os.close(controller)

    assert max(len(line) for line in found.splitlines()) <= 80
    assert ID in found
