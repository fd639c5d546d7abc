"""A ledger to write in, and a PostgreSQL one that can be cut off."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url

from rotator.ledger.writer import LedgerWriter
from tests.support.database_proxy import DatabaseProxy


@pytest.fixture
def writer(database: Engine) -> LedgerWriter:
    """Return the ledger as one process sees it."""
    return LedgerWriter(database, lease_seconds=60, owner="here/boot/ns/1/100")


@pytest.fixture
def proxy(ledger_url: str) -> Iterator[DatabaseProxy]:
    """Stand in front of the server."""
    with tempfile.TemporaryDirectory() as name:
        proxy = DatabaseProxy(Path(name), Path(str(make_url(ledger_url).query["host"])))
        yield proxy
        proxy.close()


@pytest.fixture
def far_url(proxy: DatabaseProxy, ledger_url: str) -> str:
    """Return the URL of the ledger as it is reached through the proxy."""
    url = make_url(ledger_url).update_query_dict({"host": str(proxy.folder)})
    return url.render_as_string(hide_password=False)
