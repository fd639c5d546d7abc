"""The daemons that use the ledger.

There is no downgrade, as for every revision of the record.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """No daemon has polled yet."""
    op.create_table(
        "daemon",
        sa.Column("host", sa.Text, primary_key=True),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("polled_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("poll_seconds", sa.Double, nullable=False),
        sa.Column("outages", sa.Text, nullable=False, server_default="{}"),
    )
