"""The Debian package: built by Debian's tools, installed, upgraded, removed and purged."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.service import until
from tests.booted.host import UNIT, Host, host
from tests.booted.machine import CHECKOUT, Machine, why_not
from tests.booted.pages import shell
from tests.packages import debs
from tests.support.commands import ROOT

#: The first test to boot a machine downloads what it is made of.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
INSTALL = (ROOT / "docs" / "install.md").read_text()
_OLD = "/usr/local/bin/rotator"
_MIGRATION = '''
"""Of a later version."""

revision = "{later}"
down_revision = "{newest}"


def upgrade() -> None:
    """Change nothing."""
'''


@pytest.fixture
def package() -> Path:
    """Return the package of this checkout; it is built where it is missing or out of date."""
    if reason := debs.why_not():
        pytest.skip(reason)
    return debs.package()


def test_debian_s_checks_find_nothing_that_is_not_explained(package: Path) -> None:
    """Lintian has no error, warning or remark but those that the package explains."""
    if shutil.which("lintian") is None:
        pytest.skip("needs lintian")
    checking = ["lintian", "--no-cfg", "--allow-root", "--display-info", "--fail-on=info"]
    done = subprocess.run([*checking, str(package)], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "")


def later(package: Path, folder: Path) -> Path:
    """Return the package of a later version, whose ledger's schema has a revision more.

    The module that names the revision has the same length and time as before.
    """
    tree, built = folder / "tree", folder / "later.deb"
    subprocess.run(["dpkg-deb", "--raw-extract", str(package), str(tree)], check=True)
    control = tree / "DEBIAN" / "control"
    control.write_text(control.read_text().replace("\nVersion: ", "\nVersion: 1:"))
    [installed] = tree.glob("usr/lib/rotator/lib/python3*/site-packages/rotator")
    migrations = installed / "migrations" / "versions"
    newest = max(path.name.partition("_")[0] for path in migrations.glob("*.py"))
    revisions = {"newest": newest, "later": "9999"}
    (migrations / "9999_later.py").write_text(_MIGRATION.format(**revisions))
    schema = installed / "ledger" / "schema.py"
    text, times = schema.read_text(), schema.stat()
    assert f'HEAD = "{newest}"' in text
    schema.write_text(text.replace(f'HEAD = "{newest}"', 'HEAD = "9999"'))
    os.utime(schema, ns=(times.st_atime_ns, times.st_mtime_ns))
    building = ["dpkg-deb", "-Znone", "--root-owner-group", "--build"]
    subprocess.run([*building, str(tree), str(built)], check=True, capture_output=True)
    return built


@pytest.fixture
def bare(package: Path, tmp_path: Path) -> Iterator[Host]:
    """Yield a machine with the package and a later one in `/root`."""
    if reason := why_not():
        pytest.skip(reason)

    def bring(machine: Machine) -> None:
        shutil.copy(package, machine.path("/root/first.deb"))
        shutil.copy(later(package, tmp_path), machine.path("/root/later.deb"))

    with host(install=bring) as made:
        yield made
        made.check()


def history(host: Host) -> list[dict[str, object]]:
    """Return the entries of the ledger, oldest first."""
    lines = host.machine.told("rotator ledger export").splitlines()
    return [json.loads(line) for line in lines]


def test_it_is_installed_upgraded_removed_and_purged(bare: Host) -> None:
    """Nothing starts by itself; an upgrade goes on with the open rotation; the record stays.

    The upgrade restarts what runs, and has the ledger's schema upgraded. What a checkout has
    installed takes the package's place until it is removed as the page says.
    """
    machine = bare.machine
    machine.run(f"cp {CHECKOUT}/systemd/{UNIT} /etc/systemd/system; ln -s /bin/true {_OLD}")
    installed = machine.run("dpkg -i /root/first.deb")
    assert f"place of the package's: /etc/systemd/system/{UNIT}\n" in installed.stdout
    assert f"{_OLD} takes the place of /usr/bin/rotator" in installed.stdout
    removing, _, starting = shell(INSTALL, "Debian package")[1].strip().rpartition("\n")
    machine.run(removing)
    assert "rotator " in machine.told("cd / && rotator --version && rotate-now --help >/dev/null")
    assert machine.told("dpkg --verify rotator") == ""
    assert machine.told("dpkg-query -f '${Conffiles}' -W rotator").split()[0::3] == [
        "/etc/rotator/config.toml"
    ]
    for path in ("bash-completion/completions", "zsh/vendor-completions", "man/man1"):
        assert machine.told(f"ls -L /usr/share/{path} | grep -c rotat") == "2"
    machine.run("test -s $(sed -n 's/^#:schema //p' /etc/rotator/config.toml)")
    assert "accounts: none" in machine.run("rotator config check", check=False).stderr
    assert (bare.shows("UnitFileState"), bare.shows("ActiveState")) == ("disabled", "inactive")
    assert "/usr/lib/rotator/bin/rotator" in bare.shows("ExecStart")

    bare.set_up()
    bare.configure(grace="1d")
    machine.run("rotator config check && rotator doctor --json")
    machine.run(f"{starting}; systemctl enable --now rotator-rotate-now@account-1.timer")
    until(lambda: '"phase": "waiting"' in machine.told("rotator status --json"))
    before, pid = history(bare), bare.shows("MainPID")
    machine.run("dpkg -i /root/later.deb")
    assert bare.shows("ActiveState") == "active"
    assert bare.shows("MainPID") != pid
    assert "9999" in machine.told("rotator db current")
    assert history(bare)[: len(before)] == before
    machine.run("rotator rotate-now account-1 --grace 0s")
    bare.until_rotated()
    assert bare.made() == 1
    machine.run("rotator ledger verify")

    # As dpkg calls it at the end of another upgrade, here of a machine whose ledger is elsewhere.
    machine.run(f"systemctl stop {UNIT} && mv /var/lib/private/rotator /root/ledger")
    machine.run("/var/lib/dpkg/info/rotator.postinst configure 0.2.0-1")
    machine.run("mv /root/ledger /var/lib/private/rotator")
    assert (bare.shows("UnitFileState"), bare.shows("ActiveState")) == ("enabled", "inactive")

    machine.run(f"systemctl start {UNIT} && pgrep -x rotator && systemctl mask {UNIT}")
    machine.run("dpkg -r rotator")
    machine.run(f"systemctl unmask {UNIT}")
    assert bare.shows("LoadState") == "not-found"
    left = "pgrep -x rotator; systemctl list-unit-files --no-legend 'rotator*'"
    assert machine.run(f"{left}; find /etc/systemd -name 'rotator*'", check=False).stdout == ""
    machine.run("test -s /etc/rotator/vault-token && test -s /etc/rotator/config.toml")

    # As dpkg calls it after another installation has taken over.
    kept = machine.run(
        f"cp {CHECKOUT}/systemd/{UNIT} /etc/systemd/system && "
        "/var/lib/dpkg/info/rotator.postrm purge"
    ).stdout
    assert f"config.toml, as /etc/systemd/system/{UNIT} may use it\n" in kept
    machine.run(f"test -s /etc/rotator/vault-token && rm /etc/systemd/system/{UNIT}")

    purged = machine.run("dpkg -P rotator")
    assert "ledger is kept in /var/lib/rotator" in purged.stdout
    found = machine.told("find / -xdev -name 'rotat*' -not -path '/opt/*' -not -path '/usr/src/*'")
    assert set(found.split()) == {"/var/lib/rotator", "/var/lib/private/rotator"}
    machine.run("test -s /var/lib/rotator/ledger.db")
