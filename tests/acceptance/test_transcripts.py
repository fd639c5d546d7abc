"""What a new user types, right and wrong, answers what the transcripts say."""

import re
from pathlib import Path
from typing import Any

import pytest

from rotator.cli.app import command_of
from tests.acceptance import transcript

#: They run until they are stopped, or need what is not simulated: auto-reload, a consumer, a log,
#: a daemon, an installation.
NEVER_RIGHT = {
    *("account top-up", "demo", "gate audit", "gate http", "health", "install-units", "run", "sim"),
}


def tried(path: str) -> set[bool]:
    """Return how trying a command went in the transcripts: True where it succeeded."""
    found = set()
    for file in transcript.FILES:
        for shown in re.split(r"^\$ ", file.read_text(), flags=re.MULTILINE)[1:]:
            line, _, output = re.sub(r" --config \S+", "", shown).partition("\n")
            if re.search(rf"\brotator {path}(?![-\w])", line):
                found.add(not re.search(r"^(\[\d+\]|error: )", output, re.MULTILINE))
    return found


def paths_of(command: Any) -> list[str]:  # noqa: ANN401  # typer has no public name for it
    """Return the words that lead to each command below this one, however deep."""
    below = getattr(command, "commands", None)
    if below is None:
        return [""]
    return [f"{name} {path}".strip() for name, each in below.items() for path in paths_of(each)]


@pytest.mark.slow
@pytest.mark.parametrize("file", transcript.FILES, ids=lambda file: file.stem)
def test_commands_answer_as_written(file: Path, tmp_path: Path) -> None:
    """Each command's output and exit code are those of the file; `make transcripts` writes it."""
    text = file.read_text()

    assert transcript.replayed(text, tmp_path) == text


def test_no_command_is_left_out() -> None:
    """Each command is tried as it should be, and with something wrong."""
    paths = paths_of(command_of("rotator"))

    assert len(paths) > 25
    assert not [path for path in paths if False not in tried(path)]
    assert {path for path in paths if True not in tried(path)} == NEVER_RIGHT
