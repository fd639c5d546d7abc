"""`install-units`: systemd's units, for the installation that the command belongs to."""

import os
import stat
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from rotator.cli import main, units
from rotator.cli.commands import install_units
from rotator.doctor import access, systemd
from tests.acceptance.test_systemd import needs_systemd
from tests.support.commands import ROOT

if TYPE_CHECKING:
    from rotator.application import Application

SHIPPED = [*(ROOT / "systemd").iterdir(), *(ROOT / "ops").glob("rotator-*.*")]


class Place:
    """An installation that everyone may read, and a folder for its units."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Make a program that everyone may run."""
        self.folder = folder
        self.program = folder / "rotator" / "bin" / "rotator"
        self.program.parent.mkdir(parents=True)
        self.program.write_text("#!/bin/sh\n")
        self.units = folder / "units"
        self.units.mkdir()
        for path in folder, *folder.rglob("*"):
            path.chmod(0o755)
        self._capsys = capsys

    def install(self, *more: str) -> tuple[int, str, str]:
        """Run the command; return its exit code and what it printed."""
        code = main.run("rotator", ["install-units", "--to", str(self.units), *more])
        shown = self._capsys.readouterr()
        return code, shown.out, shown.err

    def texts(self) -> Mapping[str, str]:
        """Return what is in the folder."""
        return {path.name: path.read_text() for path in self.units.iterdir()}


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Place]:
    """An installation that the units see, though it is below /tmp."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        made = Place(Path(name), capsys)
        monkeypatch.setattr(access, "HIDING", {"ProtectHome": (f"{name}/home",)})
        monkeypatch.setattr(systemd, "own_program", lambda: made.program)
        monkeypatch.setattr(sysconfig, "get_path", lambda _: f"{name}/rotator")
        monkeypatch.setattr(install_units, "PACKAGE", made.folder / "rotator")
        yield made


@needs_systemd
def test_the_units_run_this_installation(place: Place) -> None:
    """All that come with rotator, under any umask readable, and such as systemd takes."""
    before = os.umask(0o077)
    code, out, err = place.install()
    os.umask(before)
    services = [str(place.units / path.name) for path in SHIPPED if "@" not in path.name]
    verified = subprocess.run(
        ["systemd-analyze", "verify", *services], capture_output=True, text=True, check=False
    )

    assert (code, err) == (0, "")
    assert out == f"wrote {len(SHIPPED)} units to {place.units}, which run {place.program}\n"
    assert {path.name for path in SHIPPED} == set(place.texts())
    assert {stat.S_IMODE(path.stat().st_mode) for path in place.units.iterdir()} == {0o644}
    for path in SHIPPED:
        wanted = path.read_text().replace("/opt/rotator/bin/rotator", str(place.program))
        assert place.texts()[path.name].startswith(wanted)
    assert (verified.returncode, verified.stderr) == (0, "")


def test_a_second_time_nothing_is_written(place: Place) -> None:
    """What is there is told of as up to date."""
    place.install()
    before = {path: path.stat().st_ino for path in place.units.iterdir()}
    code, out, _ = place.install()

    assert (code, out) == (
        0,
        f"the units in {place.units} are up to date, and run {place.program}\n",
    )
    assert before == {path: path.stat().st_ino for path in place.units.iterdir()}


def test_units_of_another_version_are_replaced(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they were written by rotator, nothing of an operator's is in them."""
    read = units.units
    monkeypatch.setattr(units, "units", lambda _: read(Path("/usr/local/old/rotator")))
    place.install()
    monkeypatch.setattr(units, "units", read)
    code, _, _ = place.install()

    assert code == 0
    assert "/usr/local/old" not in "".join(place.texts().values())


def test_a_unit_that_was_changed_by_hand_is_refused(place: Place) -> None:
    """What differs is shown, but no value that may be a secret; nothing at all is written."""
    place.install()
    daemon, timed = place.units / "rotator.service", place.units / "rotator-rotate-now@.service"
    token = "Environment=VAULT_TOKEN=hvs.Secret\n"
    text = daemon.read_text().replace("WatchdogSec=3min\n", f"WatchdogSec=9min\n{token}")
    daemon.write_text(text)
    timed.unlink()
    code, out, err = place.install()

    assert code == 3
    assert out == (f"{daemon}:\n-WatchdogSec=9min\n-Environment=…\n+WatchdogSec=3min\n")
    assert "rotator.service; nothing was written" in err
    assert "hint: " in err
    assert daemon.read_text() == text
    assert not timed.exists()
    forced, _, _ = place.install("--force")
    assert forced == 0
    assert "9min" not in daemon.read_text()
    assert timed.exists()


