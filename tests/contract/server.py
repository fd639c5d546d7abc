"""What the contract is tested against: a Vault that is looked at and changed from outside."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import requests

from rotator.sim import VaultSimulator
from tests.acceptance.service import until

#: OpenBao takes none that looks like its own, `hvs.…`.
ROOT = "root-of-the-tests"
Document = dict[str, Any]
#: KV mounts and their versions.
MOUNTS = {"secret": 2, "team/kv": 2, "team kv": 2, "plain": 1}
VERSIONED = [mount for mount, version in MOUNTS.items() if version == 2]


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
        """Issue a token that may do what `policies` say: capabilities by path pattern.

        `terms` are its `ttl` in seconds; on a real server, any field of `auth/token/create`.
        """

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
        self.url = self.vault.url

    def stop(self) -> None:
        """Close it."""
        super().stop()
        self.vault.close()

    def issue_token(self, policies: Mapping[str, Sequence[str]], **terms: Any) -> str:  # noqa: ANN401  # JSON
        """Issue a token."""
        return self.vault.issue_token(policies=policies, **terms)

    def revoke_token(self, token: str) -> None:
        """Revoke a token."""
        self.vault.revoke_token(token)

    def seal(self) -> None:
        """Seal."""
        self.vault.sealed = True

    def unseal(self) -> None:
        """Unseal."""
        self.vault.sealed = False
