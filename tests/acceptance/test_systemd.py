import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from rotator.config import load
from rotator.config.sections import AUTH_METHODS
from rotator.daemon.service import Daemon
from rotator.sim import Environment
from tests.acceptance.service import service, until
from tests.support.commands import ROOT

UNITS = sorted((ROOT / "systemd").iterdir())
SERVICES = [path for path in UNITS if path.suffix == ".service"]
#: Everything that runs rotator.
HARDENED = [*SERVICES, ROOT / "ops" / "rotator-ledger-verify.service"]
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
    world = Environment.build(accounts=1, subaccounts=0, created_at=datetime.now(UTC))
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
@pytest.mark.parametrize("unit", HARDENED, ids=lambda path: path.name)
def test_a_service_is_hardened(unit: Path) -> None:
    """The exposure that systemd measures stays at 1.3 or below, of 10."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=13", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout


def verified(folder: Path, drop_in: str = "") -> tuple[int, str, str]:
    """Run `systemd-analyze verify` on all units, each service with a drop-in; return its result."""
    program = folder / "rotator"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    copies = [folder / path.name.replace("@", "@sms-prod") for path in UNITS]
    for path, copy in zip(UNITS, copies, strict=True):
        copy.write_text(path.read_text().replace("/opt/rotator/bin/rotator", str(program)))
        if drop_in and copy.suffix == ".service":
            (folder / f"{copy.name}.d").mkdir()
            (folder / f"{copy.name}.d" / "credentials.conf").write_text(drop_in)
    done = subprocess.run(
        ["systemd-analyze", "verify", *map(str, copies)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@needs_systemd
def test_units_are_what_systemd_takes(tmp_path: Path) -> None:
    """Anything printed is a directive that systemd does not know, or a unit that is not there."""
    assert verified(tmp_path) == (0, "", "")


# -- Credentials. --------------------------------------------------------------------------

PAGE = (ROOT / "docs" / "operations.md").read_text()
DROP_IN = re.findall(r"^```ini\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[0]
WAYS = {
    method: (re.findall(r"`([^`]+)`", credentials), re.findall(r"`([^`\[]+)`", keys), table)
    for method, credentials, keys, table in re.findall(
        r"^\| `(\w+)` \| (.*) \| (.*) of `\[(vault.*)\]` \|$", PAGE, re.MULTILINE
    )
}
#: What else each way needs.
MORE = {"userpass": 'username = "rotator"\n', "jwt": 'role = "rotator"\n'}


def test_every_way_that_needs_files_has_its_credentials() -> None:
    """A pod's token is not systemd's, and the token's file is in the units."""
    assert {*WAYS, "token", "kubernetes"} == {*AUTH_METHODS}


@needs_systemd
@pytest.mark.parametrize("method", WAYS)
def test_a_drop_in_brings_what_a_way_into_vault_needs(tmp_path: Path, method: str) -> None:
    """Systemd takes it, and the configuration finds each credential where systemd puts it."""
    credentials, keys, table = WAYS[method]
    lines = [f"LoadCredential={each}:/etc/rotator/{each}" for each in credentials]
    head = DROP_IN[: DROP_IN.index("LoadCredential=\n") + len("LoadCredential=\n")]
    settings = "".join(
        f'{key} = "$CREDENTIALS_DIRECTORY/{each}"\n'
        for key, each in zip(keys, credentials, strict=True)
    )
    auth = f'[vault.auth]\nmethod = "{method}"\n{MORE.get(method, "")}'
    vault = '[vault]\naddress = "https://vault.example.com:8200"\n'
    text = f"{vault}{settings}{auth}" if table == "vault" else f"{vault}{auth}{settings}"
    account = '[[accounts]]\nname = "a"\napi_key = "abcd1234"\nvault_path = "vonage/a"\n'
    (tmp_path / "config.toml").write_text(f"{text}{account}")
    for each in credentials:
        (tmp_path / each).write_text("x")
    loaded = load(tmp_path / "config.toml", {"CREDENTIALS_DIRECTORY": str(tmp_path)}).vault
    found = [getattr(loaded if table == "vault" else loaded.auth, key) for key in keys]

    assert verified(tmp_path, "\n".join([head, *lines, ""])) == (0, "", "")
    assert found == [tmp_path / each for each in credentials]


def test_the_drop_in_of_the_page_is_that_of_its_first_way() -> None:
    """What is shown in full is what the table says."""
    shown = re.findall(r"^LoadCredential=(\S+):/etc/rotator/(\S+)$", DROP_IN, re.MULTILINE)

    assert shown == [(each, each) for each in WAYS["approle"][0]]


# -- Living with it. -----------------------------------------------------------------------


def daemon_in(folder: Path, **environ: str) -> Daemon:
    """Return a daemon that was not started, and knows one account."""
    (folder / "config.toml").write_text(
        f'[vault]\naddress = "http://127.0.0.1:1"\ntimeout = "5m"\n[ledger]\n'
        f'url = "sqlite:///{folder}/ledger.db"\n[[accounts]]\nname = "a"\n'
        'api_key = "abcd1234"\nvault_path = "vonage/a"\n'
    )
    return Daemon(partial(load, folder / "config.toml", {}), environ)


