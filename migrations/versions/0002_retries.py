"""When an account that failed is tried again, and after how many failures.

There is no downgrade, as for every revision of the record.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let every account be tried at once."""
    op.add_column("account", sa.Column("failures", sa.Integer, nullable=False, server_default="0"))
    op.add_column("account", sa.Column("retry_at", sa.DateTime(timezone=True)))
