from dataclasses import replace
from datetime import UTC, datetime

import pytest

from rotator.errors import CredentialRefused, Refused, SecretNotFound
from rotator.model import NOTHING_WRITTEN, Credential, Secret, SecretValue
from rotator.rotation.manual import AccountSecrets
from rotator.rotation.observation import Observed
from rotator.rotation.ports import StoredPending
from tests.support import observations
from tests.support.samples import account
from tests.unit.reporting.test_status import COMPLETED, ROTATING, WAITING

NOW = datetime(2026, 11, 23, tzinfo=UTC)
VIEW = AccountSecrets(
    account=account("a"),
    secrets=(Secret(id="held", created_at=NOW), Secret(id="other", created_at=NOW)),
    credential=Credential(api_key="a", secret=SecretValue("Sample-value-1")),
    current=None,
    written=NOTHING_WRITTEN,
    current_secret_id="held",
    is_live=True,
    rotation=None,
    expendable_ids=frozenset(),
)


def test_roles_go_from_certain_to_foreign() -> None:
    """What Vault holds is current, whatever else it is; a stranger's secret is foreign."""
    opened = replace(WAITING, predecessor_id="old", new_id="held")
    view = replace(VIEW, rotation=opened, expendable_ids=frozenset({"old", "gone"}))

    assert [view.role(each) for each in ("held", "old", "gone", "other")] == [
        "current",
        "predecessor",
        "expendable",
        "foreign",
    ]
    assert replace(view, current_secret_id=None).role("held") == "new"


@pytest.mark.parametrize(
    ("view", "secret_id", "why", "instead"),
    [
        (VIEW, "held", "is the one that Vault holds", "`rotator rotate-now a` replaces it"),
        (
            replace(VIEW, current_secret_id=None),
            "other",
            "is not certain",
            "`rotator adopt a --secret-id ID` records",
        ),
        (
            replace(VIEW, is_live=False),
            "other",
            "may be what still works",
            "`rotator adopt a` writes a working one",
        ),
        (
            replace(VIEW, rotation=replace(WAITING, predecessor_id="other")),
            "other",
            "is in its grace",
            "`rotator rotate-now a --grace 0s` ends the grace",
        ),
        (
            replace(VIEW, rotation=replace(ROTATING, new_id="other")),
            "other",
            "belongs to an open rotation",
            "`rotator resume a` carries it on",
        ),
        (replace(VIEW, adopted_id="other"), "other", "was adopted last", "--force deletes it"),
        (
            replace(VIEW, ends_at=NOW),
            "other",
            "by itself at 2026-11-23 00:00 UTC",
            "unset `delete_version_after`",
        ),
    ],
)
def test_what_may_be_in_use_is_not_deleted(
    view: AccountSecrets, secret_id: str, why: str, instead: str
) -> None:
    """An operator has to be sure, and say so by --force, or do what the hint says instead."""
    with pytest.raises(Refused) as caught:
        view.require_deletable(secret_id, force=False)
    view.require_deletable(secret_id, force=True)

    assert why in caught.value.message
    assert caught.value.code == "unsafe-delete"
    assert (caught.value.hint or "").startswith(instead)
    assert "--force deletes it all the same" in (caught.value.hint or "")


@pytest.mark.parametrize("force", [False, True])
def test_the_only_secret_is_not_deleted(*, force: bool) -> None:
    """Not even by force, which Vonage would refuse; the hint leads to another one first."""
    with pytest.raises(Refused, match="the account's only one") as caught:
        replace(VIEW, secrets=VIEW.secrets[:1]).require_deletable("held", force=force)

    assert "--force" not in (caught.value.hint or "")
    assert "`rotator rotate-now a`" in (caught.value.hint or "")


def test_a_secret_is_named_by_the_beginning_of_its_id() -> None:
    """Among the account's own."""
    assert [VIEW.whole_id(given) for given in ("othe", "held", "none")] == ["other", "held", "none"]


def test_what_nobody_uses_is_deleted() -> None:
    """A secret that is not Vault's and of no open rotation may go."""
    VIEW.require_deletable("other", force=False)
    replace(VIEW, rotation=WAITING).require_deletable("other", force=False)


def test_what_is_not_there_is_not_deleted() -> None:
    """Not even by force."""
    with pytest.raises(SecretNotFound, match="a has no secret of that id"):
        VIEW.require_deletable("gone", force=True)


def test_nothing_is_added_to_a_rotation_under_way() -> None:
    """A secret more would look like the rotation's own; in a grace it does not."""
    with pytest.raises(Refused, match="a rotation of a is open"):
        replace(VIEW, rotation=ROTATING).require_quiet()
    replace(VIEW, rotation=WAITING).require_quiet()
    VIEW.require_quiet()


def test_nothing_is_seen_without_a_credential() -> None:
    """Where Vonage refuses every credential, that is said, not an empty list."""
    observation = observations.observed(rotation=COMPLETED)
    observed = Observed(
        observation=observation, current=None, pending=StoredPending(version=0), credential=None
    )

    with pytest.raises(CredentialRefused, match="every credential"):
        AccountSecrets.of(account("a"), observed)


def test_what_was_adopted_is_seen() -> None:
    """The ledger knows it, whatever Vault shows."""
    observation = observations.observed(listed=VIEW.secrets, adopted_id="x")
    pending = StoredPending(version=0)
    observed = Observed(
        observation=observation, current=None, pending=pending, credential=VIEW.credential
    )

    assert AccountSecrets.of(account("a"), observed).adopted_id == "x"