def test_a_masked_unit_stays_masked(place: Place) -> None:
    """It is refused; with --force its link is replaced, and what it leads to is not written to."""
    place.install()
    masked = place.units / "rotator.service"
    masked.unlink()
    masked.symlink_to("/dev/null")
    code, out, _ = place.install()

    assert (code, out) == (3, f"{masked}:\nmasked\n")
    assert masked.is_symlink()
    assert place.install("--force")[0] == 0
    assert not masked.is_symlink()


def test_units_that_were_copied_from_the_checkout_are_taken_over(place: Place) -> None:
    """The same text without the line that this command adds is nobody's change."""
    for path in SHIPPED:
        text = path.read_text().replace("/opt/rotator/bin/rotator", str(place.program))
        (place.units / path.name).write_text(text)
    code, _, _ = place.install()

    assert code == 0
    assert all(map(units.is_own, place.texts().values()))


def test_drop_ins_stay(place: Place) -> None:
    """They are named, and neither read nor changed."""
    own = place.units / "rotator.service.d" / "credentials.conf"
    own.parent.mkdir()
    own.write_text("[Service]\nLoadCredential=\n")
    code, out, _ = place.install("--force")

    assert code == 0
    assert out.endswith("\nkept rotator.service.d/credentials.conf\n")
    assert own.read_text() == "[Service]\nLoadCredential=\n"


