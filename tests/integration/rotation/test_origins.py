"""Who made or revoked a secret that rotator did not, by Vonage's Audit API."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from rotator.ledger.database import writing
from rotator.model import OnForeign, State
from rotator.model.notification import Event, Hook
from rotator.rotation.manual import AccountSecrets
from rotator.rotation.observation import observe
from rotator.sim import Fault
from rotator.sim.vonage.audit import Source
from tests.support.rotation_fixture import NAME, SUB, RotationFixture, code

MADE = "made in Vonage's dashboard by operator@example.com, from 192.0.2.10 (GB), at "
REVOKED = MADE.replace("made", "revoked", 1)


def refresh(fixture: RotationFixture) -> str:
    """Look at the account as the drift check does; return what is wrong with it, in words."""
    trouble = fixture.reconciler.refresh(fixture.accounts[NAME])
    return trouble.why if trouble else ""


def asked(fixture: RotationFixture) -> list[dict[str, str]]:
    """Return the questions that Vonage's Audit API was asked."""
    exchanges = fixture.world.vonage.exchanges
    return [dict(each.query) for each in exchanges if each.path.startswith("/beta/audit")]


def explained(fixture: RotationFixture) -> list[tuple[str, str]]:
    """Return what the entries say of who made which secret."""
    entries = [entry for entry in fixture.entries() if entry.event == "secret-explained"]
    details = [json.loads(entry.detail) for entry in entries]
    return [(detail["secret_id"], detail["why"]) for detail in details]


@pytest.mark.parametrize("names_secrets", [True, False])
def test_a_look_says_who_made_a_foreign_secret(tmp_path: Path, *, names_secrets: bool) -> None:
    """Whether the event names the secret or only its time tells; once, with one question."""
    with RotationFixture(tmp_path, rotated_before=True, audit=True) as fixture:
        fixture.world.vonage.audit_names_secrets = names_secrets
        refresh(fixture)
        nothing_to_ask = asked(fixture)
        foreign = fixture.make_foreign()
        made = f"{MADE}{fixture.clock.now():%Y-%m-%d %H:%M:%S} UTC"
        fixture.clock.advance(hours=6)
        why = refresh(fixture)
        events = [entry.event for entry in fixture.entries()][-3:]
        fixture.restart()
        again = refresh(fixture)

        assert nothing_to_ask == []
        assert why.endswith(f"as far as rotator knows; secret {foreign} was {made}")
        assert events == ["secret-appeared", "secret-explained", "trouble"]
        assert explained(fixture) == [(foreign, made)]
        assert again == why
        [question] = asked(fixture)
        assert question["event_type"] == "ACCOUNT_SECRET_CREATE"
        assert (question["page"], question["size"]) == ("1", "100")


def test_a_pass_says_the_same_and_hooks_hear_it_once(tmp_path: Path) -> None:
    """A pass asks nobody; what a look has learned, every later refusal repeats."""
    hook = Hook(name="h", on=frozenset({Event.DRIFT, Event.REFUSED}), command=("/bin/true",))
    with RotationFixture(tmp_path, rotated_before=True, audit=True, hooks=(hook,)) as fixture:
        foreign = fixture.make_foreign()
        before = fixture.attempt()
        told_before = len(fixture.deliveries.undelivered(["h"]))
        why = refresh(fixture)
        told = len(fixture.deliveries.undelivered(["h"]))
        after = fixture.attempt()
        everything = len(fixture.deliveries.undelivered(["h"]))
        fixture.attempt()
        refresh(fixture)

        assert code(before) == code(after) == "foreign-secret"
        assert before.error
        assert after.error
        assert MADE not in before.error.message
        assert f"{before.error.message}; secret {foreign} was {MADE}" in why
        assert after.error.message == why
        # Who made it is news, of drift and of a refusal; that it is known is not.
        assert (told_before, told, everything) == (1, 2, 3)
        assert len(fixture.deliveries.undelivered(["h"])) == everything
        assert len(asked(fixture)) == 1


