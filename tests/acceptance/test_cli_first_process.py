"""rotator as process 1, as in a container without an init."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.service import until
from tests.support.cli_fixture import PATIENCE, CliFixture

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None,
    reason="a namespace of processes needs root and unshare",
)

_UNSHARED = ("unshare", "--pid", "--fork", "--kill-child")


@pytest.fixture
def cli(tmp_path: Path, sqlite_template: Path) -> Iterator[CliFixture]:
    """Yield a desk."""
    with CliFixture(tmp_path, ledger=sqlite_template) as cli:
        yield cli


@contextmanager
def first(cli: CliFixture, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command as process 1 of a namespace, which ends with it; give what started that."""
    log = cli.folder / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [
                "unshare",
                "--pid",
                "--fork",
                "--kill-child",
                sys.executable,
                "-m",
                "rotator",
                *arguments,
            ],
            env=cli.environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def children(pid: int) -> list[int]:
    """Return the processes that one has started, or adopted."""
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def test_signals_reach_the_daemon(cli: CliFixture) -> None:
    """It reloads and ends as anywhere else."""
    log = cli.folder / "log"
    with first(cli, "run") as outer:
        until(lambda: '"started"' in log.read_text())
        (one,) = children(outer.pid)
        os.kill(one, signal.SIGHUP)
        until(lambda: '"reloaded"' in log.read_text())
        os.kill(one, signal.SIGTERM)

        assert outer.wait(PATIENCE) == 0
    assert '"stopped"' in log.read_text()


def test_orphans_are_waited_for(cli: CliFixture) -> None:
    """Of a process that nobody waits for, nothing is left when it has ended."""
    with first(cli, "sim") as outer:
        until(lambda: "vonage_url" in (cli.folder / "log").read_text())
        (one,) = children(outer.pid)
        enter = ["nsenter", "--target", str(one), "--pid", "--", "sh", "-c"]
        # The shell's child is adopted by process 1 of its namespace.
        subprocess.run([*enter, "sleep 1 & sleep 0"], check=True, timeout=PATIENCE)
        until(lambda: len(children(one)) == 2)
        until(lambda: len(children(one)) == 1)
        os.kill(one, signal.SIGTERM)

        assert outer.wait(PATIENCE) == 0


def test_a_command_s_exit_code_is_that_of_process_1(cli: CliFixture) -> None:
    """Also of one that a signal killed."""
    with first(cli, "status", "nobody") as outer:
        assert outer.wait(PATIENCE) == 2
    with first(cli, "sim") as outer:
        until(lambda: "vonage_url" in (cli.folder / "log").read_text())
        (one,) = children(outer.pid)
        os.kill(children(one)[0], signal.SIGKILL)

        assert outer.wait(PATIENCE) == 137
