"""What all forms of a report say in the same words."""

from datetime import timedelta
from html import escape as escape_markup

from rotator.model import Account
from rotator.redaction import printable
from rotator.report import AccountReport, Record
from rotator.words import span

_DAY = timedelta(days=1)


def days(length: timedelta | None) -> float | None:
    """Give a length in days, to a hundredth."""
    return None if length is None else round(length / _DAY, 2)


def escape(text: str) -> str:
    """Return a text as markup, without what a terminal would obey that shows the page."""
    return escape_markup(printable(text))


def policy(account: Account | None) -> str:
    """Say what the policy asks for."""
    if account is None:
        return "not configured any more"
    policy = account.policy
    often = f"cron {policy.cron} ({policy.timezone})" if policy.cron else None
    often = often or (f"every {span(policy.every)}" if policy.every else "on demand")
    return f"{often}, at most {span(policy.max_age)} old, grace {span(policy.grace)}"


def record(record: Record) -> str:
    """Say whether an account's entries are those that were written, and its rows what they say."""
    if record.complaints:
        return "; ".join(f"FAILED: {fault} ({cure})" for fault, cure in record.complaints)
    whole = f"{record.entries} entries, chain {record.chain}, rows {record.rows}"
    if record.unread:
        return f"{whole}; not compared with Vault: {record.unread}"
    return f"{whole}; {_AGAINST_VAULT.get(record.vault, record.vault)}"


_AGAINST_VAULT = {
    "matches": "the entry that Vault's note names is in it",
    "no note": "Vault has no note to compare with yet",
    "not configured": "not compared with Vault, as the account is not configured any more",
    "not compared": "not compared with Vault",
}


def rotations(account: AccountReport) -> str:
    """Count an account's rotations by how they ended."""
    counts = {
        "completed": account.count("completed"),
        "failed": account.count("failed"),
        "open": account.count(None),
    }
    told = [f"{count} {word}" for word, count in counts.items() if count]
    return ", ".join(told) or "none"
