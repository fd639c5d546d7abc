"""What is wrong with an account, and what to do: the same words, whatever finds it first."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from rotator.model import Request, State, Trouble
from rotator.sim import Fault
from tests.support.rotation_fixture import NAME, SUB, RotationFixture


def trouble(fixture: RotationFixture) -> Trouble:
    """Look at the account; return what is wrong with it."""
    fixture.reconciler.refresh(fixture.accounts[NAME])
    [summary] = fixture.queries.accounts([NAME])
    assert summary.trouble
    return summary.trouble


def test_the_cure_names_the_version_that_still_works(tmp_path: Path) -> None:
    """Someone wrote rubbish over the value twice: what was there before is brought back at once."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        version = fixture.world.vault.current_version(fixture.accounts[NAME].vault_path)
        fixture.patch(api_secret="Rubbish1234")
        fixture.patch(api_secret="Rubbish5678")
        found = trouble(fixture)
        refused = fixture.attempt()

        path = fixture.accounts[NAME].identity.vault_path
        cure = f"version {version} still works: `vault kv rollback -version={version} {path}`"
        assert found.state is State.BROKEN
        assert str(found.hint).startswith(cure)
        assert str(found.hint).count("rollback") == 1
        assert refused.error
        assert str(refused.error.hint).startswith(cure)


def test_the_cure_of_a_rotation_in_its_grace_keeps_no_dead_value(tmp_path: Path) -> None:
    """What could be said of a changed value that works is not said of one that does not."""
    with RotationFixture(tmp_path, grace=timedelta(days=1)) as fixture:
        fixture.attempt()
        fixture.patch(api_secret="Rubbish1234")
        hint = str(trouble(fixture).hint)

        assert "still works" in hint
        assert "--from-vault" not in hint
        assert hint.endswith(f"else `rotator adopt {NAME}` puts a working secret there")


def test_no_version_is_named_that_does_not_work(tmp_path: Path) -> None:
    """Where each older version was revoked or has the same value, the cure is another one."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        for secret in fixture.secrets():
            fixture.revoke(secret.id)
        for note in ("once", "twice"):
            fixture.patch(api_secret="Rubbish1234", note=note)
        found = trouble(fixture)

        assert found.state is State.BROKEN
        assert "still works" not in str(found.hint)
        assert "rotator adopt" in str(found.hint)


def test_no_version_is_named_that_vault_has_removed(tmp_path: Path) -> None:
    """The search ends there, and the other cures stay."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        path = fixture.accounts[NAME].vault_path
        fixture.patch(api_secret="Rubbish1234")
        fixture.world.vault.destroy(path, range(1, fixture.world.vault.current_version(path)))
        found = trouble(fixture)

        assert found.state is State.BROKEN
        assert "still works" not in str(found.hint)


