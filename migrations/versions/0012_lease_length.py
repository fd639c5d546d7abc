"""How long a lease lasts, to know one that a clock which was ahead has made too long.

There is no downgrade, as for every revision of the record.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A lease that is held meanwhile is taken to last as long as those of who looks at it."""
    op.add_column("account", sa.Column("lease_seconds", sa.Double))
