"""No secret value leaves Vault, Vonage and memory: everything else that exists is searched."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rotator.sim import Exchange, Fault, Phase, World
from tests.crash.killing import forms_of

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


class Search:
    """Everything that a command shows or leaves behind, collected while it runs."""

    def __init__(self, world: World, folder: Path) -> None:
        """Listen to both simulators."""
        self._world, self._folder = world, folder
        self.found: dict[str, bytes] = {}
        self._process: subprocess.Popen[bytes] | None = None
        for server in (world.vonage, world.vault):
            server.observers.append(self._look_at_process)

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
        """Give all that was seen, with the files and the requests' URLs."""
        files = {
            path.name: path.read_bytes() for path in self._folder.iterdir() if path.name != "token"
        }
        exchanges = [*self._world.vonage.exchanges, *self._world.vault.exchanges]
        urls = json.dumps([[each.path, dict(each.query)] for each in exchanges])
        return self.found | files | {"URLs": urls.encode()}

    def _look_at_process(self, _phase: Phase, _exchange: Exchange) -> None:
        if self._process is None:
            return
        for name in ("cmdline", "environ"):
            place = Path(f"/proc/{self._process.pid}/{name}")
            self.found[f"{name} of {self._process.pid}"] = place.read_bytes()


def test_no_value_is_anywhere_but_at_vault_and_vonage(tmp_path: Path) -> None:
    """Values stay out of output, logs, ledger, WAL, exports, URLs, arguments and environment.

    Through rotations that succeed, lose answers, have values rejected and are refused.
    """
    with World.build(accounts=2, subaccounts=1) as world:
        (tmp_path / "token").write_text(world.vault.token)
        config = world.config(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path / "token", grace="1h")
        (tmp_path / "config.toml").write_text(config)
        search = Search(world, tmp_path)
        secrets = "/secrets$"
        world.vonage.faults.add(Fault("status", method="POST", path=secrets, status=400))
        world.vonage.faults.add(Fault("drop-after", method="POST", path=secrets, nth=3))
        world.vonage.faults.add(Fault("garbage", method="GET", path=secrets, nth=5))
        world.vault.faults.add(Fault("drop-after", method="POST", path="/data/vonage/", nth=2))

        for command in COMMANDS:
            search.run(*command)
        everything = search.everything()

        values = [
            (account.api_key, secret.value)
            for account in world.accounts
            for secret in world.vonage.history(account.api_key)
        ]
        leaks = [
            (place, value)
            for place, text in everything.items()
            for api_key, value in values
            if any(form in text for form in forms_of(api_key, value))
        ]
        assert len(values) > len(world.accounts)
        assert any(name.startswith("environ") for name in everything)
        assert leaks == []
