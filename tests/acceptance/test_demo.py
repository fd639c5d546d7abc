"""`rotator demo`, run whole."""

import subprocess
import sys

import pytest

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
    assert "From zero to a first rotation" in " ".join(demo.stdout.split())


def test_it_shows_the_kill(demo: subprocess.CompletedProcess[str]) -> None:
    """A process is killed when Vonage lists two secrets, and the next one completes."""
    killed = demo.stdout.index("killed; Vonage now lists 2 secrets")

    assert "completed" in demo.stdout[killed:]