def test_where_one_cannot_be_written_none_is(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up at the fifth leaves the folder as it was."""
    write, written = Path.write_text, []

    def full(path: Path, text: str, **options: str) -> int:
        written.append(path)
        if len(written) > 4:
            raise OSError(28, "No space left on device")
        return write(path, text, **options)

    monkeypatch.setattr(Path, "write_text", full)
    code, out, err = place.install()

    assert (code, out) == (2, "")
    assert err.startswith(f"error: {place.units} cannot be written to: no space left on device\n")
    assert list(place.units.iterdir()) == []


def test_a_folder_that_is_not_there_is_bad_usage(place: Place) -> None:
    """It is named, and not made."""
    place.units.rmdir()
    code, _, err = place.install()

    assert code == 2
    assert err.startswith(f"error: {place.units} is not a folder\nhint: ")


# -- Installations that the service could not run. -----------------------------------------


def refused(place: Place) -> str:
    """Install; return the error, after seeing that nothing was written."""
    code, out, err = place.install()

    assert (code, out) == (2, "")
    assert list(place.units.iterdir()) == []
    assert "\nhint: " in err
    return err


def test_an_installation_in_a_home_is_refused(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The units see no home, whatever its mode."""
    monkeypatch.setattr(access, "HIDING", {"ProtectHome": (str(place.program.parents[1]),)})

    assert f"could not run {place.program}: {place.program.parents[1]} is hidden" in refused(place)


@pytest.mark.parametrize(
    "target",
    [
        "home/python3.13",  # as one that uv keeps for root
        "link/python3.13",  # in a folder by another name
        "home/python",  # by a link that leads out again
    ],
)
def test_an_interpreter_in_a_home_is_refused(place: Place, target: str) -> None:
    """A virtual environment needs it, and every link on the way to it."""
    home = place.folder / "home"
    for folder in home, place.folder / "elsewhere":
        folder.mkdir(mode=0o755)
        (folder / "python3.13").touch(mode=0o755)
    (place.folder / "link").symlink_to(home)
    (home / "python").symlink_to(place.folder / "elsewhere" / "python3.13")
    place.program.with_name("python").symlink_to(place.folder / target)

    assert f"python3.13: {home} is hidden from the service's user" in refused(place)


def test_modules_in_a_home_are_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of an editable installation, and the library of an interpreter that was copied."""
    home = place.folder / "home"
    (home / "rotator").mkdir(mode=0o755, parents=True)
    hidden = f"could not read {home / 'rotator'}: {home} is hidden from the service's user"
    with monkeypatch.context() as patch:
        patch.setattr(install_units, "PACKAGE", home / "rotator")
        assert hidden in refused(place)

    paths = {"stdlib": str(home / "rotator")}
    other = str(place.folder / "rotator")
    monkeypatch.setattr(sysconfig, "get_path", lambda name: paths.get(name, other))
    assert hidden in refused(place)


@pytest.mark.parametrize("closed", ["rotator", "rotator/bin/rotator", "rotator/lib/module.py"])
def test_an_installation_of_a_closed_umask_is_refused(place: Place, closed: str) -> None:
    """The program, its folders and its modules are read by a user that owns none of them."""
    module = place.folder / "rotator" / "lib" / "module.py"
    module.parent.mkdir(mode=0o755)
    module.touch(mode=0o644)
    (place.folder / closed).chmod(0o750)

    error = refused(place)
    assert f"{place.folder / closed} is closed to the service's user" in error
    assert "chmod" in error


def test_an_installation_without_the_command_is_refused(place: Place) -> None:
    """Such as a checkout that `python -m rotator` runs from."""
    place.program.unlink()

    assert f"error: {place.program} is not there" in refused(place)


def test_a_path_that_systemd_would_read_otherwise_is_refused(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spaces and percent signs mean something in a unit."""
    program = place.program.with_name("rota tor")
    program.touch(mode=0o755)
    monkeypatch.setattr(systemd, "own_program", lambda: program)

    assert "characters that systemd reads otherwise" in refused(place)


# -- Beside a package. ---------------------------------------------------------------------


def test_units_of_a_package_are_not_hidden(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a package brought its own, the operator's folder is left alone."""
    (place.folder / "lib").mkdir()
    (place.folder / "lib" / systemd.UNIT).touch()
    monkeypatch.setattr(systemd, "PACKAGED", (place.folder / "lib",))
    monkeypatch.setattr(install_units, "UNIT_FOLDER", place.units)
    code, _, err = place.install()

    assert code == 3
    assert f"a package brought {place.folder}/lib/{systemd.UNIT}" in err
    assert list(place.units.iterdir()) == []


def test_what_comes_next_is_said(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first time the daemon is enabled, later what runs is restarted."""
    monkeypatch.setattr(systemd, "PACKAGED", ())
    monkeypatch.setattr(install_units, "UNIT_FOLDER", place.units)
    _, first, _ = place.install()
    (place.units / "rotator-reload@.path").unlink()
    _, later, _ = place.install()

    assert first.endswith(
        "then:\n  systemctl daemon-reload\n  systemctl enable --now rotator.service\n"
    )
    assert later.endswith(
        "then:\n  systemctl daemon-reload\n  systemctl try-restart rotator.service\n"
    )


# -- What `rotator doctor` sees of them. ---------------------------------------------------


def findings(monkeypatch: pytest.MonkeyPatch, **shown: str) -> list[tuple[str, str]]:
    """Return what doctor finds of a unit that runs: verdict and finding, but for its state."""
    found = {"LoadState": "loaded", "ActiveState": "active", "SubState": "running", **shown}
    monkeypatch.setattr(systemd, "unit_properties", lambda: found)
    *checks, _state = systemd.checks(cast("Application", None), expects_daemon=True)
    return [(check.verdict.value, check.finding) for check in checks]


def test_doctor_warns_of_a_unit_of_another_installation(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link to this one is this one."""
    other, link = place.folder / "other", place.folder / "link"
    link.symlink_to(place.program)

    assert findings(monkeypatch, ExecStart=f"{{ path={link} ; argv[]=x }}") == []
    assert findings(monkeypatch, ExecStart=f"{{ path={other} ; argv[]=x }}") == [
        ("warning", f"it runs {other}, and this is {place.program}")
    ]


def test_doctor_warns_of_a_unit_that_hides_a_package_s(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And of one that systemd has not read again."""
    package = place.folder / systemd.UNIT
    package.touch()
    monkeypatch.setattr(systemd, "PACKAGED", (place.folder,))
    own = f"/etc/systemd/system/{systemd.UNIT}"

    assert findings(monkeypatch, FragmentPath=own, NeedDaemonReload="no") == [
        ("warning", f"{own} hides the package's {package}")
    ]
    assert findings(monkeypatch, FragmentPath=str(package), NeedDaemonReload="yes") == [
        ("warning", "it was changed since systemd read it")
    ]


def test_doctor_finds_a_program_that_the_unit_does_not_see(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a home, or with an interpreter there; unless the unit's homes are open."""
    home = place.folder / "home"
    home.mkdir(mode=0o755)
    (home / "python3").touch(mode=0o755)
    place.program.with_name("python").symlink_to(home / "python3")
    monkeypatch.setattr(systemd, "HIDING", access.HIDING)
    shown = {"DynamicUser": "yes", "ExecStart": f"{{ path={place.program} ; argv[]=x }}"}

    assert findings(monkeypatch, ProtectHome="yes", **shown) == [
        ("failed", f"{home} is hidden from the service's user")
    ]
    assert findings(monkeypatch, ProtectHome="no", **shown) == [
        ("ok", "open to the service's user")
    ]
