"""A host for each test, booted afresh."""

from collections.abc import Iterator

import pytest

from tests.booted.host import Host, host
from tests.booted.machine import why_not


@pytest.fixture
def bare() -> Iterator[Host]:
    """Yield a host with rotator installed, and nothing of it set up."""
    if reason := why_not():
        pytest.skip(reason)
    with host() as made:
        yield made
        made.check()


@pytest.fixture
def ready(bare: Host) -> Host:
    """Return a host set up as in README; nothing runs yet, and its account is due."""
    bare.install()
    return bare
