"""The tables of a report's page."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from rotator.model.rotation import SecretRole
from rotator.reporting import audit_data
from rotator.reporting.audit import WITHIN, AccountReport
from rotator.reporting.text import NOTHING, moment, span


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell of a table."""

    text: str
    #: `id` for an identifier; `good`, `warn` or `bad` for a verdict.
    kind: str = ""
    #: Id of the part of the page that it links to; "" for none.
    link: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table with its title; not shown without rows."""

    title: str
    headers: tuple[str, ...]
    rows: list[tuple[Cell, ...]] = field(default_factory=list)

    def with_rows(self, rows: Iterable[tuple[Cell | str, ...]]) -> "Table":
        """Return the table with these rows; a text is a plain cell."""
        cells = [tuple(_cell(each) for each in row) for row in rows]
        return Table(title=self.title, headers=self.headers, rows=cells)


def _cell(content: Cell | str) -> Cell:
    return content if isinstance(content, Cell) else Cell(text=content)


def _id(identifier: str | None) -> Cell:
    return Cell(text=identifier, kind="id") if identifier else Cell(text=NOTHING)


def tone(verdict: str) -> str:
    """Return the tone of a verdict: `good`, `warn` or `bad`."""
    if verdict == WITHIN:
        return "good"
    return "warn" if verdict in ("not known", "no policy") else "bad"


def overview(accounts: Iterable[AccountReport]) -> Table:
    """Return the table of all accounts."""
    headers = (
        "Account",
        "Now",
        "Verdict",
        "Oldest secret",
        "Allowed",
        "Overdue",
        "Broken",
        "Rotations",
    )
    table = Table(title="Accounts", headers=(*headers, "Ledger"))
    return table.with_rows(_overview_row(account) for account in accounts)


#: What is said of Vault's note beside what is said of the rest.
_VAULT = {
    "matches": "matches Vault",
    "vanished": "Vault's note vanished",
    "FAILED": "Vault's head FAILED",
    "not reached": "Vault's head not reached",
}


def _overview_row(account: AccountReport) -> tuple[Cell | str, ...]:
    condition, record = account.condition, account.record
    state = Cell(text=NOTHING)
    if condition:
        kind = "bad" if condition.needs_attention else ""
        state = Cell(text=condition.state.value, kind=kind)
    ledger = Cell(
        text=f"{audit_data.by_itself(record)}, {_VAULT.get(record.vault, record.vault)}",
        kind="bad" if record.faults else "",
    )
    configured = account.account
    return (
        Cell(text=account.name, link=account.name),
        state,
        Cell(text=", ".join(account.verdicts), kind=tone(account.verdict)),
        span(account.oldest),
        span(configured.policy.max_age) if configured else NOTHING,
        span(account.overdue or None),
        span(account.broken or None),
        audit_data.rotations(account),
        ledger,
    )


def of_account(account: AccountReport) -> Iterator[Table]:
    """Yield the tables of one account, those without rows included."""
    yield Table(title="Entries that break a rule", headers=_BROKEN_RULES).with_rows(
        (str(one.seq), str(one.rule), _id(one.rotation_id), one.why)
        for one in account.record.violations or ()
    )
    yield Table(title="Secrets in use", headers=_USES).with_rows(
        (
            _id(use.secret_id),
            moment(use.since),
            moment(use.until) if use.until else "in use",
            span(use.age) if use.age is not None else "not known",
            span(use.overdue or None),
            audit_data.revoked(use),
        )
        for use in account.uses
    )
    yield Table(title="Rotations", headers=_ROTATIONS).with_rows(
        (
            moment(rotation.opened_at),
            _id(rotation.id),
            rotation.reason,
            _id(rotation.old_id),
            _id(rotation.new_id),
            moment(rotation.closed_at),
            (rotation.outcome or "open") + (f" ({rotation.code})" if rotation.code else ""),
        )
        for rotation in account.rotations
    )
    yield Table(title="Revocations", headers=_REVOCATIONS).with_rows(
        (
            moment(each.at),
            _id(each.secret_id),
            _revoker(each.by, each.person),
            each.how,
            moment(each.dead_at),
        )
        for each in account.revocations
    )
    yield Table(title="Secrets that others made or revoked", headers=_SIGHTINGS).with_rows(
        (moment(each.at), _id(each.secret_id), each.what, each.origin or NOTHING)
        for each in account.sightings
    )
    yield Table(title="What was wrong", headers=_TROUBLES).with_rows(
        (
            moment(trouble.since),
            moment(trouble.until) if trouble.until else "lasts",
            f"{trouble.state}: {trouble.code}",
            trouble.why or NOTHING,
        )
        for trouble in account.troubles
    )
    yield Table(title="Refusals and failures", headers=_FAILURES).with_rows(
        (
            moment(failure.first_at),
            moment(failure.last_at),
            str(failure.count),
            f"{failure.event}: {failure.code}",
            failure.why or NOTHING,
        )
        for failure in account.failures
    )
    yield Table(title="Who acted", headers=_ACTS).with_rows(
        (
            moment(act.at),
            act.operation,
            act.by or audit_data.NOT_RECORDED,
            act.host or NOTHING,
            act.because or NOTHING,
            audit_data.facts(act) or NOTHING,
            audit_data.outcome(act) or NOTHING,
        )
        for act in account.acts
    )
    yield Table(title="Holds", headers=_HOLDS).with_rows(
        (
            moment(hold.since),
            moment(hold.until) if hold.until else "held",
            hold.by,
            hold.reason + (" (frozen)" if hold.freeze else ""),
            hold.ended_by or NOTHING,
        )
        for hold in account.holds
    )


def live(account: AccountReport) -> Table:
    """Return the table of the secrets that were live at the newest observation."""
    return Table(title="Live at Vonage", headers=_LIVE).with_rows(
        (
            _id(secret.id),
            secret.role.value if secret.is_managed else Cell(text=_UNMANAGED, kind="bad"),
            moment(secret.first_seen_at),
            secret.origin or NOTHING,
        )
        for secret in account.live
    )


def _revoker(by: str, person: str | None) -> str:
    return f"{by} ({person or audit_data.NOT_RECORDED})" if by == "operator" else by


_ACCOUNTS = (
    *("Account", "Now", "Verdict", "Oldest secret", "Allowed"),
    *("Overdue", "Broken", "Rotations", "Ledger"),
)
_BROKEN_RULES = ("Entry", "Rule", "Rotation", "How")
_USES = ("Secret", "In use since", "Until", "Age at the end", "Overdue", "Revoked")
_ROTATIONS = (*("Opened", "Rotation", "Reason", "Old secret", "New secret", "Closed", "Outcome"),)
_REVOCATIONS = ("Time", "Secret", "By", "How", "Refused by Vonage")
_SIGHTINGS = ("First look that showed it", "Secret", "What", "By whom, as Vonage tells")
_LIVE = ("Secret", "What it is", "First seen", "By whom, as Vonage tells")
_UNMANAGED = f"{SecretRole.FOREIGN}: an unmanaged live credential that rotator did not make"
_TROUBLES = ("From", "Until", "What", "Why")
_FAILURES = ("First", "Last", "Times", "What", "Why")
_ACTS = ("Time", "Operation", "Who", "From", "Reason", "Facts", "Outcome")
_HOLDS = ("From", "Until", "By", "Reason", "Ended by")
