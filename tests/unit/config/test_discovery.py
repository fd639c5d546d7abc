"""What `[[discover]]` makes of the subaccounts that were found."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rotator.config import Settings
from rotator.errors import ConfigError
from rotator.model import DiscoveredSubaccount, OnForeign, SubaccountState
from tests.support.editor import load_judged

TEXT = """
[vault]
address = "https://vault.example.com:8200"
[policy]
grace = "2h"
[[accounts]]
name = "primary"
api_key = "aaaa0000"
vault_path = "vonage/primary"
[[accounts]]
name = "known"
api_key = "aaaa0001"
vault_path = "vonage/known"
managed_by = "primary"
[[discover]]
parent = "primary"
vault_path = "vonage/{api_key}"
"""
Read = Callable[..., Settings]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Return a function that loads a configuration of this text, with lines in [[discover]]."""

    def load_it(lines: str = "") -> Settings:
        path = tmp_path / "config.toml"
        path.write_text(TEXT + lines)
        return load_judged(path, {})

    return load_it


def found(api_key: str, title: str = "shop", parent: str = "primary") -> DiscoveredSubaccount:
    """Find a subaccount."""
    state = SubaccountState.ACTIVE
    return DiscoveredSubaccount(parent=parent, api_key=api_key, title=title, state=state)


def names(settings: Settings, *several: DiscoveredSubaccount) -> list[str]:
    """Return the accounts that exist because they were discovered."""
    return [each.name for each in settings.with_discovered(several).accounts if each.discovered]


def test_what_was_found_is_an_account_like_any_other(read: Read) -> None:
    """It is managed by its parent, under the policy of its table, and known by its name."""
    settings = read('grace = "1h"\non_foreign = "evict-oldest"\n').with_discovered(
        [found("BBBB0001")]
    )
    account = settings.account("bbbb0001")

    assert (account.api_key, account.vault_path) == ("BBBB0001", "vonage/BBBB0001")
    assert account.pending_path == "rotator/pending/bbbb0001"
    assert account.managed_by == "primary"
    assert account.discovered
    assert account.policy.on_foreign is OnForeign.EVICT_OLDEST
    assert account.policy.grace < settings.policy.grace
    assert account in settings.children("primary")


def test_what_is_found_anew_takes_the_place_of_what_was(read: Read) -> None:
    """To merge twice adds nothing, and the file shows what stands in it alone."""
    settings = read()
    once = settings.with_discovered([found("bbbb0001")])

    assert once.with_discovered([found("bbbb0001")]) == once
    assert once.with_discovered([]) == settings
    assert once.shown() == settings.shown()


def test_none_is_kept_where_values_are_pending(read: Read) -> None:
    """A path that only the parent's name leads there is left out, too."""
    settings = read()
    path = "{parent}/pending/{api_key}"
    table = settings.discover[0].model_copy(update={"vault_path": path})
    vault = settings.vault.model_copy(update={"pending_prefix": "primary/pending"})
    settings = replace(settings, discover=(table,), vault=vault)

    assert names(settings, found("bbbb0001")) == []


def test_what_is_configured_goes_before(read: Read) -> None:
    """An api key, a name or a path that is somebody's already is left alone."""
    settings = read('name = "sub-{parent}-{api_key}"\n')

    assert names(settings, found("aaaa0001"), found("bbbb0001")) == ["sub-primary-bbbb0001"]
    assert names(read(), found("known"), found("BBBB0001"), found("bbbb0001")) == ["bbbb0001"]


def test_a_path_that_is_configured_is_nobody_else_s(read: Read) -> None:
    """The entry there holds another account's secret."""
    settings = read('name = "sub-{api_key}"\n')

    assert names(settings, found("known"), found("bbbb0001")) == ["sub-bbbb0001"]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("", ["bbbb0001", "cccc0001"]),
        ('include = ["b*"]\n', ["bbbb0001"]),
        ('include = ["shop-*"]\n', ["bbbb0001"]),
        ('exclude = ["test-*"]\n', ["bbbb0001"]),
        ('include = ["*"]\nexclude = ["*0001"]\n', []),
        ("include = []\n", []),
    ],
)
def test_patterns_are_of_api_keys_and_names(read: Read, lines: str, expected: list[str]) -> None:
    """One of `include` has to match either, and none of `exclude` may."""
    several = (found("bbbb0001", "shop-1"), found("cccc0001", "test-1"))

    assert names(read(lines), *several) == expected


@pytest.mark.parametrize("api_key", ["bad key", "../x", "", "a" * 65])
def test_a_key_that_is_none_is_left_out(read: Read, api_key: str) -> None:
    """What a server says becomes part of a path only if it is an api key."""
    assert names(read(), found(api_key)) == []


def test_another_parent_s_are_not_managed(read: Read) -> None:
    """Nor what an earlier configuration found."""
    assert names(read(), found("bbbb0001", parent="other")) == []


@pytest.mark.parametrize(
    ("lines", "where", "rule"),
    [
        ('[[discover]]\nparent = "primary"\n', "discover[1].vault_path", "is required"),
        (
            '[[discover]]\nparent = "primry"\nvault_path = "a/{api_key}"\n',
            "discover[1].parent",
            "did you mean primary",
        ),
        (
            '[[discover]]\nparent = "known"\nvault_path = "a/{api_key}"\n',
            "discover[1].parent",
            "is itself managed",
        ),
        (
            '[[discover]]\nparent = "primary"\nvault_path = "a/b"\n',
            "discover[1].vault_path",
            "has no {api_key}",
        ),
        (
            '[[discover]]\nparent = "primary"\nvault_path = "{name}/{api_key}"\n',
            "discover[1].vault_path",
            "braces around something other",
        ),
        (
            '[[discover]]\nparent = "primary"\nvault_path = "secret/data/{api_key}"\n',
            "discover[1].vault_path",
            "begins with the mount",
        ),
        (
            '[[discover]]\nparent = "primary"\nvault_path = "rotator/pending/{api_key}"\n',
            "discover[1].vault_path",
            "lies within",
        ),
        ('name = "Sub {api_key}"\n', "discover[0].name", "does not give an account name"),
        ('include = "b*"\n', "discover[0].include", "is not a list"),
        ('key_field = "api_secret"\n', "discover[0].secret_field", "same field"),
        ('previous_field = "api_key"\n', "discover[0].previous_field", "same field"),
        ('grace = "40d"\n', "discover[0].grace", "is not less than every"),
        ('includes = ["b*"]\n', "discover[0].includes", "did you mean include"),
    ],
)
def test_what_cannot_work_is_refused(read: Read, lines: str, where: str, rule: str) -> None:
    """The place is named, and what is wrong there."""
    with pytest.raises(ConfigError) as caught:
        read(lines)

    assert where in caught.value.message
    assert rule in caught.value.message


def test_discover_is_a_list(tmp_path: Path) -> None:
    """A single table is a slip of the pen."""
    path = tmp_path / "config.toml"
    path.write_text(TEXT.replace("[[discover]]", "[discover]"))

    with pytest.raises(ConfigError, match="discover: is not a list of tables"):
        load_judged(path, {})
