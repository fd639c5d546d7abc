"""A real server, `bao` or `vault`, started for the tests."""

import json
import os
import random
import re
import socket
import subprocess
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
import requests

from tests.acceptance.service import until
from tests.contract import access
from tests.contract.server import MOUNTS, ROOT, Document, Server
from tests.support.vault_commands import vault_commands

#: The real servers to test against, by name; without any, the one to be skipped.
COMMANDS = vault_commands() or {"bao": ""}
REAL = [pytest.param(command, marks=pytest.mark.vault) for command in COMMANDS]
#: For what the simulator does not know: KV version 1, lists, logins, wrapping, namespaces, batch
#: tokens.
only_real = pytest.mark.parametrize("server", REAL, indirect=True)


@dataclass(frozen=True, kw_only=True)
class Namespace:
    """A namespace with a KV version 2 mount `secret` of its own."""

    url: str
    name: str
    token: str = field(repr=False)


class Real(Server):
    """A server in dev mode: in memory, on loopback, with one unseal key."""

    def __init__(self, command: str, directory: Path, certificate: Path) -> None:
        super().__init__()
        port, tls_port = free_ports()
        self.url, self.tls_url = f"http://127.0.0.1:{port}", f"https://127.0.0.1:{tls_port}"
        self._log = directory / "log"
        listener = {
            "address": f"127.0.0.1:{tls_port}",
            "tls_cert_file": str(certificate),
            "tls_key_file": str(certificate.with_suffix(".key")),
        }
        config: dict[str, Any] = {"listener": [{"tcp": listener}]}
        # Without it, OpenBao's audit devices are a matter of this file; Vault does not know it.
        config["unsafe_allow_api_audit_creation"] = True
        (directory / "config.json").write_text(json.dumps(config))
        options = [f"-dev-listen-address=127.0.0.1:{port}", f"-dev-root-token-id={ROOT}"]
        options.append("-config=config.json")
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [command, "server", "-dev", *options],
                # Nothing of the caller's BAO_ or VAULT_ settings, nor of its home.
                env={"HOME": str(directory), "PATH": os.environ["PATH"]},
                cwd=directory,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._wait()
        for mount, version in MOUNTS.items():
            if mount != "secret":
                self._mount(mount, version)

    def stop(self) -> None:
        """End this one process."""
        super().stop()
        self._process.terminate()
        self._process.wait(60)

    def _mount(self, mount: str, version: int, namespace: str = "") -> None:
        body = {"type": "kv", "options": {"version": str(version)}}
        self.call("POST", f"sys/mounts/{mount}", body, namespace)

    def policy(self, policies: Mapping[str, Sequence[str]], namespace: str = "") -> str:
        """Write a policy; give its name."""
        name = f"policy-{uuid.uuid4()}"
        rules = {path: {"capabilities": list(its)} for path, its in policies.items()}
        body = {"policy": json.dumps({"path": rules})}
        self.call("POST", f"sys/policies/acl/{name}", body, namespace)
        return name

    def open_namespace(self, policies: Mapping[str, Sequence[str]]) -> Namespace:
        """Make a namespace; Vault has none without a licence."""
        name = f"namespace-{uuid.uuid4()}"
        if self.call("POST", f"sys/namespaces/{name}") is None:
            pytest.skip("this server has no namespaces")
        self._mount("secret", 2, name)
        body = {"policies": [self.policy(policies, name)]}
        issued = self.call("POST", "auth/token/create", body, name)
        assert issued
        return Namespace(url=self.url, name=name, token=issued["auth"]["client_token"])

    @contextmanager
    def audited(self, path: Path) -> Iterator[None]:
        """Write the audit log to a file for the length of a `with` block."""
        name = f"sys/audit/{uuid.uuid4()}"
        self.call("POST", name, {"type": "file", "options": {"file_path": str(path)}})
        try:
            yield
        finally:
            self.call("DELETE", name)

    def issue_token(self, policies: Mapping[str, Sequence[str]], **terms: Any) -> str:  # noqa: ANN401  # JSON
        """Issue a token with a policy of its own; `terms` are fields of `auth/token/create`."""
        body = {"policies": [self.policy(policies)], **terms}
        issued = self.call("POST", "auth/token/create", body)
        assert issued
        return str(issued["auth"]["client_token"])

    def open_access(
        self, material: access.LoginMaterial, method: str, terms: access.Terms
    ) -> access.Access:
        """Let rotator in."""
        return access.of_real(self, material, method, terms)

    def limit_tokens(self, way_in: access.Access, seconds: int) -> None:
        """Change the role, which each renewal looks at."""
        body = {"token_ttl": seconds, "token_max_ttl": seconds}
        self.call("POST", f"auth/{way_in.auth_method.mount}/role/rotator", body)

    def want_no_secret_id(self, way_in: access.Access) -> None:
        """Change the role, which then has to name who may log in."""
        body = {"bind_secret_id": False, "token_bound_cidrs": ["127.0.0.1/32"]}
        self.call("POST", f"auth/{way_in.auth_method.mount}/role/rotator", body)

    def wrap_secret_id(self, way_in: access.Access) -> str:
        """Wrap a new secret id."""
        return self._wrapped(f"auth/{way_in.auth_method.mount}/role/rotator/secret-id", {})

    def wrap(self, data: Document) -> str:
        """Wrap anything."""
        return self._wrapped("sys/wrapping/wrap", data)

    def _wrapped(self, path: str, body: Document) -> str:
        headers = {"X-Vault-Token": ROOT, "X-Vault-Wrap-TTL": "300"}
        url = f"{self.url}/v1/{path}"
        answer = self._session.post(url, headers=headers, json=body, timeout=10)
        answer.raise_for_status()
        return str(answer.json()["wrap_info"]["token"])

    def revoke_token(self, token: str) -> None:
        """Revoke a token."""
        self.call("POST", "auth/token/revoke", {"token": token})

    def seal(self) -> None:
        """Seal."""
        self.call("POST", "sys/seal")

    def unseal(self) -> None:
        """Unseal with the key that the server prints half a second after it is ready."""
        line = re.compile(r"Unseal Key: (\S+)\n")
        until(lambda: line.search(self._log.read_text()))
        [key] = line.findall(self._log.read_text())
        self.call("POST", "sys/unseal", {"key": key})
        self._wait()

    def _wait(self) -> None:
        """Wait until the mounts are ready, which is a little later than the server."""
        deadline = monotonic() + 60
        while monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                self.call("GET", "secret/data/ready")
            except requests.RequestException:
                sleep(0.05)
            else:
                return
        raise RuntimeError(f"the server did not get ready:\n{self._log.read_text()}")


def free_ports() -> list[int]:
    """Return two free ports, from below those that the system gives out by itself.

    One of those might be another test's by the time that the server listens.
    """
    free: list[int] = []
    while len(free) < 2:
        port = random.SystemRandom().randrange(10_000, 32_768)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            free.append(port)
    return free
