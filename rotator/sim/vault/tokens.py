"""Vault's tokens: issue, look up, renew, revoke."""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rotator.sim.clock import NANOSECONDS, rfc3339

CAPABILITIES = frozenset({"create", "read", "update", "delete", "list", "patch", "sudo", "deny"})


@dataclass(frozen=True)
class Policy:
    """Path patterns and the capabilities on them.

    A pattern is a whole path, or a prefix that ends in `*`; `+` stands for one segment. The
    most specific pattern alone decides.
    """

    rules: Mapping[str, frozenset[str]] = field(default_factory=dict)

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
        """Return the capabilities on a path, which has no leading slash; empty for none."""
        matching = [pattern for pattern in self.rules if _matches(pattern, path)]
        if not matching:
            return frozenset()
        granted = self.rules[max(matching, key=_precedence)]
        return frozenset() if "deny" in granted else granted

    def allows(self, capability: str, path: str) -> bool:
        """Whether `capability` is granted."""
        return capability in self.capabilities(path)

    def touches(self, mount_path: str) -> bool:
        """Whether anything is granted below a mount, whose path ends in a slash."""
        return any(
            granted and "deny" not in granted and _overlaps(pattern, mount_path)
            for pattern, granted in self.rules.items()
        )


def _literal(pattern: str) -> str:
    return pattern.split("+", maxsplit=1)[0].removesuffix("*")


def _overlaps(pattern: str, mount_path: str) -> bool:
    literal = _literal(pattern)
    return literal.startswith(mount_path) or (literal != pattern and mount_path.startswith(literal))


def _matches(pattern: str, path: str) -> bool:
    wanted, given = pattern.removesuffix("*").split("/"), path.split("/")
    is_prefix = pattern.endswith("*")
    if len(given) < len(wanted) or (not is_prefix and len(given) != len(wanted)):
        return False
    last = len(wanted) - 1
    return all(
        part in ("+", given[index])
        or (is_prefix and index == last and given[index].startswith(part))
        for index, part in enumerate(wanted)
    )


def _precedence(pattern: str) -> tuple[bool, int, bool, int, int, str]:
    """Order patterns from the least to the most specific."""
    literal = _literal(pattern)
    return (
        literal == pattern,
        len(literal),
        not pattern.endswith("*"),
        -pattern.split("/").count("+"),
        len(pattern),
        pattern,
    )


#: the system's longest life of a token, 32 days
SYSTEM_MAX_TTL = 2764800

#: what the policy `default` grants that matters here
DEFAULT = {
    "auth/token/lookup-self": "read",
    "auth/token/renew-self": "update",
    "auth/token/revoke-self": "update",
    "sys/capabilities-self": "update",
}


class NotRenewable(ValueError):
    """The token cannot be renewed; the text is Vault's."""


