"""The ids that Vonage lists according to the entries, to record what others make and revoke.

There is no downgrade, as for every revision of the record.
"""

import json
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Begin with what was listed last; what others had changed before has no entry."""
    op.add_column("account", sa.Column("recorded_ids", sa.Text))
    op.execute("UPDATE account SET recorded_ids = listed_ids WHERE listed_ids <> '[]'")
    _add_made_since()


def _add_made_since() -> None:
    """Add the secrets that were made by hand since, after which no look was kept."""
    account = sa.table(
        "account",
        sa.column("name", sa.Text),
        sa.column("recorded_ids", sa.Text),
        sa.column("seen_at", sa.DateTime(timezone=True)),
    )
    entries = sa.text(
        "SELECT account, at, detail FROM entry WHERE event = 'done' AND step IS NULL "
        'AND detail LIKE \'%"operation":"create"%\' ORDER BY account, seq'
    )
    connection = op.get_bind()
    rows = connection.execute(sa.select(account).where(account.c.recorded_ids.is_not(None)))
    known = {name: (ids, seen_at) for name, ids, seen_at in rows}
    for name, at, detail in connection.execute(entries).all():
        ids, seen_at = known.get(name, (None, None))
        added = _added(ids, detail) if ids and seen_at and _is_later(at, seen_at) else None
        if added:
            known[name] = added, seen_at
            change = account.update().where(account.c.name == name)
            connection.execute(change.values(recorded_ids=added))


def _is_later(at: str, seen_at: datetime) -> bool:
    """Return whether an entry is later than a look."""
    try:
        return datetime.fromisoformat(at) > seen_at.replace(tzinfo=seen_at.tzinfo or UTC)
    except (ValueError, TypeError):
        return False


def _added(ids: str, detail: str) -> str | None:
    """Return the ids with that of an entry's detail; None where either cannot be read."""
    try:
        listed, secret_id = json.loads(ids), json.loads(detail).get("secret_id")
        # Of different types, they cannot be sorted.
        return json.dumps(sorted({*listed, secret_id}), separators=(",", ":"))
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None
