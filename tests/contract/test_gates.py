"""The gate of the audit log, on the log of a real server, as a hook of the real command."""

import json
import shlex
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests.contract.real import Real
from tests.support.cli_fixture import CliFixture
from tests.support.commands import ROOT

READ = {"secret/data/vonage/*": ["read"]}


@dataclass(frozen=True, kw_only=True)
class Consumers:
    """Those that read one entry of a server, and the log in which they leave their traces."""

    server: Real
    path: str
    #: A pattern, of the log and of what was rotated out of it.
    log: str

    def read(self, token: str) -> None:
        """Read the entry, with a token."""
        url = f"{self.server.url}/v1/secret/data/{self.path}"
        answer = requests.get(url, headers={"X-Vault-Token": token}, timeout=10)
        answer.raise_for_status()

    def log_in(self) -> str:
        """Log in by AppRole, as an entity; give the token."""
        mount = f"auth/{uuid.uuid4()}"
        call = self.server.call
        call("POST", f"sys/{mount}", {"type": "approle"})
        call("POST", f"{mount}/role/sms", {"token_policies": [self.server.policy(READ)]})
        role, secret = (
            call("GET", f"{mount}/role/sms/role-id"),
            call("POST", f"{mount}/role/sms/secret-id", {}),
        )
        assert role
        assert secret
        issued = call(
            "POST",
            f"{mount}/login",
            {"role_id": role["role_id"], "secret_id": secret["secret_id"]},
        )
        assert issued
        return str(issued["auth"]["client_token"])


@pytest.fixture
def consumers(original: Real, cli: CliFixture, tmp_path: Path) -> Iterator[Consumers]:
    """Yield the consumers of the first account, asked for by a gate before each deletion."""
    # What is older than a day is in another file.
    (tmp_path / "audit.log.1").write_text('{"time":"2001-01-01T00:00:00Z"}\n')
    gate = tmp_path / "gate"
    words = [sys.executable, "-m", "rotator", "gate", "audit", f"{tmp_path}/audit.log*"]
    gate.write_text(f"#!/bin/sh\nPYTHONPATH={ROOT} exec {shlex.join(words)}\n")
    gate.chmod(0o700)
    hook = f'[[hooks]]\nname = "read"\non = ["gate"]\ncommand = ["{gate}"]\n'
    cli.config.write_text(f"{cli.config.read_text()}\n{hook}")
    [line] = [each for each in cli.config.read_text().splitlines() if "vault_path" in each]
    with original.audited(tmp_path / "audit.log"):
        yield Consumers(server=original, path=line.split('"')[1], log=str(tmp_path / "audit.log*"))


def test_the_old_secret_goes_once_every_reader_has_read_the_new_one(
    consumers: Consumers, cli: CliFixture
) -> None:
    """Those who logged in and those who have a token alone; rotator reads, too, and is neither."""
    names = {"role": consumers.log_in(), "token": consumers.server.issue_token(READ)}
    for token in names.values():
        consumers.read(token)
    waiting = cli.run("rotate-now", "account-1", "--json").json()
    (first,) = cli.run("status", "--json").json()["accounts"]
    consumers.read(names["role"])
    asked = cli.run("gate", "audit", consumers.log, "--account", "account-1")
    kept = len(cli.secret_ids())
    consumers.read(names["token"])
    resumed = cli.run("resume", "--json").json()
    answer = json.loads(asked.out)

    assert waiting[0]["outcome"] == "awaiting-deletion"
    assert "0 of 2 consumers use the new secret; not yet: " in first["gate"]["reason"]
    assert " sms " in first["gate"]["reason"]
    assert " token " in first["gate"]["reason"]
    assert asked.code == 1
    assert (answer["consumers"], answer["converged"]) == (2, 1)
    assert answer["behind"][0].startswith("token ")
    assert asked.err == f"{answer['reason']}\n"
    assert kept == 2
    assert resumed[0]["outcome"] == "completed"
    assert len(cli.secret_ids()) == 1


def test_nothing_goes_without_a_reader(consumers: Consumers, cli: CliFixture) -> None:
    """Whoever read the secret before the log begins is not in it."""
    waiting = cli.run("rotate-now", "account-1", "--json").json()
    (account,) = cli.run("status", "--json").json()["accounts"]
    consumers.read(consumers.log_in())
    resumed = cli.run("resume", "--json").json()

    assert {waiting[0]["outcome"], resumed[0]["outcome"]} == {"awaiting-deletion"}
    assert "no consumer has read an older version since" in account["gate"]["reason"]
    assert len(cli.secret_ids()) == 2
