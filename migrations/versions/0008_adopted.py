"""Which secret an operator adopted last, so that no policy has it deleted as a stranger's.

There is no downgrade, as for every revision of the record.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing is known of what was adopted before."""
    op.add_column("account", sa.Column("adopted_id", sa.Text))
    op.add_column(
        "account", sa.Column("adopted_over", sa.BigInteger, nullable=False, server_default="0")
    )
