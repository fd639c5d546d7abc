import os
import pwd

import pytest

from rotator.cli.prompts import login_name

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
