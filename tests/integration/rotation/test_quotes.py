"""What others wrote into an entry is nowhere repeated: it may be a value in the wrong field."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from rotator.errors import RotatorError
from rotator.model import Note, PassResult, Request, SecretValue
from tests.support.rotation_fixture import NAME, RotationFixture

#: What somebody wrote where an id or an api key belongs.
PLANTED = "Planted7Planted7Planted7X"


def swap_fields(fixture: RotationFixture) -> None:
    """Mistake the field of the secret for that of the api key."""
    account = fixture.accounts[NAME]
    fixture.accounts[NAME] = replace(account, key_field="api_secret", secret_field="api_key")


def plant_key(fixture: RotationFixture) -> None:
    """Put a value where the api key is expected."""
    fixture.patch(api_key=PLANTED)


def plant_note(fixture: RotationFixture) -> None:
    """Put a note into Vault that is bound to the value as it should be, and has no such id."""
    value, rotation_id = str(fixture.fields(NAME)["api_secret"]), str(uuid4())
    check = Note.check_of(SecretValue(value), secret_id=PLANTED, rotation_id=rotation_id)
    told = {"rotated_at": "2026-01-01T00:00:00Z", "ledger_head": PLANTED, "check": check}
    fixture.patch(rotator={"secret_id": PLANTED, "rotation_id": rotation_id, **told})


def plant_note_of_open_rotation(fixture: RotationFixture) -> None:
    """The same, as if a rotation had pushed that the ledger has before its push."""
    whole = fixture.reconciler
    fixture.reconciler = replace(whole, should_stop=lambda: "intent stage" in fixture.events())
    fixture.attempt()
    fixture.reconciler = whole
    rotation = fixture.rotation()
    assert rotation is not None
    value = str(fixture.fields(NAME)["api_secret"])
    check = Note.check_of(SecretValue(value), secret_id=PLANTED, rotation_id=rotation.id)
    told = {"rotated_at": "2026-01-01T00:00:00Z", "ledger_head": "0" * 64, "check": check}
    fixture.patch(rotator={"secret_id": PLANTED, "rotation_id": rotation.id, **told})


def plant_pending(fixture: RotationFixture) -> None:
    """Put a pending entry there whose every id is a value."""
    fixture.spoil_pending(
        value="SomebodyElses1", rotation_id=PLANTED, listed=[PLANTED], predecessor_id=PLANTED
    )


def plant_predecessor(fixture: RotationFixture) -> None:
    """Put a pending entry there that might be of a rotation that the ledger lost."""
    listed = [secret.id for secret in fixture.history()]
    fixture.spoil_pending(
        value="SomebodyElses1",
        rotation_id=str(uuid4()),
        listed=[*listed, PLANTED],
        predecessor_id=PLANTED,
    )


def told(report: PassResult) -> str:
    """Return in a word how a pass ended."""
    return report.error.code if report.error else report.outcome.value


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (swap_fields, "wrong-entry"),
        (plant_key, "wrong-entry"),
        (plant_note, "drift"),
        (plant_note_of_open_rotation, "drift"),
        (plant_pending, "vault-entry"),
        (plant_predecessor, None),
    ],
)
def test_no_text_of_an_entry_is_repeated(
    tmp_path: Path, plant: Callable[[RotationFixture], None], expected: str | None
) -> None:
    """Neither in what is said, nor in the ledger, whatever is asked of the account."""
    with RotationFixture(tmp_path) as fixture:
        # Looked for, with all that is secret, when the fixture ends.
        fixture.tokens.insert(0, PLANTED)
        plant(fixture)
        report = fixture.attempt()
        fixture.reports.append(
            fixture.reconciler.dry_run(fixture.accounts[NAME], Request(reason="asked"))[0]
        )
        fixture.resume()
        with suppress(RotatorError):
            fixture.adopt(None)

        assert expected in (None, told(report))
        assert PLANTED not in str(fixture.entries())


def test_a_note_names_what_the_ledger_knows(tmp_path: Path) -> None:
    """An id that a rotation of this ledger had is told, though Vonage lists it no more."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        current = fixture.rotation()
        assert current is not None
        fixture.monitor.excused = {"the value in Vault stopped working"}
        fixture.make_foreign()
        fixture.propagate_in(3600)
        fixture.revoke(current.new_id or "")
        report = fixture.attempt()

        assert report.error is not None
        assert (current.new_id or "?") in report.error.message
