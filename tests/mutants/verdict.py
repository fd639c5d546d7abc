"""What a run of pytest says about a mutant."""

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree as ET

from tests.mutants.patches import Mutant
from tests.mutants.tree import NotMutated, Tree

#: Seconds after which a run is given up: no selection takes a fifth of it.
LONGEST_RUN = 900.0
_PYTEST = ("-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-o", "junit_family=xunit1")
#: Exit codes of pytest: every test passed, or some failed.
_PASSED, _FAILED = 0, 1
#: How pytest's report begins where no test could be collected from a file.
_UNCOLLECTED = "collection failure"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of some tests."""

    seconds: float
    #: How many tests ran, whatever came of them.
    ran: int = 0
    #: The test that failed, as pytest names it; None where all passed.
    failed: str | None = None
    #: Why it says nothing: an error outside the tests, no test ran, or it never ended.
    useless: str | None = None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What became of a mutant: killed by a test, not worth a verdict, or else a survivor."""

    mutant: Mutant
    run: Run

    @property
    def text(self) -> str:
        """What is printed of it."""
        if self.run.useless:
            return f"USELESS: {self.run.useless}"
        return self.run.failed or "SURVIVED"

    @property
    def is_killed(self) -> bool:
        """Whether a test failed because of it."""
        return self.run.failed is not None


def judge(tree: Tree, mutant: Mutant) -> Verdict:
    """Run a mutant's tests with it."""
    began = time.monotonic()
    try:
        with tree.mutated(mutant):
            run = run_tests(tree, mutant.tests)
    except NotMutated as error:
        run = Run(seconds=time.monotonic() - began, useless=str(error))
    return Verdict(mutant=mutant, run=run)


def run_tests(tree: Tree, tests: Sequence[str]) -> Run:
    """Run tests in the copy, up to the first that fails."""
    began = time.monotonic()
    with TemporaryDirectory() as name:
        log, report = Path(name, "log"), Path(name, "report.xml")
        arguments = [*_PYTEST, f"--junitxml={report}", *tests]
        code = tree.run(arguments, log=log, timeout=LONGEST_RUN)
        seconds = time.monotonic() - began
        if code is None:
            return Run(seconds=seconds, useless=f"it had not ended after {LONGEST_RUN:.0f} s")
        if code not in (_PASSED, _FAILED) or not report.exists():
            return Run(seconds=seconds, useless=f"pytest ended with {code}: {_last_line(log)}")
        return read(report.read_text(), seconds)


def read(report: str, seconds: float) -> Run:
    """Read what pytest reported, in JUnit's format."""
    # What pytest writes is no stranger's.
    cases = list(ET.fromstring(report).iter("testcase"))  # noqa: S314
    ran = sum(case.find("skipped") is None for case in cases)
    for case, trouble in _troubles(cases):
        if trouble.get("message") == _UNCOLLECTED:
            return Run(seconds=seconds, useless=f"{case.get('name')} cannot be collected")
        return Run(seconds=seconds, ran=ran, failed=_node(case))
    return Run(seconds=seconds, ran=ran, useless=None if ran else "no test ran")


def _troubles(cases: Sequence[ET.Element]) -> Iterator[tuple[ET.Element, ET.Element]]:
    for case in cases:
        for trouble in (*case.iter("failure"), *case.iter("error")):
            yield case, trouble


def _node(case: ET.Element) -> str:
    """Return a test's id: the file, its class if it has one, its name."""
    file = case.get("file", "")
    module = file.removesuffix(".py").replace("/", ".")
    classes = case.get("classname", "").removeprefix(module).strip(".")
    return "::".join(part for part in (file, classes, case.get("name", "")) if part)


def _last_line(log: Path) -> str:
    text = re.sub(r"\x1b\[[0-9;]*m", "", log.read_text(errors="replace"))
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"
