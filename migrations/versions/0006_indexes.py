"""Indexes for what would otherwise read every rotation of many years.

There is no downgrade, as for every revision of the record.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

COLUMNS = {
    "rotation_closed_at": ["closed_at", "outcome"],
    "rotation_account_closed_at": ["account", "closed_at", "outcome"],
}


def upgrade() -> None:
    """Index what is closed by when."""
    is_closed = sa.text("closed_at IS NOT NULL")
    for name, columns in COLUMNS.items():
        op.create_index(
            name, "rotation", columns, sqlite_where=is_closed, postgresql_where=is_closed
        )