def test_a_predecessor_that_vanishes_in_its_grace_is_explained(tmp_path: Path) -> None:
    """With the last look in mind: the event may have been at any time since."""
    grace = timedelta(days=1)
    with RotationFixture(tmp_path, rotated_before=True, audit=True, grace=grace) as fixture:
        fixture.attempt()
        refresh(fixture)
        fixture.clock.advance(hours=3)
        old = fixture.secrets()[0].id
        fixture.revoke(old)
        revoked = f"{REVOKED}{fixture.clock.now():%Y-%m-%d %H:%M:%S} UTC"
        fixture.clock.advance(hours=3)
        why = refresh(fixture)

        assert why.endswith(f"; secret {old} was {revoked}")
        assert explained(fixture) == [(old, revoked)]
        assert asked(fixture)[-1]["event_type"] == "ACCOUNT_SECRET_DELETE"


def test_what_appeared_and_what_vanished_are_one_question(tmp_path: Path) -> None:
    """Of a secret that was made and is gone, the newest is known."""
    with RotationFixture(tmp_path, rotated_before=True, audit=True) as fixture:
        first = fixture.make_foreign()
        refresh(fixture)
        fixture.clock.advance(hours=1)
        fixture.revoke(first)
        second = fixture.make_foreign(value="MadeByHand2")
        refresh(fixture)
        origins = fixture.writer.load(NAME).seen.origins

        assert len(asked(fixture)) == 2
        assert asked(fixture)[-1]["event_type"] == "ACCOUNT_SECRET_CREATE,ACCOUNT_SECRET_DELETE"
        assert origins[first].startswith(REVOKED)
        assert origins[second].startswith(MADE)


def test_two_that_may_have_been_it_are_both_named(tmp_path: Path) -> None:
    """Made within the same seconds, one of them gone: which one is left is not certain."""
    with RotationFixture(tmp_path, rotated_before=True, audit=True) as fixture:
        vonage = fixture.world.vonage
        fixture.revoke(fixture.make_foreign())
        vonage.dashboard = Source(code="DEVAPI", address="203.0.113.9")
        foreign = fixture.make_foreign(value="MadeByHand2")
        refresh(fixture)
        [(secret_id, words)] = explained(fixture)

        assert secret_id == foreign
        assert words.count(" or ") == 1
        assert "in Vonage's dashboard by operator@example.com" in words
        assert "through Vonage's API, from 203.0.113.9, at " in words
        assert words.endswith("(one of these)")


def test_an_account_that_may_not_use_the_api_is_asked_about_once(tmp_path: Path) -> None:
    """What is wrong is told all the same, and why nobody knows who did it."""
    with RotationFixture(tmp_path, rotated_before=True, audit=True) as fixture:
        fixture.world.vonage.not_audited.add(fixture.accounts[NAME].api_key)
        foreign = fixture.make_foreign()
        why = [refresh(fixture) for _ in range(3)]
        origins = fixture.reconciler.origins

        assert len(asked(fixture)) == 1
        assert foreign in why[0]
        assert why[0] == why[1] == why[2]
        assert explained(fixture) == []
        assert origins
        assert "not provisioned to access the Audit API" in origins.errors[NAME].message
        assert sum("not audited" in line for line in fixture.ear.lines) == 1


def test_an_answer_that_fails_is_asked_for_again_at_the_next_look(tmp_path: Path) -> None:
    """Once in each look, and not for ever; the account counts as seen."""
    with RotationFixture(tmp_path, rotated_before=True, audit=True) as fixture:
        failing = Fault("status", path="/beta/audit/", status=503, times=9)
        fixture.world.vonage.faults.add(failing)
        foreign = fixture.make_foreign()
        refresh(fixture)
        once = len(asked(fixture))
        for _ in range(5):
            refresh(fixture)
        given_up = len(asked(fixture))
        fixture.world.vonage.faults.clear()
        fixture.restart()
        why = refresh(fixture)

        assert (once, given_up) == (1, 3)
        assert f"secret {foreign} was {MADE}" in why
        assert len(asked(fixture)) == 4


