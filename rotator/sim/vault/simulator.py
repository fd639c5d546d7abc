"""The Vault simulator: its API, and what is seen and changed of it from outside."""

import copy
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from rotator.sim.clock import Clock
from rotator.sim.vault.api import Login, VaultApi
from rotator.sim.vault.kv import Key, Mount, SimVersion
from rotator.sim.vault.tokens import Policy

_EVERYTHING = ("create", "read", "update", "delete", "list")


class VaultSimulator(VaultApi):
    """A simulated Vault with KV version 2 mounts, tokens and policies.

    Its methods change and read the mount `secret`, beside the API: without check-and-set, tokens
    and faults.

    Args:
        latency: seconds from a request's arrival to its effect.
        root_token: a token that may do everything; it is `token`.
        mounts: paths of the mounts.
        clock: nanoseconds since the epoch.
    """

    def __init__(
        self,
        latency: float = 0.0,
        root_token: str = "root",
        mounts: Iterable[str] = ("secret",),
        *,
        clock: Clock = time.time_ns,
    ) -> None:
        super().__init__(latency=latency, root_token=root_token, mounts=mounts, clock=clock)

    def write(self, path: str, data: Mapping[str, Any]) -> int:
        """Write a version without check-and-set; return its number."""
        copied = copy.deepcopy(dict(data))
        with self._lock:
            return self._mounts["secret"].key(path).write(copied, self._now()).version

    def read(self, path: str, version: int | None = None) -> dict[str, Any] | None:
        """Return the data of a version, by default the current one; None if it cannot be read."""
        with self._lock:
            return copy.deepcopy(self._found(path).readable(version or 0, self._now()))

    def versions(self, path: str) -> list[SimVersion]:
        """Return every version that is kept, deleted ones included, the oldest first."""
        with self._lock:
            return copy.deepcopy(list(self._found(path).versions.values()))

    def current_version(self, path: str) -> int:
        """Return the number that check-and-set must match; 0 if there is no such key."""
        with self._lock:
            return self._found(path).current

    def delete_latest(self, path: str) -> None:
        """Soft-delete the current version.

        Raises:
            KeyError: there is no such key.
        """
        with self._lock:
            self._mounts["secret"].keys[path].delete_latest(self._now())

    def destroy(self, path: str, versions: Iterable[int]) -> None:
        """Destroy versions.

        Raises:
            KeyError: there is no such key.
        """
        with self._lock:
            self._mounts["secret"].keys[path].destroy(versions)

    def issue_token(
        self, ttl: float | None = None, policies: Mapping[str, Iterable[str]] | None = None
    ) -> str:
        """Issue a renewable service token that is not root; return it.

        Args:
            ttl: seconds until it expires; None for never.
            policies: capabilities (`read`, …) by path pattern (`secret/data/vonage/*`); None for
                everything on every mount. The policy `default` is always included.

        Raises:
            ValueError: an unknown capability.
        """
        policy = self._policy(policies)
        with self._lock:
            return self._tokens.issue(policy, self._now(), ttl=ttl).id

    def allow_login(self, path: str, body: Mapping[str, str], ttl: float = 3600) -> None:
        """Accept a login at `auth/<path>` whose body has the given fields.

        Its tokens live for `ttl` seconds and may do everything on every mount.
        """
        login = Login(path=path, body=dict(body), policy=self._policy(None), ttl=ttl)
        with self._lock:
            self._logins.append(login)

    def revoke_token(self, token: str) -> None:
        """Revoke a token.

        Raises:
            KeyError: there is no such token.
        """
        with self._lock:
            del self._tokens[token]

    def state(self) -> dict[str, Any]:
        """Return every mount with its keys, values included, and every token."""
        with self._lock:
            mounts = {
                name: {
                    "version": 2,
                    "keys": {path: _as_json(key) for path, key in mount.keys.items()},
                }
                for name, mount in self._mounts.items()
            }
            tokens = [token.as_lookup(self._now()) for token in self._tokens.values()]
            return {"sealed": self.sealed, "mounts": mounts, "tokens": tokens}

    def save(self) -> dict[str, Mount]:
        """Return a copy of all mounts with their keys, for `load`."""
        with self._lock:
            return copy.deepcopy(self._mounts)

    def load(self, saved: dict[str, Mount]) -> None:
        """Make the mounts what they were when they were saved. Tokens stay as they are."""
        with self._lock:
            self._mounts = copy.deepcopy(saved)

    def _found(self, path: str) -> Key:
        return self._mounts["secret"].keys.get(path, Key())

    def _policy(self, policies: Mapping[str, Iterable[str]] | None) -> Policy:
        everything = {f"{name}/*": _EVERYTHING for name in self._mounts}
        return Policy.of(everything if policies is None else policies)


def _as_json(key: Key) -> dict[str, Any]:
    versions = [asdict(version) | version.times() for version in key.versions.values()]
    return {"current_version": key.current, "versions": versions}
