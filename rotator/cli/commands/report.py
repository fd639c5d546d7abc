"""`report`: evidence for an auditor."""

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rotator import own_version
from rotator.cli import output, pager
from rotator.cli.commands.history import require_known
from rotator.cli.commands.ledger import all_names, verifier_of
from rotator.cli.context import CommandContext, OnlyNames, flag, option
from rotator.cli.file import write_whole
from rotator.errors import ConfigError, RotatorError, reason_of
from rotator.reporting.audit import AuditInput, Report, audit
from rotator.reporting.audit_events import is_needed
from rotator.reporting.audit_records import AuditEvent, Period

if TYPE_CHECKING:
    from rotator.application import Application
    from rotator.reporting.verification import Verifier

_ELSEWHERE = "name a file elsewhere, or - for standard output"
_HOW_TO_WRITE = "write a duration (90d) or a time: 2026-08-01, 2026-08-01T12:00:00Z"


class ReportFormat(StrEnum):
    """Format of a report."""

    HTML = "html"
    CSV = "csv"
    JSON = "json"


def report(
    context: typer.Context,
    names: OnlyNames = None,
    since: Annotated[str, option("WHEN", "start of the period: 90d (days ago), or a date")] = "90d",
    until: Annotated[str | None, option("WHEN", "end of the period; else now")] = None,
    form: Annotated[
        ReportFormat, typer.Option("--format", help="format of the report")
    ] = ReportFormat.HTML,
    path: Annotated[
        str | None,
        typer.Option(
            "--output",
            metavar="FILE",
            help="write to FILE, replacing it; - is standard output. Without it, on a terminal, "
            "HTML is written to a new file here, and other formats are shown in the pager",
        ),
    ] = None,
    offline: Annotated[bool, flag("--offline", "do not compare the ledger with Vault")] = False,
) -> None:
    """Write evidence for an auditor: each account's rotations and ages against its policy.

    For a period, 90 days by default: which secrets were in use, how old they became, for how long
    one was overdue, when each was revoked, what was wrong and refused, who acted and why. And for
    now: each account's state, with cause and cure, and live credentials that rotator does not
    manage. Says whether the ledger's chains are whole, its rows match and the rules were kept, and
    compares it with Vault where that can be reached. Exits 1 if it did not verify.
    """
    now = datetime.now(UTC)
    period = Period(since=_moment("--since", since, now), until=now)
    if until is not None:
        period = Period(since=period.since, until=min(now, _moment("--until", until, now)))
    if period.since >= period.until:
        raise ConfigError("--since is not before --until", hint=_HOW_TO_WRITE)
    with CommandContext.of(context).application(offline=offline) as application:
        application.ledger.require("report on")
        require_known(application, names or [])
        made = _made(application, names or [], period, now, offline=offline)
    _write(_rendered(made, form), path or _usual_place(made, form))
    output.flush()
    for account in made.accounts:
        for fault, hint in account.record.complaints:
            output.complain(fault, hint, about=account.name)
    raise typer.Exit(0 if made.is_proven else 1)


def _made(
    application: "Application", names: list[str], period: "Period", now: datetime, *, offline: bool
) -> "Report":
    wanted = list(dict.fromkeys(names or all_names(application)))
    verifier = verifier_of(application, offline=offline, checks_rules=True)
    if verifier.away:
        output.say(f"note: not compared with Vault: {verifier.away.message}")
    return Report(
        period=period,
        made_at=now,
        version=f"rotator {own_version()}",
        accounts=tuple(audit(_known(application, name, verifier, now), period) for name in wanted),
    )


def _known(
    application: "Application", name: str, verifier: "Verifier", now: datetime
) -> "AuditInput":
    reader = application.ledger.reader
    [summary] = reader.accounts([name])
    return AuditInput(
        name=name,
        account=application.accounts.get(name),
        events=list(_events(application, name)),
        summary=summary,
        expendable_ids=reader.expendable_ids(name),
        record=verifier.verify(name),
        now=now,
    )


def _events(application: "Application", name: str) -> "Iterator[AuditEvent]":
    for entry in application.ledger.reader.entries(name):
        # A tampered value in the ledger may be anything; the verification reports it.
        with suppress(ValueError, TypeError, RecursionError):
            if is_needed(entry.event, entry.step):
                yield AuditEvent(
                    at=datetime.fromisoformat(entry.at),
                    event=entry.event,
                    step=entry.step,
                    rotation_id=entry.rotation_id,
                    detail=dict(json.loads(entry.detail)),
                )


def _moment(option: str, text: str, now: datetime) -> datetime:
    """Parse a point in time: an age, or a date or time, in UTC unless stated otherwise."""
    from rotator.config import parse_duration  # noqa: PLC0415  # `--help` needs no validator

    with suppress(ConfigError, OverflowError):
        return now - parse_duration(text)
    with suppress(ValueError, OverflowError):
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    raise ConfigError(f"{option}: {text!r} is not a point in time", hint=_HOW_TO_WRITE)


def _rendered(made: "Report", form: ReportFormat) -> str:
    # `--help` needs no page.
    from rotator.reporting import audit_data, audit_html, audit_sheet  # noqa: PLC0415

    match form:
        case ReportFormat.HTML:
            return audit_html.page(made)
        case ReportFormat.CSV:
            return audit_sheet.sheet(made).removesuffix("\n")
        case ReportFormat.JSON:
            return json.dumps(audit_data.document(made), indent=2)


def _usual_place(made: "Report", form: ReportFormat) -> str | None:
    """Return where a report goes that no place was named for; None for the pager."""
    if not sys.stdout.isatty():
        return "-"
    return (
        f"rotator-report-{made.made_at:%Y-%m-%d-%H%M%S}.html" if form is ReportFormat.HTML else None
    )


def _write(text: str, path: str | None) -> None:
    """Write a report to a file (completely or not at all), to a device, or to standard output.

    None shows it in the pager.

    Raises:
        ConfigError: the path cannot be written to.
        RotatorError: it cannot be written.
    """
    if path is None:
        pager.show(text)
        return
    if path == "-":
        output.write(text)
        return
    target = Path(path)
    message = f"--output: {path} cannot be written"
    if target.is_dir():
        raise ConfigError(f"{message}: it is a directory", hint=f"name a file in it: {path}/FILE")
    if not target.parent.is_dir():
        hint = f"make it with `mkdir -p {shlex.quote(str(target.parent))}`, or name another"
        raise ConfigError(f"{message}: there is no such directory", hint=hint)
    try:
        write_whole(target, f"{text}\n")
    except OSError as error:
        raise RotatorError(f"{message}: {reason_of(error)}", hint=_ELSEWHERE) from None
    output.say(f"wrote {path}{_for_readers(target)}")


def _for_readers(target: Path) -> str:
    """Return what to do with a page that was just written; empty for other formats."""
    if target.suffix not in (".html", ".htm"):
        return ""
    return f" ({-(-target.stat().st_size // 1000)} kB): open it in a browser"
