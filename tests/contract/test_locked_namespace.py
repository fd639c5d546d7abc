"""A namespace that an administrator locked, or sealed, under the real commands."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.acceptance.service import until
from tests.contract.server import ROOT
from tests.contract.test_vault_policy import policy
from tests.support.cli_fixture import CliFixture
from tests.support.vault_commands import vault_commands

if TYPE_CHECKING:
    from tests.contract.real import Namespace, Real


class Office(CliFixture):
    """A desk whose Vault is one namespace of a real server."""

    server: "Real"
    space: "Namespace"

    def move(self, server: "Real") -> None:
        """Move into a new namespace of `server`, with README's policy."""
        self.server, self.space = server, server.open_namespace(policy())
        account = self.account
        text = self.text.replace(self.world.vault.url, server.url)
        text = text.replace("[vault]\n", f'[vault]\nnamespace = "{self.space.name}"\n')
        self.config.write_text(text.replace("[daemon]\n", '[daemon]\npoll = "1s"\n'))
        self.token_file.write_text(self.space.token)
        fields = {"api_key": account.api_key, "api_secret": account.api_secret}
        path = f"secret/data/{account.vault_path}"
        server.call("POST", path, {"data": fields}, self.space.name)
        for file in (self.token_file, self.ledger):
            file.chmod(0o600)

    def command(self, text: str) -> None:
        """Run a command that stands in a hint; `bao` has those of `vault`."""
        done = subprocess.run(
            [vault_commands()["bao"], *text.split()[1:]],
            env={"BAO_ADDR": self.server.url, "BAO_TOKEN": ROOT, "HOME": "/"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def lock(self) -> str:
        """Lock the namespace; return the key to unlock it with."""
        locked = self.server.call("PUT", f"sys/namespaces/api-lock/lock/{self.space.name}")
        assert locked
        return str(locked["unlock_key"])


@pytest.fixture
def office(original: "Real", tmp_path: Path, sqlite_template: Path) -> Iterator[Office]:
    """Provide one account in a namespace of its own."""
    with Office(tmp_path, ledger=sqlite_template) as office:
        office.move(original)
        yield office


def test_a_lock_is_named_by_every_command_and_undone_by_the_hint(office: Office) -> None:
    """A rotation stands still in the middle, nobody calls it a mount, and it is resumed."""
    keys: list[str] = []

    def lock(phase: str, exchange: Any) -> None:  # noqa: ANN401  # the simulator's
        if (phase, exchange.method) == ("after", "POST"):
            keys.append(office.lock())

    office.world.vonage.observers.append(lock)
    stopped = office.run("rotate-now", "--all", "--json")
    office.world.vonage.observers.clear()
    both = office.secret_ids()
    refused, looked = office.run("rotate-now", "--all"), office.run("status", "--refresh")
    examined = office.run("doctor", "--json")
    with office.started("run") as process:
        until(lambda: '"away"' in (office.folder / "err").read_text())
        process.send_signal(signal.SIGTERM)
    daemon = office.ended(process)
    [error] = [report["error"] for report in stopped.json()]
    command = error["hint"].split("`")[1]
    office.command(command.replace("KEY", keys[0]).replace("NAMESPACE", office.space.name))
    resumed = office.run("resume")

    assert [each.code for each in (stopped, refused, looked, examined)] == [1, 1, 1, 1]
    assert (error["code"], len(both)) == ("vault-sealed", 2)
    assert "the Vault namespace is locked" in error["message"]
    for told in (refused.err, looked.err, examined.out, daemon.err):
        assert "the Vault namespace is locked" in told
        assert error["hint"] in told
    assert daemon.err.count('"away"') == 1
    assert (resumed.code, office.secret_ids()) == (0, both[1:]), resumed


def test_a_sealed_namespace_is_no_missing_mount(office: Office) -> None:
    """It answers as if nothing were in it or all were denied, and still it is thought of."""
    office.command(f"bao namespace seal {office.space.name}")
    refused, examined = office.run("rotate-now", "--all"), office.run("doctor", "--json")

    assert (refused.code, examined.code) == (1, 1)
    assert "vault.namespace, which may be sealed" in refused.err
    rows = {row["check"]: row for row in examined.json()["checks"]}
    assert "the Vault namespace is sealed" in rows["vault login"]["finding"]
    assert "`bao namespace unseal NAMESPACE`" in rows["vault login"]["cure"]
