"""Index the entries about holds: the newest is compared with the account's row before each effect.

There is no downgrade, as for every revision of the record.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Index them, which are few."""
    is_about_hold = sa.text("event IN ('held', 'released')")
    op.create_index(
        "entry_hold",
        "entry",
        ["account", "seq"],
        sqlite_where=is_about_hold,
        postgresql_where=is_about_hold,
    )
