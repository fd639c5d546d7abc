"""The age of secrets that rotator does not rotate, by the script that the page has for them."""

import os
import re
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.contract.real import COMMANDS

if TYPE_CHECKING:
    from tests.contract.server import Server

PAGE = (Path(__file__).parents[2] / "docs" / "other-secrets.md").read_text()
NAMES = ("voice-app", "signature")

pytestmark = pytest.mark.skipif(not shutil.which("jq"), reason="needs jq on PATH")


def block(language: str) -> str:
    """Return the page's only block in a language."""
    [found] = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def policy() -> dict[str, list[str]]:
    """Return the policy that the page shows."""
    [(path, granted)] = re.findall(r'path "(.*)" \{\s*capabilities = \[(.*)\]', block("hcl"))
    return {path: re.findall(r'"(\w+)"', granted)}


def newest(server: "Server", name: str) -> int:
    """Return when the newest version of a key was written, in seconds."""
    metadata = server.metadata(f"vonage-keys/{name}") or {}
    version = metadata["versions"][str(metadata["current_version"])]
    return int(datetime.fromisoformat(version["created_time"]).timestamp())


def run(server: "Server", folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Run the script as cron does, with a token of the page's policy; the file is in `folder`."""
    (folder / "vault").symlink_to(Path(command).resolve())
    token = server.issue_token(policy())
    (folder / "default").write_text(f"export VAULT_ADDR={server.url} VAULT_TOKEN={token}\n")
    script = block("sh").replace("/var/lib/prometheus/node-exporter", str(folder))
    script = script.replace("/etc/default/vonage-key-age", str(folder / "default"))
    program = folder / "vonage-key-age"
    program.write_text(script)
    program.chmod(0o700)
    return subprocess.run(
        [program],
        env={"PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_script_writes_when_each_key_was_written(
    original: "Server", request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """The newest version's time is written for each name, by metadata alone."""
    for name in NAMES:
        original.write(f"vonage-keys/{name}", {"value": "first"})
        original.write(f"vonage-keys/{name}", {"value": "second"})
    done = run(original, tmp_path, COMMANDS[request.node.callspec.params["original"]])

    assert (done.returncode, done.stderr) == (0, "")
    text = (tmp_path / "vonage-keys.prom").read_text()
    found = re.findall(
        r'^vonage_key_written_timestamp_seconds\{name="(.*)"\} (\d+)$', text, re.MULTILINE
    )
    assert found == [(name, str(newest(original, name))) for name in NAMES]


def test_the_script_writes_nothing_when_a_key_is_not_there(
    original: "Server", request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """An unknown age is no age: the file stays as it is, and the second alert fires."""
    original.forget("vonage-keys/signature")
    original.write("vonage-keys/voice-app", {"value": "first"})
    done = run(original, tmp_path, COMMANDS[request.node.callspec.params["original"]])

    assert done.returncode
    assert not (tmp_path / "vonage-keys.prom").exists()


@pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool on PATH")
def test_the_rules_are_such_as_prometheus_takes(tmp_path: Path) -> None:
    """Both rules parse."""
    rules = tmp_path / "rules.yml"
    rules.write_text(block("yaml"))
    command = ["promtool", "check", "rules", str(rules)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "2 rules found" in done.stdout
