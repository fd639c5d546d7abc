"""A report as a self-contained page, for screen or paper."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from rotator.reporting import audit_data
from rotator.reporting.audit import (
    AccountReport,
    FailureGroup,
    HoldPeriod,
    Period,
    Report,
    RotationHistory,
    SecretUse,
)
from rotator.reporting.audit_data import escape
from rotator.reporting.text import NOTHING, moment, short, span

_WIDTH, _TOP, _HEIGHT = 1000.0, 4, 26

#: Smallest visible width, in units of the drawing.
_LEAST = 2.0


def strip(account: AccountReport, period: Period) -> str:
    """Draw the period of each secret: red where overdue, underlined where the account was held.

    The tables contain everything that is drawn, so that the drawing needs no description.
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
        # Beside the drawing, so that they stay legible when it is narrow.
        f'<p class="ticks">{"".join(_ticks(period))}</p>'
    )


def _each(account: AccountReport) -> Iterator[tuple[int, SecretUse]]:
    return enumerate(account.tenures)


def _ends(tenure: SecretUse) -> tuple[datetime | None, datetime | None]:
    return tenure.since, tenure.until


def _name(tenure: SecretUse, number: int) -> tuple[str, str]:
    age = f", {span(tenure.age)} old at the end" if tenure.age is not None else ""
    return ("odd" if number % 2 else "even", f"secret {short(tenure.secret_id)}{age}")


def _overdue(account: AccountReport, tenure: SecretUse, period: Period) -> Iterator[str]:
    if tenure.overdue and tenure.since and account.account:
        begin = tenure.since + account.account.policy.max_age
        named = ("late", f"overdue for {span(tenure.overdue)}")
        yield _rectangle(period, begin, tenure.until, named)


def _held(holding: HoldPeriod, period: Period) -> str:
    named = ("held", f"held by {holding.by}: {holding.reason}")
    return _rectangle(period, holding.since, holding.until, named, top=_TOP + _HEIGHT + 2, high=5)


