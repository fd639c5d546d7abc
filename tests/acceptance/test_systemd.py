import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rotator.sim import World
from tests.acceptance.service import ROOT, service, until

UNITS = sorted((ROOT / "systemd").iterdir())
SERVICES = [path for path in UNITS if path.suffix == ".service"]
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


class Manager:
    """The end of the notification socket where systemd would be."""

    def __init__(self, folder: Path) -> None:
        """Listen in `folder`."""
        self.path = str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.settimeout(0)
        self.messages: list[str] = []

    def has(self, check: Callable[[str], object], after: int = 0) -> bool:
        """Whether a message that `check` takes has come, `after` so many others."""
        while True:
            try:
                self.messages.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return any(check(message) for message in self.messages[after:])

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()


@pytest.mark.parametrize("kind", ["sqlite"])
def test_the_daemon_tells_systemd_how_it_is(ledger_url: str, tmp_path: Path) -> None:
    """Ready, alive, reloading, ready again, stopping: each as sd_notify(3) has it."""
    manager = Manager(tmp_path)
    world = World.build(accounts=1, subaccounts=0, created_at=datetime.now(UTC))
    with service(world, tmp_path, ledger_url) as run:
        process = run.start(NOTIFY_SOCKET=manager.path, WATCHDOG_USEC="2000000")
        until(lambda: manager.has("READY=1".__eq__))
        until(lambda: manager.has("WATCHDOG=1".__eq__))
        until(lambda: manager.has(lambda text: text.startswith("STATUS=1 account, 0 being")))
        count = len(manager.messages)
        process.send_signal(signal.SIGHUP)
        until(lambda: manager.has("READY=1".__eq__, after=count))
        assert run.stop(process) == 0
        assert manager.has("STOPPING=1".__eq__)
    manager.close()

    reloading = next(text for text in manager.messages if text.startswith("RELOADING"))
    assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", reloading)
    assert manager.messages.index(reloading) >= count
    assert "STOPPING=1" in manager.messages[-2:]


@needs_systemd
@pytest.mark.parametrize("unit", SERVICES, ids=lambda path: path.name)
def test_a_service_is_hardened(unit: Path) -> None:
    """The exposure that systemd measures stays at 1.3 or below, of 10."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=13", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout


@needs_systemd
def test_units_are_what_systemd_takes(tmp_path: Path) -> None:
    """Anything printed is a directive that systemd does not know, or a unit that is not there."""
    program = tmp_path / "rotator"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    copies = [tmp_path / path.name.replace("@", "@sms-prod") for path in UNITS]
    for path, copy in zip(UNITS, copies, strict=True):
        copy.write_text(path.read_text().replace("/opt/rotator/bin/rotator", str(program)))
    done = subprocess.run(
        ["systemd-analyze", "verify", *map(str, copies)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
