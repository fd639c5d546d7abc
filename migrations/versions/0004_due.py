"""An index by which open rotations whose grace is over are found among all others.

There is no downgrade, as for every revision of the record.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Index the open rotations alone."""
    is_open = sa.text("closed_at IS NULL")
    op.create_index(
        "rotation_delete_due_at",
        "rotation",
        ["delete_due_at"],
        sqlite_where=is_open,
        postgresql_where=is_open,
    )
