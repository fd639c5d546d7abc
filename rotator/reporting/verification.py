"""Verifies an account's record: its hash chain, its rows, and the hash in Vault's note."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rotator.errors import RotatorError
from rotator.model import NOTHING_WRITTEN, Written

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rotator.ledger.reader import ChainCheck, LedgerReader
    from rotator.model import Account
    from rotator.reporting.rules import RuleCheck, Violation
    from rotator.rotation.ports import Store

#: What to do where a chain of entries is broken.
CHAIN_HINT = "compare it with a backup, or with an earlier `rotator ledger export`"
#: What to do where a whole chain does not reach as far as Vault's note.
HEAD_HINT = (
    "if it was restored, or its database failed over, keep a note of that outside the ledger: this "
    f"message ends with the account's next push; if not, {CHAIN_HINT}"
)
_VANISHED = "Vault's entry has no note, and rotator wrote version {version} there with one"
_MISSING = (
    "the ledger lacks the entry that Vault's note names: it was rewritten or cut off, restored "
    "from a backup, or its database failed over without its last commits"
)
_LOST = "the ledger has no entry, and Vault's note names one: the ledger was lost or replaced"


def row_hint(name: str) -> str:
    """Return what to do where an account's rows differ from its entries."""
    return (
        "someone wrote to the ledger's tables: correct the row as the entries say, or restore a "
        f"backup; `rotator release {name}` or `rotator hold {name} --reason TEXT` corrects a hold, "
        f"`rotator status {name} --refresh` a due time and the account's identity"
    )


def rules_hint(name: str) -> str:
    """Return what to do where an account's entries show that a rule was broken."""
    return (
        "keep a copy of the ledger and Vault's audit log of that time, and find out who wrote that "
        f"entry, which `rotator history {name} --json` shows; `rotator secrets list {name}` shows "
        "which secrets are left. If it was rotator itself, report that as a fault"
    )


def vanished_hint(name: str) -> str:
    """Return what to do where the note that rotator wrote for an account is gone."""
    return (
        f"the entry was replaced or deleted, or its version ended: `rotator status {name} "
        f"--refresh` says what that means for consumers; `rotator adopt {name} --from-vault` "
        "writes a note again"
    )


@dataclass(frozen=True, kw_only=True)
class LedgerVerification:
    """The result of verifying an account's record."""

    account: str
    entries: int
    head: str
    #: What is wrong with the chain itself, from the first bad entry on.
    chain_fault: str | None = None
    #: What is wrong with it, compared with Vault's note.
    vault_fault: str | None = None
    #: Where the account's rows differ from its entries, or from possible values.
    row_faults: tuple[str, ...] = ()
    #: The newest version of Vault's entry that the ledger says rotator wrote at the account's path;
    #: 0 for none.
    written_version: int = 0
    #: Why there is no note in Vault to compare with, although rotator wrote one.
    note_fault: str | None = None
    #: `matches`, `no note` (none was ever written), `vanished` (one was), `not configured`,
    #: `not compared`, `FAILED`, or `not reached` if the chain breaks before the entry in Vault's
    #: note.
    vault: str
    #: Why Vault's note could not be read.
    unread: RotatorError | None = None
    #: Entries that break a rule, in order; None where that was not asked for.
    violations: tuple["Violation", ...] | None = None

    @property
    def faults(self) -> list[str]:
        """Everything that is wrong."""
        return [fault for fault, _ in self.complaints]

    @property
    def complaints(self) -> list[tuple[str, str]]:
        """All that is wrong, each with what to do about it."""
        return [
            *((fault, CHAIN_HINT) for fault in (self.chain_fault,) if fault),
            *((fault, HEAD_HINT) for fault in (self.vault_fault,) if fault),
            *((fault, vanished_hint(self.account)) for fault in (self.note_fault,) if fault),
            *((fault, row_hint(self.account)) for fault in self.row_faults),
            *((fault, rules_hint(self.account)) for fault in self._broken_rules),
        ]

    @property
    def _broken_rules(self) -> list[str]:
        """Return the first entry that breaks a rule, in words: others may follow from it."""
        broken = self.violations or ()
        more = len({one.seq for one in broken}) - 1
        others = f"; {more} more break one" if more > 0 else ""
        return [f"{one}{others}" for one in broken[:1]]

    @property
    def is_whole(self) -> bool:
        """Return whether everything that was to be compared was compared, and matches."""
        return not self.faults and self.unread is None

    @property
    def chain(self) -> str:
        """Verdict on the chain in itself."""
        return "FAILED" if self.chain_fault else "whole"

    @property
    def rows(self) -> str:
        """Return the verdict on the rows; with a broken chain they are not compared."""
        if self.row_faults:
            return "FAILED"
        return "not compared" if self.chain_fault else "match"

    @property
    def rules(self) -> str | None:
        """Return the verdict on the rules, None where that was not asked for.

        Behind the first bad entry of a broken chain, nothing is checked.
        """
        if self.violations is None:
            return None
        if self.violations:
            return "BROKEN"
        return "not checked" if self.chain_fault else "kept"

    def document(self) -> dict[str, Any]:
        """Return the result for `--json`: a verdict each on chain, rows, and Vault's head.

        And one on the rules, if that was asked for.
        """
        document = self._document()
        if self.violations is not None and self.rules:
            faults = [one.document() for one in self.violations]
            document["rules"] = {"verdict": self.rules.lower(), "faults": faults}
        return document

    def _document(self) -> dict[str, Any]:
        return {
            "account": self.account,
            "entries": self.entries,
            "head": self.head,
            "ok": self.is_whole,
            "fault": next(iter(self.faults), None),
            "chain": {"verdict": self.chain.lower(), "fault": self.chain_fault},
            "rows": {"verdict": self.rows.lower(), "faults": [*self.row_faults]},
            "vault_head": {
                "verdict": self.vault.lower(),
                "fault": self.vault_fault or self.note_fault,
                "error": self._unread_document(),
            },
        }

    def _unread_document(self) -> dict[str, Any] | None:
        if self.unread is None:
            return None
        return {name: getattr(self.unread, name) for name in ("code", "message", "hint")}


