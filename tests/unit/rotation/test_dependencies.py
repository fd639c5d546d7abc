import pytest

from rotator.rotation.dependencies import NoHooks
from tests.support.samples import account, rotation


def test_without_hooks_nobody_is_told_and_no_gate_is_asked() -> None:
    """A rotation goes on at once; to ask for a gate would be a fault of the caller."""
    hooks = NoHooks()

    assert not hooks.has_subscribers(account())
    assert hooks.gates(account()) == ()
    assert not hooks.is_notifying(account())
    assert list(hooks.notify(account())) == []
    with pytest.raises(AssertionError, match="there is no gate approval"):
        hooks.ask(account(), rotation(), "approval")
