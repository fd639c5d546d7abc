"""The entry of checkpoints, on the simulator and on a real server."""

import uuid

import pytest

from rotator.errors import CheckAndSetLost, UnexpectedEntry
from rotator.vault import EnvToken
from rotator.vault.checkpoint_entry import CheckpointEntry
from tests.contract.client import link
from tests.contract.server import ROOT, Server


def entry_of(server: Server, path: str) -> CheckpointEntry:
    """Return the entry at a path."""
    return CheckpointEntry(link(server.url, EnvToken(ROOT)), "secret", path)


def test_an_entry_of_checkpoints_is_written_over_what_was_read(server: Server) -> None:
    """Nobody else's version is replaced."""
    path = f"witness/{uuid.uuid4()}"
    entry = entry_of(server, path)
    before = entry.read()
    entry.write("log", "old 0\n\nlog\n", 0)
    with pytest.raises(CheckAndSetLost):
        entry.write("log", "other", 0)
    entry.write("log", "old 1\n\nlog\n", 1)

    assert before == (None, 0)
    assert entry.read() == ("old 1\n\nlog\n", 2)
    assert server.data(path) == {"origin": "log", "checkpoint": "old 1\n\nlog\n"}


def test_an_entry_of_something_else_is_left_alone(server: Server) -> None:
    """Such as an account's."""
    path = f"witness/{uuid.uuid4()}"
    server.write(path, {"api_key": "abcd1234", "checkpoint": "old 0"})

    with pytest.raises(UnexpectedEntry, match="is not one of checkpoints"):
        entry_of(server, path).read()
