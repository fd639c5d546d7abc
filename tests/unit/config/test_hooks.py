"""`[[hooks]]`: what is called, when, and which of it cannot be."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from rotator.config import Settings
from rotator.errors import ConfigError
from rotator.model.notification import Event, Hook, WebhookFormat
from tests.support.editor import load_judged

HEAD = """
[vault]
address = "https://vault.example.com"
[[accounts]]
name = "sms"
api_key = "abcd1234"
vault_path = "vonage/sms"
"""

Read = Callable[[str], Settings]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Load a configuration whose hooks are as given."""

    def reading(hooks: str) -> Settings:
        path = tmp_path / "config.toml"
        path.write_text(HEAD + hooks)
        return load_judged(path, {})

    return reading


def test_a_hook_has_all_its_keys(read: Read, tmp_path: Path) -> None:
    """What is not given has its default; files are relative to the configuration."""
    settings = read("""
    [[hooks]]
    on = ["pushed", "gate"]
    command = ["/usr/bin/reload", "now"]
    [[hooks]]
    name = "chat"
    on = ["failed"]
    url_file = "chat-url"
    secret_file = "key"
    format = "slack"
    accounts = ["sms"]
    timeout = "5s"
    """)

    assert settings.hooks == (
        Hook(
            name="reload",
            on=frozenset({Event.PUSHED, Event.GATE}),
            command=("/usr/bin/reload", "now"),
        ),
        Hook(
            name="chat",
            on=frozenset({Event.FAILED}),
            accounts=frozenset({"sms"}),
            timeout=timedelta(seconds=5),
            url_file=tmp_path / "chat-url",
            secret_file=tmp_path / "key",
            format=WebhookFormat.SLACK,
        ),
    )


def test_what_is_shown_is_a_configuration_again(read: Read) -> None:
    """`config show` has the hooks as they are in effect; a file without any shows none."""
    settings = read('[[hooks]]\non = ["pushed"]\nurl = "https://example.com/a?b=c"\n')

    assert settings.shown()["hooks"] == [
        {
            "name": "example.com",
            "on": ["pushed"],
            "accounts": [],
            "timeout": "30s",
            "url": "https://example.com/a?b=c",
            "format": "json",
        }
    ]
    assert "hooks" not in read("").shown()


def test_a_hook_hears_of_its_events_and_accounts() -> None:
    """Without accounts, of all of them."""
    every = Hook(name="every", on=frozenset({Event.PUSHED}))
    some = Hook(name="some", on=frozenset({Event.PUSHED}), accounts=frozenset({"a"}))

    assert every.subscribes_to(Event.PUSHED, "b")
    assert not every.subscribes_to(Event.GATE, "b")
    assert some.subscribes_to(Event.PUSHED, "a")
    assert not some.subscribes_to(Event.PUSHED, "b")


def test_alerts_go_to_pagerduty_unless_another_url_is_given(read: Read, tmp_path: Path) -> None:
    """The address is known; accounts in its European region have another one."""
    [usual] = read(f'[[hooks]]\non = ["failed"]\n{ALERTS}\n').hooks
    [other] = read(f'[[hooks]]\non = ["failed"]\n{ALERTS}\nurl = "https://eu.example/x"\n').hooks
    [filed] = read(f'[[hooks]]\non = ["failed"]\n{ALERTS}\nurl_file = "u"\n').hooks

    assert (usual.name, usual.url) == (
        "events.pagerduty.com",
        "https://events.pagerduty.com/v2/enqueue",
    )
    assert usual.routing_key_file == tmp_path / "key"
    assert (other.name, other.url) == ("eu.example", "https://eu.example/x")
    assert (filed.name, filed.url) == ("u", None)


ALERTS = 'format = "pagerduty"\nrouting_key_file = "key"'
COMMAND = 'command = ["/bin/true"]'


