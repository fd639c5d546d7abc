"""The first look that shows what others did to an account's secrets is recorded, once."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from rotator.ledger import tables
from rotator.ledger.database import writing
from rotator.ledger.holds import Holds
from rotator.ledger.mapping import IDENTITY
from rotator.model import Hold
from rotator.rotation.manual import manual_operation
from rotator.rotation.ports import AccountSnapshot
from tests.support.rotation_fixture import NAME, RotationFixture, code
from tests.support.samples import ANN

DAY = timedelta(days=1)
Look = Callable[[RotationFixture], object]


def sightings(fixture: RotationFixture) -> list[tuple[str, str]]:
    """Return each sighting in the record, with the secret's id."""
    return [
        (entry.event, json.loads(entry.detail)["secret_id"])
        for entry in fixture.entries()
        if entry.event in ("secret-appeared", "secret-vanished")
    ]


def refresh(fixture: RotationFixture) -> None:
    """Look at the account, as the daemon's drift check and `status --refresh` do."""
    fixture.reconciler.refresh(fixture.accounts[NAME])


def by_hand(fixture: RotationFixture) -> None:
    """Look at the account for an operation by hand."""
    account = fixture.accounts[NAME]
    with manual_operation(fixture.reconciler, account, "create", actor=ANN) as operation:
        operation.observe()


def adopt(fixture: RotationFixture) -> None:
    """Adopt what is in Vault."""
    fixture.adopt(None)


LOOKS: tuple[Look, ...] = (
    refresh,
    by_hand,
    adopt,
    lambda fixture: fixture.attempt(),
    lambda fixture: fixture.attempt(actor=ANN),
    lambda fixture: fixture.resume(),
)


@pytest.mark.parametrize("look", LOOKS)
def test_every_path_that_looks_records_what_others_made(tmp_path: Path, look: Look) -> None:
    """With the whole id, at the first look, and never again."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        foreign = fixture.make_foreign()
        look(fixture)
        found = sightings(fixture)
        look(fixture)
        refresh(fixture)

        assert found == [("secret-appeared", foreign)]
        assert sightings(fixture) == found


def test_a_secret_that_vanishes_and_comes_back_has_two_entries(tmp_path: Path) -> None:
    """Whatever the reason is: a list may be late."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        foreign = fixture.make_foreign()
        refresh(fixture)
        fixture.revoke(foreign)
        refresh(fixture)
        fixture.world.vonage.restore(fixture.accounts[NAME].api_key, foreign)
        refresh(fixture)

        assert sightings(fixture) == [
            ("secret-appeared", foreign),
            ("secret-vanished", foreign),
            ("secret-appeared", foreign),
        ]


def test_what_rotator_does_is_no_sighting(tmp_path: Path) -> None:
    """Neither for a new account, nor in a grace, nor after it."""
    with RotationFixture(tmp_path) as fixture:
        refresh(fixture)
        fixture.attempt(grace=DAY)
        refresh(fixture)
        fixture.clock.advance(hours=25)
        fixture.resume()
        refresh(fixture)

        assert sightings(fixture) == []


@pytest.mark.parametrize("number", range(1, 12))
def test_nor_is_what_a_killed_process_did(tmp_path: Path, number: int) -> None:
    """A look in between leaves it to the pass that finds out."""
    with RotationFixture(tmp_path) as fixture:
        refresh(fixture)
        fixture.calls.plan("after", "", number, fixture.calls.kill)
        fixture.run_until_killed()
        fixture.clock.advance(hours=1)
        refresh(fixture)
        fixture.attempt()

        found = [entry for entry in fixture.entries() if entry.event.startswith("secret-")]
        # The answer to the deletion was lost, and the look came before the pass.
        assert len(found) == (number == 10)
        assert all("rotator had begun to delete it" in entry.detail for entry in found)


@pytest.mark.parametrize("number", range(3, 9))
def test_nor_is_what_a_hold_keeps_a_pass_from_finding_out(tmp_path: Path, number: int) -> None:
    """The pass after the hold recognizes its own secret."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        fixture.calls.plan("after", "", number, fixture.calls.kill)
        fixture.run_until_killed()
        hold = Hold(reason="incident", by="ann", at=fixture.clock.now(), freeze=True)
        Holds(fixture.database).put(NAME, hold)
        held = fixture.attempt()
        Holds(fixture.database).lift(NAME, actor=ANN, now=fixture.clock.now())
        fixture.attempt()

        assert code(held) == "held"
        assert sightings(fixture) == []


def test_another_account_under_the_name_begins_anew(tmp_path: Path) -> None:
    """What was listed for one API key says nothing about another."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        refresh(fixture)
        writer, now = fixture.writer, fixture.clock.now()
        lease = writer.claim(NAME, now)
        writer.register(lease, replace(fixture.accounts[NAME].identity, api_key="another"), now)
        snapshot = AccountSnapshot(listed_ids=("its-own",), current_id="its-own", current_since=now)
        writer.commit(lease, rotation=None, entries=[], snapshot=snapshot, now=now, last=True)

        assert sightings(fixture) == []


def test_an_account_that_is_registered_for_the_first_time_goes_on(tmp_path: Path) -> None:
    """The list of a very old ledger, which has no API key, is the account's all the same."""
    with RotationFixture(tmp_path, rotated_before=True, grace=DAY) as fixture:
        fixture.attempt()
        with writing(fixture.database) as connection:
            connection.execute(update(tables.account).values(dict.fromkeys(IDENTITY)))
        refresh(fixture)

        assert fixture.events()[-1] == "registered"
        assert sightings(fixture) == []


def test_a_look_that_is_refused_as_another_accounts_records_nothing(tmp_path: Path) -> None:
    """What it shows may be the other one's; the next look is as good."""
    with RotationFixture(tmp_path, grace=DAY) as fixture:
        fixture.attempt()
        before, (old, _) = fixture.accounts[NAME], fixture.secrets()
        fixture.revoke(old.id)
        fixture.accounts[NAME] = replace(before, pending_path="elsewhere/account-1")
        refresh(fixture)
        refused = sightings(fixture)
        fixture.accounts[NAME] = before
        refresh(fixture)

        assert refused == []
        assert sightings(fixture) == [("secret-vanished", old.id)]