def test_the_watchdog_hears_of_work_and_not_of_time(tmp_path: Path) -> None:
    """A poll that comes to nothing is no sign of life, though its thread lives."""
    manager = Manager(tmp_path)
    daemon = daemon_in(tmp_path, NOTIFY_SOCKET=manager.path, WATCHDOG_USEC="2000000")

    def fail() -> list[str]:
        raise ZeroDivisionError

    due, daemon._scheduler.due = daemon._scheduler.due, fail  # type: ignore[method-assign]
    daemon._poll_once()
    silent = not manager.has("WATCHDOG=1".__eq__)
    daemon._scheduler.due = due  # type: ignore[method-assign]
    daemon._poll_once()

    assert silent
    assert manager.has("WATCHDOG=1".__eq__)
    daemon._application.close()
    manager.close()


def test_the_watchdog_hears_nothing_of_the_wait_for_signals(tmp_path: Path) -> None:
    """The main thread waits on, however long no poll has ended."""
    manager = Manager(tmp_path)
    daemon = daemon_in(tmp_path, NOTIFY_SOCKET=manager.path, WATCHDOG_USEC="2000000")
    daemon.reload()
    order = daemon._next_order()

    assert order == "reload"
    assert not manager.has("WATCHDOG=1".__eq__)
    daemon._application.close()
    manager.close()


def test_the_end_is_well_inside_the_time_that_systemd_gives(tmp_path: Path) -> None:
    """However long a call may take by the configuration."""
    unit = (ROOT / "systemd" / "rotator.service").read_text()
    [given] = re.findall(r"^TimeoutStopSec=(\d+)s$", unit, re.MULTILINE)
    daemon = daemon_in(tmp_path)

    assert daemon._patience() <= 0.7 * int(given)
    daemon._application.close()


@pytest.mark.parametrize("kind", ["sqlite"])
def test_the_timer_s_service_resumes_and_rotates(ledger_url: str, tmp_path: Path) -> None:
    """What the last run left waiting for its grace is finished, then the account is rotated."""
    unit = (ROOT / "systemd" / "rotator-rotate-now@.service").read_text()
    lines = re.findall(r"^ExecStart=-?/opt/rotator/bin/rotator (.*)$", unit, re.MULTILINE)
    world = Environment.build(accounts=1, subaccounts=0, created_at=datetime.now(UTC))
    with service(world, tmp_path, ledger_url) as run:
        run.configure(grace="1h", jitter="0s")

        def start() -> list[int]:
            words = [line.replace("%i", "account-1").split() for line in lines]
            return [run.run(*each).returncode for each in words]

        first = start()
        waiting = len(run.world.vonage.secrets(world.accounts[0].api_key))
        run.end_graces()
        second = start()
        secrets = run.made()["account-1"], len(run.world.vonage.secrets(world.accounts[0].api_key))

    assert (first, second) == ([0, 0], [0, 0])
    assert waiting == 2
    assert secrets == (2, 2)


@pytest.mark.parametrize(
    "line", ["Persistent=true", "RandomizedDelaySec=1h", "WantedBy=timers.target"]
)
def test_the_timer_makes_up_for_what_was_missed(line: str) -> None:
    """At the next start of the machine, and not all machines at the same minute."""
    assert line in (ROOT / "systemd" / "rotator-rotate-now@.timer").read_text().splitlines()


# -- Installing. ---------------------------------------------------------------------------


@needs_systemd
@pytest.mark.parametrize("kind", ["sqlite"])
def test_the_service_is_enabled_as_its_page_says(ledger_url: str, tmp_path: Path) -> None:
    """Its commands, in another root: the unit is enabled, and what it starts becomes ready."""
    page = (ROOT / "docs" / "service.md").read_text()
    [line] = re.findall(r"^systemctl enable .* rotator\.service$", page, re.MULTILINE)
    root, here = tmp_path / "root", tmp_path / "here"
    here.mkdir()
    for folder in ("etc/systemd/system", "etc/rotator"):
        (root / folder).mkdir(parents=True)
    shutil.copy(ROOT / "systemd" / "rotator.service", root / "etc/systemd/system")
    world = Environment.build(accounts=1, subaccounts=0, created_at=datetime.now(UTC))
    manager = Manager(tmp_path)
    with service(world, here, ledger_url) as run:
        (root / "etc/rotator/vault-token").write_text(world.vault.token)
        text = run.config.read_text().replace(
            str(run.token_file), "$CREDENTIALS_DIRECTORY/vault-token"
        )
        (root / "etc/rotator/config.toml").write_text(text)
        there = line.replace("enable --now", f"--root={root} enable")
        subprocess.run(["sh", "-c", there], check=True, capture_output=True)
        wanted = root / "etc/systemd/system/multi-user.target.wants/rotator.service"
        # It points to where the unit is once that root is the machine's.
        installed = Path(f"{root}{wanted.readlink()}")
        credentials = re.findall(
            r"^LoadCredential=(\S+):(\S+)$", installed.read_text(), re.MULTILINE
        )
        config = re.findall(
            r"^Environment=ROTATOR_CONFIG=(\S+)$", installed.read_text(), re.MULTILINE
        )
        for name, source in credentials:
            shutil.copy(f"{root}{source}", here / name)
        run.config = Path(f"{root}{config[0]}")
        process = run.start(NOTIFY_SOCKET=manager.path, CREDENTIALS_DIRECTORY=str(here))
        until(lambda: manager.has("READY=1".__eq__))
        assert run.stop(process) == 0
    manager.close()

    assert installed.read_text() == (ROOT / "systemd/rotator.service").read_text()
