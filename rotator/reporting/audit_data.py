"""A report as JSON, and the texts that every format shares."""

from datetime import datetime, timedelta
from math import ceil
from typing import Any

from rotator.model import Account
from rotator.model.times import rfc3339
from rotator.reporting.audit import WITHIN, AccountReport, Report
from rotator.reporting.audit_records import (
    Act,
    FailureGroup,
    HoldPeriod,
    ManualAction,
    Revocation,
    RotationHistory,
    SecretUse,
    Sighting,
    TroublePeriod,
)
from rotator.reporting.text import moment, span
from rotator.reporting.verification import LedgerVerification

_DAY = timedelta(days=1)


def days(length: timedelta | None) -> float | None:
    """Return a length in days, to a hundredth."""
    return None if length is None else round(length / _DAY, 2)


def seconds(length: timedelta) -> int:
    """Return a length in whole seconds; what is shorter than one counts as one."""
    return ceil(length.total_seconds())


def policy(account: Account | None) -> str:
    """Return the policy in words."""
    if account is None:
        return "not configured any more"
    policy = account.policy
    often = f"cron {policy.cron} ({policy.timezone})" if policy.cron else None
    often = often or (f"every {span(policy.every)}" if policy.every else "on request only")
    at_most = "" if policy.max_age is None else f"at most {span(policy.max_age)} old, "
    return f"{often}, {at_most}grace {span(policy.grace)}"


def verdict(record: LedgerVerification) -> str:
    """Return the verdict on an account's record: its entries, rows and rules, and Vault's note."""
    checked = f"{record.entries} entries, {by_itself(record)}"
    if record.complaints:
        faults = (f"FAILED: {fault} ({hint})" for fault, hint in record.complaints)
        return "; ".join([checked, *faults])
    if record.unread:
        return f"{checked}; not compared with Vault: {record.unread.message}"
    return f"{checked}; {_AGAINST_VAULT.get(record.vault, record.vault)}"


def by_itself(record: LedgerVerification) -> str:
    """Return what an account's record shows without Vault, in the words of `ledger verify`."""
    return f"chain {record.chain}, rows {record.rows}, rules {rules(record)}"


def rules(record: LedgerVerification) -> str:
    """Return whether the entries show that the rules were kept."""
    return record.rules or "not checked"


def facts(act: Act) -> str:
    """Return what is recorded of an act, besides who and why: `grace_seconds=0 reason=asked`."""
    return " ".join(f"{name}={value}" for name, value in sorted(act.facts.items()))


def revoked(use: SecretUse) -> str:
    """Return what became of a secret, in words."""
    found = use.revocation
    if found is None:
        return _FATES[use.is_live]
    if found.by == "someone else":
        return f"by someone else, found gone {moment(found.at)}"
    return f"{moment(found.at)} by {found.by}"


#: Stands for the person of an act that an older version of rotator recorded.
NOT_RECORDED = "not recorded"
#: What became of a secret that no entry has revoked.
_FATES = {True: "still live", False: "gone: by whom and when is not recorded", None: "not known"}
_AGAINST_VAULT = {
    "matches": "the entry that Vault's note names is in it",
    "no note": "Vault has no note to compare with yet",
    "not configured": "not compared with Vault, as the account is not configured any more",
    "not compared": "not compared with Vault",
}


def outcome(act: Act) -> str | None:
    """Return what became of an act, with the code of a refusal or a failure; None as there."""
    return f"{act.outcome} ({act.code})" if act.outcome and act.code else act.outcome


def rotations(account: AccountReport) -> str:
    """Return the numbers of an account's rotations by outcome."""
    counts = {
        "completed": account.count("completed"),
        "failed": account.count("failed"),
        "open": account.count(None),
    }
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "none"


