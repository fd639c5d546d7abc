"""Many ledgers for one test: each kill begins with a new one."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture
def new_ledger(kind: str, request: pytest.FixtureRequest) -> Iterator[Callable[[Path], str]]:
    """Yield a function that makes an empty ledger, a file where it is SQLite; returns its URL."""
    made: list[str] = []

    def make(folder: Path) -> str:
        if kind == "sqlite":
            shutil.copy(request.getfixturevalue("sqlite_template"), folder / "ledger.db")
            return f"sqlite:///{folder / 'ledger.db'}"
        server = request.getfixturevalue("postgresql")
        made.append(server.create(request.getfixturevalue("postgresql_template")))
        return made[-1]

    yield make
    for url in made:
        request.getfixturevalue("postgresql").drop(url)
