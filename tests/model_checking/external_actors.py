"""What people and programs that know nothing of rotator may do, at any moment."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Protocol

from tests.model_checking import invariants
from tests.model_checking.world import OTHER, SLOTS, Issued, Kept, Rows, Staged, World


class Unaware(Protocol):
    """A process that has not seen what outsiders did since it looked."""

    unseen: frozenset[str]


def deeds(world: World, process: Unaware) -> dict[str, Callable[[], None]]:
    """Return all that an outsider could do now, while `process` does not look, by name."""
    at_vonage, at_vault = _at_vonage(world), _at_vault(world)
    return {
        f"outsider {name}": partial(_do, world, process, where, deed)
        for where, found in (("vonage", at_vonage), ("vault", at_vault))
        for name, deed in found.items()
    }


def lose_ledger(world: World) -> None:
    """Start over with an empty ledger."""
    known = world.consumed.value if world.consumed else ""
    world.harmed |= {secret.value for secret in world.live if secret.value != known}
    world.rotation, world.closed, world.adopted_id, world.deletions = None, (), None, ()
    world.start_over()
    world.ledger_id = world.name("l")


def set_back_ledger(world: World, was: Rows) -> None:
    """Restore an older ledger: what only the newer one knew of live secrets is lost."""
    world.relapses -= 1
    world.rotation, world.closed = was
    world.adopted_id, world.deletions = None, ()
    world.start_over()
    world.past = ()
    world.harmed |= invariants.unaccounted_for(world)


def _do(world: World, process: Unaware, where: str, deed: Callable[[], None]) -> None:
    world.outsiders -= 1
    deed()
    process.unseen |= {where}
    if world.in_flight:
        unseen = world.in_flight.unseen | {where}
        world.in_flight = replace(world.in_flight, unseen=unseen)


def _at_vonage(world: World) -> dict[str, Callable[[], None]]:
    if len(world.live) < SLOTS:
        return {"adds a secret": partial(_add, world)}
    return {f"revokes {secret.id}": partial(_revoke, world, secret) for secret in world.live}


def _at_vault(world: World) -> dict[str, Callable[[], None]]:
    found: dict[str, Callable[[], None]] = {}
    if world.staged:
        found["deletes the pending entry"] = partial(_unstage, world, (*world.pending, None))
        found["removes the pending entry for good"] = partial(_unstage, world, ())
    kept = world.consumed
    if not world.current:
        for secret in world.live:
            found[f"writes a first entry with {secret.id}"] = partial(_provide, world, secret)
    if kept is None:
        return found
    found["deletes the current entry"] = partial(_keep, world, None)
    found["patches another field"] = partial(_keep, world, kept)
    for secret in world.live:
        if secret.value != kept.value:
            edited = replace(kept, value=secret.value)
            found[f"writes the value of {secret.id}"] = partial(_keep, world, edited)
    for name, edited in _at_previous(kept).items():
        found[name] = partial(_keep, world, edited)
    for number, earlier in enumerate(world.current, 1):
        if earlier and earlier != kept:
            found[f"rolls back to version {number}"] = partial(_keep, world, earlier)
    return found


def _at_previous(kept: Kept) -> dict[str, Kept]:
    """Return what an outsider could make of the replaced value and its name, by what is done."""
    if kept.previous is None or kept.note is None:
        return {}
    names = {
        f"names {name} for the replaced value": replace(
            kept, note=replace(kept.note, previous_field=name)
        )
        for name in ("api_secret", OTHER)
    }
    return names | {
        "takes the replaced value away": replace(kept, previous=None),
        "writes over the replaced value": replace(kept, previous="theirs"),
    }


def _add(world: World) -> None:
    made = Issued(id=world.name("s"), value=world.name("v"), maker="outsider")
    world.live = (*world.live, made)


def _revoke(world: World, secret: Issued) -> None:
    world.revoke(secret.id)
    world.harmed |= {secret.value}


def _keep(world: World, kept: Kept | None) -> None:
    """Let `kept` be what consumers read; where that is no use, it is the outsider's doing."""
    if world.consumed and (kept is None or kept.value != world.consumed.value):
        world.harmed |= {world.consumed.value}
    if kept and not world.works(kept.value):
        world.harmed |= {kept.value}
    if kept and kept.previous:
        world.doomed -= {kept.previous}
    world.current = (*world.current, kept)


def _provide(world: World, secret: Issued) -> None:
    """Write the account's entry, with a secret that works: from then on it is the one in use."""
    world.held |= {secret.id}
    world.current = (Kept(value=secret.value, note=None, noted=None),)


def _unstage(world: World, versions: tuple[Staged | None, ...]) -> None:
    """Take what is pending out of Vault."""
    world.harmed |= {version.value for version in world.pending if version}
    world.pending = versions