def _rectangle(  # noqa: PLR0913  # one value for each of its sides
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
    """Yield the labels of both ends and the middle."""
    length = period.until - period.since
    for part in range(3):
        at = period.since + part * length / 2
        text = moment(at)[:10] if length > timedelta(days=2) else moment(at)
        yield f"<span>{escape(text)}</span>"


def _x(period: Period, at: datetime) -> float:
    share = (at - period.since) / (period.until - period.since)
    return _WIDTH * min(1.0, max(0.0, share))


CSS = """
:root {
  color-scheme: light dark;
  --ink: #1c2330; --faint: #5b6577; --line: #d5dae2; --paper: #ffffff; --panel: #f5f7fa;
  --good: #1a7f4b; --bad: #b3261e; --warn: #8a5a00;
  --even: #3b6fb6; --odd: #8fb1dc; --held: #8a5a00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e4e8ef; --faint: #9aa5b8; --line: #343c4a; --paper: #151a22; --panel: #1e2530;
    --good: #5ccb90; --bad: #ff8a80; --warn: #e5b454;
    --even: #5b8fd6; --odd: #34547f; --held: #e5b454;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 68rem;
  font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
}
h1 { margin: 0; font-size: 1.7rem; line-height: 1.2; }
h2 { margin: 2.4rem 0 .5rem; font-size: 1.2rem; }
h2 small { margin-left: .4rem; font-weight: normal; font-size: .85rem; color: var(--faint); }
h3 { margin: 1.2rem 0 .2rem; font-size: .9rem; color: var(--faint); }
p { margin: .4rem 0; }
header p, .notes p, .proof { color: var(--faint); }
.proof, .notes { font-size: .87rem; }
.proof code { word-break: break-all; }
a { color: inherit; }
code { font: .92em ui-monospace, monospace; }
.tiles {
  display: grid; gap: .75rem; margin: 1.4rem 0 0;
  grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr));
}
.tile {
  padding: .7rem .9rem; border: 1px solid var(--line); border-radius: 8px; background: var(--panel);
}
.tile strong { display: block; font-size: 1.3rem; line-height: 1.3; }
.tile span { font-size: .85rem; color: var(--faint); }
.tile.good strong, .verdict.good { color: var(--good); }
.tile.bad strong, .verdict.bad { color: var(--bad); }
.tile.warn strong, .verdict.warn { color: var(--warn); }
.verdict { font-weight: 600; }
p > .verdict { margin-right: .5rem; }
.wide { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td {
  padding: .35rem .8rem .35rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line);
}
th { font-size: .82rem; font-weight: 600; color: var(--faint); white-space: nowrap; }
td { font-size: .9rem; }
.account { margin-top: 2.6rem; padding-top: .2rem; border-top: 2px solid var(--line); }
.account h2 { margin-top: 1rem; }
.strip { display: block; width: 100%; height: 38px; margin: .9rem 0 0; }
.ticks {
  display: flex; justify-content: space-between; margin: 0; font-size: .85rem; color: var(--faint);
}
.strip .even { fill: var(--even); } .strip .odd { fill: var(--odd); }
.strip .late { fill: var(--bad); } .strip .held { fill: var(--held); }
@media (max-width: 52rem) { .wide table { min-width: 50rem; } }
@media print {
  @page { margin: 14mm; }
  :root {
    --ink: #000000; --faint: #444444; --line: #bbbbbb; --paper: #ffffff; --panel: #ffffff;
    --good: #1a7f4b; --bad: #b3261e; --warn: #8a5a00;
    --even: #3b6fb6; --odd: #8fb1dc; --held: #8a5a00;
  }
  body { max-width: none; padding: 0; font-size: 10pt; }
  .wide { overflow: visible; }
  .wide table { min-width: 0; }
  .tiles { grid-template-columns: repeat(5, 1fr); }
  .proof, .notes { font-size: 8.5pt; }
  table { font-size: 8.5pt; }
  td, th { font-size: 8.5pt; }
  tr, .tile, .strip, h2, h3 { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  .strip rect { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""


#: Markup, as opposed to text that must still be escaped.
Html = str


def page(report: Report) -> Html:
    """Return a report as `report --format html` prints it. Times are UTC."""
    period = f"{moment(report.period.since)} to {moment(report.period.until)}"
    return _lines(
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        # Nothing is loaded, and a script that slipped through would not run.
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>Secret rotation, {escape(period)}</title>",
        f"<style>{CSS}</style>",
        "</head>",
        "<body>",
        "<header>",
        "<h1>Rotation of Vonage API secrets</h1>",
        f"<p>{escape(period)}. Made {escape(moment(report.made_at))} by "
        f"{escape(report.version)}.</p>",
        "</header>",
        "<main>",
        _summary(report),
        _overview(report),
        *(_account(account, report) for account in report.accounts),
        _notes(),
        "</main>",
        "</body>",
        "</html>",
    )


def _summary(report: Report) -> Html:
    accounts = report.accounts
    overdue = [account for account in accounts if account.overdue]
    within = [account for account in accounts if account.verdict == "within policy"]
    held = [account for account in accounts if account.holdings]
    completed = sum(account.count("completed") for account in accounts)
    found = [account.record.vault for account in accounts]
    is_compared = any(each not in {"not compared", "not configured"} for each in found)
    matching = f"{found.count('matches')} of {len(found)} match"
    matches = matching if is_compared else "not compared with"
    tiles = (
        (f"{len(within)} of {len(accounts)}", "accounts within policy all the time", ""),
        (str(len(overdue)), "with an overdue secret", "bad" if overdue else ""),
        (str(completed), "rotations completed", ""),
        (str(len(held)), "held by an operator", "warn" if held else ""),
        (
            "verified" if report.is_proven else "NOT VERIFIED",
            f"the ledger's chains of hashes and rows; {matches} Vault",
            "good" if report.is_proven else "bad",
        ),
    )
    return _lines(
        '<section class="tiles" aria-label="Summary">',
        *(
            f'<div class="tile {kind}"><strong>{escape(figure)}</strong>'
            f"<span>{escape(words)}</span></div>"
            for figure, words, kind in tiles
        ),
        "</section>",
    )


def _overview(report: Report) -> Html:
    headers = ("Account", "Verdict", "Oldest secret", "Allowed", "Overdue", "Rotations", "Ledger")
    return _lines("<h2>Accounts</h2>", _table(headers, map(_overview_row, report.accounts)))


def _overview_row(account: AccountReport) -> tuple[Html, ...]:
    configured = account.account
    return (
        f'<a href="#{escape(account.name)}">{escape(account.name)}</a>',
        _verdict(account),
        _span(account.oldest),
        _span(configured.policy.max_age if configured else None),
        _span(account.overdue or None),
        escape(audit_data.rotations(account)),
        _record(account),
    )


def _account(account: AccountReport, report: Report) -> Html:
    configured = account.account
    key = f" <small>api key {escape(configured.api_key)}</small>" if configured else ""
    return _lines(
        f'<section class="account" id="{escape(account.name)}">',
        f"<h2>{escape(account.name)}{key}</h2>",
        f"<p>{_verdict(account)} Policy: {escape(audit_data.policy(configured))}.</p>",
        strip(account, report.period),
        _part("Secrets in use", _SECRETS, map(_secret, account.tenures)),
        _part("Rotations", _ROTATIONS, map(_rotation, account.rotations)),
        _part("Refusals and failures", _TROUBLES, map(_trouble, account.troubles)),
        _part("Holds", _HOLDS, map(_hold, account.holdings)),
        _part(
            "By hand",
            ("Time", "Deed", "Secret", "Outcome"),
            (
                (
                    escape(moment(deed.at)),
                    escape(deed.operation),
                    _id(deed.secret_id),
                    escape(deed.outcome),
                )
                for deed in account.deeds
            ),
        ),
        f'<p class="proof">Ledger: {escape(audit_data.record(account.record))}. '
        f"Newest entry <code>{escape(account.record.head)}</code></p>",
        "</section>",
    )


_SECRETS = ("Secret", "In use since", "Until", "Age at the end", "Overdue")

_ROTATIONS = ("Opened", "Rotation", "Reason", "Old secret", "New secret", "Closed", "Outcome")

_TROUBLES = ("First", "Last", "Times", "What", "Why")

_HOLDS = ("From", "Until", "By", "Reason", "Ended by")


def _secret(tenure: SecretUse) -> tuple[Html, ...]:
    return (
        _id(tenure.secret_id),
        escape(moment(tenure.since)),
        escape(moment(tenure.until)) if tenure.until else "in use",
        _span(tenure.age) if tenure.age is not None else "not known",
        _span(tenure.overdue or None),
    )


def _rotation(rotation: RotationHistory) -> tuple[Html, ...]:
    outcome = rotation.outcome or "open"
    code = f" ({rotation.code})" if rotation.code else ""
    return (
        escape(moment(rotation.opened_at)),
        _id(rotation.id),
        escape(rotation.reason),
        _id(rotation.old_id),
        _id(rotation.new_id),
        escape(moment(rotation.closed_at)),
        escape(f"{outcome}{code}"),
    )


def _trouble(trouble: FailureGroup) -> tuple[Html, ...]:
    return (
        escape(moment(trouble.first)),
        escape(moment(trouble.last)),
        str(trouble.count),
        escape(f"{trouble.event}: {trouble.code}"),
        escape(trouble.why or NOTHING),
    )


def _hold(holding: HoldPeriod) -> tuple[Html, ...]:
    frozen = " (frozen)" if holding.freeze else ""
    return (
        escape(moment(holding.since)),
        escape(moment(holding.until)) if holding.until else "held",
        escape(holding.by),
        escape(f"{holding.reason}{frozen}"),
        escape(holding.ended_by or NOTHING),
    )


def _notes() -> Html:
    return _lines(
        '<section class="notes">',
        "<h2>How to read this</h2>",
        "<p>Everything here is taken from the entries of rotator's ledger. Entries of an account "
        "form a chain of hashes, so that one that is changed, left out or put in breaks it; "
        "each rotation also leaves the chain's newest hash in Vault, which exposes a ledger that "
        "was rewritten as a whole. The rows that rotator works by have to match the entries. "
        "<code>rotator ledger verify</code> repeats that proof.</p>",
        "<p>A secret's age counts from when it was seen in Vault; that of the first secret the "
        "ledger knows, from when Vonage made it. It is overdue while it is in use and older than "
        "the policy allows: red in the drawing, where a line "
        "below marks a hold. Policies are those of the configuration when this was made. "
        "No value of a secret is in the ledger, nor here.</p>",
        "</section>",
    )


def _part(title: str, headers: Sequence[str], rows: Iterable[Sequence[Html]]) -> Html:
    rows = list(rows)
    return _lines(f"<h3>{escape(title)}</h3>", _table(headers, rows)) if rows else ""


def _table(headers: Sequence[str], rows: Iterable[Sequence[Html]]) -> Html:
    return _lines(
        '<div class="wide"><table>',
        f"<thead><tr>{''.join(f'<th>{escape(header)}</th>' for header in headers)}</tr></thead>",
        "<tbody>",
        *(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows),
        "</tbody></table></div>",
    )


_KINDS = {"within policy": "good", "overdue": "bad"}


def _verdict(account: AccountReport) -> Html:
    kind = _KINDS.get(account.verdict, "warn")
    return f'<span class="verdict {kind}">{escape(account.verdict)}</span>'


def _record(account: AccountReport) -> Html:
    record = account.record
    if record.fault:
        return '<span class="verdict bad">FAILED</span>'
    vault = record.vault.replace("matches", "matches Vault")
    return escape(f"chain {record.chain}, rows {record.rows}, {vault}")


def _span(length: timedelta | None) -> Html:
    return escape(span(length)) if length is not None else NOTHING


def _id(identifier: str | None) -> Html:
    """Return an id in short; the whole of it shows on hover, and stands in CSV and JSON."""
    whole = escape(identifier or "")
    return f'<code title="{whole}">{escape(short(identifier))}</code>'


def _lines(*parts: Html) -> Html:
    return "\n".join(part for part in parts if part)
