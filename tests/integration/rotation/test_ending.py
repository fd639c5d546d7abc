"""Versions that Vault removes by itself: `delete_version_after`, on an entry or its mount."""

from datetime import timedelta
from pathlib import Path

import pytest

from rotator.cli.commands.adopt import _sentences
from rotator.model import Outcome, State, Trouble
from tests.support.rotation_fixture import NAME, RotationFixture, code

DAY = 86_400


def found_wrong(fixture: RotationFixture) -> Trouble:
    """Look at the account; return what is wrong with it."""
    fixture.reconciler.refresh(fixture.accounts[NAME])
    trouble = fixture.queries.accounts([NAME])[0].trouble
    assert trouble
    return trouble


def test_what_consumers_read_is_said_to_end_and_to_have_ended(tmp_path: Path) -> None:
    """Before and after it breaks, with the version and the time; nothing is ever deleted."""
    with RotationFixture(tmp_path) as fixture:
        path = fixture.accounts[NAME].vault_path
        fixture.let_end(path, DAY)
        fixture.world.vault.write(path, fixture.fields())
        before = found_wrong(fixture)
        refused = fixture.attempt()
        fixture.clock.advance(days=1)
        after = found_wrong(fixture)
        broken = fixture.attempt()

        assert before.why.startswith("Vault removes version 2 of")
        assert (before.state, before.code) == (State.DRIFTED, "version-ends")
        assert code(refused) == "version-ends"
        assert after.why.startswith("version 2 of")
        assert "was removed from Vault at 2" in after.why
        assert (after.state, after.code) == (State.BROKEN, "entry-missing")
        assert "`vault kv undelete -versions=2 " in str(after.hint)
        assert broken.error is not None
        assert f"`vault kv undelete -versions=2 secret/{path}`" in (broken.error.hint or "")
        assert len(fixture.secrets()) == 1


def test_a_rotation_waits_with_all_it_has_for_a_version_that_stays(tmp_path: Path) -> None:
    """The predecessor lives on and the value stays pending, also once the version has ended."""
    with RotationFixture(tmp_path, grace=timedelta(hours=1)) as fixture:
        account = fixture.accounts[NAME]
        fixture.let_end(account.vault_path, DAY)
        refused = fixture.attempt()
        fixture.clock.advance(days=2)
        ended = fixture.attempt()
        kept = len(fixture.secrets()), fixture.look().pending is not None
        fixture.let_end(account.vault_path, 0)
        key = fixture.world.vault._mounts["secret"].keys[account.vault_path]
        key.versions[2].deletion = None
        waiting = fixture.resume()
        fixture.clock.advance(hours=1)
        report = fixture.resume()

        assert (code(refused), code(ended)) == ("version-ends", "entry-missing")
        assert kept == (2, True)
        assert waiting.outcome is Outcome.AWAITING_DELETION
        assert report.outcome is Outcome.COMPLETED


@pytest.mark.parametrize("is_pushed", [True, False])
def test_what_ends_is_written_anew_by_adopting_it(tmp_path: Path, *, is_pushed: bool) -> None:
    """The very cure that is named: no value is typed, and an open rotation goes on."""
    with RotationFixture(tmp_path, grace=timedelta(hours=1)) as fixture:
        path = fixture.accounts[NAME].vault_path
        fixture.let_end(path, DAY)
        if not is_pushed:
            fixture.world.vault.write(path, fixture.fields())
        refused = fixture.attempt()
        fixture.let_end(path, 0)
        adopted = fixture.adopt(None)
        # Before the version that was pushed is gone, or after that.
        fixture.clock.advance(days=2)
        report = fixture.resume() if is_pushed else fixture.attempt(grace=timedelta())
        fixture.clock.advance(hours=1)
        fixture.resume()

        assert refused.error is not None
        assert f"`rotator adopt {NAME} --from-vault`" in (refused.error.hint or "")
        assert adopted.is_written
        assert adopted.ends_at is None
        assert report.error is None
        assert len(fixture.secrets()) == 1


def test_a_value_that_would_vanish_is_not_sent(tmp_path: Path) -> None:
    """The rotation is undone, and the next one begins once the pending path keeps what it has."""
    with RotationFixture(tmp_path) as fixture:
        fixture.let_end(fixture.accounts[NAME].pending_path, DAY)
        refused = fixture.attempt()
        made = len(fixture.history())
        fixture.let_end(fixture.accounts[NAME].pending_path, 0)
        report = fixture.attempt()

        assert (refused.outcome, code(refused)) == (Outcome.REFUSED, "version-ends")
        assert made == 1
        assert report.outcome is Outcome.COMPLETED


def test_who_adopts_is_told_that_the_version_ends(tmp_path: Path) -> None:
    """What was written is adopted all the same, and the account is looked at as any other."""
    with RotationFixture(tmp_path) as fixture:
        (only,) = fixture.secrets()
        fixture.let_end(fixture.accounts[NAME].vault_path, DAY)
        adopted = fixture.adopt(only.value)
        [record] = fixture.queries.accounts([NAME])

        assert adopted.ends_at == fixture.clock.now() + timedelta(days=1)
        assert "by itself at" in " ".join(_sentences(adopted, "x"))
        assert (record.trouble and record.trouble.code) == "version-ends"
