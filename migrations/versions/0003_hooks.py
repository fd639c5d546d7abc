"""What hooks have to be told, and which gate keeps a rotation from its end.

There is no downgrade, as for every revision of the record.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Begin with nothing told and nothing to be told: what happened before is no news."""
    op.add_column("account", sa.Column("told", sa.Text, nullable=False, server_default="{}"))
    op.add_column("rotation", sa.Column("gate", sa.Text))
    op.add_column("rotation", sa.Column("gate_reason", sa.Text))
    op.add_column("rotation", sa.Column("gate_since", INSTANT))
    op.add_column("rotation", sa.Column("gate_retry_at", INSTANT))
    op.create_table(
        "delivery",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("account", sa.String(64), sa.ForeignKey("account.name"), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("hook", sa.Text, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("notice", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("retry_at", INSTANT, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("lease_owner", sa.Text),
        sa.Column("lease_expires_at", INSTANT),
    )
    op.create_index("delivery_retry_at", "delivery", ["retry_at"])
    op.create_index("delivery_account", "delivery", ["account"])
