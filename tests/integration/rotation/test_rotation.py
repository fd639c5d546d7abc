"""A rotation in which nothing goes wrong, and what it leaves behind."""

from datetime import timedelta
from pathlib import Path

import pytest

from rotator.model import Note, Outcome, Request, SecretValue
from rotator.rotation.observation import observe
from tests.support.clock import START
from tests.support.rotation_fixture import NAME, RotationFixture

GRACE = timedelta(hours=24)


def test_a_rotation_replaces_the_secret_and_leaves_one(tmp_path: Path) -> None:
    """Without a grace, one pass ends with the new secret in Vault and the old one deleted."""
    with RotationFixture(tmp_path) as fixture:
        old = fixture.secrets()[0]
        report = fixture.attempt()
        [new] = fixture.secrets()

        assert report.outcome is Outcome.COMPLETED
        assert (report.old_secret_id, report.new_secret_id) == (old.id, new.id)
        assert (report.vault_version, report.error, report.exit_code) == (2, None, 0)
        assert fixture.look().value == new.value != old.value
        assert fixture.look().pending is None


@pytest.mark.parametrize("rotated_before", [False, True])
def test_a_rotation_without_grace_costs_four_calls(tmp_path: Path, *, rotated_before: bool) -> None:
    """Vonage is asked to list, create, list with the new secret, and delete."""
    with RotationFixture(tmp_path, rotated_before=rotated_before) as fixture:
        before = len(fixture.requests("vonage"))
        fixture.attempt()
        methods = [request.split()[0] for request in fixture.requests("vonage")[before:]]

        assert methods == ["GET", "POST", "GET", "DELETE"]


def test_a_rotation_with_grace_costs_five_calls(tmp_path: Path) -> None:
    """The deletion after a grace takes one more look, and waiting takes none."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        fixture.attempt()
        for _ in range(20):
            fixture.clock.advance(hours=1)
            fixture.resume()
        methods = [request.split()[0] for request in fixture.requests("vonage")]
        fixture.clock.advance(hours=4)
        fixture.resume()
        after = [request.split()[0] for request in fixture.requests("vonage")]

        assert methods == ["GET", "POST", "GET"]
        assert after == [*methods, "GET", "DELETE"]


def test_waiting_asks_neither_vonage_nor_vault(tmp_path: Path) -> None:
    """A pass that finds a grace not over yet does not leave the ledger."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        fixture.attempt()
        before = len(fixture.requests())
        fixture.restart()
        report = fixture.resume()

        assert report.outcome is Outcome.AWAITING_DELETION
        assert len(fixture.requests()) == before


def test_every_step_is_in_the_ledger(tmp_path: Path) -> None:
    """Each effect stands there as an intent and its outcome, each read as its outcome."""
    with RotationFixture(tmp_path) as fixture:
        report = fixture.attempt()
        entries = fixture.entries()

        assert fixture.events() == [
            "opened open",
            "intent stage",
            "done stage",
            "intent create",
            "done create",
            "done probe",
            "intent push",
            "done push",
            "done verify",
            "intent clear",
            "done clear",
            "intent delete",
            "done delete",
            "closed complete",
        ]
        assert {entry.rotation_id for entry in entries} == {report.rotation_id}
        assert [(NAME, f"{entry.event} {entry.step}") for _, entry in fixture.told] == [
            (NAME, event) for event in fixture.events()
        ]


def test_other_fields_of_the_entry_are_kept(tmp_path: Path) -> None:
    """What other teams keep in the entry is still there, of whatever type it is."""
    with RotationFixture(tmp_path) as fixture:
        fixture.patch(owner={"team": "sms", "pager": [1, 2]}, retries=3, off=None)
        fixture.attempt()
        fields = fixture.look().current or {}

        assert fields["owner"] == {"team": "sms", "pager": [1, 2]}
        assert (fields["retries"], fields["off"], fields["note"]) == (3, None, "kept")


def test_the_note_binds_the_value_and_the_ledger(tmp_path: Path) -> None:
    """The entry names secret, rotation, time and ledger head, and the chain has that head."""
    with RotationFixture(tmp_path) as fixture:
        report = fixture.attempt()
        fields = fixture.look().current or {}
        note = fields["rotator"]
        value = SecretValue(fields["api_secret"])
        check = Note.check_of(value, secret_id=note["secret_id"], rotation_id=note["rotation_id"])

        assert note["secret_id"] == report.new_secret_id
        assert note["rotation_id"] == report.rotation_id
        assert note["rotated_at"] == "2026-11-23T07:28:00.000000Z"
        assert note["check"] == check
        assert fixture.queries.verify(NAME, anchor=note["ledger_head"]).has_anchor


def test_a_second_rotation_follows_the_note(tmp_path: Path) -> None:
    """Later rotations know the predecessor by the note, and delete only that."""
    with RotationFixture(tmp_path) as fixture:
        first = fixture.attempt()
        fixture.clock.advance(days=30)
        second = fixture.attempt()

        assert second.outcome is Outcome.COMPLETED
        assert second.old_secret_id == first.new_secret_id
        assert [secret.id for secret in fixture.secrets()] == [second.new_secret_id]


