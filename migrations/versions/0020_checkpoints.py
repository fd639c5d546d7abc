"""Checkpoints of the ledger, which witnesses outside of it keep.

There is no downgrade, as for every revision of the record.
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

SQLITE_TRIGGERS = (
    # REPLACE deletes the row in its way without asking the trigger against deletion.
    """
    CREATE TRIGGER checkpoint_no_replace BEFORE INSERT ON checkpoint
    WHEN EXISTS (SELECT 1 FROM checkpoint WHERE number = NEW.number)
    BEGIN SELECT RAISE(ABORT, 'checkpoints are never replaced'); END
    """,
    """
    CREATE TRIGGER checkpoint_no_update BEFORE UPDATE ON checkpoint
    BEGIN SELECT RAISE(ABORT, 'checkpoints are never changed'); END
    """,
    """
    CREATE TRIGGER checkpoint_no_delete BEFORE DELETE ON checkpoint
    BEGIN SELECT RAISE(ABORT, 'checkpoints are never deleted'); END
    """,
)
POSTGRESQL_TRIGGERS = (
    """
    CREATE TRIGGER checkpoint_append_only BEFORE UPDATE OR DELETE ON checkpoint
    FOR EACH ROW EXECUTE FUNCTION rotator_entry_is_append_only()
    """,
    """
    CREATE TRIGGER checkpoint_no_truncate BEFORE TRUNCATE ON checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION rotator_entry_is_append_only()
    """,
)


def upgrade() -> None:
    """Begin without any."""
    op.create_table(
        "checkpoint",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("reach", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in SQLITE_TRIGGERS if is_sqlite else POSTGRESQL_TRIGGERS:
        op.execute(statement)
