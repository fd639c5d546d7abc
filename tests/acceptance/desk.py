"""An operator's desk: simulated servers, a configuration for them, and the real command."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from rotator.sim import SimAccount, World
from tests.harness import leaks

ROOT = Path(__file__).parents[2]
#: Long enough for a loaded machine; nothing waits for it but a failure.
PATIENCE = 60
_ROTATE_NOW = "from rotator.cli.main import rotate_now; rotate_now()"


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    def json(self) -> Any:  # noqa: ANN401  # any document
        """Read standard output, which has to be one JSON document and nothing else."""
        return json.loads(self.out)


class Desk:
    """Runs commands against a world of its own, and sees to it that none shows a value."""

    def __init__(
        self,
        folder: Path,
        *,
        ledger: Path | None = None,
        policy: dict[str, Any] | None = None,
        **world: Any,  # noqa: ANN401  # of `World.build`
    ) -> None:
        """Start the servers and write a configuration into `folder`; `ledger` is copied."""
        self.world = World.build(**{"accounts": 1, "subaccounts": 0, **world})
        self.folder = folder
        self.ledger = folder / "ledger.db"
        if ledger:
            shutil.copy(ledger, self.ledger)
        self.config = folder / "config.toml"
        self.token_file = folder / "token"
        self.token_file.write_text(self.world.vault.issue_token())
        self.text = self.world.config(
            f"sqlite:///{self.ledger}", self.token_file, **{"grace": "0s", **(policy or {})}
        )
        self.config.write_text(self.text)

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the servers."""
        self.world.close()

    # -- Commands. -------------------------------------------------------------------------

    def run(self, *arguments: str, program: str = "rotator", **options: Any) -> Done:  # noqa: ANN401  # of `subprocess.run`
        """Run a command to its end."""
        with self.started(*arguments, program=program, **options) as process:
            pass
        return self.ended(process)

    def rotate(self, *arguments: str) -> Done:
        """Run `rotate-now`, which has to succeed."""
        done = self.run("rotate-now", *(arguments or ("--all",)))
        assert done.code == 0, done
        return done

    @contextmanager
    def started(
        self,
        *arguments: str,
        program: str = "rotator",
        text: str = "",
        **options: Any,  # noqa: ANN401  # of `subprocess.Popen`
    ) -> Iterator[subprocess.Popen[str]]:
        """Start a command; it is waited for at the end of the block. `text` is its input."""
        start = ["-m", "rotator"] if program == "rotator" else ["-c", _ROTATE_NOW]
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
        environment |= {"ROTATOR_CONFIG": str(self.config)}
        with ExitStack() as files:
            given, out, err = (
                files.enter_context((self.folder / name).open("w+"))
                for name in ("in", "out", "err")
            )
            given.write(text)
            given.seek(0)
            streams = {"stdin": given, "stdout": out, "stderr": err}
            process = subprocess.Popen(
                [sys.executable, *start, *arguments],
                text=True,
                **({"env": environment} | streams | options),
            )
        try:
            yield process
            process.wait(PATIENCE)
        finally:
            process.kill()
            process.wait()

    def ended(self, process: subprocess.Popen[str]) -> Done:
        """Give what an ended command left behind."""
        done = Done(
            code=process.returncode,
            out=(self.folder / "out").read_text(),
            err=(self.folder / "err").read_text(),
        )
        assert not leaks.found(self.values(), self.api_keys(), [done.out, done.err]), done
        assert "Traceback" not in done.err, done
        return done

    def signalled(
        self, signum: signal.Signals, when: Callable[[Any], bool], *arguments: str
    ) -> Done:
        """Run a command that is sent a signal when Vonage has got a request that `when` takes.

        The request is held until the command says that it stops.
        """
        sent: list[int] = []

        def send(phase: str, exchange: Any) -> None:  # noqa: ANN401  # the simulator's
            if phase == "before" and not sent and when(exchange):
                sent.append(process.pid)
                process.send_signal(signum)
                heard = time.monotonic() + PATIENCE / 2
                while "stopping" not in errors.read_text() and time.monotonic() < heard:
                    time.sleep(0.01)

        errors = self.folder / "err"
        with self.started(*arguments) as process:
            self.world.vonage.observers.append(send)
        self.world.vonage.observers.remove(send)
        assert sent, self.ended(process)
        return self.ended(process)

    # -- The world. ------------------------------------------------------------------------

    @property
    def account(self) -> SimAccount:
        """The first account."""
        return self.world.accounts[0]

    def values(self) -> list[str]:
        """Give every value that must not be seen."""
        state = self.world.vonage.state()["accounts"]
        values = [secret["value"] for account in state for secret in account["secrets"]]
        return [*values, self.token_file.read_text()]

    def api_keys(self) -> list[str]:
        """Give the api keys, which belong to credentials."""
        return [account.api_key for account in self.world.accounts]

    def secret_ids(self, account: SimAccount | None = None) -> list[str]:
        """Give the ids of the live secrets, the oldest first."""
        secrets = self.world.vonage.secrets((account or self.account).api_key)
        return [secret.id for secret in reversed(secrets)]

    def snapshot(self) -> tuple[Any, ...]:
        """Give all that a command could have changed at both servers."""
        return (
            self.world.vonage.state(),
            [self.world.vault.versions(account.vault_path) for account in self.world.accounts],
            [self.world.vault.versions(f"rotator/pending/{a.name}") for a in self.world.accounts],
        )

    def entry(self, **fields: Any) -> None:  # noqa: ANN401  # any JSON
        """Change fields of the first account's Vault entry by hand; None removes one."""
        entry = (self.world.vault.read(self.account.vault_path) or {}) | fields
        kept = {name: value for name, value in entry.items() if value is not None}
        self.world.vault.write(self.account.vault_path, kept)

    def sql(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Run one statement on the ledger's file."""
        with closing(sqlite3.connect(self.ledger)) as connection, connection:
            return connection.execute(statement, parameters).fetchall()
