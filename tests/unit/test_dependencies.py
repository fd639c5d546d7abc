import pytest

from rotator.rotation.dependencies import NoHooks
from tests.support.samples import account, rotation


def test_without_hooks_nobody_is_told_and_nobody_is_asked() -> None:
    """There is nobody to wait for either; a gate that is asked all the same is a bug."""
    hooks, subject = NoHooks(), account()

    assert not hooks.has_listeners(subject)
    assert hooks.gates(subject) == ()
    assert list(hooks.tell(subject)) == []
    assert not hooks.is_telling(subject)
    with pytest.raises(AssertionError, match="no gate"):
        hooks.ask(subject, rotation(), "traffic")
