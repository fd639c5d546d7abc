"""A copy of the checkout, with an environment in which nothing but the copy is imported."""

import os
import shutil
import signal
import subprocess
import sysconfig
import tempfile
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from tests.mutants.patches import Mutant
from tests.support import memory

ROOT = Path(__file__).parents[2]
#: Imports what a mutant changes and prints where it was found.
_IMPORTING = """
import importlib, sys
for name in sys.argv[1:]:
    print(importlib.import_module(name).__file__)
"""


class NotMutated(Exception):
    """The mutant would not be what the tests run: its patch, its code or the copy is wrong."""


class Tree:
    """A copy of the checkout's files; `close` removes it.

    Its environment is its own as well, over the packages of the checkout's. So whatever a test
    starts, and with whichever variables, imports the copy's rotator and never the checkout's.
    """

    def __init__(self) -> None:
        """Copy what git tracks, and what is new and not ignored."""
        memory.use()
        # Not 0700: PostgreSQL's server runs as another user.
        self.root = Path(tempfile.mkdtemp(prefix="rotator-mutants-"))
        self.root.chmod(0o755)
        self._process: subprocess.Popen[bytes] | None = None
        for name in _files():
            if (ROOT / name).is_file():
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.root / name)
        self._make_environment()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @property
    def python(self) -> str:
        """The interpreter of its environment."""
        return str(self.root / ".venv" / "bin" / "python")

    @contextmanager
    def mutated(self, mutant: Mutant) -> Iterator[None]:
        """Apply a mutant for the length of a `with` block.

        Raises:
            NotMutated: it does not apply, or what it changes cannot be imported.
        """
        self._apply(mutant)
        try:
            self.check(mutant.files)
            yield
        finally:
            self._apply(mutant, "--reverse")

    def check(self, files: Sequence[str] = ()) -> None:
        """Check that the copy's rotator is imported, from anywhere and with no variable set.

        Raises:
            NotMutated: it is not, or one of `files` cannot be imported.
        """
        modules = ["rotator", *(_module(name) for name in files if name.startswith("rotator/"))]
        for name in files:
            try:
                compile((self.root / name).read_text(), name, "exec")
            except SyntaxError as error:
                raise NotMutated(str(error)) from error
        asked = subprocess.run(
            [self.python, "-c", _IMPORTING, *modules],
            cwd="/",
            env={},
            capture_output=True,
            text=True,
            check=False,
        )
        if asked.returncode:
            raise NotMutated(asked.stderr.strip().rpartition("\n")[2])
        for found in asked.stdout.splitlines():
            if not Path(found).is_relative_to(self.root):
                message = f"imported {found}, which is not in the copy"
                raise NotMutated(message)

    def run(self, arguments: Sequence[str], *, log: Path, timeout: float) -> int | None:
        """Run the copy's Python in its root; return the exit code, or None after `timeout`."""
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [self.python, *arguments],
                cwd=self.root,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        finally:
            self._end_process()

    def close(self) -> None:
        """End what runs in it, and remove it."""
        self._end_process()
        shutil.rmtree(self.root, ignore_errors=True)

    def _end_process(self) -> None:
        """End the process and what it has left behind."""
        if self._process:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _apply(self, mutant: Mutant, *options: str) -> None:
        """Apply or revert it; what was compiled before has the same date and size, perhaps."""
        applied = subprocess.run(
            ["git", "apply", *options, "-"],
            cwd=self.root,
            env={**os.environ, "GIT_CEILING_DIRECTORIES": str(self.root.parent)},
            input=mutant.diff,
            capture_output=True,
            text=True,
            check=False,
        )
        if applied.returncode:
            raise NotMutated(applied.stderr.strip())
        for name in mutant.files:
            path = self.root / name
            for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
                compiled.unlink()

    def _make_environment(self) -> None:
        """Make an environment that has every package and script of this one, but for rotator's.

        A path file's lines are searched in order, and the path files of a folder that one names are
        not read: so the checkout, which such a file adds to this environment, stays out.
        """
        folder, packages = self.root / ".venv", sysconfig.get_path("purelib")
        venv.EnvBuilder(symlinks=True).create(folder)
        library = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
        (library / "mutant.pth").write_text(f"{self.root}\n{packages}\n")
        for script in Path(sysconfig.get_path("scripts")).iterdir():
            copied = folder / "bin" / script.name
            if not copied.exists() and script.is_file():
                _copy_script(script, copied, self.python)


def _copy_script(script: Path, copied: Path, python: str) -> None:
    first, _, rest = script.read_bytes().partition(b"\n")
    if first.startswith(f"#!{script.parent}/python".encode()):
        copied.write_bytes(f"#!{python}\n".encode() + rest)
        copied.chmod(0o755)
    else:
        copied.symlink_to(script)


def _files() -> list[str]:
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    output = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True).stdout
    return output.decode().rstrip("\0").split("\0")


def _environment() -> dict[str, str]:
    """Return this process's variables without what would lead to the checkout, or change pytest."""
    scripts = sysconfig.get_path("scripts")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "PYTEST", "COV", "VIRTUAL_ENV"))
    }
    path = kept.get("PATH", os.defpath).split(os.pathsep)
    return {**kept, "PATH": os.pathsep.join(part for part in path if part != scripts)}


def _module(name: str) -> str:
    return name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
