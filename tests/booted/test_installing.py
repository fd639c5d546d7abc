"""What install.md says of pipx, uv and pip, typed on a machine: the service runs from there."""

import shutil
from pathlib import Path

import pytest

from tests.booted.host import UNIT, Host
from tests.booted.pages import INSTALL, OPERATIONS, shell
from tests.support import wheels

#: The first test to boot a machine downloads what it is made of.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
#: Of the machine's Debian.
PYTHON = "3.11"
#: What came with a release, and what pip downloaded.
RELEASE, TOOLS = "/root/release", "/root/tools"
DOWNLOAD, PIPX, UV, PIP, SERVICE, UPGRADE, NO_PIPX, NO_UV, NO_PIP = shell(INSTALL, "pipx or uv")
#: With pip alone everything is where a checkout is installed, which `test_operating` tries.
WAYS = {
    "pipx": (PIPX, NO_PIPX, "/opt/pipx/venvs/vonage-rotator/bin/rotator"),
    "uv": (UV, NO_UV, "/opt/uv/vonage-rotator/bin/rotator"),
}


def bring(host: Host, folder: Path) -> None:
    """Bring what is downloaded elsewhere, as the machine has no network; rotator is not there."""
    host.machine.run(f"rm -rf /opt/rotator && mkdir {RELEASE}")
    release = host.machine.path(RELEASE)
    shutil.copy(wheels.own_wheel(folder), release)
    shutil.copy(wheels.LOCK, release)
    shutil.copytree(wheels.locked_wheels(PYTHON), release / "wheels")
    shutil.copytree(wheels.tool_wheels(PYTHON), host.machine.path(TOOLS))


def type_in(host: Host, *commands: str) -> None:
    """Run a page's commands beside the release; pip has no index, but the two folders."""
    offline = f"export PIP_NO_INDEX=1 PIP_FIND_LINKS='{TOOLS} {RELEASE}/wheels'"
    for each in commands:
        host.machine.run(f"set -e\n{offline}\n{each}", folder=RELEASE)


@pytest.mark.parametrize("way", WAYS)
def test_a_service_runs_from_where_it_was_installed(bare: Host, tmp_path: Path, way: str) -> None:
    """Installed, enabled, upgraded and removed, by the page's commands: nothing of it is left."""
    machine = bare.machine
    install, remove, program = WAYS[way]
    bring(bare, tmp_path)
    machine.run(
        f"python3 -m venv /root/{way} && "
        f"/root/{way}/bin/pip install --quiet --no-index --find-links={TOOLS} {way} && "
        f"ln -s /root/{way}/bin/{way} /usr/local/bin/"
    )
    assert "pip download --require-hashes --no-deps -r requirements.lock -d wheels" in DOWNLOAD
    type_in(bare, install, SERVICE)
    machine.run("systemd-analyze verify /etc/systemd/system/rotator*.service")
    machine.write("/etc/rotator/vault-token", bare.world.vault.token)
    machine.run("chmod 0600 /etc/rotator/vault-token")
    bare.configure()
    machine.run(f"rotator config check && systemctl enable --now {UNIT}")
    bare.until_rotated()
    before = bare.shows("MainPID")

    assert f"path={program} " in bare.shows("ExecStart")
    doctor = machine.run("rotator doctor --all")
    assert f"{program} " in doctor.stdout
    assert "open to the service's user" in doctor.stdout
    machine.run("test -s /usr/local/share/man/man1/rotator.1")
    again = install.replace("pipx install", "pipx install --force")
    type_in(bare, again.replace("uv tool install", "uv tool install --force"), UPGRADE)
    assert bare.shows("ActiveState") == "active"
    assert bare.shows("MainPID") != before

    stop, forget = shell(OPERATIONS, "Uninstall")
    type_in(bare, stop, remove, forget)
    places = "/etc/rotator /etc/systemd /opt /var/lib /run /usr/local"
    # A lock of pipx's own stays.
    others = "-not -path '*/journal/*' -not -name .rotator.lock"
    left = machine.run(f"find {places} -name '*rotat*' {others}", check=False)
    assert left.stdout == ""


def test_units_are_refused_for_root_s_own_installation(bare: Host, tmp_path: Path) -> None:
    """What pipx, uv or pip has put into root's home works, but no service can run it."""
    bring(bare, tmp_path)
    there = "/root/.local/share/uv/tools/vonage-rotator"
    type_in(bare, PIP.replace("/opt/rotator", there))
    done = bare.machine.run("rotator install-units", check=False)

    assert done.returncode == 2
    assert (
        f"could not run {there}/bin/rotator: /root is hidden from the service's user" in done.stderr
    )
    assert "rotator" not in bare.machine.told("ls /etc/systemd/system")
    assert shell(INSTALL, "From a checkout")[2] == NO_PIP
