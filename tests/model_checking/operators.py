"""What an operator may do at any moment: hold an account, freeze it, release it."""

from collections.abc import Callable
from functools import partial

from rotator.model import Actor, Hold
from tests.model_checking.world import BEGIN, World, when

OPERATOR = Actor(by="operator", host="there")
HOLD = Hold(reason="audit", by="operator", at=when(BEGIN))
FREEZE = Hold(reason="audit", by="operator", at=when(BEGIN), freeze=True)


def deeds(world: World) -> dict[str, Callable[[], None]]:
    """Return what an operator could do now, by name."""
    if not world.holds:
        return {}
    changes = {"holds": HOLD, "freezes": FREEZE, "releases": None}
    return {
        f"operator {name}": partial(_do, world, hold)
        for name, hold in changes.items()
        if hold != world.hold
    }


def _do(world: World, hold: Hold | None) -> None:
    world.holds -= 1
    world.hold = hold
