"""The wheel, installed by each way of docs/install.md without root, and used from there."""

import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import wheels
from tests.support.commands import ROOT

#: The first of them downloads the wheels of the dependencies.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
#: The tests' own environment may be a virtual one, which is no place to make others from.
PYTHON = os.path.realpath(sys.executable)
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
TOOLS = Path(sys.executable).parent


@dataclass(frozen=True, kw_only=True)
class Installation:
    """A folder that rotator was installed below, and a shell in it."""

    folder: Path
    environment: Mapping[str, str]
    #: Folder of the man page.
    man: Path

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, far from the checkout."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, (command, done.stdout, done.stderr)
        return done


def made(folder: Path, man: Path, **environment: Path) -> Installation:
    """Return an installation yet to be made, whose commands are in `bin`."""
    folder.mkdir()
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    given = {key: str(value) for key, value in environment.items()}
    return Installation(
        folder=folder, man=man, environment={"PATH": path, "HOME": str(folder), **given}
    )


def by_pip(folder: Path, wheel: Path, house: Path) -> Installation:
    """Install into a virtual environment."""
    installation = made(folder, folder / "share" / "man")
    pip = (str(folder / "bin" / "pip"), "--disable-pip-version-check", "install", "--quiet")
    locked = ("--no-index", f"--find-links={house}", "--require-hashes")
    installation.run(PYTHON, "-m", "venv", str(folder))
    installation.run(*pip, *locked, f"--requirement={wheels.LOCK}")
    installation.run(*pip, "--no-deps", str(wheel))
    installation.run(str(folder / "bin" / "pip"), "check")
    return installation


def by_pipx(folder: Path, wheel: Path, house: Path) -> Installation:
    """Install with pipx."""
    man = folder / "man"
    installation = made(
        folder, man, PIPX_HOME=folder / "pipx", PIPX_BIN_DIR=folder / "bin", PIPX_MAN_DIR=man
    )
    installation.run(
        *(str(TOOLS / "pipx"), "install", f"--python={PYTHON}"),
        *(f"--pip-args=--no-index --find-links={house}", f"{wheel}[postgres]"),
    )
    return installation


def by_uv(folder: Path, wheel: Path, house: Path) -> Installation:
    """Install with uv."""
    installation = made(
        folder,
        folder / "tools" / "vonage-rotator" / "share" / "man",
        UV_TOOL_DIR=folder / "tools",
        UV_TOOL_BIN_DIR=folder / "bin",
        UV_CACHE_DIR=folder / "cache",
    )
    installation.run(
        *(str(TOOLS / "uv"), "tool", "install", f"--python={PYTHON}", "--no-index"),
        *(f"--find-links={house}", f"{wheel}[postgres]"),
    )
    return installation


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The wheel, built once for all of the tests' processes."""
    base = tmp_path_factory.getbasetemp()
    return wheels.own_wheel(base if worker_id == "master" else base.parent)


@pytest.mark.parametrize("install", [by_pip, by_pipx, by_uv])
def test_it_works_from_wherever_it_was_installed(
    tmp_path: Path, wheel: Path, install: Callable[[Path, Path, Path], Installation]
) -> None:
    """Its configuration, a whole rotation by its own simulators, its man page and completion."""
    installation = install(tmp_path / "there", wheel, wheels.locked_wheels(VERSION))
    run = installation.run
    run("rotator", "--config", "new.toml", "init")
    run("rotator", "--config", "new.toml", "config", "check")
    run("rotate-now", "--help")
    simulators = subprocess.Popen(
        ["rotator", "sim", "--accounts", "1", "--subaccounts", "0", "--write-config", "sim.toml"],
        cwd=installation.folder,
        env=installation.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    with simulators:
        try:
            assert simulators.stdout
            simulators.stdout.readline()
            rotated = run(
                "rotate-now", "--config", "sim.toml", "account-1", "--grace", "0s", "--json"
            )
            run("rotator", "--config", "sim.toml", "ledger", "verify")
            run("rotator", "--config", "sim.toml", "report", "--offline", "--output", "report.html")
        finally:
            simulators.terminate()
    asked = {"_ROTATOR_COMPLETE": "complete_bash", "COMP_WORDS": "rotator history "}
    asked |= {"COMP_CWORD": "2", "ROTATOR_CONFIG": "sim.toml"}
    completed = run("env", *(f"{key}={value}" for key, value in asked.items()), "rotator")
    text = (installation.folder / "sim.toml").read_text()
    postgresql = 'url = "postgresql+psycopg://x@127.0.0.1:1/x"'
    (installation.folder / "pg.toml").write_text(re.sub(r'url = "sqlite.*"', postgresql, text))
    unreachable = run("rotator", "--config", "pg.toml", "db", "current", check=False)

    assert [each["outcome"] for each in json.loads(rotated.stdout)] == ["completed"]
    assert (installation.folder / "report.html").stat().st_size
    assert (installation.man / "man1" / "rotator.1").read_text() == (
        ROOT / "docs" / "rotator.1"
    ).read_text()
    assert completed.stdout.split() == ["account-1"]
    assert "connection" in unreachable.stderr
    # A service cannot run what only this user may read, below /tmp.
    refused = run("rotator", "install-units", "--to", ".", check=False)
    assert refused.returncode == 2
    assert "the service could not run" in refused.stderr
    assert not list(installation.folder.glob("*.service"))


def test_the_wheel_has_what_its_commands_write(wheel: Path) -> None:
    """The units, as they are in the checkout, byte by byte."""
    shipped = [*(ROOT / "systemd").iterdir(), *(ROOT / "ops").glob("rotator-*.*")]
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if name.startswith("rotator/units/")}
        texts = {name: archive.read(name) for name in names}

    assert texts == {f"rotator/units/{path.name}": path.read_bytes() for path in shipped}
