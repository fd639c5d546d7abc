"""Vault's tokens and policies."""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rotator.sim.clock import NANOSECONDS, rfc3339

CAPABILITIES = frozenset({"create", "read", "update", "delete", "list", "patch", "sudo"})

#: Longest life of a token, 32 days in seconds.
SYSTEM_MAX_TTL = 2764800

#: The part of the policy `default` that matters here; every token but root has it.
DEFAULT = {
    "auth/token/lookup-self": "read",
    "auth/token/renew-self": "update",
    "auth/token/revoke-self": "update",
    "sys/capabilities-self": "update",
}


@dataclass(frozen=True)
class Policy:
    """Capabilities by path pattern: a whole path, or a prefix that ends in `*`.

    The longest pattern that matches a path is the only one that counts.
    """

    rules: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, rules: Mapping[str, Iterable[str]]) -> "Policy":
        """Build a policy.

        Raises:
            ValueError: an unknown capability.
        """
        unknown = {each for granted in rules.values() for each in granted} - CAPABILITIES
        if unknown:
            raise ValueError(f"unknown capability {min(unknown)!r}")
        return cls({pattern: frozenset(granted) for pattern, granted in rules.items()})

    def capabilities(self, path: str) -> frozenset[str]:
        """Return the capabilities on a path without a leading slash; empty for none."""
        if path in self.rules:
            return self.rules[path]
        prefixes = [
            each for each in self.rules if each.endswith("*") and path.startswith(each[:-1])
        ]
        return self.rules[max(prefixes, key=len)] if prefixes else frozenset()

    def touches(self, mount: str) -> bool:
        """Return whether it grants anything below a mount, whose path ends in a slash."""
        return any(
            pattern.startswith(mount) or (pattern.endswith("*") and mount.startswith(pattern[:-1]))
            for pattern, granted in self.rules.items()
            if granted
        )


class NotRenewable(ValueError):
    """The token cannot be renewed; the text is Vault's."""


@dataclass(kw_only=True)
class Token:
    """A service token. Times are nanoseconds since the epoch, spans are seconds."""

    id: str = field(repr=False)
    #: None for the root token, which may do everything
    policy: Policy | None
    issued: int
    #: None: it never expires
    expires: int | None = None
    ttl: int = 0
    #: the call that issued it
    path: str = "auth/token/create"
    accessor: str = field(default_factory=lambda: secrets.token_urlsafe(18))

    @property
    def policies(self) -> list[str]:
        """The names of its policies."""
        return ["root"] if self.policy is None else ["default", "simulated"]

    @property
    def is_orphan(self) -> bool:
        """Whether it has no parent, as tokens of logins."""
        return self.policy is None or self.path != "auth/token/create"

    def remaining(self, now: int) -> int:
        """Return the seconds left, rounded; 0 for a token that never expires."""
        return 0 if self.expires is None else round((self.expires - now) / NANOSECONDS)

    def renew(self, increment: int, now: int) -> None:
        """Extend its life to `increment` seconds from now; 0 for those that it was issued with.

        Raises:
            NotRenewable: it never expires.
        """
        if self.expires is None:
            raise NotRenewable("lease is not renewable")
        longest = self.issued + SYSTEM_MAX_TTL * NANOSECONDS
        self.expires = min(now + (increment or self.ttl) * NANOSECONDS, longest)

    def allows(self, capability: str, path: str) -> bool:
        """Return whether it has the capability on a path."""
        return self.policy is None or capability in self.policy.capabilities(path)

    def touches(self, mount: str) -> bool:
        """Return whether it may do anything below a mount, whose path ends in a slash."""
        return self.policy is None or self.policy.touches(mount)

    def capabilities(self, path: str) -> list[str]:
        """Return the answer of `sys/capabilities-self` for a path."""
        if self.policy is None:
            return ["root"]
        granted = set(self.policy.capabilities(path))
        if path in DEFAULT:
            granted.add(DEFAULT[path])
        return sorted(granted) or ["deny"]

    def as_lookup(self, now: int) -> dict[str, Any]:
        """Return the `data` of an answer to `auth/token/lookup-self`."""
        return {
            "id": self.id,
            "accessor": self.accessor,
            "policies": self.policies,
            "path": "auth/token/root" if self.policy is None else self.path,
            "meta": None,
            "display_name": "root" if self.policy is None else "token",
            "num_uses": 0,
            "orphan": self.is_orphan,
            "creation_time": self.issued // NANOSECONDS,
            "creation_ttl": self.ttl,
            "issue_time": rfc3339(self.issued),
            "expire_time": None if self.expires is None else rfc3339(self.expires),
            "ttl": self.remaining(now),
            "explicit_max_ttl": 0,
            "renewable": self.expires is not None,
            "entity_id": "",
            "type": "service",
        }

    def as_auth(self, now: int) -> dict[str, Any]:
        """Return the `auth` of an answer to a renewal or a login."""
        return {
            "client_token": self.id,
            "accessor": self.accessor,
            "policies": self.policies,
            "token_policies": self.policies,
            "metadata": None,
            "lease_duration": self.remaining(now),
            "renewable": self.expires is not None,
            "entity_id": "",
            "token_type": "service",
            "orphan": self.is_orphan,
            "mfa_requirement": None,
            "num_uses": 0,
        }


class Tokens(dict[str, Token]):
    """All tokens, by id."""

    def issue(
        self, policy: Policy, now: int, *, ttl: float | None, path: str = "auth/token/create"
    ) -> Token:
        """Add a token that lives for `ttl` seconds; None for ever."""
        token = Token(
            id=f"hvs.{secrets.token_urlsafe(24)}",
            policy=policy,
            issued=now,
            expires=None if ttl is None else now + int(ttl * NANOSECONDS),
            ttl=int(ttl or 0),
            path=path,
        )
        self[token.id] = token
        return token

    def find(self, headers: Mapping[str, str], now: int) -> Token | None:
        """Return the token that a request carries, unless it is unknown or has expired."""
        token = self.get(headers.get("x-vault-token", ""))
        is_live = token is not None and (token.expires is None or now < token.expires)
        return token if is_live else None
