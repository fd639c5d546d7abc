"""A report as a self-contained page, for screen or paper."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from rotator.model import State
from rotator.reporting import audit_data, audit_tables
from rotator.reporting.audit import WITHIN, AccountReport, Report
from rotator.reporting.audit_records import Period
from rotator.reporting.condition import Condition
from rotator.reporting.templates import environment
from rotator.reporting.text import moment, span

_WIDTH, _TOP, _HEIGHT = 1000.0, 4, 26
#: Smallest visible width, in units of the drawing.
_LEAST = 2.0


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A rectangle in the drawing of an account, in units of the drawing."""

    #: `even` or `odd` for a secret's use, `late` for the part that is overdue, `held` for a hold.
    kind: str
    title: str
    x: float
    width: float
    y: int = _TOP
    height: int = _HEIGHT


def page(report: Report) -> str:
    """Return a report as `report --format html` prints it. Times are UTC."""
    return (
        environment("rotator.reporting")
        .get_template("report.html")
        .render(
            report=report,
            accounts=sorted(report.accounts, key=_urgency),
            tiles=list(_tiles(report)),
            ticks=list(_ticks(report.period)),
            bars=_bars,
            policy=audit_data.policy,
            proof=audit_data.verdict,
            tone=audit_tables.tone,
            overview=audit_tables.overview,
            live=audit_tables.live,
            tables=audit_tables.of_account,
            shown=_shown,
            about=_about,
        )
    )


#: Verdicts, the worst first.
_VERDICTS = (
    *("broken", "was broken", "unmanaged live credential", "overdue"),
    *("not known", "no policy", WITHIN),
)
_STATES = [*State, None]


def _urgency(account: AccountReport) -> tuple[bool, bool, int, int]:
    """Return what sorts accounts with problems before those without, the worst first."""
    is_quiet = not any(condition.needs_attention for condition in account.conditions)
    is_fine = account.verdict == WITHIN and is_quiet and not account.record.faults
    return (
        is_fine,
        not account.record.faults,
        _VERDICTS.index(account.verdict),
        _STATES.index(account.state),
    )


def _shown(conditions: tuple[Condition, ...]) -> tuple[Condition, ...]:
    """Return the conditions to show: that nothing else is wrong is not shown as a condition."""
    return tuple(each for each in conditions if each.state is not State.HEALTHY) or conditions


def _about(condition: Condition) -> str:
    """Return code, beginning and tries of a condition; empty where nothing is to be said."""
    facts = [condition.code] if condition.code else []
    if condition.since:
        facts.append(f"since {moment(condition.since)}")
    if condition.tries:
        facts.append(f"{condition.tries} {'try' if condition.tries == 1 else 'tries'}")
    if condition.next_try_at:
        facts.append(f"next try {moment(condition.next_try_at)}")
    return f" ({', '.join(facts)})" if facts else ""


def _tiles(report: Report) -> Iterator[tuple[str, str, str]]:
    """Yield the figures of the summary, each with its label and its tone."""
    accounts = report.accounts
    overdue, broken = report.count("overdue"), report.count("broken")
    once_broken = sum(bool(account.broken) for account in accounts)
    unknown, unmanaged = report.count("not known"), report.unmanaged
    held = sum(bool(account.holds) for account in accounts)
    completed = sum(account.count("completed") for account in accounts)
    found = [account.record.vault for account in accounts]
    is_compared = not {"not compared", "not configured"}.issuperset(found)
    matching = f"{found.count('matches')} of {len(found)} match"
    matches = matching if is_compared else "not compared with"
    credentials = "credential" if unmanaged == 1 else "credentials"
    yield f"{report.count(WITHIN)} of {len(accounts)}", "accounts within policy throughout", ""
    yield str(overdue), "with an overdue secret", "bad" if overdue else ""
    yield str(broken), "broken now: consumers have no working secret", "bad" if broken else ""
    yield str(once_broken), "broken for a part of the period", "bad" if once_broken else ""
    yield str(unmanaged), f"unmanaged live {credentials} now", "bad" if unmanaged else ""
    yield str(unknown), "not known: a secret's age, or what is live", "warn" if unknown else ""
    yield (
        "verified" if report.is_proven else "NOT VERIFIED",
        f"the ledger's chains of hashes, its rows, and the rules; {matches} Vault",
        "good" if report.is_proven else "bad",
    )
    yield str(completed), "rotations completed", ""
    yield str(held), "held by an operator", "warn" if held else ""


def _bars(account: AccountReport, period: Period) -> Iterator[Bar]:
    """Yield the uses of secrets, over them what was overdue, and below them the holds."""
    for number, use in enumerate(account.uses):
        age = f", {span(use.age)} old at the end" if use.age is not None else ""
        x, width = _extent(period, use.since, use.until)
        title = f"secret {use.secret_id or 'not known'}{age}"
        yield Bar(kind="odd" if number % 2 else "even", title=title, x=x, width=width)
    for use in account.uses:
        max_age = account.account.policy.max_age if account.account else None
        if use.overdue and use.since and use.aged_from and max_age is not None:
            late_from = max(use.since, use.aged_from + max_age)
            x, width = _extent(period, late_from, use.until)
            yield Bar(kind="late", title=f"overdue for {span(use.overdue)}", x=x, width=width)
    for hold in account.holds:
        x, width = _extent(period, hold.since, hold.until)
        title = f"held by {hold.by}: {hold.reason}"
        yield Bar(kind="held", title=title, x=x, width=width, y=_TOP + _HEIGHT + 2, height=5)


def _extent(period: Period, since: datetime | None, until: datetime | None) -> tuple[float, float]:
    """Return where a time span begins in the drawing, and how wide it is."""
    left = _x(period, since or period.since)
    return left, max(_LEAST, _x(period, until or period.until) - left)


def _x(period: Period, at: datetime) -> float:
    share = (at - period.since) / (period.until - period.since)
    return _WIDTH * min(1.0, max(0.0, share))


def _ticks(period: Period) -> Iterator[str]:
    """Yield the labels of both ends and the middle."""
    length = period.until - period.since
    for part in range(3):
        text = moment(period.since + part * length / 2)
        yield text[:10] if length > timedelta(days=2) else text
