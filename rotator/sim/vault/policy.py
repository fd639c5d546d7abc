"""Policies: which capabilities a token has on a path.

The order of precedence is that of OpenBao's `internal/vault/policy/acl.go`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

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
        """Give what is granted on a path, without its leading slash; empty for nothing."""
        matching = [pattern for pattern in self.rules if _matches(pattern, path)]
        if not matching:
            return frozenset()
        granted = self.rules[max(matching, key=_precedence)]
        return frozenset() if "deny" in granted else granted

    def allows(self, capability: str, path: str) -> bool:
        """Whether `capability` is granted; a list is asked for with and without its slash."""
        if capability in self.capabilities(path):
            return True
        return capability == "list" and "list" in self.capabilities(path.rstrip("/"))

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