def test_nobody_is_asked_unless_that_is_wanted(tmp_path: Path) -> None:
    """By default the API, which is in beta, is left alone."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        fixture.make_foreign()
        refresh(fixture)

        assert asked(fixture) == []


def test_no_question_is_asked_about_what_may_be_rotator_s_own(tmp_path: Path) -> None:
    """While the answer to a new secret is lost, a new id may be its; so may an account's be."""
    with RotationFixture(tmp_path, rotated_before=True, audit=True) as fixture:
        fixture.calls.plan("after", "issuer.create_secret", 1, fixture.calls.kill)
        fixture.run_until_killed()
        refresh(fixture)

        assert asked(fixture) == []
        fixture.carry_on()


def test_a_subaccount_s_events_are_its_own(tmp_path: Path) -> None:
    """With the parent's credential, the parent's events come, which say nothing of it."""
    with RotationFixture(tmp_path, subaccounts=1, audit=True) as fixture:
        new = fixture.attempt(SUB).new_secret_id
        fixture.make_foreign(SUB)
        fixture.make_foreign(NAME, value="MadeByHand2")
        [current] = [each.id for each in fixture.secrets(SUB) if each.id == new]
        fixture.revoke(current, SUB)
        fixture.reconciler.refresh(fixture.accounts[SUB])

        [question] = asked(fixture)
        assert question["event_type"] == "ACCOUNT_SECRET_CREATE,ACCOUNT_SECRET_DELETE"
        assert fixture.writer.load(SUB).seen.origins == {}


def test_examining_records_nothing(tmp_path: Path) -> None:
    """`doctor` asks as well, and says what it heard; `secrets list` says what is recorded."""
    with RotationFixture(tmp_path, rotated_before=True, audit=True) as fixture:
        account = fixture.accounts[NAME]
        foreign = fixture.make_foreign()
        before = fixture.events()
        observation, trouble = fixture.reconciler.examine(account)
        unrecorded = AccountSecrets.of(account, observe(fixture.reconciler, account)).origins
        after = fixture.events()
        refresh(fixture)
        recorded = AccountSecrets.of(account, observe(fixture.reconciler, account)).origins

        assert before == after
        assert trouble
        assert trouble.state is State.DRIFTED
        assert f"secret {foreign} was {MADE}" in trouble.why
        assert observation.ledger.seen.origins.keys() == {foreign}
        assert unrecorded == {}
        assert recorded[foreign].startswith(MADE)


def test_what_somebody_else_wrote_into_the_row_is_nothing_known(tmp_path: Path) -> None:
    """It is asked for anew, and decides nothing."""
    with RotationFixture(tmp_path, rotated_before=True, audit=True) as fixture:
        fixture.is_tampered_with = True
        foreign = fixture.make_foreign()
        for value in ("no JSON", "[1]", '{"x": 1}'):
            with writing(fixture.database) as connection:
                connection.execute(text("UPDATE account SET origins = :value"), {"value": value})
            fixture.restart()
            why = refresh(fixture)

            assert f"secret {foreign} was {MADE}" in why


def test_the_newest_origins_are_kept(tmp_path: Path) -> None:
    """An account whose secrets others go on making does not make its row grow."""
    setting = {"rotated_before": True, "audit": True, "on_foreign": OnForeign.REFUSE}
    with RotationFixture(tmp_path, **setting) as fixture:
        made = []
        for number in range(18):
            made.append(fixture.make_foreign(value=f"MadeByHand{number}"))
            refresh(fixture)
            fixture.clock.advance(hours=1)
            fixture.revoke(made[-1])
        origins = fixture.writer.load(NAME).seen.origins

        assert origins.keys() == set(made[-16:])
