"""The daemon as a real process, in a world of its own."""

import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from rotator.ledger.database import open_database
from rotator.ledger.reader import LedgerReader
from rotator.rotation.ports import AccountSummary
from rotator.sim import Environment
from tests.support import leaks
from tests.support.commands import ENVIRONMENT, Command, CommandSpec
from tests.support.seeded_ledger import end_graces

#: Long enough for a loaded machine, and for the minute that rotator itself waits for Vault; nothing
#: waits for it but a failure.
PATIENCE = 110.0
#: Older than a policy of 30 days allows.
OLD = timedelta(days=40)


def until(
    condition: Callable[[], object], *, seconds: float = PATIENCE, pause: float = 0.05
) -> None:
    """Wait for what a process brings about by itself."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(pause)


def get(url: str, **options: Any) -> httpx.Response:  # noqa: ANN401  # of `httpx.get`
    """Ask a daemon, which on a busy machine may take its time."""
    return httpx.get(url, timeout=PATIENCE, **options)


@dataclass
class Service:
    """A configuration, a ledger, and daemons on them."""

    world: Environment
    folder: Path
    ledger_url: str
    #: The daemon's own lines of the configuration, besides that it polls every second.
    daemon: str = 'listen = ""'
    processes: list[Command] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Write the configuration; it polls every second."""
        self.config = self.folder / "config.toml"
        self.log = self.folder / "log"
        self.token_file = self.folder / "token"
        self.token_file.write_text(self.world.vault.token)
        self.log.touch()
        self.configure(grace="0s", jitter="0s")
        self.database = open_database(self.ledger_url)
        self.queries = LedgerReader(self.database)

    def configure(self, **policy: str) -> None:
        """Write the configuration anew."""
        text = self.world.config(self.ledger_url, self.token_file, **policy)  # type: ignore[arg-type]
        self.config.write_text(text.replace('listen = ""', f'poll = "1s"\n{self.daemon}'))

    def start(self, first: Callable[[], None] | None = None, **environment: str) -> Command:
        """Start a daemon, whose process calls `first` first."""
        process = Command(
            CommandSpec(
                arguments=("--config", str(self.config), "run"),
                environment={**ENVIRONMENT, **environment},
                stdout=self.log,
                stderr=self.log,
                first=first,
            )
        )
        self.processes.append(process)
        return process

    def stop(self, process: Command) -> int:
        """Ask a daemon to end; give its exit code."""
        process.send_signal(signal.SIGTERM)
        return process.wait(PATIENCE)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command beside the daemons."""
        out, err = (self.folder / name for name in ("out", "err"))
        for path in (out, err):
            path.write_text("")
        asked = ("--config", str(self.config), *arguments)
        process = Command(CommandSpec(arguments=asked, stdout=out, stderr=err))
        try:
            code = process.wait(PATIENCE)
        finally:
            process.kill()
        return subprocess.CompletedProcess(asked, code, out.read_text(), err.read_text())

    # -- What there is to see. -------------------------------------------------------------

    def records(self) -> list[AccountSummary]:
        """Return the summary of every account in the ledger."""
        return self.queries.accounts([account.name for account in self.world.accounts])

    def outcomes(self) -> dict[str, int]:
        """Count how the last rotations of all accounts ended; `None` for not yet."""
        found = [record.last_rotation for record in self.records()]
        words = [str(last.outcome if last else None) for last in found]
        return {word: words.count(word) for word in words}

    def are_done(self) -> bool:
        """Whether every account was rotated, to its end."""
        return self.outcomes() == {"completed": len(self.world.accounts)}

    def made(self) -> dict[str, int]:
        """Count the secrets that each account ever had, its first one left out."""
        accounts = self.world.accounts
        return {each.name: len(self.world.vonage.history(each.api_key)) - 1 for each in accounts}

    def end_graces(self) -> None:
        """Let every grace be over, as if it had begun long ago."""
        end_graces(self.database)

    def url(self) -> str:
        """Wait for the daemon that was started last to serve; give where."""
        until(lambda: self.logged('"serving"') == len(self.processes))
        return str(re.findall(r'"url": "([^"]*)"', self.log.read_text())[-1])

    def logged(self, text: str) -> int:
        """Count the lines of the log that hold `text`."""
        return sum(text in line for line in self.log.read_text().splitlines())

    def check(self) -> None:
        """See that no rule is broken and no value shown."""
        accounts = self.world.accounts
        values = [
            secret.value
            for account in accounts
            for secret in self.world.vonage.history(account.api_key)
        ]
        text = self.log.read_text()
        assert not self.world.violations()
        assert not leaks.found(values, [each.api_key for each in accounts], [text])
        assert "Traceback" not in text
        assert "unexpected" not in text, text


@contextmanager
def service(
    world: Environment, folder: Path, ledger_url: str, daemon: str = 'listen = ""'
) -> Iterator[Service]:
    """Yield a service for the length of a `with` block; all that it started is ended with it."""
    with world:
        made = Service(world, folder, ledger_url, daemon)
        try:
            yield made
            made.check()
        finally:
            for process in made.processes:
                process.kill()
                process.wait()
            made.database.dispose()


Build = Callable[..., Service]


@contextmanager
def building(folder: Path, ledger_url: str, daemon: str = 'listen = ""') -> Iterator[Build]:
    """Yield a builder of a world with one due account, and of a service in it."""
    with ExitStack() as stack:

        def build(*, daemon: str = daemon, age: timedelta = OLD, **world: Any) -> Service:  # noqa: ANN401  # of `Environment.build`
            arguments = {"accounts": 1, "subaccounts": 0, **world}
            built = Environment.build(**arguments, created_at=datetime.now(UTC) - age)
            return stack.enter_context(service(built, folder, ledger_url, daemon))

        yield build
