"""Subaccounts that are found, and an index that finds what is due among many accounts.

There is no downgrade, as for every revision of the record.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Add what was found, and index the open rotations alone."""
    op.create_table(
        "subaccount",
        sa.Column("parent", sa.String(64), primary_key=True),
        sa.Column("api_key", sa.Text, primary_key=True),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
    )
    op.create_table(
        "listing",
        sa.Column("parent", sa.String(64), primary_key=True),
        sa.Column("listed_at", INSTANT, nullable=False),
    )
    is_open = sa.text("closed_at IS NULL")
    op.create_index(
        "rotation_delete_due_at",
        "rotation",
        ["delete_due_at"],
        sqlite_where=is_open,
        postgresql_where=is_open,
    )
