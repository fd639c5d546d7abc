"""Examining an account: what is wrong with it, found without a trace."""

from datetime import timedelta
from pathlib import Path

from rotator.model import State
from tests.support.rotation_fixture import NAME, RotationFixture


def test_what_an_examination_finds_is_what_status_tells(tmp_path: Path) -> None:
    """Cause and cure are the same, whether or not they are in the ledger yet; nothing is added."""
    with RotationFixture(tmp_path, grace=timedelta(days=1)) as fixture:
        fixture.attempt()
        account, reconciler = fixture.accounts[NAME], fixture.reconciler
        _, well = reconciler.examine(account)
        fixture.revoke(fixture.secrets()[-1].id)
        before = fixture.events()
        _, found = reconciler.examine(account)
        after = fixture.events()
        reconciler.refresh(account)
        known = fixture.writer.load(NAME).trouble
        fixture.clock.advance(hours=1)
        _, again = reconciler.examine(account)

    assert well is None
    assert found is not None
    assert found.state is State.BROKEN
    assert after == before
    assert again == known
    assert known is not None
    assert (known.code, known.why, known.hint) == (found.code, found.why, found.hint)
    assert "vault kv rollback -version=1" in (found.hint or "")