def document(report: Report) -> dict[str, Any]:
    """Return a report as `report --format json` prints it. Times are UTC, ages in days."""
    return {
        "since": rfc3339(report.period.since),
        "until": rfc3339(report.period.until),
        "made_at": rfc3339(report.made_at),
        "made_by": report.version,
        "ledger_verified": report.is_proven,
        "summary": {
            "accounts": len(report.accounts),
            "within_policy": report.count(WITHIN),
            "overdue": report.count("overdue"),
            "broken": report.count("broken"),
            "was_broken": report.count("was broken"),
            "unmanaged_live_credentials": report.unmanaged,
            "not_known": report.count("not known"),
            "no_policy": report.count("no policy"),
        },
        "accounts": [_account(account) for account in report.accounts],
    }


def _account(account: AccountReport) -> dict[str, Any]:
    configured, record = account.account, account.record
    return {
        "name": account.name,
        "api_key": configured.api_key if configured else None,
        "policy": policy(configured),
        "max_age_days": days(configured.policy.max_age) if configured else None,
        "verdict": account.verdict,
        "verdicts": list(account.verdicts),
        "present": _present(account),
        "oldest_age_days": days(account.oldest),
        "overdue_days": days(account.overdue),
        "broken_seconds": seconds(account.broken),
        "rotations": [_rotation(rotation) for rotation in account.rotations],
        "secrets": [_secret(use) for use in account.uses],
        "refusals": [_fields(failure) for failure in account.failures],
        "holds": [_fields(hold) for hold in account.holds],
        "by_hand": [_fields(action) for action in account.manual_actions],
        "acts": [_act(act) for act in account.acts],
        "troubles": [_fields(trouble) for trouble in account.troubles],
        "revocations": [_fields(revocation) for revocation in account.revocations],
        "sightings": [_fields(sighting) for sighting in account.sightings],
        "ledger": {
            "entries": record.entries,
            "head": record.head,
            "chain": record.chain.lower(),
            "rows": record.rows.lower(),
            "rules": rules(record).lower(),
            "broken_rules": [one.document() for one in record.violations or ()],
            "fault": "; ".join(record.faults) or None,
            "vault": record.vault.lower(),
            "vault_unread": record.unread.message if record.unread else None,
        },
    }


def _present(account: AccountReport) -> dict[str, Any]:
    """Return the present state, from the account's row: not covered by the chain."""
    condition = account.condition
    return {
        "observed_at": rfc3339(account.observed_at),
        **(condition.document() if condition else {"state": None}),
        "conditions": [each.document() for each in account.conditions],
        "live_secrets": [
            {
                "id": secret.id,
                "role": secret.role.value,
                "managed": secret.is_managed,
                "first_seen_at": rfc3339(secret.first_seen_at),
                "origin": secret.origin,
            }
            for secret in account.live
        ],
    }


def _act(act: Act) -> dict[str, Any]:
    return {
        "at": rfc3339(act.at),
        "operation": act.operation,
        "by": act.by,
        "from": act.host,
        "because": act.because,
        "facts": dict(act.facts),
        "outcome": act.outcome,
        "code": act.code,
    }


def _rotation(rotation: RotationHistory) -> dict[str, Any]:
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


def _secret(use: SecretUse) -> dict[str, Any]:
    return {
        "id": use.secret_id,
        "since": rfc3339(use.since),
        "until": rfc3339(use.until),
        "age_days": days(use.age),
        "overdue_days": days(use.overdue),
        "age_counts_from": rfc3339(use.aged_from),
        "live": use.is_live,
        "revoked_at": rfc3339(use.revocation.at) if use.revocation else None,
        "revoked_by": use.revocation.by if use.revocation else None,
        "dead_at": rfc3339(use.revocation.dead_at) if use.revocation else None,
    }


_Record = FailureGroup | HoldPeriod | ManualAction | Revocation | Sighting | TroublePeriod


def _fields(record: _Record) -> dict[str, Any]:
    return {
        name: rfc3339(value) if isinstance(value, datetime) else value
        for name, value in vars(record).items()
    }
