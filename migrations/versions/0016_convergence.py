"""How many consumers use the new secret, as the gate that a rotation waits for has counted.

There is no downgrade, as for every revision of the record.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Leave it open until the gate is asked again."""
    op.add_column("rotation", sa.Column("gate_convergence", sa.Text))
