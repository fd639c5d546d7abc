"""What people and programs that know nothing of rotator may do, at any moment."""

from collections.abc import Callable
from dataclasses import replace

from tests.exploration.world import SLOTS, Issued, Kept, World

Deed = Callable[[World], None]


def deeds(world: World) -> dict[str, Deed]:
    """Name all that an outsider could do now."""
    found: dict[str, Deed] = {}
    if len(world.live) < SLOTS:
        found["outsider adds a secret"] = _add
    else:
        found |= {f"outsider revokes {secret.id}": _revoking(secret) for secret in world.live}
    if world.staged:
        found["outsider deletes the pending entry"] = _unstage
        found["outsider removes the pending entry for good"] = _wipe
    if kept := world.consumed:
        found["outsider deletes the current entry"] = lambda world: _keep(world, None)
        found |= _edits(world, kept)
    return found


def _edits(world: World, kept: Kept) -> dict[str, Deed]:
    """Name the ways to change the current entry."""
    found = {"outsider patches another field": _keeping(kept)}
    for secret in world.live:
        if secret.value != kept.value:
            edited = replace(kept, value=secret.value)
            found[f"outsider writes the value of {secret.id}"] = _keeping(edited)
    for number, earlier in enumerate(world.current, 1):
        if earlier and earlier != kept:
            found[f"outsider rolls back to version {number}"] = _keeping(earlier)
    return found


def lose_ledger(world: World) -> None:
    """Start over with an empty ledger."""
    known = world.consumed.value if world.consumed else ""
    world.harmed |= {secret.value for secret in world.live if secret.value != known}
    world.rotation, world.closed = None, ()


def _add(world: World) -> None:
    made = Issued(id=world.name("s"), value=world.name("v"), maker="outsider")
    world.live = (*world.live, made)


def _revoking(secret: Issued) -> Deed:
    def revoke(world: World) -> None:
        world.revoke(secret.id)
        world.harmed |= {secret.value}

    return revoke


def _keeping(kept: Kept) -> Deed:
    return lambda world: _keep(world, kept)


def _keep(world: World, kept: Kept | None) -> None:
    """Let `kept` be what consumers read; where that is no use, it is the outsider's doing."""
    if world.consumed and (kept is None or kept.value != world.consumed.value):
        world.harmed |= {world.consumed.value}
    if kept and not world.works(kept.value):
        world.harmed |= {kept.value}
    world.current = (*world.current, kept)


def _unstage(world: World) -> None:
    world.harmed |= {version.value for version in world.pending if version}
    world.pending = (*world.pending, None)


def _wipe(world: World) -> None:
    world.harmed |= {version.value for version in world.pending if version}
    world.pending = ()
