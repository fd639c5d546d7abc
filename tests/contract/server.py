"""What the contract is tested against: a Vault that is looked at and changed from outside."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import requests

from rotator.sim import VaultSimulator
from tests.acceptance.service import until
from tests.contract import access

#: OpenBao takes none that looks like its own, `hvs.…`.
ROOT = "root-of-the-tests"
Document = dict[str, Any]
#: KV mounts and their versions.
MOUNTS = {"secret": 2, "team/kv": 2, "team kv": 2, "plain": 1}
VERSIONED = [mount for mount, version in MOUNTS.items() if version == 2]


@dataclass(frozen=True, kw_only=True)
class Namespace:
    """A namespace with a KV version 2 mount `secret` of its own."""

    url: str
    name: str
    token: str = field(repr=False)


class Server(ABC):
    """A Vault with KV mounts: `secret`, `team/kv` and `team kv`; `plain` of version 1 if real."""

    url: str

    def __init__(self) -> None:
        self._session = requests.Session()
        self._session.trust_env = False

    def call(
        self, method: str, path: str, body: Document | None = None, namespace: str = ""
    ) -> Document | None:
        """Call the API as root; give what is in the answer, None where it is 404."""
        headers = {"X-Vault-Token": ROOT} | ({"X-Vault-Namespace": namespace} if namespace else {})
        answer = self._session.request(
            method, f"{self.url}/v1/{path}", headers=headers, json=body, timeout=10
        )
        if answer.status_code == 404:
            return None
        answer.raise_for_status()
        document: Document = answer.json() if answer.content else {}
        return document.get("data") or document

    def write(self, path: str, fields: Document) -> int:
        """Write as an outsider, without check-and-set; give the version."""
        written = self.call("POST", f"secret/data/{path}", {"data": fields})
        assert written
        return int(written["version"])

    def data(self, path: str, version: int = 0) -> Document | None:
        """Return an entry's data; None where there is none."""
        found = self.call("GET", f"secret/data/{path}?version={version}")
        return found and found["data"]

    def metadata(self, path: str) -> Document | None:
        """Return an entry's metadata; None where there is none."""
        return self.call("GET", f"secret/metadata/{path}")

    def forget(self, path: str) -> None:
        """Remove an entry as if it had never been."""
        self.call("DELETE", f"secret/metadata/{path}")

    def delete(self, path: str) -> None:
        """Soft-delete the newest version."""
        self.call("DELETE", f"secret/data/{path}")

    def destroy(self, path: str, *versions: int) -> None:
        """Destroy versions."""
        self.call("POST", f"secret/destroy/{path}", {"versions": versions})

    def stop(self) -> None:
        """Be of no more use."""
        self._session.close()

    @abstractmethod
    def issue_token(self, policies: Mapping[str, Sequence[str]], **terms: Any) -> str:  # noqa: ANN401  # JSON
        """Issue a token that may do what `policies` say: path patterns to capabilities.

        `terms` are `ttl` in seconds, and `type`.
        """

    @abstractmethod
    def open_namespace(self, policies: Mapping[str, Sequence[str]]) -> Namespace:
        """Make a namespace, with a token in it; skips the test where the server has none."""

    @abstractmethod
    def open_access(
        self, material: access.LoginMaterial, method: str, terms: access.Terms
    ) -> access.Access:
        """Let rotator in by an auth method that is mounted for this."""

    @abstractmethod
    def limit_tokens(self, way_in: access.Access, seconds: int) -> None:
        """Limit the life of an AppRole's tokens to `seconds`, of those already issued too."""

    @abstractmethod
    def want_no_secret_id(self, way_in: access.Access) -> None:
        """Make the role of an AppRole access accept its id alone."""

    @abstractmethod
    def wrap_secret_id(self, way_in: access.Access) -> str:
        """Wrap the secret id of an AppRole access; give the wrapping token."""

    @abstractmethod
    def wrap(self, data: Document) -> str:
        """Wrap anything, as anyone can; give the wrapping token."""

    @abstractmethod
    def revoke_token(self, token: str) -> None:
        """Revoke a token."""

    def let_end(self, token: str) -> None:
        """Let a token expire: its life is made a second long, and waited out.

        Were it issued so, it might end before it was of use.
        """
        url, headers = f"{self.url}/v1/auth/token", {"X-Vault-Token": token}
        shortened = self._session.post(
            f"{url}/renew-self", headers=headers, json={"increment": 1}, timeout=10
        )
        shortened.raise_for_status()
        until(
            lambda: (
                self._session.get(f"{url}/lookup-self", headers=headers, timeout=10).status_code
                == 403
            )
        )

    @abstractmethod
    def seal(self) -> None:
        """Seal."""

    @abstractmethod
    def unseal(self) -> None:
        """Unseal, and return when the mounts are ready."""


class Simulated(Server):
    """The simulator."""

    def __init__(self) -> None:
        super().__init__()
        self.vault = VaultSimulator(root_token=ROOT, mounts=VERSIONED).start()
        self._others: list[VaultSimulator] = []
        self.url = self.vault.url

    def stop(self) -> None:
        """Close it."""
        super().stop()
        for vault in (self.vault, *self._others):
            vault.close()

    def metadata(self, path: str) -> Document | None:
        """Return as much of an entry's metadata as is kept; None where there is none."""
        versions = {str(each.version): each.times() for each in self.vault.versions(path)}
        current = self.vault.current_version(path)
        return {"current_version": current, "versions": versions} if versions else None

    def forget(self, path: str) -> None:
        """Remove an entry."""
        self.vault._mounts["secret"].keys.pop(path, None)

    def issue_token(self, policies: Mapping[str, Sequence[str]], **terms: Any) -> str:  # noqa: ANN401  # JSON
        """Issue a token."""
        return self.vault.issue_token(policies=policies, **terms)

    def open_namespace(self, policies: Mapping[str, Sequence[str]]) -> Namespace:
        """Start a simulator that has one."""
        other = VaultSimulator(root_token=ROOT, mounts=VERSIONED, namespace="team/sms").start()
        self._others.append(other)
        return Namespace(url=other.url, name="team/sms", token=other.issue_token(policies=policies))

    def open_access(
        self, material: access.LoginMaterial, method: str, terms: access.Terms
    ) -> access.Access:
        """Let rotator in."""
        return access.of_simulator(self.vault, material, method, terms)

    def limit_tokens(self, way_in: access.Access, seconds: int) -> None:
        """Set the greatest age of those that it gave."""
        for token in self.vault._tokens._tokens.values():
            if token.path == f"auth/{way_in.auth_method.mount}/login":
                token.max_ttl = seconds

    def want_no_secret_id(self, way_in: access.Access) -> None:
        """Take whatever is shown."""
        method = self.vault._api.methods[way_in.auth_method.mount]
        method.logins[:] = [replace(login, proof={}) for login in method.logins]

    def wrap_secret_id(self, way_in: access.Access) -> str:
        """Wrap the secret id."""
        path = f"auth/{way_in.auth_method.mount}/role/rotator/secret-id"
        return self.vault.wrap({"secret_id": way_in.content}, path)

    def wrap(self, data: Document) -> str:
        """Wrap anything."""
        return self.vault.wrap(data, "sys/wrapping/wrap")

    def revoke_token(self, token: str) -> None:
        """Revoke a token."""
        self.vault.revoke_token(token)

    def seal(self) -> None:
        """Seal."""
        self.vault.sealed = True

    def unseal(self) -> None:
        """Unseal."""
        self.vault.sealed = False
