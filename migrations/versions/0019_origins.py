"""Who made or revoked the secrets that rotator did not: what Vonage's Audit API has told.

There is no downgrade, as for every revision of the record.
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Begin with nothing known."""
    op.add_column("account", sa.Column("origins", sa.Text))