@pytest.mark.parametrize(
    ("hooks", "what"),
    [
        (f"on = []\n{COMMAND}", "is not a list of events"),
        (f'on = "pushed"\n{COMMAND}', "is not a list of events"),
        (f'on = ["push"]\n{COMMAND}', "has an unknown event, did you mean pushed?"),
        (f"on = [1]\n{COMMAND}", "has an unknown event"),
        (COMMAND, "on: is required"),
        ('on = ["pushed"]', "has nothing to call"),
        (f'on = ["pushed"]\n{COMMAND}\nurl = "https://a.b"', "command and url exclude each other"),
        ('on = ["pushed"]\nurl = "https://a.b"\nurl_file = "f"', "url and url_file exclude"),
        ('on = ["pushed"]\ncommand = []', "does not begin with the absolute path"),
        ('on = ["pushed"]\ncommand = ["true"]', "does not begin with the absolute path"),
        ('on = ["pushed"]\ncommand = "/bin/true"', "command"),
        ('on = ["pushed"]\ncommand = ["/bin/true", "\\u0000"]', "contains a zero byte"),
        (f'on = ["pushed"]\n{COMMAND}\naccounts = ["smx"]', "'smx' is not configured, did you"),
        (f'on = ["pushed"]\n{COMMAND}\ntimeout = "6m"', "is not within 1s to 5m"),
        (f'on = ["pushed"]\n{COMMAND}\nsecret_file = "k"', "has no meaning for a command"),
        (f'on = ["pushed"]\n{COMMAND}\nformat = "slack"', "has no meaning for a command"),
        (f'on = ["pushed"]\n{COMMAND}\nname = "a b"', "is not a hook name"),
        ('on = ["pushed"]\nurl = "http://example.com"', "is plain http to another machine"),
        ('on = ["pushed"]\nurl = "ftp://example.com"', "is not an https URL"),
        ('on = ["pushed"]\nurl = "example.com/x"', "url"),
        ('on = ["pushed"]\nurl = "https://u:p@example.com"', "has a user name"),
        ('on = ["pushed"]\nurl = "https://example.com/#x"', "has a fragment"),
        (
            'on = ["pushed"]\nurl = "https://example.com"\nformat = "xml"',
            "is not one of json, slack, teams, pagerduty",
        ),
        ('on = ["gate"]\nurl = "https://a.b"\nformat = "slack"', "would always be open"),
        ('on = ["gate"]\nurl = "https://a.b"\nformat = "teams"', "would always be open"),
        (f'on = ["gate"]\n{ALERTS}', "would always be open"),
        (f'on = ["pushed", "failed"]\n{ALERTS}', "on: has pushed, and format"),
        ('on = ["failed"]\nformat = "pagerduty"', "routing_key_file: is required by format"),
        (f'on = ["failed"]\n{COMMAND}\nformat = "pagerduty"', "has no meaning for a command"),
        ('on = ["failed"]\nurl = "https://a.b"\nrouting_key_file = "k"', "no meaning unless"),
        ('on = ["gate"]\ncommand = ["/usr/bin/clock"]', "waits for this machine's clock"),
        (f'on = ["pushed"]\n{COMMAND}\n[[hooks]]\non = ["gate"]\n{COMMAND}', "is already that of"),
        (f'on = ["pushed"]\n{COMMAND}\nsecret = "s"', "a secret is never written"),
    ],
)
def test_a_hook_that_cannot_work_is_refused(read: Read, hooks: str, what: str) -> None:
    """The message names the place and what is wrong there."""
    with pytest.raises(ConfigError) as caught:
        read(f"[[hooks]]\n{hooks}\n")

    assert "hooks[0]" in caught.value.message
    assert what in caught.value.message


def test_hooks_are_a_list_of_tables(read: Read) -> None:
    """One table alone is not that."""
    with pytest.raises(ConfigError, match="hooks: is not a list of tables"):
        read(f"[hooks]\n{COMMAND}\n")


def test_a_token_in_an_address_is_not_shown(read: Read) -> None:
    """Neither where the address is wrong nor where a hook is looked at."""
    with pytest.raises(ConfigError) as caught:
        read('[[hooks]]\non = ["failed"]\nurl = "http://chat.example.com/T0KEN"\n')
    good = read('[[hooks]]\non = ["failed"]\nurl = "https://chat.example.com/T0KEN"\n')

    assert "T0KEN" not in str(caught.value)
    assert "T0KEN" not in repr(good.hooks)
