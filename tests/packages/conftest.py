"""What a release's check adds: it tries the files that are published, and skips nothing."""

import os
from collections.abc import Generator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def released() -> Path:
    """Return the folder with the files of a release, which `make release-check` fills and names."""
    folder = os.environ.get("RELEASE")
    if not folder:
        pytest.skip("tries what `make release-check` has built")
    return Path(folder)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail what is skipped while a release is checked: nobody would have tried it."""
    report = yield
    if report.skipped and "RELEASE" in os.environ:
        report.outcome = "failed"
    return report
