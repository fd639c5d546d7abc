from datetime import datetime

import pytest

from rotator.ledger.reader import ChainCheck
from rotator.model import Account
from rotator.reporting.verification import CHAIN_HINT, ROW_HINT, verify_ledger
from tests.support.samples import account


class Reader:
    """A ledger whose checks come out as given."""

    def __init__(self, check: ChainCheck, implausible_delays: tuple[str, ...] = ()) -> None:
        """Answer with this check, and these implausible times."""
        self._check, self._delays = check, implausible_delays
        self.limit: int | None = None

    def verify(self, _name: str, *, anchor: str | None) -> ChainCheck:
        """Return the check; `has_anchor` is None without an anchor."""
        assert (anchor is None) <= (self._check.has_anchor is None)
        return self._check

    def verify_end(self, _name: str, *, limit: int) -> ChainCheck:
        """Return the check, and remember what was asked for."""
        self.limit = limit
        return self._check

    def implausible_delays(
        self, _name: str, _account: Account | None, _now: datetime
    ) -> tuple[str, ...]:
        """Return the implausible times."""
        return self._delays


@pytest.mark.parametrize(
    ("entries", "fault", "has_anchor", "vault", "vault_fault"),
    [
        (3, None, True, "matches", None),
        (3, None, False, "FAILED", "rewritten or cut off"),
        (0, None, False, "FAILED", "lost or replaced"),
        (1, "entry 2 was changed", None, "not reached", None),
    ],
)
def test_a_chain_is_compared_with_vaults_note(
    entries: int, fault: str | None, *, has_anchor: bool | None, vault: str, vault_fault: str | None
) -> None:
    """The ledger has the entry that Vault's note names, lacks it, or breaks before it."""
    check = ChainCheck(account="a", entries=entries, head="h", fault=fault, has_anchor=has_anchor)
    found = verify_ledger(Reader(check), "a", account("a"), anchor="x")  # type: ignore[arg-type]

    assert found.vault == vault
    assert (vault_fault or "") in (found.vault_fault or "")
    assert (found.vault_fault is None) == (vault_fault is None)
    assert found.chain == ("FAILED" if fault else "whole")


def test_each_fault_has_its_hint() -> None:
    """Rows that differ, and times that are implausible, are put right otherwise than a chain."""
    check = ChainCheck(
        account="a", entries=2, head="h", fault=None, has_anchor=False, differences=("row",)
    )
    found = verify_ledger(Reader(check, ("late",)), "a", None, anchor="x")  # type: ignore[arg-type]

    assert [hint for _, hint in found.complaints] == [CHAIN_HINT, ROW_HINT, ROW_HINT]
    assert found.faults[1:] == ["row", "late"]
    assert (found.rows, found.is_whole) == ("FAILED", False)


def test_of_a_long_chain_the_newest_entries_suffice() -> None:
    """A page with many readers does not follow the chain of years."""
    check = ChainCheck(account="a", entries=5000, head="h", fault=None, has_anchor=None)
    reader = Reader(check)
    found = verify_ledger(reader, "a", account("a"), newest=1000)  # type: ignore[arg-type]

    assert reader.limit == 1000
    assert (found.entries, found.vault, found.is_whole) == (5000, "not compared", True)
