"""Which version of the pending entry was pushed, so that no other is cleared.

There is no downgrade, as for every revision of the record.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let a rotation be what it was: none of its versions is known."""
    op.add_column(
        "rotation", sa.Column("pending_version", sa.BigInteger, nullable=False, server_default="0")
    )