@dataclass(kw_only=True)
class Token:
    """One token. Times are nanoseconds since the epoch, spans are seconds."""

    id: str = field(repr=False)
    #: None for the root token, which may do everything
    policy: Policy | None
    issued: int
    #: None: it never expires
    expires: int | None = None
    ttl: int = 0
    max_ttl: int = 0
    renewable: bool = False
    #: service or batch
    type: str = "service"
    #: the call that issued it
    path: str = "auth/token/create"
    #: without the policy `default` it has no business with itself
    has_default: bool = True
    #: requests that it is good for yet; 0 for any number
    num_uses: int = 0
    accessor: str = field(default_factory=lambda: secrets.token_urlsafe(18))

    @property
    def policies(self) -> list[str]:
        """The names that a look-up shows."""
        if self.policy is None:
            return ["root"]
        return ["default", "simulated"] if self.has_default else ["simulated"]

    @property
    def is_orphan(self) -> bool:
        """Whether no other token's end is its own: those of logins have no parent."""
        return self.policy is None or self.path != "auth/token/create"

    def works(self, now: int) -> bool:
        """Whether the token has not expired."""
        return self.expires is None or now < self.expires

    def remaining(self, now: int) -> int:
        """Return the seconds left, rounded; 0 for a token that never expires."""
        return 0 if self.expires is None else round((self.expires - now) / NANOSECONDS)

    def renew(self, increment: int, now: int) -> None:
        """Start its life anew, up to the longest that it may have.

        `increment` is in seconds; 0 for the span that it was issued with.

        Raises:
            NotRenewable: it is a batch token, was issued so, or never expires.
        """
        if self.type == "batch":
            raise NotRenewable("batch tokens cannot be renewed")
        if self.expires is None or not self.renewable:
            raise NotRenewable("lease is not renewable")
        longest = self.issued + (self.max_ttl or SYSTEM_MAX_TTL) * NANOSECONDS
        self.expires = min(now + (increment or self.ttl) * NANOSECONDS, longest)

    def allows(self, capability: str, path: str) -> bool:
        """Whether the token may do so on a path."""
        return self.policy is None or self.policy.allows(capability, path)

    def touches(self, mount_path: str) -> bool:
        """Whether the token may do anything below a mount, whose path ends in a slash."""
        return self.policy is None or self.policy.touches(mount_path)

    def capabilities(self, path: str) -> list[str]:
        """Return the answer of `sys/capabilities-self` for a path."""
        if self.policy is None:
            return ["root"]
        granted = self.policy.capabilities(path)
        if self.has_default and path in DEFAULT:
            granted |= {DEFAULT[path]}
        return sorted(granted) or ["deny"]

    def may_itself(self, path: str) -> bool:
        """Whether the token may have this business with itself."""
        return path not in DEFAULT or {DEFAULT[path], "root"} & {*self.capabilities(path)} != set()

    def shown(self, now: int) -> dict[str, Any]:
        """Return the `data` of an answer to `auth/token/lookup-self`."""
        return {
            "id": self.id,
            "accessor": "" if self.type == "batch" else self.accessor,
            "policies": self.policies,
            "path": "auth/token/root" if self.policy is None else self.path,
            "meta": None,
            "display_name": "root" if self.policy is None else "token",
            "num_uses": self.num_uses,
            "orphan": self.is_orphan,
            "creation_time": self.issued // NANOSECONDS,
            "creation_ttl": self.ttl,
            "issue_time": rfc3339(self.issued),
            "expire_time": None if self.expires is None else rfc3339(self.expires),
            "ttl": self.remaining(now),
            "explicit_max_ttl": self.max_ttl,
            "renewable": self.renewable and self.expires is not None,
            "entity_id": "",
            "type": self.type,
        }

    def granted(self, now: int) -> dict[str, Any]:
        """Return the `auth` of an answer to a renewal (or a login)."""
        return {
            "client_token": self.id,
            "accessor": "" if self.type == "batch" else self.accessor,
            "policies": self.policies,
            "token_policies": self.policies,
            "metadata": None,
            "lease_duration": self.remaining(now),
            "renewable": self.renewable,
            "entity_id": "",
            "token_type": self.type,
            "orphan": self.is_orphan,
            "mfa_requirement": None,
            "num_uses": self.num_uses,
        }


@dataclass
class Tokens:
    """All tokens, by their id."""

    _tokens: dict[str, Token] = field(default_factory=dict)

    def add_root(self, token_id: str, now: int) -> None:
        """Add a token that may do everything for ever."""
        self._tokens[token_id] = Token(id=token_id, policy=None, issued=now)

    def issue(  # noqa: PLR0913 - each one names what it sets
        self,
        policy: Policy,
        now: int,
        *,
        ttl: float | None,
        max_ttl: float | None,
        renewable: bool,
        kind: str,
        path: str = "auth/token/create",
    ) -> Token:
        """Add a token; spans in seconds, without `ttl` it never expires."""
        prefix = "hvb." if kind == "batch" else "hvs."
        if ttl is not None and max_ttl is not None:
            ttl = min(ttl, max_ttl)
        token = Token(
            id=prefix + secrets.token_urlsafe(24),
            policy=policy,
            issued=now,
            expires=None if ttl is None else now + int(ttl * NANOSECONDS),
            ttl=int(ttl or 0),
            max_ttl=int(max_ttl or 0),
            renewable=renewable and kind != "batch",
            type=kind,
            path=path,
        )
        self._tokens[token.id] = token
        return token

    def find(self, headers: Mapping[str, str], now: int) -> Token | None:
        """Return the token that a request carries, if it works, and count its use."""
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        given = headers.get("x-vault-token") or (bearer if scheme.lower() == "bearer" else "")
        token = self._tokens.get(given)
        if token is None or not token.works(now):
            return None
        if token.num_uses == 1:
            del self._tokens[given]
        token.num_uses -= token.num_uses > 0
        return token

    def revoke(self, token_id: str) -> None:
        """Revoke a token.

        Raises:
            KeyError: there is none of that id.
        """
        del self._tokens[token_id]

    def shown(self, now: int) -> list[dict[str, Any]]:
        """Return every token as a look-up of itself shows it."""
        return [token.shown(now) for token in self._tokens.values()]