def test_the_next_due_time_counts_from_the_secrets_creation(tmp_path: Path) -> None:
    """The ledger's account row has the new secret and the next due time, also after its grace."""
    with RotationFixture(tmp_path, grace=timedelta(days=7)) as fixture:
        report = fixture.attempt()
        [waiting] = fixture.queries.accounts([NAME])
        fixture.clock.advance(days=9)
        ended = fixture.resume()
        [record] = fixture.queries.accounts([NAME])

        assert ended.outcome is Outcome.COMPLETED
        assert waiting.next_due_at == record.next_due_at == START + timedelta(days=30)
        assert record.current_id == report.new_secret_id
        assert record.listed_ids == (report.new_secret_id,)
        assert (record.trouble, record.hold) == (None, None)


def test_after_a_grace_past_its_due_time_the_next_rotation_begins_at_once(tmp_path: Path) -> None:
    """While it lasts, nothing is due but its end; then the secret in use is, by its age."""
    with RotationFixture(tmp_path, grace=timedelta(days=40)) as fixture:
        fixture.attempt()
        fixture.clock.advance(days=35)
        in_grace = fixture.writer.due(fixture.clock.now())
        fixture.clock.advance(days=6)
        first = fixture.attempt(reason="due")
        due = [each.name for each in fixture.writer.due(fixture.clock.now())]
        second = fixture.attempt(reason="due")

        assert in_grace == []
        assert (first.outcome, due) == (Outcome.COMPLETED, [NAME])
        assert second.outcome is Outcome.AWAITING_DELETION
        assert second.old_secret_id == first.new_secret_id


def test_a_young_secret_is_not_due_whatever_the_ledger_has(tmp_path: Path) -> None:
    """A ledger that was restored learns how old the secret in use is, and nothing is rotated."""
    with RotationFixture(tmp_path) as fixture:
        fixture.reconciler.refresh(fixture.accounts[NAME])
        kept = fixture.keep_ledger()
        fixture.attempt()
        fixture.restore_ledger(kept)
        listed = [secret.id for secret in fixture.secrets()]
        was_due = [each.name for each in fixture.writer.due(fixture.clock.now())]
        report = fixture.attempt(reason="due")

        assert was_due == [NAME]
        assert report.outcome is Outcome.IDLE
        assert [secret.id for secret in fixture.secrets()] == listed
        assert fixture.writer.due(fixture.clock.now()) == []


def test_a_clock_that_is_ahead_makes_nothing_due(tmp_path: Path) -> None:
    """Vonage tells the time: what is older by this machine's clock alone is not rotated."""
    with RotationFixture(tmp_path) as fixture:
        fixture.attempt()
        fixture.clock_offset = timedelta(days=60)
        early = fixture.attempt(reason="due")
        fixture.clock.advance(days=30)
        late = fixture.attempt(reason="due")

        assert early.outcome is Outcome.IDLE
        assert late.outcome is Outcome.COMPLETED
        [record] = fixture.queries.accounts([NAME])
        assert record.next_due_at == START + timedelta(days=60)


def test_nothing_to_resume_is_no_work(tmp_path: Path) -> None:
    """`resume` with no rotation open does nothing and writes nothing."""
    with RotationFixture(tmp_path) as fixture:
        report = fixture.resume()

        assert (report.outcome, report.rotation_id) == (Outcome.IDLE, None)
        assert fixture.events() == []
        assert len(fixture.secrets()) == 1


@pytest.mark.parametrize("propagation", [0.3, 40.0, 110.0])
def test_slow_propagation_is_waited_for(tmp_path: Path, propagation: float) -> None:
    """A new secret that Vonage refuses at first is probed until it works, then pushed."""
    with RotationFixture(tmp_path, propagation=propagation) as fixture:
        report = fixture.attempt()

        assert report.outcome is Outcome.COMPLETED
        assert sum(fixture.clock.sleeps) >= propagation
        assert len(fixture.history()) == 2


def test_a_plan_names_what_a_rotation_then_does(tmp_path: Path) -> None:
    """A dry run lists the actions and changes nothing, not even the ledger."""
    with RotationFixture(tmp_path) as fixture:
        before = fixture.look()
        report, actions, _ = fixture.reconciler.dry_run(
            fixture.accounts[NAME], Request(reason="asked")
        )

        assert report.outcome is Outcome.PLANNED
        assert [type(action).__name__ for action in actions] == [
            *("Open", "Stage", "Create", "Probe", "Push", "Verify", "Clear", "Delete", "Close")
        ]
        assert (fixture.look(), fixture.events()) == (before, [])


def test_what_a_pass_holds_in_memory_shows_no_value(tmp_path: Path) -> None:
    """Whatever a debugger or a crash report prints of a look has no value in it."""
    with RotationFixture(tmp_path) as fixture:
        value = fixture.secrets()[0].value
        observed = observe(fixture.reconciler, fixture.accounts[NAME])

        assert observed.current is not None
        assert observed.current.value == SecretValue(value)
        assert value not in repr(observed)
