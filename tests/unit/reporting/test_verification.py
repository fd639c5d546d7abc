from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest

from rotator.errors import RotatorError
from rotator.ledger.reader import ChainCheck
from rotator.model import NOTHING_WRITTEN, Account, CurrentEntry, Note, Written
from rotator.reporting.verification import (
    HEAD_HINT,
    LedgerVerification,
    Verifier,
    row_hint,
    vanished_hint,
    verify_ledger,
)
from rotator.rotation.ports import StoredCurrent
from tests.support.samples import NOW, account


class Reader:
    """A ledger whose checks come out as given."""

    def __init__(self, check: ChainCheck, implausible_delays: tuple[str, ...] = ()) -> None:
        """Answer with this check, and these implausible times."""
        self._check, self._delays = check, implausible_delays
        self.limit: int | None = None

    def verify(self, _name: str, *, anchor: str | None, watch: None) -> ChainCheck:
        """Return the check; `has_anchor` is None without an anchor."""
        assert watch is None
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
        (3, None, False, "FAILED", "rewritten or cut off, restored from a backup, or its database"),
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

    assert [hint for _, hint in found.complaints] == [HEAD_HINT, row_hint("a"), row_hint("a")]
    assert "`rotator hold a --reason TEXT`" in row_hint("a")
    assert found.faults[1:] == ["row", "late"]
    assert (found.rows, found.is_whole) == ("FAILED", False)


def test_of_a_long_chain_the_newest_entries_suffice() -> None:
    """A page with many readers does not follow the chain of years."""
    check = ChainCheck(account="a", entries=5000, head="h", fault=None, has_anchor=None)
    reader = Reader(check)
    found = verify_ledger(reader, "a", account("a"), newest=1000)  # type: ignore[arg-type]

    assert reader.limit == 1000
    assert (found.entries, found.vault, found.is_whole) == (5000, "not compared", True)


NOTE = Note(secret_id="s", rotation_id="r", rotated_at=NOW, ledger_head="x", check="c")
BARE = CurrentEntry(version=3, note=None, intact=False, has_value=True)
NOTED = CurrentEntry(version=2, note=NOTE, intact=True, has_value=True)


@dataclass
class Vault:
    """A store whose current entry is read as given, one answer after the other."""

    answers: list[CurrentEntry | RotatorError | None]
    #: Versions that were to be waited for.
    awaited: list[int] = field(default_factory=list)

    def read_current(
        self, _account: Account, written: Written = NOTHING_WRITTEN
    ) -> StoredCurrent | None:
        """Return or raise the next answer; the last one again and again."""
        self.awaited.append(written.version)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, RotatorError):
            raise answer
        return StoredCurrent(entry=answer, value=None, fields={}) if answer else None


def compared(vault: Vault, *, configured: bool = True, **check: Any) -> LedgerVerification:  # noqa: ANN401  # of `ChainCheck`
    """Verify an account whose chain is whole, as these facts say, and compare it with Vault."""

    class Answering(Reader):
        def verify(self, name: str, *, anchor: str | None, watch: None) -> ChainCheck:
            """Return the check, which has any anchor that is asked for."""
            assert watch is None
            has_anchor = None if anchor is None else True
            usual = {"account": name, "entries": 9, "head": "h", "fault": None}
            return ChainCheck(**usual | check, has_anchor=has_anchor)  # type: ignore[arg-type]  # as the caller says

    verifier = Verifier(
        reader=Answering(ChainCheck(account="", entries=0, head="", fault=None, has_anchor=None)),  # type: ignore[arg-type]
        accounts={"a": account("a")} if configured else {},
        store=vault,  # type: ignore[arg-type]
    )
    return verifier.verify("a")


@pytest.mark.parametrize("left", [BARE, None])
@pytest.mark.parametrize("path", [None, "secret/vonage/a"])
def test_a_note_that_was_written_and_is_gone_has_vanished(
    left: CurrentEntry | None, path: str | None
) -> None:
    """Whether the entry was replaced or removed: nothing is left to compare the ledger with."""
    vault = Vault([left])
    found = compared(vault, written_version=2, written_path=path)

    found_hint = vanished_hint(found.account)
    assert (found.vault, found.is_whole) == ("vanished", False)
    assert found.complaints == [
        ("Vault's entry has no note, and rotator wrote version 2 there with one", found_hint)
    ]
    assert f"`rotator adopt {found.account} --from-vault`" in found_hint
    assert found.document()["vault_head"] == {
        "verdict": "vanished",
        "fault": found.note_fault,
        "error": None,
    }
    # A standby that lags behind what was written would not show it, either.
    assert vault.awaited == [0, 2]


@pytest.mark.parametrize(
    "check",
    [
        {"written_version": 0},
        # The account has been moved since, and nothing was written at its new path yet.
        {"written_version": 2, "written_path": "secret/vonage/before"},
    ],
)
def test_a_note_that_was_never_written_has_not_vanished(check: dict[str, Any]) -> None:
    """There is none to compare with yet, which is no complaint."""
    found = compared(Vault([BARE]), **check)

    assert (found.vault, found.complaints, found.is_whole) == ("no note", [], True)


def test_a_note_that_is_written_meanwhile_has_not_vanished() -> None:
    """The first rotation pushed between the look at Vault and that at the ledger."""
    found = compared(Vault([None, NOTED]), written_version=2)

    assert (found.vault, found.complaints) == ("matches", [])


def test_a_note_that_cannot_be_read_has_not_vanished() -> None:
    """Nor has one that could not be read the second time; why is told."""
    gone = RotatorError("Vault is sealed")
    vaults = Vault([gone]), Vault([None, gone])
    found = [compared(vault, written_version=2) for vault in vaults]

    assert [(each.vault, each.unread, each.faults) for each in found] == [
        ("not compared", gone, [])
    ] * 2


def test_an_account_that_is_not_configured_is_not_compared() -> None:
    """Where its note would be is not known."""
    vault = Vault([None])
    found = compared(vault, configured=False, written_version=2)

    assert (found.vault, found.faults, vault.awaited) == ("not configured", [], [])
