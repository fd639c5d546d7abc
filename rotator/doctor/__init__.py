"""Preflight checks of everything that a rotation needs. Reads only; one file for each subject."""

from collections.abc import Callable, Iterator
from functools import partial

from rotator.application import Application
from rotator.doctor import (
    accounts,
    consumers,
    daemon,
    files,
    hooks,
    ledger,
    systemd,
    trigger,
    vault,
    witness,
)
from rotator.doctor.check import CheckResult, Verdict, broken, doubtful, fine
from rotator.doctor.summary import causes, verdict
from rotator.errors import RotatorError

__all__ = [
    "CheckResult",
    "Verdict",
    "broken",
    "causes",
    "examined",
    "fine",
    "verdict",
]

Subject = Callable[[Application], Iterator[CheckResult]]
_SUBJECTS: tuple[tuple[str, Subject], ...] = (
    ("files", files.checks),
    ("ledger", ledger.checks),
    ("vault", vault.checks),
    ("accounts", accounts.checks),
    ("hooks", hooks.checks),
    ("consumers", consumers.checks),
    ("trigger", trigger.checks),
    ("witness", witness.checks),
)


#: Without these, no account can be looked at.
_NEEDED = frozenset({"vault reachable", "vault sealed", "vault login", "vault mount"})


def examined(application: Application, *, expects_daemon: bool = True) -> Iterator[CheckResult]:
    """Yield every check as it is made. Where one raises, the others are made all the same.

    Where Vault cannot be used at all, that is the one cause: the accounts are left out.
    """
    is_usable = True
    of_daemon: tuple[tuple[str, Subject], ...] = (
        ("systemd", partial(systemd.checks, expects_daemon=expects_daemon)),
        ("daemon", partial(daemon.checks, expects_daemon=expects_daemon)),
    )
    for name, checks in (*_SUBJECTS, *of_daemon):
        if checks is accounts.checks and not is_usable:
            hint = "run `rotator doctor` again once Vault can be used"
            yield doubtful(name, "", "not looked at, as Vault cannot be used", hint)
            continue
        try:
            for check in checks(application):
                is_usable &= check.verdict is not Verdict.FAILED or check.name not in _NEEDED
                yield check
        except RotatorError as error:
            yield broken(name, "", error)
