"""What was pushed has rolled off, as others write other fields of the same entry, again and again.

Vault keeps ten versions of an entry. The newest one holds the new value and an intact note.
"""

from pathlib import Path
from typing import Any

import pytest

from rotator.model import Outcome
from rotator.sim import Fault
from tests.support.rotation_fixture import RotationFixture, code

#: More versions than Vault keeps.
MANY = 12


def pushed(fixture: RotationFixture) -> None:
    """Let a rotation push, and Vault be away when it is to verify."""
    away = Fault("status", method="GET", status=500, times=None)
    fixture.calls.plan(
        "before", "store.read_version", 1, lambda: fixture.world.vault.faults.add(away)
    )
    assert code(fixture.attempt()) == "vault-unavailable"
    fixture.world.vault.faults.clear()
    fixture.restart()


def write_other_fields(fixture: RotationFixture, times: int = MANY) -> None:
    """Write to the entry what is not rotator's."""
    for number in range(times):
        fixture.patch(team=f"sms-{number}")


@pytest.mark.parametrize("times", [1, MANY])
def test_the_newest_version_with_the_note_is_verified(tmp_path: Path, times: int) -> None:
    """The rotation goes on from what consumers read, and leaves the others' fields alone."""
    with RotationFixture(tmp_path) as fixture:
        pushed(fixture)
        write_other_fields(fixture, times)
        report = fixture.resume()
        rotation = fixture.rotation()

        assert report.outcome is Outcome.COMPLETED
        assert rotation
        assert rotation.vault_version == fixture.look().version == 2 + times
        assert fixture.fields()["team"] == f"sms-{times - 1}"
        assert len(fixture.secrets()) == 1


def test_what_was_pushed_is_destroyed(tmp_path: Path) -> None:
    """It is the same where someone has removed that version for good."""
    with RotationFixture(tmp_path) as fixture:
        pushed(fixture)
        write_other_fields(fixture, 1)
        fixture.world.vault.destroy(fixture.accounts["account-1"].vault_path, [2])

        assert fixture.resume().outcome is Outcome.COMPLETED


@pytest.mark.parametrize("changed", [{"api_secret": "ByHand1234"}, {"rotator": {}}])
def test_another_value_or_note_is_no_proof(tmp_path: Path, changed: dict[str, Any]) -> None:
    """Someone else's doing is named, and nothing is deleted."""
    with RotationFixture(tmp_path) as fixture:
        pushed(fixture)
        write_other_fields(fixture)
        fixture.patch(**changed)
        report = fixture.resume()

        assert code(report) == "drift"
        assert len(fixture.secrets()) == 2


def test_a_version_that_rolls_off_at_the_last_moment_is_looked_for_again(tmp_path: Path) -> None:
    """The next pass takes the newest one then."""
    with RotationFixture(tmp_path) as fixture:
        fixture.calls.plan("before", "store.read_version", 1, lambda: write_other_fields(fixture))
        failed = fixture.attempt()
        fixture.restart()

        assert code(failed) == "vault-version-missing"
        assert fixture.resume().outcome is Outcome.COMPLETED


def test_a_push_that_only_the_note_tells_of(tmp_path: Path) -> None:
    """The process died with the push, and the versions have rolled off since."""
    with RotationFixture(tmp_path) as fixture:
        fixture.calls.plan("before", "store.read_version", 1, fixture.calls.kill)
        fixture.run_until_killed()
        write_other_fields(fixture)

        assert fixture.resume().outcome is Outcome.COMPLETED
