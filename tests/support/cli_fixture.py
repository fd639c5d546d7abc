"""A fixture for the command line: simulated servers, a configuration, and the real command."""

import json
import os
import pty
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from rotator.sim import Environment, SimAccount
from tests.support import leaks
from tests.support.commands import ENVIRONMENT, Command, CommandSpec

#: Seconds; enough for a busy machine, and only a failure waits so long.
PATIENCE = 60
_ROTATE_NOW = "from rotator.cli.main import rotate_now; rotate_now()"


@dataclass(frozen=True, kw_only=True)
class CommandResult:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str

    def json(self) -> Any:  # noqa: ANN401  # any document
        """Parse standard output, which must be one JSON document and nothing else."""
        return json.loads(self.out)


class CliFixture:
    """Runs commands against its own simulators, and checks that none shows a secret value."""

    def __init__(
        self,
        folder: Path,
        *,
        ledger: Path | None = None,
        policy: dict[str, Any] | None = None,
        **world: Any,  # noqa: ANN401  # of `Environment.build`
    ) -> None:
        """Start the servers and write a configuration into `folder`; `ledger` is copied."""
        self.world = Environment.build(**{"accounts": 1, "subaccounts": 0, **world})
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
        self.environment = {**ENVIRONMENT, "ROTATOR_CONFIG": str(self.config)}

    def __enter__(self) -> Self:
        """Return self, for a `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the servers."""
        self.world.close()

    # -- Commands. -------------------------------------------------------------------------

    def run(
        self,
        *arguments: str,
        program: str = "rotator",
        text: str = "",
        environment: dict[str, str] | None = None,
    ) -> CommandResult:
        """Run a command to its end, with `text` as input and `environment` added to its own."""
        with self.started(
            *arguments, program=program, text=text, environment=environment
        ) as process:
            pass
        return self.ended(process)

    def run_anew(self, *arguments: str, program: str = "rotator", **options: Any) -> CommandResult:  # noqa: ANN401  # of `subprocess.Popen`
        """Run a command to its end in a new interpreter, for what only `Popen` can arrange."""
        with self.started_anew(*arguments, program=program, **options) as process:
            pass
        return self.ended(process)

    def answered(self, answer: str, *arguments: str) -> CommandResult:
        """Run a command at a terminal, and answer what it asks."""
        controller, terminal = pty.openpty()
        os.write(controller, answer.encode())
        done = self.run_anew(*arguments, stdin=terminal)
        os.close(controller)
        os.close(terminal)
        return done

    def rotate(self, *arguments: str) -> CommandResult:
        """Run `rotate-now`, which must succeed."""
        done = self.run("rotate-now", *(arguments or ("--all",)))
        assert done.code == 0, done
        return done

    @contextmanager
    def started(
        self,
        *arguments: str,
        program: str = "rotator",
        text: str = "",
        environment: dict[str, str] | None = None,
    ) -> Iterator[Command]:
        """Start a command, and wait for it at the end of the block."""
        given, out, err = (self.folder / name for name in ("in", "out", "err"))
        for path, content in ((given, text), (out, ""), (err, "")):
            path.write_text(content)
        process = Command(
            CommandSpec(
                arguments=arguments,
                program=program,
                environment=self.environment | (environment or {}),
                stdin=given,
                stdout=out,
                stderr=err,
            )
        )
        with _waited_for(process):
            yield process

    @contextmanager
    def started_anew(
        self,
        *arguments: str,
        program: str = "rotator",
        **options: Any,  # noqa: ANN401  # of `subprocess.Popen`
    ) -> Iterator[subprocess.Popen[str]]:
        """Start a command in a new interpreter, and wait for it at the end of the block."""
        start = ["-m", "rotator"] if program == "rotator" else ["-c", _ROTATE_NOW]
        with (self.folder / "out").open("w") as out, (self.folder / "err").open("w") as err:
            usual: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": out, "stderr": err}
            usual["env"] = self.environment
            process = subprocess.Popen(
                [sys.executable, *start, *arguments],
                text=True,
                **(usual | options),
            )
        with _waited_for(process):
            yield process

    def ended(self, process: Command | subprocess.Popen[str]) -> CommandResult:
        """Return the result of an ended command; fail if it shows a secret."""
        done = CommandResult(
            code=process.wait(),
            out=(self.folder / "out").read_text(),
            err=(self.folder / "err").read_text(),
        )
        assert not leaks.found(self.values(), self.api_keys(), [done.out, done.err]), done
        assert "Traceback" not in done.err, done
        return done

    def signalled(
        self, signum: signal.Signals, when: Callable[[Any], bool], *arguments: str
    ) -> CommandResult:
        """Run a command, and signal it once Vonage has received a request that `when` accepts.

        The request is held until the command reports that it stops.
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

    # -- The servers. ----------------------------------------------------------------------

    @property
    def account(self) -> SimAccount:
        """The first account."""
        return self.world.accounts[0]

    def values(self) -> list[str]:
        """Return every value that must not be shown."""
        state = self.world.vonage.state()["accounts"]
        values = [secret["value"] for account in state for secret in account["secrets"]]
        return [*values, self.token_file.read_text()]

    def api_keys(self) -> list[str]:
        """Return the API keys, which are part of credentials."""
        return [account.api_key for account in self.world.accounts]

    def secret_ids(self, account: SimAccount | None = None) -> list[str]:
        """Return the ids of the live secrets, the oldest first."""
        secrets = self.world.vonage.secrets((account or self.account).api_key)
        return [secret.id for secret in reversed(secrets)]

    def snapshot(self) -> tuple[Any, ...]:
        """Return everything that a command could have changed at both servers."""
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


@contextmanager
def _waited_for(process: Command | subprocess.Popen[str]) -> Iterator[None]:
    try:
        yield
        process.wait(PATIENCE)
    finally:
        process.kill()
        process.wait()
