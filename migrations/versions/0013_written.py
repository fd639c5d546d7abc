"""What rotator wrote to Vault last, so that a standby that lags is told from another's change.

There is no downgrade, as for every revision of the record.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing is known of what was written before; the next push tells."""
    op.add_column(
        "account", sa.Column("written_version", sa.BigInteger, nullable=False, server_default="0")
    )
    op.add_column("account", sa.Column("written_index", sa.Text))
