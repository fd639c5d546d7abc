"""The accounts that a command works on, from what is given on the command line."""

from pathlib import Path

import pytest

from rotator.cli.selection import Selection, chosen
from rotator.config import Settings, load
from rotator.errors import ConfigError, UnknownAccount

NAMES = ("main", "sms-eu", "sms-us", "voice")
CHILDREN = ("sms-eu", "sms-us")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Four accounts, the first of which manages the next two."""
    text = '[vault]\naddress = "https://vault.example.com"\n'
    for number, name in enumerate(NAMES):
        text += f'[[accounts]]\nname = "{name}"\napi_key = "key{number}"\n'
        text += f'vault_path = "vonage/{name}"\n'
        text += 'managed_by = "main"\n' if name in CHILDREN else ""
    path = tmp_path / "config.toml"
    path.write_text(text)
    return load(path, {})


def select(*names: str, every: bool = False, parent: str | None = None) -> Selection:
    """Return the selection of what is given."""
    return Selection.of(names, every=every, parent=parent, action="hold")


@pytest.mark.parametrize(
    ("selection", "selected"),
    [
        (select("voice"), ["voice"]),
        (select("voice", "main", "voice"), ["voice", "main"]),
        (select("sms-*"), ["sms-eu", "sms-us"]),
        (select("voice", "s*", "sms-us", "*"), ["voice", "sms-eu", "sms-us", "main"]),
        (select("sms-?s"), ["sms-us"]),
        (select("[mv]*"), ["main", "voice"]),
        (select(every=True), ["main", "sms-eu", "sms-us", "voice"]),
        (select(parent="main"), ["sms-eu", "sms-us", "main"]),
    ],
)
def test_each_account_is_selected_once(
    settings: Settings, selection: Selection, selected: list[str]
) -> None:
    """Names keep their order, a pattern that of the file, and a parent comes last."""
    assert [account.name for account in selection.accounts(settings)] == selected


def test_a_command_that_needs_no_name_takes_all(settings: Settings) -> None:
    """Without names there is no restriction."""
    assert [account.name for account in chosen(settings, None)] == list(NAMES)


@pytest.mark.parametrize(
    ("selection", "message", "hint"),
    [
        (select("sns-eu"), "no account 'sns-eu' is configured", "did you mean sms-eu?"),
        (select("voice", "sns-*"), "no account matches 'sns-*'", "rotator status"),
        (select("SMS-*"), "no account matches 'SMS-*'", "`*` stands for any text"),
        (select(parent="mein"), "no account 'mein' is configured", "did you mean main?"),
        (select(parent="*"), "no account '*' is configured", "configured are main"),
    ],
)
def test_what_stands_for_no_account_is_refused(
    settings: Settings, selection: Selection, message: str, hint: str
) -> None:
    """One name or pattern that finds nothing refuses the whole command."""
    with pytest.raises(UnknownAccount) as caught:
        selection.accounts(settings)

    assert caught.value.message == message
    assert hint in (caught.value.hint or "")


def test_a_parent_without_children_is_refused(settings: Settings) -> None:
    """The wrong account's name would otherwise select that account alone."""
    with pytest.raises(ConfigError) as caught:
        select(parent="voice").accounts(settings)

    assert caught.value.message == "voice manages no account"


@pytest.mark.parametrize(
    ("names", "every", "parent", "message"),
    [
        ((), False, None, "no account is named"),
        (("a",), True, None, "both names and --all are given"),
        (("a",), False, "b", "both names and --parent are given"),
        ((), True, "b", "both --all and --parent are given"),
        (("a",), True, "b", "both names and --all are given"),
    ],
)
def test_one_way_of_selecting_is_given(
    names: tuple[str, ...], *, every: bool, parent: str | None, message: str
) -> None:
    """Neither none nor two: which of them counts is not guessed."""
    with pytest.raises(ConfigError) as caught:
        select(*names, every=every, parent=parent)

    assert caught.value.message == message
    assert caught.value.hint == "name the accounts to hold, or give --all or --parent"


@pytest.mark.parametrize(
    ("selection", "is_single"),
    [
        (select("voice"), True),
        (select("voic?"), False),
        (select("voice", "main"), False),
        (select(every=True), False),
        (select(parent="main"), False),
    ],
)
def test_only_a_name_is_a_single_account(selection: Selection, *, is_single: bool) -> None:
    """A pattern that matches one account prints a list all the same, as it does for two."""
    assert selection.is_single is is_single
