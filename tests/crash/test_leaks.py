"""No secret value leaves Vault, Vonage and memory: everything else that exists is searched."""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotator.sim import Environment, Exchange, Fault, Phase
from tests.crash.killing import forms_of
from tests.support import figures

pytestmark = pytest.mark.crash

COMMANDS: list[list[str]] = [
    ["config", "show", "--json"],
    ["rotate-now", "--all", "--dry-run", "--json"],
    ["rotate-now", "--all", "--json"],
    ["status", "--refresh", "--json"],
    ["rotate-now", "--all", "--grace", "0s"],
    ["rotate-now", "--all", "--compromised", "--json"],
    ["resume", "--json"],
    ["secrets", "list", "account-1", "--json"],
    ["history", "--json"],
    ["ledger", "export"],
    ["ledger", "verify", "--json"],
]


#: What must have been searched, by a word in its name.
PLACES = (
    "stdout",
    "stderr",
    "ledger.db",
    "ledger.db-wal",
    "URLs",
    "environ",
    "cmdline",
    "export",
    "hook",
)


class Search:
    """Everything that a command shows or leaves behind, collected while it runs.

    Every file below the folder counts, but for the token's own. So whatever a command's
    children write there is searched, too.
    """

    def __init__(self, world: Environment, folder: Path) -> None:
        """Listen to both simulators."""
        self._world, self._folder = world, folder
        self.found: dict[str, bytes] = {}
        #: Every secret value that was ever in Vault, though Vonage never took it, with its key.
        self.stored: set[tuple[str, str]] = set()
        self._process: subprocess.Popen[bytes] | None = None
        for server in (world.vonage, world.vault):
            server.observers.append(self._look_at_processes)
            server.observers.append(self._look_into_vault)

    def run(self, *arguments: str) -> None:
        """Run a command with all its logs, and keep what it says."""
        command = [sys.executable, "-m", "rotator", "--config", str(self._folder / "config.toml")]
        self._process = subprocess.Popen(
            [*command, "--log-level", "debug", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        output, errors = self._process.communicate()
        self.found[f"{arguments} stdout"] = output
        self.found[f"{arguments} stderr"] = errors

    def everything(self) -> dict[str, bytes]:
        """Return all that was seen, with the files and the requests' URLs."""
        files = {
            path.name: path.read_bytes()
            for path in self._folder.rglob("*")
            if path.is_file() and path.name != "token"
        }
        exchanges = [*self._world.vonage.exchanges, *self._world.vault.exchanges]
        urls = json.dumps([[each.path, dict(each.query)] for each in exchanges])
        return self.found | files | {"URLs": urls.encode()}

    def values(self) -> set[tuple[str, str]]:
        """Return every value that was ever at Vonage or in Vault, each with its api key."""
        issued = {
            (account.api_key, secret.value)
            for account in self._world.accounts
            for secret in self._world.vonage.history(account.api_key)
        }
        return issued | self.stored

    def _look_at_processes(self, _phase: Phase, _exchange: Exchange) -> None:
        if self._process is None:
            return
        for pid in family(self._process.pid):
            # A process that leaves no core dump shows its environment to root alone.
            for name in ("cmdline", "environ") if os.geteuid() == 0 else ("cmdline",):
                self.found[f"{name} of {pid}"] = Path(f"/proc/{pid}/{name}").read_bytes()

    def _look_into_vault(self, _phase: Phase, _exchange: Exchange) -> None:
        for account in self._world.accounts:
            for path, field in (
                (account.vault_path, "api_secret"),
                (f"rotator/pending/{account.name}", "value"),
            ):
                entry = self._world.vault.read(path) or {}
                if field in entry:
                    self.stored.add((account.api_key, str(entry[field])))


def hook(folder: Path) -> str:
    """Configure a hook that leaves its environment, arguments and input in the folder."""
    script = f"{{ env; cat /proc/$$/cmdline; cat; }} >> {folder / 'hook'}"
    events = ["pushed", "completed", "failed", "refused", "drift"]
    command = ["/bin/sh", "-c", script]
    return f"\n[[hooks]]\non = {json.dumps(events)}\ncommand = {json.dumps(command)}\n"


def family(pid: int) -> Iterator[int]:
    """Yield a process and all that it started."""
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from family(int(child))


@pytest.mark.slow
def test_no_value_is_anywhere_but_at_vault_and_vonage(tmp_path: Path) -> None:
    """Values stay out of output, logs, ledger, WAL, exports, URLs, arguments, environment, hooks.

    Through rotations that succeed, lose answers, have values rejected and are refused.
    """
    with Environment.build(accounts=2, subaccounts=1) as world:
        token = world.vault.issue_token()
        (tmp_path / "token").write_text(token)
        url = f"sqlite:///{tmp_path / 'ledger.db'}"
        config = world.config(url, tmp_path / "token", grace="1h") + hook(tmp_path)
        (tmp_path / "config.toml").write_text(config)
        search = Search(world, tmp_path)
        secrets = "/secrets$"
        world.vonage.faults.add(Fault("status", method="POST", path=secrets, status=400))
        world.vonage.faults.add(Fault("drop-after", method="POST", path=secrets, nth=3))
        world.vonage.faults.add(Fault("garbage", method="GET", path=secrets, nth=5))
        world.vault.faults.add(Fault("drop-after", method="POST", path="/data/vonage/", nth=2))

        search.run("db", "upgrade")
        # The last process to close a ledger removes its write-ahead log: here that is this one.
        with contextlib.closing(sqlite3.connect(tmp_path / "ledger.db")) as connection:
            connection.execute("SELECT count(*) FROM account").fetchall()
            for command in COMMANDS:
                search.run(*command)
            everything = search.everything()
        values = search.values() | {("", token)}
        leaks = [
            (place, value)
            for place, text in everything.items()
            for api_key, value in values
            if any(form in text for form in forms_of(api_key, value))
        ]
        figures.keep(
            "leak test",
            "every command",
            {
                "values": len(values),
                "places": len(everything),
                "kilobytes": sum(map(len, everything.values())) // 1024,
                "found": len(leaks),
            },
        )

        issued = [world.vonage.history(account.api_key) for account in world.accounts]
        assert len(values) > sum(map(len, issued)) + 1
        assert [word for word in PLACES if not any(word in place for place in everything)] == []
        assert b"ROTATOR_EVENT=pushed" in everything["hook"]
        assert leaks == []


def test_what_a_command_starts_is_searched() -> None:
    """Children are looked at with their parent, so that a value in their environment is found."""
    script = "VALUE=found sh -c 'echo started; read line'; :"
    pipe = subprocess.PIPE
    with subprocess.Popen(["sh", "-c", script], stdin=pipe, stdout=pipe) as process:
        assert process.stdout
        process.stdout.readline()
        environs = [Path(f"/proc/{pid}/environ").read_bytes() for pid in family(process.pid)]
        process.communicate()

    assert [b"VALUE=found" in environ for environ in environs] == [False, True]
