"""Whether a hold also keeps what was pushed from being finished.

There is no downgrade, as for every revision of the record.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let a hold be what it was: no freeze."""
    op.add_column(
        "account", sa.Column("hold_freeze", sa.Integer, nullable=False, server_default="0")
    )
