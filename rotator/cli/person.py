"""Who gives the commands, for the record."""

import os
import pwd


def login_name() -> str:
    """Give the login name of who runs this: `ann`, or `ann as root` who became someone else.

    It is what the system says, and no proof: who can write the ledger can write any name.
    """
    acting = _name_of(os.geteuid())
    person = os.environ.get("SUDO_USER") or _logged_in() or acting
    return acting if person == acting or not person.isprintable() else f"{person} as {acting}"


def _logged_in() -> str | None:
    """Give who logged in at this terminal, whoever that is by now; None without one."""
    try:
        return os.getlogin()
    except OSError:
        return None


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
