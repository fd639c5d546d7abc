"""`rotator demo`, run whole."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.service import until
from tests.support.cli_fixture import PATIENCE
from tests.support.terminal import lead_terminal, read_until, run_at_terminal

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


#: The demo's last act alone, in which its daemon runs.
_PAGE = """
import sys
from rotator.cli.commands.demo import Demo
from rotator.cli.main import main
for act in "_plain", "_lost_answers", "_killed", "_record":
    setattr(Demo, act, lambda self: None)
sys.argv = ["rotator", "demo"]
main()
"""


@pytest.mark.parametrize("end", ["closed", signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=str)
def test_nothing_outlives_it(tmp_path: Path, end: signal.Signals | str) -> None:
    """Neither the closed terminal, nor a signal to it alone, nor its death leaves a child behind.

    Its folder is removed, too, unless it was killed.
    """
    command = [sys.executable, "-c", _PAGE]
    process, controller = lead_terminal(command, os.environ | {"TMPDIR": str(tmp_path)})
    read_until(controller, "Ctrl-C ends.")
    assert len(_session(process.pid)) == 2
    if isinstance(end, str):
        os.close(controller)
    else:
        process.send_signal(end)

    until(lambda: not _session(process.pid))
    process.wait(PATIENCE)
    assert any(tmp_path.iterdir()) is (end == signal.SIGKILL)


def _session(leader: int) -> list[str]:
    """Return the running processes of a session."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            # proc_pid_stat(5): after the name come state, parent, group and session.
            state, _, _, session, *_ = file.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(session) == leader and state not in "ZX":
            found.append(file.parent.name)
    return found
