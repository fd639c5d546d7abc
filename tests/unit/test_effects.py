from typing import Any, cast

import pytest

from rotator.errors import CheckAndSetLost
from rotator.rotation.actions import Delete
from rotator.rotation.effects import Effects
from rotator.rotation.observation import Sight
from rotator.rotation.ports import StoredPending
from tests.harness.samples import NOW, account, rotation
from tests.unit.protocol.facts import QUIET


def test_nothing_is_deleted_without_a_value_from_vault() -> None:
    """What was decided on is gone from the sight: neither Vonage nor Vault is asked."""
    nobody = cast("Any", None)
    effects = Effects(
        account=account(),
        issuer=nobody,
        store=nobody,
        journal=cast("Any", _Journal()),
        draw=nobody,
        now=lambda: NOW,
    )
    sight = Sight(world=QUIET, current=None, pending=StoredPending(version=0), credential=None)

    with pytest.raises(CheckAndSetLost):
        effects.perform(Delete(secret_id="old"), sight, rotation(), None)


class _Journal:
    """A journal that is not to be asked for a last look either."""

    def last_look(self) -> None:
        """Fail."""
        raise AssertionError
