"""When each old secret was deleted, when Vonage first refused it, and what held its value.

There is no downgrade, as for every revision of the record.
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing is known of it for what was deleted before."""
    op.add_column("rotation", sa.Column("predecessor_version", sa.BigInteger))
    op.add_column("rotation", sa.Column("deleted_at", sa.DateTime(timezone=True)))
    op.add_column("rotation", sa.Column("dead_at", sa.DateTime(timezone=True)))
    op.add_column("rotation", sa.Column("dead_after", sa.BigInteger))
