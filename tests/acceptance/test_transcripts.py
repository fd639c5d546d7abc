"""What a new user types, right and wrong, answers what the transcripts say."""

import re
from pathlib import Path

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


@pytest.mark.slow
@pytest.mark.parametrize("file", transcript.FILES, ids=lambda file: file.stem)
def test_commands_answer_as_written(file: Path, tmp_path: Path) -> None:
    """Each command's output and exit code are those of the file; `make transcripts` writes it."""
    text = file.read_text()

    assert transcript.replayed(text, tmp_path) == text


def test_no_command_is_left_out() -> None:
    """Each command is tried as it should be, and with something wrong."""
    commands = command_of("rotator").commands
    paths = [
        f"{name} {below}".strip()
        for name, command in commands.items()
        for below in getattr(command, "commands", {"": None})
    ]

    assert len(paths) > 25
    assert not [path for path in paths if False not in tried(path)]
    assert {path for path in paths if True not in tried(path)} == NEVER_RIGHT