def test_an_overwritten_entry_without_the_field_names_the_version_that_works(
    tmp_path: Path,
) -> None:
    """Someone wrote other fields there: what they replaced is brought back."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        version = fixture.world.vault.current_version(fixture.accounts[NAME].vault_path)
        fixture.drop_field("api_secret")
        found = trouble(fixture)

        assert (found.state, found.code) == (State.BROKEN, "field-missing")
        assert str(found.hint).startswith(f"version {version} still works: ")


def test_nobody_is_sent_back_to_a_version_that_stopped_working(tmp_path: Path) -> None:
    """The pushed secret was revoked, and its predecessor rolled back to: that one is kept."""
    with RotationFixture(tmp_path, grace=timedelta(days=1), rotated_before=True) as fixture:
        new = fixture.attempt().new_secret_id
        fixture.revoke(new or "")
        broken = trouble(fixture)
        fixture.roll_back()
        found = trouble(fixture)
        fixture.adopt(None)
        mended = fixture.queries.accounts([NAME])[0].trouble

        back = (
            "brings it back at once, then `rotator adopt account-1 --from-vault` ends the rotation"
        )
        assert back in str(broken.hint)
        assert found.state is State.DRIFTED
        assert "rollback" not in str(found.hint)
        assert "`rotator adopt account-1 --from-vault` keeps the present one" in str(found.hint)
        assert mended is None


def test_going_back_to_what_the_rotation_wrote_ends_nothing(tmp_path: Path) -> None:
    """Rubbish was written over the pushed value: the rotation goes on once that is back."""
    with RotationFixture(tmp_path, grace=timedelta(days=1)) as fixture:
        version = fixture.attempt().vault_version
        fixture.patch(api_secret="Rubbish1234")
        found = trouble(fixture)

        assert f"-version={version} " in str(found.hint)
        assert "else `rotator adopt account-1` puts a working secret there" in str(found.hint)
        assert "ends the rotation" not in str(found.hint)


def test_a_dry_run_names_the_version_that_still_works(tmp_path: Path) -> None:
    """The plan has the words of the command that it stands for, with a rotation open or none."""
    with RotationFixture(tmp_path, grace=timedelta(days=1), rotated_before=True) as fixture:
        new = fixture.attempt().new_secret_id
        fixture.revoke(new or "")
        account, asked = fixture.accounts[NAME], Request(reason="asked")
        open_one = fixture.reconciler.dry_run(account, asked)[0].error
        found = fixture.reconciler.attempt(account, asked, looks=True).error
        fixture.adopt(fixture.secrets()[0].value)
        fixture.patch(api_secret="Rubbish1234")
        planned = fixture.reconciler.dry_run(account, asked)[0].error
        refused = fixture.attempt().error

        assert open_one
        assert open_one == found
        assert "still works" in str(open_one.hint)
        assert planned
        assert planned == refused
        assert "still works" in str(planned.hint)


def test_a_command_within_a_grace_is_refused_for_what_is_wrong(tmp_path: Path) -> None:
    """Someone revoked the predecessor: `rotate-now` says so, as `status` does, and a dry run."""
    with RotationFixture(tmp_path, grace=timedelta(days=1), rotated_before=True) as fixture:
        old = fixture.attempt().old_secret_id
        fixture.revoke(old or "")
        account, asked = fixture.accounts[NAME], Request(reason="asked")
        planned = fixture.reconciler.dry_run(account, asked)[0].error
        refused = fixture.reconciler.attempt(account, asked, looks=True).error
        found = trouble(fixture)

        assert found.state is State.DRIFTED
        assert refused
        assert (refused.code, refused.message, refused.hint) == (found.code, found.why, found.hint)
        assert planned == refused


def test_no_line_end_is_suspected_in_a_value_that_is_as_it_was_written(tmp_path: Path) -> None:
    """Its secret was revoked; the value of an entry without a note may have been mistyped."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        for secret in fixture.secrets():
            fixture.revoke(secret.id)
        known = trouble(fixture)
    with RotationFixture(tmp_path) as fixture:
        for secret in fixture.secrets():
            fixture.revoke(secret.id)
        unknown = trouble(fixture)

    assert "line end" not in str(known.hint)
    assert "line end" in str(unknown.hint)


def test_what_was_never_adopted_is_unmanaged(tmp_path: Path) -> None:
    """Two secrets and no note: nobody changed anything, rotator does not know which one is used."""
    with RotationFixture(tmp_path) as fixture:
        fixture.make_foreign()
        found = trouble(fixture)

        assert (found.state, found.code) == (State.UNMANAGED, "unknown-current")
        assert f"rotator adopt {NAME}" in str(found.hint)


def test_a_clock_that_is_behind_stays_what_is_wrong(tmp_path: Path) -> None:
    """A look confirms what the pass was refused for, and does not take it for mended."""
    with RotationFixture(tmp_path, grace=timedelta(days=1)) as fixture:
        fixture.clock_offset = timedelta(days=-2)
        refused = fixture.attempt()
        found = trouble(fixture)

        assert refused.error
        assert refused.error.code == found.code == "clock-behind"
        assert found.state is State.REFUSED
        assert "trouble-over" not in fixture.events()
        assert fixture.queries.accounts([NAME])[0].failures == 1


def test_a_look_ends_what_failed_where_nothing_is_due(tmp_path: Path) -> None:
    """What was asked for in an outage is not tried again for weeks: nothing else would end it."""
    with RotationFixture(tmp_path) as fixture:
        fixture.attempt()
        fixture.world.vault.sealed = True
        fixture.attempt()
        fixture.world.vault.sealed = False
        [failing] = fixture.queries.accounts([NAME])
        fixture.reconciler.refresh(fixture.accounts[NAME])
        fixture.reconciler.refresh(fixture.accounts[NAME])
        [over] = fixture.queries.accounts([NAME])

        assert (failing.failures, over.failures, over.failure) == (1, 0, None)
        assert fixture.events()[-2:] == ["failed", "trouble-over"]


def test_a_look_leaves_what_is_tried_again(tmp_path: Path) -> None:
    """Where a rotation is due, a look does not show that it will succeed."""
    with RotationFixture(tmp_path) as fixture:
        fixture.world.vault.sealed = True
        fixture.attempt()
        fixture.world.vault.sealed = False
        fixture.reconciler.refresh(fixture.accounts[NAME])
        [summary] = fixture.queries.accounts([NAME])

        assert summary.failures == 1
        assert fixture.events()[-1] == "failed"


