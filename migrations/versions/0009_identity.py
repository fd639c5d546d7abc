"""Whose ledger it is, what each account is, and what each rotation was opened for.

There is no downgrade, as for every revision of the record.
"""

import uuid

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

IDENTITY = ("api_key", "issuer", "vault_path", "pending_path")


def upgrade() -> None:
    """Add an id to the ledger; what accounts are, the next pass over each of them records."""
    ledger = op.create_table("ledger", sa.Column("id", sa.String(36), primary_key=True))
    op.bulk_insert(ledger, [{"id": str(uuid.uuid4())}])
    for table in ("account", "rotation"):
        for name in IDENTITY:
            op.add_column(table, sa.Column(name, sa.Text))
    op.create_index("account_api_key", "account", ["api_key", "issuer"], unique=True)
    op.create_index("account_vault_path", "account", ["vault_path"], unique=True)
