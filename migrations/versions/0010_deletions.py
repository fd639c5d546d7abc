"""Which secrets were deleted last, so that none of them is ever taken for a new one.

There is no downgrade, as for every revision of the record.
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

#: How many are kept of each account.
MOST = 50


def upgrade() -> None:
    """Fill in what the entries tell. Of what was not recorded as done, nothing is certain."""
    op.add_column("account", sa.Column("deletions", sa.Text, nullable=False, server_default="[]"))
    found: dict[str, dict[str, str]] = {}
    told = op.get_bind().execute(
        sa.text(
            "SELECT account, event, detail FROM entry WHERE event IN ('intent', 'done') "
            "AND (step IN ('evict', 'delete') OR detail LIKE '%\"operation\":\"delete\"%') "
            "ORDER BY account, seq"
        )
    )
    for account, event, detail in told:
        secret_id = _secret_id(detail)
        if secret_id is not None:
            known = found.setdefault(account, {})
            is_done = event == "done" or known.pop(secret_id, "") == "done"
            known[secret_id] = "done" if is_done else "unknown"
    for account, known in found.items():
        op.get_bind().execute(
            sa.text("UPDATE account SET deletions = :deletions WHERE name = :name"),
            {"name": account, "deletions": json.dumps([*known.items()][-MOST:])},
        )


def _secret_id(detail: str) -> str | None:
    """Read the id from an entry's detail, which someone may have changed."""
    try:
        secret_id = json.loads(detail).get("secret_id")
    except (ValueError, AttributeError, RecursionError):
        return None
    return secret_id if isinstance(secret_id, str) else None
