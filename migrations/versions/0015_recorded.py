"""The ids that Vonage lists according to the entries, to record what others make and revoke.

There is no downgrade, as for every revision of the record.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Begin with what was listed last; what others had changed before has no entry."""
    op.add_column("account", sa.Column("recorded_ids", sa.Text))
    op.execute("UPDATE account SET recorded_ids = listed_ids WHERE listed_ids <> '[]'")
