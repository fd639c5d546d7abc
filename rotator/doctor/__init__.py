"""What a rotation needs, looked at before it is needed. Reads only; one file for each subject."""

from collections.abc import Callable, Iterator

from rotator.application import Wiring
from rotator.doctor import accounts, files, hooks, ledger, systemd, vault
from rotator.doctor.check import Check, Verdict, broken
from rotator.errors import RotatorError

__all__ = ["Check", "Verdict", "broken", "examined"]

Subject = Callable[[Wiring], Iterator[Check]]
_SUBJECTS: tuple[tuple[str, Subject], ...] = (
    ("files", files.checks),
    ("ledger", ledger.checks),
    ("vault", vault.checks),
    ("accounts", accounts.checks),
    ("hooks", hooks.checks),
    ("systemd", systemd.checks),
)


def examined(wiring: Wiring) -> Iterator[Check]:
    """Give every check as it is made. Whatever one fails of, the others are made, too."""
    for name, checks in _SUBJECTS:
        try:
            yield from checks(wiring)
        except RotatorError as error:
            yield broken(name, "", error)
