"""A pytest plugin that measures coverage during the core's unit and integration tests alone.

The tracer doubles the time of all Python that runs meanwhile, the tests' own and the libraries'
as well. So it rests while tests are collected and during all other tests, such as explorations.
Without this plugin, `--cov` measures all of rotator during all tests.
"""

import pkgutil
from importlib import import_module
from pathlib import Path

import pytest
from coverage import Coverage

#: What has to be covered in full.
CORE = ("rotation", "ledger")
#: The folders and files with its own tests, and with those that call it in their own process and
#: reach what its own do not.
PLACES = (
    *("unit/rotation", "unit/ledger", "unit/hooks", "unit/config", "unit/test_descriptors.py"),
    "property",
    *("integration/rotation", "integration/ledger", "integration/hooks"),
    *("integration/vonage", "integration/witness"),
)
#: Tests in there that go the same ways again and again, in thousands of situations.
REPEATING = (
    *("test_combinations.py", "test_chain_properties.py", "test_config_properties.py"),
    *("test_faults.py", "test_histories.py", "test_rules_kept.py", "test_storm.py"),
)
_TESTS = Path(__file__).parents[1]


class CoreCoverage:
    """The measurement in this process, which goes on and rests."""

    def __init__(self, coverage: Coverage) -> None:
        """Take over a measurement that goes on."""
        self._coverage, self._is_on = coverage, True

    def switch(self, *, on: bool) -> None:
        """Let it go on, or rest."""
        if on == self._is_on:
            return
        if on:
            self._coverage.start()
        else:
            self._coverage.stop()
        self._is_on = on

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Measure a test with its fixtures, if it is the core's."""
        self.switch(on=is_of_the_core(item.path))


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Measure how the core is imported, then rest."""
    coverage = Coverage.current()
    if coverage is None:
        return
    for name in CORE:
        package = import_module(f"rotator.{name}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            import_module(module.name)
    core = CoreCoverage(coverage)
    core.switch(on=False)
    session.config.pluginmanager.register(core)


def is_of_the_core(path: Path) -> bool:
    """Whether a test's file is one of the core's that are measured."""
    is_repeating = path.name in REPEATING
    return not is_repeating and any(path.is_relative_to(_TESTS / place) for place in PLACES)
