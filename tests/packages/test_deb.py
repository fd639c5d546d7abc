"""The Debian package: built by Debian's tools, installed, upgraded, removed and purged."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.service import until
from tests.booted.host import UNIT, Host, host
from tests.booted.machine import why_not
from tests.support.commands import ROOT

#: The first test to boot a machine downloads what it is made of.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
_TOOLS = ("/usr/bin/python3", "dpkg-buildpackage", "dh")
_BUILT = ROOT / "build" / "deb"
_SOURCES = ("rotator", "migrations", "ops", "systemd", "docs/rotator.1", "requirements.lock")
_CONFIG = "/etc/rotator/config.toml"
_MIGRATION = '''
"""Of a later version."""

revision = "9999"
down_revision = "{newest}"


def upgrade() -> None:
    """Change nothing."""
'''


@pytest.fixture(scope="module")
def package() -> Path:
    """Return the package of this checkout; it is built where it is older than that."""
    if missing := [each for each in _TOOLS if shutil.which(each) is None]:
        pytest.skip(f"needs {', '.join(missing)}")
    _BUILT.mkdir(parents=True, exist_ok=True)
    with (_BUILT / "test.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = sorted(_BUILT.glob("rotator_*-1_*.deb"), key=_changed)
        if not found or _changed(found[-1]) < max(map(_changed, _sources())):
            for old in found:
                old.unlink()
            build = [str(ROOT / "ops" / "debian" / "build")]
            environment = {**os.environ, "PYTHON": sys.executable}
            subprocess.run(build, env=environment, check=True)
            found = list(_BUILT.glob("rotator_*-1_*.deb"))
    return found[-1]


def _sources() -> Iterator[Path]:
    for each in map(ROOT.joinpath, _SOURCES):
        yield from each.rglob("*.*") if each.is_dir() else [each]


def _changed(path: Path) -> float:
    return path.stat().st_mtime


@pytest.fixture
def bare(package: Path) -> Iterator[Host]:
    """Yield a machine that has never had rotator, with the package in `/root`."""
    if reason := why_not():
        pytest.skip(reason)
    with host(installed=False) as made:
        shutil.copy(package, made.machine.path("/root/first.deb"))
        yield made
        made.check()


def test_debian_s_checks_find_nothing_that_is_not_explained(package: Path) -> None:
    """Neither an error nor a warning nor a remark of lintian, without one for this package."""
    if shutil.which("lintian") is None:
        pytest.skip("needs lintian")
    checking = ["lintian", "--info", "--display-info", "--allow-root", "--fail-on=info", "--no-cfg"]
    done = subprocess.run([*checking, package], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "")


def later(package: Path, folder: Path) -> Path:
    """Return the package of a later version, with another text at the same length and time.

    It has a migration more.
    """
    tree = folder / "tree"
    subprocess.run(["dpkg-deb", "--raw-extract", package, tree], check=True)
    control = tree / "DEBIAN" / "control"
    control.write_text(control.read_text().replace("Version: ", "Version: 1:"))
    [installed] = tree.glob("usr/lib/rotator/lib/python3*/site-packages/rotator")
    newest = max(path.name[:4] for path in installed.glob("migrations/versions/*.py"))
    migration = _MIGRATION.format(newest=newest)
    (installed / "migrations/versions/9999_later.py").write_text(migration)
    module = installed / "cli" / "commands" / "health.py"
    built = tree.with_suffix(".deb")
    subprocess.run(["dpkg-deb", "-Znone", "--root-owner-group", "-b", tree, built], check=True)
    return built
