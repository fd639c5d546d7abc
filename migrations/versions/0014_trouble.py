"""What is wrong with an account, with its cause, its cure and its beginning; and the daemons.

There is no downgrade, as for every revision of the record.
"""

import json
from datetime import UTC

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Keep the drift that is known, as of the last look at each account; its cure comes later."""
    op.add_column("account", sa.Column("trouble", sa.Text))
    op.add_column("account", sa.Column("failure", sa.Text))
    account = sa.table(
        "account",
        *(sa.column(name) for name in ("name", "drift", "trouble")),
        # In the form that the driver returns, which is a text in SQLite.
        sa.column("seen_at", sa.DateTime(timezone=True)),
    )
    connection = op.get_bind()
    known = connection.execute(
        sa.select(account.c.name, account.c.drift, account.c.seen_at).where(
            account.c.drift.is_not(None), account.c.seen_at.is_not(None)
        )
    ).all()
    for name, drift, seen_at in known:
        code, _, why = drift.partition(": ")
        if code == "overdue":
            continue
        # A session of PostgreSQL may have any time zone.
        in_utc = seen_at.astimezone(UTC) if seen_at.tzinfo else seen_at
        since = in_utc.strftime("%Y-%m-%dT%H:%M:%S.%f") + "+00:00"
        trouble = {"state": "drifted", "code": code, "why": why, "hint": None, "since": since}
        connection.execute(
            account.update().where(account.c.name == name).values(trouble=json.dumps(trouble))
        )
    op.drop_column("account", "drift")
    op.create_table(
        "daemon",
        sa.Column("host", sa.Text, primary_key=True),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("polled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("poll_seconds", sa.Double, nullable=False),
        sa.Column("outages", sa.Text, nullable=False, server_default="{}"),
    )