def verify_ledger(  # noqa: PLR0913  # half by name
    reader: "LedgerReader",
    name: str,
    account: "Account | None",
    *,
    anchor: str | None = None,
    newest: int | None = None,
    rules: "RuleCheck | None" = None,
) -> LedgerVerification:
    """Verify an account's chain, and compare it with its rows and with Vault's note.

    `account` is as configured; None where it is not. `anchor` is the hash in Vault's note; None
    compares with none. With `newest`, only so many of the newest entries are read, and no anchor is
    looked for; else `rules`, of an account of which nothing was read, checks each entry.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    watch = rules.read if rules else None
    check = (
        reader.verify_end(name, limit=newest)
        if newest
        else reader.verify(name, anchor=anchor, watch=watch)
    )
    vault, vault_fault = "not compared", None
    if check.has_anchor is False:
        vault, vault_fault = "FAILED", _MISSING if check.entries else _LOST
    elif anchor is not None:
        vault = "matches" if check.has_anchor else "not reached"
    return LedgerVerification(
        account=name,
        entries=check.entries,
        head=check.head,
        chain_fault=check.fault,
        vault_fault=vault_fault,
        row_faults=(
            *check.differences,
            *reader.implausible_delays(name, account, datetime.now(UTC)),
        ),
        vault=vault,
        written_version=_version_at_path(check, account),
        violations=tuple(rules.violations) if rules else None,
    )


def _version_at_path(check: "ChainCheck", account: "Account | None") -> int:
    """Return the newest version that was written at the path that `account` has now; 0 for none.

    Where the entries do not record the path, the account has had but one.
    """
    path = account.identity.vault_path if account else check.written_path
    return check.written_version if check.written_path in (None, path) else 0


@dataclass(frozen=True, kw_only=True)
class Verifier:
    """Verifies the records of accounts, and compares each with the note in Vault."""

    reader: "LedgerReader"
    #: The configured accounts, by name.
    accounts: "Mapping[str, Account]"
    #: Source of the notes; None where these are not wanted, or not readable.
    store: "Store | None"
    #: Why they are not readable.
    away: RotatorError | None = None
    #: Whether to check as well that the entries show every rule kept.
    checks_rules: bool = False

    def verify(self, name: str) -> LedgerVerification:
        """Verify an account's record.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        account = self.accounts.get(name)
        if self.store is None or account is None:
            vault = "not configured" if self.store else "not compared"
            found = self._verified(name)
            return replace(found, vault=vault, unread=self.away)
        # Read first: an entry is in the ledger before Vault's note names it.
        found = self._compared(account, self.store)
        if found.vault == "no note" and found.written_version:
            # The first one may have been written meanwhile, or a standby of Vault may lag.
            written = Written(version=found.written_version)
            found = self._compared(account, self.store, written)
        if found.vault == "no note" and found.written_version:
            fault = _VANISHED.format(version=found.written_version)
            return replace(found, vault="vanished", note_fault=fault)
        return found

    def _compared(
        self, account: "Account", store: "Store", written: Written = NOTHING_WRITTEN
    ) -> LedgerVerification:
        """Verify an account's record, compared with Vault's note if that can be read."""
        try:
            stored = store.read_current(account, written)
        except RotatorError as error:
            found = self._verified(account.name)
            return replace(found, unread=error)
        note = stored.entry.note if stored else None
        anchor = note.ledger_head if note else None
        found = self._verified(account.name, anchor)
        return found if note else replace(found, vault="no note")

    def _verified(self, name: str, anchor: str | None = None) -> LedgerVerification:
        from rotator.reporting.rules import RuleCheck  # noqa: PLC0415  # only where it is asked for

        rules = RuleCheck() if self.checks_rules else None
        account = self.accounts.get(name)
        return verify_ledger(self.reader, name, account, anchor=anchor, rules=rules)
