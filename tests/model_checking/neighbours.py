"""Another host, with a ledger and an account of its own, whose pending path is the same.

It keeps to the rules: what is pending there for another account it does not touch.
"""

from collections.abc import Callable
from functools import partial

from rotator.model import PendingEntry
from tests.model_checking.world import Staged, World

#: The other company's.
API_KEY = "efgh5678"


def deeds(world: World) -> dict[str, Callable[[], None]]:
    """Return what the other host could do now, by name."""
    if world.staged is None and world.neighbours:
        return {"neighbour stages": partial(_stage, world)}
    return {"neighbour clears": partial(clear, world)} if is_theirs(world.staged) else {}


def is_theirs(staged: Staged | None) -> bool:
    """Whether what is pending is the other host's."""
    return staged is not None and staged.entry.api_key == API_KEY


def clear(world: World) -> None:
    """End the other host's rotation."""
    world.pending = tuple(None if is_theirs(version) else version for version in world.pending)


def _stage(world: World) -> None:
    world.neighbours -= 1
    entry = PendingEntry(
        rotation_id=world.name("r"),
        listed_ids=frozenset({world.name("s")}),
        api_key=API_KEY,
        issuer="api.nexmo.com",
        vault_path="secret/another",
        ledger_id=world.name("l"),
    )
    world.pending = (*world.pending, Staged(value=world.name("v"), entry=entry))
