"""`rotator demo`, run whole."""

import os
import re
import subprocess
import sys

import pytest

from tests.support.terminal import run_at_terminal

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def demo() -> subprocess.CompletedProcess[str]:
    """One run of the demo."""
    return subprocess.run(
        [sys.executable, "-m", "rotator", "demo"],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def test_it_succeeds(demo: subprocess.CompletedProcess[str]) -> None:
    """The demo ends well, and says how to go on for real."""
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert "seen from outside: every Vault value authenticates" in demo.stdout
    told = " ".join(demo.stdout.split())
    assert "From zero to a first rotation" in told
    assert told.endswith("On a terminal, `rotator demo` ends by showing it.")
    assert "http://127.0.0.1:9470/" in told


def test_it_shows_the_kill(demo: subprocess.CompletedProcess[str]) -> None:
    """A process is killed when Vonage lists two secrets, and the next one completes."""
    killed = demo.stdout.index("killed; Vonage now lists 2 secrets")

    assert "completed" in demo.stdout[killed:]


def test_on_a_terminal_it_ends_with_the_page() -> None:
    """No line is wider than 80 columns; then the page is served until Ctrl-C, which is no error."""
    environment = os.environ | {"TERM": "xterm", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "rotator", "demo"]
    done = run_at_terminal(command, environment, interrupt_at="Ctrl-C ends.")

    assert done.code == 0, done.out
    assert re.search(r"\nThe page is at http://127\.0\.0\.1:\d+, Ctrl-C ends\.\n", done.out)
    assert max(len(line) for line in done.out.splitlines()) <= 80
    assert "completed" in done.out
