"""What Vault certainly holds."""

from typing import Any

import pytest

from tests.unit.rotation.protocol.facts import NO_NOTE, WITH_ALIEN, Facts


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "old"),
        ({"current_authenticated_at": None}, "old"),
        ({"listed": WITH_ALIEN}, "old"),
        ({"current": None}, None),
        ({"listed": None}, None),
        ({"listed": ()}, None),
        ({"current__intact": False}, None),
        ({"note__secret_id": "gone"}, None),
        (NO_NOTE, "old"),
        ({**NO_NOTE, "current_authenticated_at": None}, None),
        ({**NO_NOTE, "listed": WITH_ALIEN}, None),
    ],
)
def test_the_id_of_what_vault_holds(changes: dict[str, Any], expected: str | None) -> None:
    """It is told only where note and list agree, or where there is no other."""
    assert Facts().but(**changes).observation.current_secret_id == expected
