import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rotator.cli.commands import secrets
from rotator.errors import ConfigError, CredentialRefused, Refused, SecretNotFound
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
    credential=Credential(api_key="a", secret=SecretValue("x")),
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
    ("view", "secret_id", "why"),
    [
        (VIEW, "held", "is the one that Vault holds"),
        (replace(VIEW, current_secret_id=None), "other", "is not certain"),
        (replace(VIEW, is_live=False), "other", "may be what still works"),
        (replace(VIEW, secrets=VIEW.secrets[:1]), "held", "the account's only one"),
        (replace(VIEW, rotation=replace(WAITING, predecessor_id="other")), "other", "belongs to"),
        (replace(VIEW, rotation=replace(ROTATING, new_id="other")), "other", "belongs to"),
        (replace(VIEW, adopted_id="other"), "other", "was adopted last"),
    ],
)
def test_what_may_be_in_use_is_not_deleted(view: AccountSecrets, secret_id: str, why: str) -> None:
    """An operator has to be sure, and say so by --force."""
    with pytest.raises(Refused) as caught:
        secrets._require_deletable(view, secret_id, force=False)
    secrets._require_deletable(view, secret_id, force=True)

    assert why in caught.value.message
    assert caught.value.code == "unsafe-delete"


def test_what_nobody_uses_is_deleted() -> None:
    """A secret that is not Vault's and of no open rotation may go."""
    secrets._require_deletable(VIEW, "other", force=False)
    secrets._require_deletable(replace(VIEW, rotation=WAITING), "other", force=False)


def test_what_is_not_there_is_not_deleted() -> None:
    """Not even by force."""
    with pytest.raises(SecretNotFound, match="a has no secret gone"):
        secrets._require_deletable(VIEW, "gone", force=True)


def test_nothing_is_added_to_a_rotation_under_way() -> None:
    """A secret more would look like the rotation's own; in a grace it does not."""
    with pytest.raises(Refused, match="a rotation of a is open"):
        secrets._require_quiet(replace(VIEW, rotation=ROTATING))
    secrets._require_quiet(replace(VIEW, rotation=WAITING))
    secrets._require_quiet(VIEW)


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


@pytest.mark.parametrize(
    "text",
    ["Sh0rt", "nouppercase1", "NODIGITSHere", "Spaces 1n It", "Ümlaut0Value", "Two1Lines\nX"],
)
def test_a_value_is_checked_and_not_repeated(tmp_path: Path, text: str) -> None:
    """What Vonage would not take, or might not take, is not sent."""
    file = tmp_path / "value"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        secrets._value(str(file))

    assert text not in f"{caught.value.message}{caught.value.hint}"


@pytest.mark.parametrize("content", [b"G00dEnough", b"G00dEnough\n"])
def test_a_value_may_end_its_line(tmp_path: Path, content: bytes) -> None:
    """One newline at the end is the file's, not the value's."""
    file = tmp_path / "value"
    file.write_bytes(content)

    assert secrets._value(str(file)) == SecretValue("G00dEnough")


def test_a_value_that_cannot_be_read(tmp_path: Path) -> None:
    """A file that is not there or is no text is named as that."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="no such file"):
        secrets._value(str(tmp_path / "gone"))
    with pytest.raises(ConfigError, match="is not UTF-8"):
        secrets._value(str(tmp_path / "binary"))


def test_a_value_is_asked_for_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a terminal it is typed blind; elsewhere there is no terminal to ask at."""
    monkeypatch.setattr("getpass.getpass", lambda _prompt: "G00dEnough")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    asked = secrets._value(None)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    with pytest.raises(ConfigError, match="no terminal to ask at"):
        secrets._value(None)

    assert asked == SecretValue("G00dEnough")
