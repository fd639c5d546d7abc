"""A ledger whose checkpoints are published, and the places for them."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.ledgers import new_ledger
from tests.support.published_ledger import Opened, PublishedLedger, Store, write_key


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Return the file of a key."""
    return write_key(tmp_path / "key.pem")


@pytest.fixture
def opened(key: Path) -> Iterator[Opened]:
    """Yield what opens a file as a ledger with that key, until the test is over."""
    with ExitStack() as stack:

        def open_file(file: Path) -> PublishedLedger:
            made = PublishedLedger(file, key)
            stack.callback(made.close)
            return made

        yield open_file


@pytest.fixture
def ledger(tmp_path: Path, opened: Opened) -> PublishedLedger:
    """Return a ledger with two entries."""
    made = opened(new_ledger(tmp_path))
    made.write(count=2)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty directory for checkpoints."""
    path = tmp_path / "checkpoints"
    path.mkdir()
    return path


@pytest.fixture
def store() -> Store:
    """Return an empty entry."""
    return Store()
