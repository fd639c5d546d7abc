"""A report as a JSON document."""

from typing import Any

from rotator.cli.evidence import wording
from rotator.cli.evidence.wording import days
from rotator.report import AccountReport, Deed, Holding, Report, Rotated, Tenure, Trouble
from rotator.words import rfc3339


def document(report: Report) -> dict[str, Any]:
    """Give a report as `report --format json` prints it. Times are UTC, ages in days."""
    return {
        "since": rfc3339(report.period.since),
        "until": rfc3339(report.period.until),
        "made_at": rfc3339(report.made_at),
        "made_by": report.version,
        "ledger_verified": report.is_proven,
        "accounts": [_account(account) for account in report.accounts],
    }


def _account(account: AccountReport) -> dict[str, Any]:
    configured = account.account
    return {
        "name": account.name,
        "api_key": configured.api_key if configured else None,
        "policy": wording.policy(configured),
        "max_age_days": days(configured.policy.max_age) if configured else None,
        "verdict": account.verdict,
        "oldest_age_days": days(account.oldest),
        "overdue_days": days(account.overdue),
        "rotations": [_rotation(rotation) for rotation in account.rotations],
        "secrets": [_secret(tenure) for tenure in account.tenures],
        "refusals": [_trouble(trouble) for trouble in account.troubles],
        "holds": [_hold(holding) for holding in account.holdings],
        "by_hand": [_deed(deed) for deed in account.deeds],
        "ledger": {
            "entries": account.record.entries,
            "head": account.record.head,
            "chain": account.record.chain.lower(),
            "rows": account.record.rows.lower(),
            "fault": account.record.fault,
            "vault": account.record.vault.lower(),
            "vault_unread": account.record.unread,
        },
    }


def _rotation(rotation: Rotated) -> dict[str, Any]:
    return {
        "id": rotation.id,
        "reason": rotation.reason,
        "opened_at": rfc3339(rotation.opened_at),
        "verified_at": rfc3339(rotation.verified_at),
        "closed_at": rfc3339(rotation.closed_at),
        "outcome": rotation.outcome,
        "code": rotation.code,
        "old_secret_id": rotation.old_id,
        "new_secret_id": rotation.new_id,
    }


def _secret(tenure: Tenure) -> dict[str, Any]:
    return {
        "id": tenure.secret_id,
        "since": rfc3339(tenure.since),
        "until": rfc3339(tenure.until),
        "age_days": days(tenure.age),
        "overdue_days": days(tenure.overdue),
    }


def _trouble(trouble: Trouble) -> dict[str, Any]:
    return {
        "event": trouble.event,
        "code": trouble.code,
        "why": trouble.why,
        "count": trouble.count,
        "first_at": rfc3339(trouble.first),
        "last_at": rfc3339(trouble.last),
    }


def _hold(holding: Holding) -> dict[str, Any]:
    return {
        "reason": holding.reason,
        "by": holding.by,
        "freeze": holding.freeze,
        "since": rfc3339(holding.since),
        "until": rfc3339(holding.until),
        "ended_by": holding.ended_by,
    }


def _deed(deed: Deed) -> dict[str, Any]:
    return {
        "at": rfc3339(deed.at),
        "operation": deed.operation,
        "secret_id": deed.secret_id,
        "outcome": deed.outcome,
    }