def test_a_value_that_is_gone_from_its_entry_breaks_consumers(tmp_path: Path) -> None:
    """Also of an account that was never rotated, and at each look; the cure is what was there."""
    with RotationFixture(tmp_path) as fixture:
        fixture.reconciler.refresh(fixture.accounts[NAME])
        fixture.world.vault.write(fixture.accounts[NAME].vault_path, {"note": "x"})
        first, second = trouble(fixture), trouble(fixture)

        assert (first.state, first.code) == (State.BROKEN, "field-missing")
        assert "vault kv rollback -version=1" in str(first.hint)
        assert second == first


def test_an_entry_without_a_value_from_the_start_breaks_nobody(tmp_path: Path) -> None:
    """Nobody has read one there as far as rotator knows."""
    with RotationFixture(tmp_path) as fixture:
        fixture.world.vault.write(fixture.accounts[NAME].vault_path, {"note": "x"})
        fixture.reconciler.refresh(fixture.accounts[NAME])
        [summary] = fixture.queries.accounts([NAME])

        assert summary.trouble
        assert summary.trouble.state is State.UNMANAGED


def test_a_cure_that_was_not_known_is_news(tmp_path: Path) -> None:
    """As of what an older version has found, whose ledger has no cure."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        fixture.make_foreign()
        found = trouble(fixture)

        assert found.hint
        assert found.is_news(replace(found, hint=None))
        assert not found.is_news(replace(found, hint="another one"))


# -- The version that still works. ---------------------------------------------------------


def test_versions_that_are_gone_are_passed_over_at_once(tmp_path: Path) -> None:
    """Deleted, destroyed or rolled off: the next older one is tried, and none is waited for."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        path, version = fixture.accounts[NAME].vault_path, fixture.look().version
        for number in range(4):
            fixture.patch(api_secret=f"Rubbish123{number}")
        fixture.world.vault.destroy(path, [version + 1])
        key = fixture.world.vault._mounts["secret"].keys[path]
        key.versions[version + 2].deletion = int(fixture.clock.now().timestamp())
        del key.versions[version + 3]
        before = fixture.clock.monotonic()
        found = trouble(fixture)

        assert str(found.hint).startswith(f"version {version} still works: ")
        assert fixture.clock.monotonic() == before


@pytest.mark.parametrize(("different", "read"), [(True, 3), (False, 10)])
def test_the_search_for_a_version_that_works_is_bounded(
    tmp_path: Path, *, different: bool, read: int
) -> None:
    """By the values that are tried at Vonage, and by the versions that are read."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        for number in range(14):
            fixture.patch(api_secret=f"Rubbish12{number if different else 0}", number=number)
        found = trouble(fixture)

        assert "still works" not in str(found.hint)
        assert fixture.calls.count("store.read_version") == read


def test_an_outage_ends_the_search_for_a_version_that_works(tmp_path: Path) -> None:
    """The other cures stay."""
    with RotationFixture(tmp_path, rotated_before=True) as fixture:
        fixture.patch(api_secret="Rubbish1234")
        fixture.patch(api_secret="Rubbish5678")
        away = Fault("status", method="GET", status=500, times=None)
        fixture.calls.plan(
            "before", "store.read_version", 1, lambda: fixture.world.vault.faults.add(away)
        )
        found = trouble(fixture)

        assert found.state is State.BROKEN
        assert "still works" not in str(found.hint)


# -- What changes while its cause does not. ------------------------------------------------


def test_a_cause_does_not_change_with_what_is_measured(tmp_path: Path) -> None:
    """The clock falls further and further behind: that is told once."""
    with RotationFixture(tmp_path, grace=timedelta(days=1)) as fixture:
        fixture.clock_offset = timedelta(days=-2)
        first = trouble(fixture)
        fixture.clock_offset = timedelta(days=-3, minutes=-7)
        second = trouble(fixture)

        assert first.why == second.why
        assert fixture.events().count("trouble") == 1


@pytest.mark.parametrize(("grace", "is_helpful"), [(0, True), (1, False)])
def test_a_parent_account_is_named_only_where_it_would_help(
    tmp_path: Path, *, grace: int, is_helpful: bool
) -> None:
    """What has a parent already needs none, and no parent helps a rotation that has pushed."""
    with RotationFixture(tmp_path, subaccounts=1) as fixture:
        hints = {}
        for name in (NAME, SUB):
            fixture.attempt(name, grace=timedelta(days=grace))
        for name in (NAME, SUB):
            for secret in fixture.secrets(name):
                fixture.world.vonage.revoke(fixture.accounts[name].api_key, secret.id)
            found = fixture.reconciler.refresh(fixture.accounts[name])
            hints[name] = str(found and found.hint)

    assert ("set `managed_by`" in hints[NAME]) is is_helpful
    assert (f"`rotator status {NAME} --refresh`" in hints[SUB]) is is_helpful
    assert "managed_by" not in hints[SUB]
