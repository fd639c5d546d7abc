"""A Vault of one's own: KV, tokens and policies on loopback."""

import copy
import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from rotator.sim.clock import Clock
from rotator.sim.http import Reply, Request
from rotator.sim.server import Simulator
from rotator.sim.vault import responses
from rotator.sim.vault.api import VaultApi
from rotator.sim.vault.auth import REFUSALS, Login, LoginMethod, TokenTerms
from rotator.sim.vault.kv import Key, Mounts, SimVersion
from rotator.sim.vault.tokens import Policy, Tokens

_EVERYTHING = ("create", "read", "update", "delete", "list")


class VaultSimulator(Simulator):
    """Plays a Vault or OpenBao server that is initialised, unsealed and active.

    Args:
        latency: seconds that every request takes before its effect.
        root_token: may do everything; it is `token`.
        mounts: paths of KV version 2 mounts.
        namespace: the only namespace there is, others are 404; without it the header
            `X-Vault-Namespace` is ignored.
        clock: nanoseconds since the epoch.
        tls: speaks it, with this server's certificate; one that asks for the clients' too
            makes logins by certificate possible.
    """

    def __init__(  # noqa: PLR0913  # settings, most of them by name
        self,
        latency: float = 0.0,
        root_token: str = "root",
        mounts: Iterable[str] = ("secret",),
        *,
        namespace: str = "",
        clock: Clock = time.time_ns,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(latency=latency, clock=clock, tls=tls)
        self.token = root_token
        self._tokens = Tokens()
        self._tokens.add_root(root_token, self._now())
        self._mounts = Mounts(mounts)
        self._api = VaultApi(mounts=self._mounts, tokens=self._tokens, namespace=namespace)

    @property
    def sealed(self) -> bool:
        """Whether everything but health and seal status is answered 503."""
        return self._api.sealed

    @sealed.setter
    def sealed(self, sealed: bool) -> None:
        self._api.sealed = sealed

    @property
    def stale_reads(self) -> int:
        """So many of the next reads of `data/` are answered one version behind.

        A read of a key that has one version only, or of just the newest version, is 404 then.
        """
        return self._api.standby.stale_reads

    @stale_reads.setter
    def stale_reads(self, number: int) -> None:
        self._api.standby.stale_reads = number

    @property
    def initialising(self) -> int:
        """So many of the next calls on a mount get the 400 of a mount that starts."""
        return self._api.initialising

    @initialising.setter
    def initialising(self, number: int) -> None:
        self._api.initialising = number

    def write(self, path: str, data: Mapping[str, Any], mount: str = "secret") -> int:
        """Write as an outsider, without check-and-set and faults; give the version.

        Raises:
            KeyError: nothing is mounted there.
        """
        copied = copy.deepcopy(dict(data))
        with self._lock:
            return self._mounts[mount].key(path).write(copied, self._now()).version

    def read(
        self, path: str, mount: str = "secret", version: int | None = None
    ) -> dict[str, Any] | None:
        """Return a path's data (its current version by default); None if a read were 404.

        Raises:
            KeyError: nothing is mounted there.
        """
        with self._lock:
            key = self._mounts[mount].keys.get(path)
            return copy.deepcopy(key.readable(version or 0, self._now())) if key else None

    def versions(self, path: str, mount: str = "secret") -> list[SimVersion]:
        """Return every version that is kept, the oldest first, deleted ones included.

        Raises:
            KeyError: nothing is mounted there.
        """
        with self._lock:
            key = self._mounts[mount].keys.get(path)
            return copy.deepcopy(list(key.versions.values())) if key else []

    def current_version(self, path: str, mount: str = "secret") -> int:
        """Return the number that check-and-set must match; 0 if there is no such key.

        Raises:
            KeyError: nothing is mounted there.
        """
        with self._lock:
            key = self._mounts[mount].keys.get(path)
            return key.current if key else 0

    def delete_latest(self, path: str, mount: str = "secret") -> None:
        """Soft-delete the current version as an outsider.

        Raises:
            KeyError: there is no such mount or key.
        """
        with self._lock:
            self._key(path, mount).delete_latest(self._now())

    def destroy(self, path: str, versions: Iterable[int], mount: str = "secret") -> None:
        """Destroy versions as an outsider.

        Raises:
            KeyError: there is no such mount or key.
        """
        with self._lock:
            self._key(path, mount).destroy(versions)

    def issue_token(  # noqa: PLR0913  # each one names what it sets
        self,
        ttl: float | None = None,
        policies: Mapping[str, Iterable[str]] | None = None,
        *,
        renewable: bool = True,
        type: str = "service",  # noqa: A002 - Vault's own word
        max_ttl: float | None = None,
        no_default_policy: bool = False,
    ) -> str:
        """Issue a token that is not root; give it.

        Args:
            ttl: seconds until it expires; None for never.
            policies: path patterns (`secret/data/vonage/*`) to capabilities (`read`, …);
                None for everything on the mounts there are. Every token may look itself up,
                renew and revoke itself, ask for its capabilities and for mounts.
            renewable: whether `renew-self` works.
            type: service or batch; a batch token cannot be renewed.
            max_ttl: seconds beyond which no renewal reaches; None for 32 days.
            no_default_policy: it may not look itself up, renew itself or ask what it may.

        Raises:
            ValueError: an unknown capability or type.
        """
        terms = self._terms(policies, ttl=ttl, max_ttl=max_ttl, renewable=renewable, kind=type)
        with self._lock:
            token = terms.issued(self._tokens, self._now())
            token.has_default = not no_default_policy
            return token.id

    def allow_login(  # noqa: PLR0913  # each one names what it sets
        self,
        method: str,
        proof: Mapping[str, str],
        *,
        mount: str = "",
        user: str = "",
        certificate: bytes | None = None,
        policies: Mapping[str, Iterable[str]] | None = None,
        ttl: float | None = 3600,
        max_ttl: float | None = None,
        renewable: bool = True,
        type: str = "service",  # noqa: A002 - Vault's own word
        num_uses: int = 0,
    ) -> None:
        """Make an auth method accept a credential; the method is mounted if it is not yet.

        Args:
            method: approle, jwt, kubernetes, cert or userpass.
            proof: the fields that a login's body must have, such as `role_id` and `secret_id`.
            mount: where the method is mounted; by default at its own name.
            user: whose login it is, for userpass.
            certificate: the client's certificate in DER, for cert.
            policies: as for `issue_token`, and so are the others, for the token it gives.
            num_uses: how many requests that is good for; 0 for any number.

        Raises:
            KeyError: an unknown method.
            ValueError: an unknown capability or type.
        """
        _ = REFUSALS[method]
        terms = self._terms(policies, ttl=ttl, max_ttl=max_ttl, renewable=renewable, kind=type)
        path = f"login/{user}" if user else "login"
        terms = replace(terms, num_uses=num_uses)
        login = Login(path=path, proof=dict(proof), certificate=certificate, terms=terms)
        name = mount or method
        with self._lock:
            fresh = LoginMethod(kind=method, mount=name, tokens=self._tokens)
            self._api.methods.setdefault(name, fresh).logins.append(login)

    def forbid_logins(self, mount: str) -> None:
        """Make the auth method at `mount` accept no credential any more.

        Raises:
            KeyError: nothing is mounted there.
        """
        with self._lock:
            self._api.methods[mount].logins.clear()

    def wrap(self, data: Mapping[str, Any], path: str, ttl: int = 300) -> str:
        """Wrap `data` as if `path` had been asked for it; give the wrapping token.

        `ttl` is how long it can be unwrapped, in seconds.
        """
        with self._lock:
            return self._api.wrappings.wrap(copy.deepcopy(dict(data)), path, ttl, self._now())

    def revoke_token(self, token: str) -> None:
        """Revoke a token.

        Raises:
            KeyError: there is no such token.
        """
        with self._lock:
            self._tokens.revoke(token)

    def state(self) -> dict[str, Any]:
        """Return every mount with its keys, values included, and every token."""
        with self._lock:
            return {
                "sealed": self.sealed,
                "mounts": {name: self._mount_state(name) for name in self._mounts},
                "tokens": self._tokens.shown(self._now()),
            }

    def _terms(
        self,
        policies: Mapping[str, Iterable[str]] | None,
        *,
        ttl: float | None,
        max_ttl: float | None,
        renewable: bool,
        kind: str,
    ) -> TokenTerms:
        if kind not in ("service", "batch"):
            raise ValueError(f"a token is of type service or batch, not {kind}")
        rules = (
            {f"{name}/*": _EVERYTHING for name in self._mounts} if policies is None else policies
        )
        return TokenTerms(
            policy=Policy.of(rules), ttl=ttl, max_ttl=max_ttl, renewable=renewable, kind=kind
        )

    def _answer(self, request: Request) -> Reply:
        return self._api.answer(request, self._now())

    def _refusal(self, _request: Request, status: int) -> Reply:
        return responses.fault(status)

    def _common_headers(self) -> dict[str, str]:
        return {"Cache-Control": "no-store"}

    def _key(self, path: str, mount: str) -> Key:
        return self._mounts[mount].keys[path]

    def _mount_state(self, name: str) -> dict[str, Any]:
        keys = {path: _as_json(key) for path, key in self._mounts[name].keys.items()}
        return {"version": 2, "keys": keys}


def _as_json(key: Key) -> dict[str, Any]:
    versions = [asdict(version) | version.times() for version in key.versions.values()]
    return {"current_version": key.current, "versions": versions}
