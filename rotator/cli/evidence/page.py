"""A report as a page that stands alone, to be read on a screen or on paper."""

from collections.abc import Iterable, Sequence
from datetime import timedelta

from rotator.cli.evidence import strip, style, wording
from rotator.cli.evidence.wording import escape
from rotator.report import AccountReport, Holding, Report, Rotated, Tenure, Trouble
from rotator.words import NOTHING, moment, short, span

#: Markup, as opposed to text that has still to be escaped.
Html = str


def page(report: Report) -> Html:
    """Give a report as `report --format html` prints it. Times are UTC."""
    period = f"{moment(report.period.since)} to {moment(report.period.until)}"
    return _lines(
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        # Nothing is loaded, and nothing that slipped through would be run.
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>Secret rotation, {escape(period)}</title>",
        f"<style>{style.CSS}</style>",
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
        escape(wording.rotations(account)),
        _record(account),
    )


def _account(account: AccountReport, report: Report) -> Html:
    configured = account.account
    key = f" <small>api key {escape(configured.api_key)}</small>" if configured else ""
    return _lines(
        f'<section class="account" id="{escape(account.name)}">',
        f"<h2>{escape(account.name)}{key}</h2>",
        f"<p>{_verdict(account)} Policy: {escape(wording.policy(configured))}.</p>",
        strip.strip(account, report.period),
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
        f'<p class="proof">Ledger: {escape(wording.record(account.record))}. '
        f"Newest entry <code>{escape(account.record.head)}</code></p>",
        "</section>",
    )


_SECRETS = ("Secret", "In use since", "Until", "Age at the end", "Overdue")
_ROTATIONS = ("Opened", "Rotation", "Reason", "Old secret", "New secret", "Closed", "Outcome")
_TROUBLES = ("First", "Last", "Times", "What", "Why")
_HOLDS = ("From", "Until", "By", "Reason", "Ended by")


def _secret(tenure: Tenure) -> tuple[Html, ...]:
    return (
        _id(tenure.secret_id),
        escape(moment(tenure.since)),
        escape(moment(tenure.until)) if tenure.until else "in use",
        _span(tenure.age) if tenure.age is not None else "not known",
        _span(tenure.overdue or None),
    )


def _rotation(rotation: Rotated) -> tuple[Html, ...]:
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


def _trouble(trouble: Trouble) -> tuple[Html, ...]:
    return (
        escape(moment(trouble.first)),
        escape(moment(trouble.last)),
        str(trouble.count),
        escape(f"{trouble.event}: {trouble.code}"),
        escape(trouble.why or NOTHING),
    )


def _hold(holding: Holding) -> tuple[Html, ...]:
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
    """Give an id in short; the whole of it shows when pointed at, and stands in CSV and JSON."""
    whole = escape(identifier or "")
    return f'<code title="{whole}">{escape(short(identifier))}</code>'


def _lines(*parts: Html) -> Html:
    return "\n".join(part for part in parts if part)
