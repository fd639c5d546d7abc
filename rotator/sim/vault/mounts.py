"""Which secrets engine is mounted where."""

from collections.abc import Iterator, Mapping

from rotator.sim.vault.kv import PlainMount, VersionedMount

_TYPES: Mapping[int, type[PlainMount | VersionedMount]] = {1: PlainMount, 2: VersionedMount}


class Mounts:
    """KV mounts by their path without slashes at the ends; each of version 1 or 2.

    Raises:
        ValueError: another version.
    """

    def __init__(self, versions: Mapping[str, int]) -> None:
        if unknown := set(versions.values()) - _TYPES.keys():
            raise ValueError(f"KV has versions 1 and 2, not {min(unknown)}")
        self._mounts = {name.strip("/"): _TYPES[version]() for name, version in versions.items()}

    def __iter__(self) -> Iterator[str]:
        return iter(self._mounts)

    def __getitem__(self, name: str) -> PlainMount | VersionedMount:
        return self._mounts[name]

    def of(self, path: str) -> str | None:
        """Give the name of the mount that a path is on; of nested ones the longest."""
        found = [name for name in self._mounts if f"{path}/".startswith(f"{name}/")]
        return max(found, key=len, default=None)

    def version(self, name: str) -> int:
        """Give a mount's KV version."""
        return 2 if isinstance(self._mounts[name], VersionedMount) else 1

    def versioned(self, name: str) -> VersionedMount:
        """Give a KV version 2 mount.

        Raises:
            KeyError: nothing is mounted there.
            TypeError: it is of version 1.
        """
        mount = self._mounts[name]
        if not isinstance(mount, VersionedMount):
            raise TypeError(f"mount {name} is KV version 1")
        return mount
