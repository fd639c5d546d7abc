"""An account's secrets in a period, drawn as a strip of time."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from rotator.cli.evidence.wording import escape
from rotator.report import AccountReport, Holding, Period, Tenure
from rotator.words import moment, short, span

_WIDTH, _TOP, _HEIGHT = 1000.0, 4, 26
#: The least that can be seen, in units of the drawing.
_LEAST = 2.0


def strip(account: AccountReport, period: Period) -> str:
    """Draw which was in use when, red where overdue, underlined where held.

    The drawing says nothing that the tables do not, so that it needs no description.
    """
    parts = [
        *(_rectangle(period, *_ends(tenure), _name(tenure, at)) for at, tenure in _each(account)),
        *(part for _, tenure in _each(account) for part in _overdue(account, tenure, period)),
        *(_held(holding, period) for holding in account.holdings),
    ]
    return (
        f'<svg class="strip" viewBox="0 0 {_WIDTH:.0f} 38" preserveAspectRatio="none" role="img" '
        f'aria-label="Secrets of {escape(account.name)} over time; the tables below say the same">'
        f"{''.join(parts)}</svg>"
        # Beside the drawing, so that they stay legible where it is narrow.
        f'<p class="ticks">{"".join(_ticks(period))}</p>'
    )


def _each(account: AccountReport) -> Iterator[tuple[int, Tenure]]:
    return enumerate(account.tenures)


def _ends(tenure: Tenure) -> tuple[datetime | None, datetime | None]:
    return tenure.since, tenure.until


def _name(tenure: Tenure, number: int) -> tuple[str, str]:
    age = f", {span(tenure.age)} old at the end" if tenure.age is not None else ""
    return ("odd" if number % 2 else "even", f"secret {short(tenure.secret_id)}{age}")


def _overdue(account: AccountReport, tenure: Tenure, period: Period) -> Iterator[str]:
    if tenure.overdue and tenure.since and account.account:
        begin = tenure.since + account.account.policy.max_age
        named = ("late", f"overdue for {span(tenure.overdue)}")
        yield _rectangle(period, begin, tenure.until, named)


def _held(holding: Holding, period: Period) -> str:
    named = ("held", f"held by {holding.by}: {holding.reason}")
    return _rectangle(period, holding.since, holding.until, named, top=_TOP + _HEIGHT + 2, high=5)


def _rectangle(
    period: Period,
    since: datetime | None,
    until: datetime | None,
    named: tuple[str, str],
    *,
    top: int = _TOP,
    high: int = _HEIGHT,
) -> str:
    left = _x(period, since or period.since)
    width = max(_LEAST, _x(period, until or period.until) - left)
    kind, title = named
    return (
        f'<rect class="{kind}" x="{left:.1f}" y="{top}" width="{width:.1f}" height="{high}">'
        f"<title>{escape(title)}</title></rect>"
    )


def _ticks(period: Period) -> Iterator[str]:
    """Mark both ends, and the middle."""
    length = period.until - period.since
    for part in range(3):
        at = period.since + part * length / 2
        text = moment(at)[:10] if length > timedelta(days=2) else moment(at)
        yield f"<span>{escape(text)}</span>"


def _x(period: Period, at: datetime) -> float:
    share = (at - period.since) / (period.until - period.since)
    return _WIDTH * min(1.0, max(0.0, share))
