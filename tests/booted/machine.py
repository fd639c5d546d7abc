"""A machine of its own: Debian with systemd, booted in a container and thrown away at its end.

What it is made of is downloaded once, into `build/`: Debian's packages, and rotator's own, as its
lock files name them. Nothing that a boot writes stays: it goes to memory, above that folder. Its
network has a loopback and nothing else.
"""

import ctypes
import hashlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path

from tests.support import debian, wheels
from tests.support.commands import ROOT

_PACKAGES = "systemd systemd-sysv dbus libnss-systemd python3 python3-venv procps sudo"
_LOCKS = [ROOT / "requirements.lock", ROOT / "requirements-build.lock"]
_PROGRAMS = ("systemd-nspawn", "debootstrap", "make", "nsenter", "setpriv", "unshare")
#: Where the machine has the checkout, to be read only.
CHECKOUT = "/usr/src/rotator"
#: How long a boot, a command or an end may take on a busy machine, in seconds.
_PATIENCE = 90.0
_SITE_PACKAGES = "opt/rotator/lib/python3.11/site-packages"
_CLONE_NEWNET = 0x40000000


@cache
def why_not() -> str | None:
    """Return why no machine can be booted here; None where one can."""
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return "boots an x86-64 Debian"
    if missing:
        return f"needs {', '.join(missing)} on PATH"
    if os.geteuid() != 0:
        return "needs root, to boot a container"
    unsharing = ("unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "true")
    if subprocess.run(unsharing, capture_output=True, check=False).returncode:
        return "needs namespaces of its own, which root may not make here"
    if not all(os.access(group.parent, os.W_OK) for group in _groups("x")):
        return "needs control groups of its own, which root may not make here"
    return None


class Machine:
    """A booted machine. Commands run in it as root, unless they say otherwise."""

    def __init__(self) -> None:
        """Boot it."""
        self._name = f"rotator-{os.getpid()}-{threading.get_native_id()}"
        self._groups = _control_groups(self._name)
        self._process = subprocess.Popen(
            [
                *("sh", "-c", _INTO_GROUPS, "sh", str(len(self._groups)), *map(str, self._groups)),
                # Whatever ends the tests has it halt; killed, it would leave the machine running.
                *("setpriv", "--pdeathsig", "TERM"),
                *("systemd-nspawn", "--quiet", "--boot", f"--machine={self._name}"),
                *(f"--directory={base()}", "--volatile=overlay"),
                *(f"--bind-ro={path}:{CHECKOUT}/{path.name}" for path in _checked_in()),
                *("--private-network", "--register=no", "--keep-unit", "--settings=no"),
                *("--console=pipe", "--link-journal=no", "--resolv-conf=off", "--timezone=off"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            self.until("systemctl is-system-running --wait | grep -qE 'running|degraded'")
        except BaseException:
            self.close()
            raise

    @property
    def leader(self) -> int:
        """The pid, out here, of the machine's process 1; 0 while there is none."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        with suppress(OSError):
            return int((children.read_text().split() or ["0"])[0])
        return 0

    def run(
        self, command: str, *, text: str = "", check: bool = True, folder: str = "/"
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell's command to its end; `text` is its input."""
        done = subprocess.run(
            [*_entering(self.leader), "sh", "-c", f"cd {folder} && {{ {command}\n}}"],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE,
        )
        assert not check or done.returncode == 0, (command, done)
        return done

    def told(self, command: str) -> str:
        """Return what a command prints."""
        return self.run(command).stdout.strip()

    def until(self, command: str) -> None:
        """Wait for a command to succeed."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            done = self.run(command, check=False)
            if done.returncode == 0:
                return
            assert self._process.poll() is None, "the machine has ended"
            assert time.monotonic() < deadline, (command, done.stdout, done.stderr)
            time.sleep(0.1)

    def path(self, path: str) -> Path:
        """Return where out here a file of the machine is; links are the machine's own."""
        return Path(f"/proc/{self.leader}/root", path.lstrip("/"))

    def write(self, path: str, text: str) -> None:
        """Write a file, below folders that are made where they are missing."""
        self.run(f'mkdir -p "$(dirname {path})" && cat > {path}', text=text)

    def journal(self, unit: str = "rotator.service", fields: str = "") -> str:
        """Return what the journal has of a unit."""
        shown = f"-o {fields}" if fields else "-o cat"
        return self.told(f"journalctl --sync; journalctl -q --no-pager -u {unit} {shown}")

    def within(self, work: Callable[[], object]) -> None:
        """Call `work` in the machine's network: what it listens at is reached from there alone."""
        # The network is the thread's, and that of the threads that it starts.
        with ThreadPoolExecutor(max_workers=1) as threads:
            threads.submit(self._enter_network).result()
            threads.submit(work).result()

    def _enter_network(self) -> None:
        with Path(f"/proc/{self.leader}/ns/net").open() as network:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.setns(network.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "the machine's network cannot be entered")

    def close(self) -> None:
        """Stop it, and see that nothing of it is left."""
        leader = self.leader
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGKILL)
        if leader:
            with suppress(ProcessLookupError):
                os.kill(leader, signal.SIGKILL)
        self._process.wait(_PATIENCE)
        shutil.rmtree(f"/run/systemd/nspawn/propagate/{self._name}", ignore_errors=True)
        for group in self._groups:
            _remove(group)


#: Goes into control groups of its own, as two machines in one would take each other's processes.
_INTO_GROUPS = """
count=$1; shift
while [ "$count" -gt 0 ]; do echo $$ > "$1/cgroup.procs"; shift; count=$((count - 1)); done
exec "$@"
"""


def _control_groups(name: str) -> list[Path]:
    """Make a control group in each hierarchy that systemd uses."""
    groups = _groups(name)
    for group in groups:
        group.mkdir()
    return groups


def _groups(name: str) -> list[Path]:
    """Return a control group in each hierarchy that systemd uses, below this process's own."""
    root = Path("/sys/fs/cgroup")
    unified = root / "unified" if (root / "unified").is_dir() else root
    mounts = {"0": unified, "name=systemd": root / "systemd"}
    lines = [each.split(":", 2) for each in Path("/proc/self/cgroup").read_text().splitlines()]
    return [
        mounts[key] / path.lstrip("/") / name
        for number, names, path in lines
        if (key := names or number) in mounts
    ]


def _remove(group: Path) -> None:
    """Remove a control group with all below it, once what ran there has ended."""
    deadline = time.monotonic() + _PATIENCE
    while group.exists() and time.monotonic() < deadline:
        for folder, _, _ in os.walk(group, topdown=False):
            with suppress(OSError):
                os.rmdir(folder)  # noqa: PTH106  # the names that `walk` gives
        time.sleep(0.01)


def _entering(leader: int) -> list[str]:
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    clean = ["env", "-i", f"PATH={path}", "HOME=/root", "LANG=C.UTF-8", "SYSTEMD_PAGER="]
    return ["nsenter", "--target", str(leader), "--all", *clean]


def _checked_in() -> list[Path]:
    """List what there is of the project, without what was built or installed beside it."""
    ignored = {"build", "dist", "htmlcov"}
    return [path for path in ROOT.iterdir() if path.name[0] != "." and path.name not in ignored]


def base() -> Path:
    """Return the folder that machines are booted from; it is made where it is missing."""
    made_of = [_PACKAGES, *(path.read_text() for path in _LOCKS)]
    digest = hashlib.sha256("\0".join(made_of).encode()).hexdigest()[:12]
    made = ROOT / "build" / "machine" / digest
    made.parent.mkdir(parents=True, exist_ok=True)
    with wheels.locked(made.with_name("lock")):
        if not made.exists():
            draft = made.with_name("draft")
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir()
            _make(draft)
            draft.rename(made)
    return made


#: Installs Debian's packages below the folder $1, without what they recommend.
_ADD = """
set -e
mount -t proc proc "$1/proc"
cp --remove-destination /etc/resolv.conf "$1/etc/resolv.conf"
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
chroot "$1" apt-get update
chroot "$1" apt-get install --yes --no-install-recommends $2
chroot "$1" apt-get clean
chroot "$1" python3.11 -m venv /opt/rotator
"""


def _make(folder: Path) -> None:
    _call("tar", "--extract", f"--file={debian.base()}", f"--directory={folder}")
    adding = ("unshare", "--mount", "sh", "-c", _ADD, "sh")
    _call(*adding, str(folder), _PACKAGES)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    options = ["--require-hashes", "--no-deps", "--only-binary=:all:", "--python-version=3.11"]
    found = [wheels.locked_wheels("3.11"), wheels.building_wheels("3.11")]
    options += ["--no-index", *(f"--find-links={each}" for each in found)]
    locks = [f"--requirement={path}" for path in _LOCKS]
    _call(*pip, *options, *locks, f"--target={folder / _SITE_PACKAGES}")


def _call(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-2000:])
