"""Preflight checks of everything that a rotation needs. Reads only; one file for each subject."""

from collections.abc import Callable, Iterator

from rotator.application import Application
from rotator.doctor import accounts, files, hooks, ledger, systemd, vault
from rotator.doctor.check import CheckResult, Verdict, broken, fine
from rotator.errors import RotatorError

__all__ = ["CheckResult", "Verdict", "broken", "examined", "fine"]

Subject = Callable[[Application], Iterator[CheckResult]]
_SUBJECTS: tuple[tuple[str, Subject], ...] = (
    ("files", files.checks),
    ("ledger", ledger.checks),
    ("vault", vault.checks),
    ("accounts", accounts.checks),
    ("hooks", hooks.checks),
    ("systemd", systemd.checks),
)


def examined(application: Application) -> Iterator[CheckResult]:
    """Yield every check as it is made. Where one raises, the others are made all the same."""
    for name, checks in _SUBJECTS:
        try:
            yield from checks(application)
        except RotatorError as error:
            yield broken(name, "", error)
