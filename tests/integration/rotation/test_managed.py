"""Accounts whose parent's credential may manage them."""

from datetime import timedelta
from pathlib import Path

import pytest

from rotator.model import Outcome
from tests.support.rotation_fixture import NAME, SUB, RotationFixture

DEAD = "NoLongerValid1"


def callers(fixture: RotationFixture) -> list[str]:
    """Return the account as which each request to Vonage came, by name."""
    names = {account.api_key: name for name, account in fixture.accounts.items()}
    return [names[exchange.api_key] for exchange in fixture.world.vonage.exchanges]


def test_a_managed_account_uses_its_own_credential_first(tmp_path: Path) -> None:
    """While its own value works, the parent's is not touched."""
    with RotationFixture(tmp_path, subaccounts=1) as fixture:
        report = fixture.attempt(SUB)

        assert report.outcome is Outcome.COMPLETED
        assert callers(fixture) == [SUB] * 4


def test_a_dead_value_is_cured_with_the_parents_credential(tmp_path: Path) -> None:
    """Where Vault's value is refused but the parent's works, rotating puts it right."""
    with RotationFixture(tmp_path, subaccounts=1) as fixture:
        fixture.patch(SUB, api_secret=DEAD)
        report = fixture.attempt(SUB)

        assert report.outcome is Outcome.COMPLETED
        assert report.old_secret_id is None
        assert fixture.look(SUB).works


def test_a_cure_deletes_nothing(tmp_path: Path) -> None:
    """Which secret the dead value was is unknown, so that none is taken for the predecessor."""
    with RotationFixture(tmp_path, subaccounts=1) as fixture:
        unknown = fixture.secrets(SUB)[0].id
        fixture.patch(SUB, api_secret=DEAD)
        fixture.attempt(SUB)

        assert unknown in fixture.look(SUB).ids
        assert len(fixture.look(SUB).ids) == 2


def test_a_cure_replaces_a_secret_that_was_revoked_outside(tmp_path: Path) -> None:
    """A noted secret that somebody revoked is gone already; the new one is the only one."""
    with RotationFixture(tmp_path, subaccounts=1) as fixture:
        first = fixture.attempt(SUB)
        fixture.revoke(first.new_secret_id or "", SUB)
        report = fixture.attempt(SUB)

        assert report.outcome is Outcome.COMPLETED
        assert [secret.id for secret in fixture.secrets(SUB)] == [report.new_secret_id]


def test_a_dead_value_of_an_account_of_its_own_is_refused(tmp_path: Path) -> None:
    """Without a parent there is no credential to cure it with, and that is what is said."""
    with RotationFixture(tmp_path) as fixture:
        fixture.patch(api_secret=DEAD)
        report = fixture.attempt()

        assert report.error is not None
        assert (report.error.code, report.exit_code) == ("current-refused", 3)
        assert "managed_by" in (report.error.hint or "")
        assert len(fixture.history()) == 1


def test_a_dead_parent_is_no_cure(tmp_path: Path) -> None:
    """Where both values are refused, nothing is made and nothing is deleted."""
    with RotationFixture(tmp_path, subaccounts=1) as fixture:
        fixture.patch(SUB, api_secret=DEAD)
        fixture.patch(NAME, api_secret=DEAD)
        report = fixture.attempt(SUB)

        assert report.error is not None
        assert report.error.code == "current-refused"
        assert len(fixture.history(SUB)) == 1


def test_a_parent_rotated_meanwhile_is_read_again(tmp_path: Path) -> None:
    """When the parent's value is refused, Vault is asked once more before giving up."""
    with RotationFixture(tmp_path, subaccounts=1) as fixture:
        fixture.patch(SUB, api_secret=DEAD)

        def rotate_parent() -> None:
            parent = fixture.accounts[NAME].api_key
            fixture.revoke(fixture.secrets(NAME)[0].id, NAME)
            fixture.world.vonage.add_secret(parent, "FreshlyMade1")
            fixture.patch(NAME, api_secret="FreshlyMade1")

        # The calls: read the own entry and the pending one, list, read again, list; the parent.
        fixture.calls.plan("after", "store.read_current", 3, rotate_parent)
        report = fixture.attempt(SUB)

        assert report.outcome is Outcome.COMPLETED
        assert fixture.look(SUB).works


def test_an_own_value_rotated_meanwhile_is_read_again(tmp_path: Path) -> None:
    """When the own value is refused, Vault is asked once more before the parent is."""
    with RotationFixture(tmp_path, subaccounts=1) as fixture:

        def rotate() -> None:
            fixture.world.vonage.add_secret(fixture.accounts[SUB].api_key, "FreshlyMade1")
            fixture.revoke(fixture.secrets(SUB)[0].id, SUB)
            fixture.patch(SUB, api_secret="FreshlyMade1")

        fixture.calls.plan("after", "store.read_current", 1, rotate)
        report = fixture.attempt(SUB)

        assert report.outcome is Outcome.COMPLETED
        assert NAME not in callers(fixture)


@pytest.mark.parametrize("number", range(1, 12))
def test_a_parent_may_be_rotated_at_any_moment(tmp_path: Path, number: int) -> None:
    """A child's rotation on its parent's credential ends well if the parent is rotated amid it."""
    with RotationFixture(tmp_path, subaccounts=1) as fixture:
        first = fixture.attempt(SUB)
        fixture.revoke(first.new_secret_id or "", SUB)

        def rotate_parent() -> None:
            parent = fixture.accounts[NAME].api_key
            fixture.world.vonage.add_secret(parent, "FreshlyMade1")
            fixture.patch(NAME, api_secret="FreshlyMade1")
            fixture.revoke(fixture.secrets(NAME)[0].id, NAME)

        fixture.calls.plan("before", "", number, rotate_parent)
        reports = [fixture.attempt(SUB)]
        if reports[0].outcome is not Outcome.COMPLETED:
            reports.append(fixture.attempt(SUB))

        assert reports[-1].outcome is Outcome.COMPLETED
        assert len(fixture.secrets(SUB)) == 1
        assert fixture.look(SUB).works


def test_a_child_in_its_grace_survives_its_own_value(tmp_path: Path) -> None:
    """After the push nothing is deleted while Vault's value is refused, parent or not."""
    with RotationFixture(tmp_path, subaccounts=1, grace=timedelta(hours=1)) as fixture:
        report = fixture.attempt(SUB)
        fixture.revoke(report.new_secret_id or "", SUB)
        fixture.clock.advance(hours=2)
        resumed = fixture.resume(SUB)

        assert resumed.error is not None
        assert resumed.error.code == "current-refused"
        assert [secret.id for secret in fixture.secrets(SUB)] == [report.old_secret_id]


def test_a_dead_value_told_by_a_standby_leaves_no_stranger(tmp_path: Path) -> None:
    """What a lagging standby hid at first, the present value's secret, is the predecessor."""
    with RotationFixture(tmp_path, subaccounts=1) as fixture:
        fixture.attempt(SUB)
        fixture.clock.advance(days=31)
        for number in (1, 4):
            fixture.before_request(number, lambda _seen: _lag(fixture))
        report = fixture.attempt(SUB)

        assert report.outcome is Outcome.COMPLETED
        assert [secret.id for secret in fixture.secrets(SUB)] == [report.new_secret_id]


def _lag(fixture: RotationFixture) -> None:
    fixture.world.vault.stale_reads = 1
