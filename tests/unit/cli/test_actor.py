import os
import pwd
import socket

import pytest

from rotator.cli.actor import actor_of, login_name
from rotator.errors import ConfigError
from rotator.model import Actor

ME = pwd.getpwuid(os.geteuid()).pw_name


@pytest.mark.parametrize(
    ("sudo_user", "logged_in", "expected"),
    [
        ("", None, ME),
        ("", ME, ME),
        ("", "ann", f"ann as {ME}"),
        ("ann", "bob", f"ann as {ME}"),
        (ME, "bob", ME),
        # Not a name.
        ("ann\nreleased", None, ME),
    ],
)
def test_the_person_counts(
    monkeypatch: pytest.MonkeyPatch, sudo_user: str, logged_in: str | None, expected: str
) -> None:
    """Who became someone else is named, together with whom they became."""

    def getlogin() -> str:
        if logged_in is None:
            raise OSError
        return logged_in

    monkeypatch.setenv("SUDO_USER", sudo_user)
    monkeypatch.setattr(os, "getlogin", getlogin)

    assert login_name() == expected


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container the user may be known by its number alone."""
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000_000)
    monkeypatch.setenv("SUDO_USER", "uid 4000000000")

    assert login_name() == "uid 4000000000"


@pytest.mark.parametrize(
    ("connection", "expected"),
    [
        ("192.0.2.7 50122 198.51.100.1 22", "here, by SSH from 192.0.2.7"),
        ("2001:db8::7 50122 2001:db8::1 22", "here, by SSH from 2001:db8::7"),
        ("not-an-address 1 2 3", "here"),
        ("", "here"),
    ],
)
def test_the_host_and_the_client_of_an_ssh_session_count(
    monkeypatch: pytest.MonkeyPatch, connection: str, expected: str
) -> None:
    """Of the session, only the client's address is recorded, and only if it is one."""
    monkeypatch.setenv("SSH_CONNECTION", connection)
    monkeypatch.setattr(socket, "gethostname", lambda: "here")

    assert actor_of("ann", " incident 42 ") == Actor(by="ann", host=expected, because="incident 42")


def test_who_is_not_named_is_who_logged_in() -> None:
    """Neither a name nor a reason has to be given."""
    actor = actor_of(None, None)

    assert (actor.by, actor.because) == (login_name(), None)


@pytest.mark.parametrize("text", ["", "  ", "a\nb", "a\x1b[2J", "a" * 201])
@pytest.mark.parametrize("option", ["--actor", "--reason"])
def test_what_nobody_could_read_in_a_line_is_refused(text: str, option: str) -> None:
    """A text that is empty, too long or not printable is named by its option."""
    given = {"actor": None, "reason": None, option.removeprefix("--"): text}
    with pytest.raises(ConfigError) as caught:
        actor_of(**given)

    assert caught.value.message.startswith(f"{option} is ")


@pytest.mark.parametrize(
    "text",
    ["zlJsJVKj5syDtFg3vRrDwTkXX", "was: zlJsJVKj5syDtFg3vRrDwTkXX.", "hvs.CAESIJ3kfQ9xLm2Tt"],
)
def test_what_looks_like_a_value_is_not_recorded(text: str) -> None:
    """An entry can never be changed; nor is the value repeated in the message."""
    with pytest.raises(ConfigError, match="looks like a secret") as raised:
        actor_of(None, text)

    assert text not in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        "ticket INC-20261129, asked for by Anna.Schmidt1984",
        "https://example.com/browse/OPS-4711?focusedCommentId=123456",
        "281e975f-db37-4104-b1e2-6833ae9173ee was seen in a log",
        "see 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
    ],
)
def test_tickets_links_and_ids_are_reasons(text: str) -> None:
    """They are what people write."""
    assert actor_of(None, text).because == text
