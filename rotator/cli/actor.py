"""Who runs a command: by the system's account, or as the options say."""

import os
import pwd
import re
import socket
from typing import Annotated

from rotator.cli.context import option
from rotator.errors import ConfigError
from rotator.model import Actor
from rotator.model.actor import LONGEST

ActorOption = Annotated[
    str | None, option("NAME", "who acts, for the record; else your login name")
]
#: Long enough, and of as many kinds of characters, as a secret's value or a token, and no word.
_LIKE_A_VALUE = re.compile(
    r"(?<![A-Za-z0-9])(?=[A-Za-z0-9]*[a-z])(?=[A-Za-z0-9]*[A-Z])(?=[A-Za-z0-9]*\d)[A-Za-z0-9]{16,}"
)
ReasonOption = Annotated[str | None, option("TEXT", "why, for the record")]


def actor_of(actor: str | None, reason: str | None) -> Actor:
    """Return who runs this command, from where, and why.

    Raises:
        ConfigError: a text that is given cannot be recorded.
    """
    return Actor(
        by=login_name() if actor is None else usable("--actor", actor),
        host=_origin(),
        because=None if reason is None else usable("--reason", reason),
    )


def usable(name: str, text: str) -> str:
    """Return the text of an option for the record, without space around it.

    Raises:
        ConfigError: it is empty, too long, not one line of printable text, or like a secret's
            value, which cannot be taken out of the record again. It is not repeated.
    """
    text = text.strip()
    if not text:
        raise ConfigError(f"{name} is empty", hint="everyone who looks at the account will read it")
    if not text.isprintable():
        raise ConfigError(f"{name} is not one line of printable text")
    if len(text) > LONGEST:
        raise ConfigError(f"{name} is longer than {LONGEST} characters")
    if _LIKE_A_VALUE.search(text):
        raise ConfigError(
            f"{name} has a word in it that looks like a secret's value or a token",
            hint="the record keeps it for good, for everyone to read: say it in other words",
        )
    return text


def login_name() -> str:
    """Return the operator's login name: `ann`, or `ann as root` after a change of user.

    It is the system's information, not proof: a user who can write the ledger can write any name.
    """
    acting = _name_of(os.geteuid())
    person = os.environ.get("SUDO_USER") or _logged_in() or acting
    return acting if person == acting or not person.isprintable() else f"{person} as {acting}"


def _logged_in() -> str | None:
    """Return who originally logged in at this terminal; None where there is no terminal."""
    try:
        return os.getlogin()
    except OSError:
        return None


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _origin() -> str:
    """Return this host's name, and the address of the SSH client whose session it is."""
    client = os.environ.get("SSH_CONNECTION", "").partition(" ")[0]
    return (
        f"{socket.gethostname()}, by SSH from {client}"
        if _is_address(client)
        else (socket.gethostname())
    )


def _is_address(text: str) -> bool:
    from ipaddress import ip_address  # noqa: PLC0415  # few commands need it

    try:
        ip_address(text)
    except ValueError:
        return False
    return True
