"""The ledger: accounts, rotations, and entries that can only be added.

There is no downgrade: taking it back would delete the record.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)

SQLITE_TRIGGERS = (
    # REPLACE deletes the row in its way without asking the trigger against deletion.
    """
    CREATE TRIGGER entry_no_replace BEFORE INSERT ON entry
    WHEN EXISTS (SELECT 1 FROM entry WHERE account = NEW.account AND seq = NEW.seq)
    BEGIN SELECT RAISE(ABORT, 'ledger entries are never replaced'); END
    """,
    """
    CREATE TRIGGER entry_no_update BEFORE UPDATE ON entry
    BEGIN SELECT RAISE(ABORT, 'ledger entries are never changed'); END
    """,
    """
    CREATE TRIGGER entry_no_delete BEFORE DELETE ON entry
    BEGIN SELECT RAISE(ABORT, 'ledger entries are never deleted'); END
    """,
)
POSTGRESQL_TRIGGERS = (
    """
    CREATE FUNCTION rotator_entry_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      RAISE EXCEPTION 'ledger entries are never changed or deleted';
    END $$
    """,
    """
    CREATE TRIGGER entry_append_only BEFORE UPDATE OR DELETE ON entry
    FOR EACH ROW EXECUTE FUNCTION rotator_entry_is_append_only()
    """,
    """
    CREATE TRIGGER entry_no_truncate BEFORE TRUNCATE ON entry
    FOR EACH STATEMENT EXECUTE FUNCTION rotator_entry_is_append_only()
    """,
)


def upgrade() -> None:
    """Create everything."""
    _create_account()
    _create_rotation()
    _create_entry()
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in SQLITE_TRIGGERS if is_sqlite else POSTGRESQL_TRIGGERS:
        op.execute(statement)


def _create_account() -> None:
    op.create_table(
        "account",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("listed_ids", sa.Text),
        sa.Column("current_id", sa.Text),
        sa.Column("current_since", INSTANT),
        sa.Column("seen_at", INSTANT),
        sa.Column("drift", sa.Text),
        sa.Column("next_due_at", INSTANT),
        sa.Column("hold_reason", sa.Text),
        sa.Column("held_by", sa.Text),
        sa.Column("held_at", INSTANT),
        sa.Column("lease_owner", sa.Text),
        sa.Column("lease_expires_at", INSTANT),
        sa.Column("fencing_token", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("chain_seq", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("chain_head", sa.String(64), nullable=False, server_default="0" * 64),
    )
    op.create_index("account_next_due_at", "account", ["next_due_at"])


def _create_rotation() -> None:
    op.create_table(
        "rotation",
        sa.Column("account", sa.String(64), sa.ForeignKey("account.name"), primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("predecessor_id", sa.Text),
        sa.Column("new_id", sa.Text),
        sa.Column("grace_seconds", sa.Double, nullable=False),
        sa.Column("draws", sa.Integer, nullable=False),
        sa.Column("rejected", sa.Integer, nullable=False),
        sa.Column("sent_at", INSTANT),
        sa.Column("vault_version", sa.BigInteger),
        sa.Column("opened_at", INSTANT, nullable=False),
        sa.Column("verified_at", INSTANT),
        sa.Column("delete_due_at", INSTANT),
        sa.Column("closed_at", INSTANT),
        sa.Column("abort_code", sa.Text),
        sa.Column("outcome", sa.Text),
        sa.Column("error_code", sa.Text),
    )
    op.create_index("rotation_account", "rotation", ["account", "opened_at"])
    is_open = sa.text("closed_at IS NULL")
    op.create_index(
        "rotation_open",
        "rotation",
        ["account"],
        unique=True,
        sqlite_where=is_open,
        postgresql_where=is_open,
    )


def _create_entry() -> None:
    op.create_table(
        "entry",
        sa.Column("account", sa.String(64), sa.ForeignKey("account.name"), primary_key=True),
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("rotation_id", sa.Text),
        sa.Column("at", sa.String(27), nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("step", sa.Text),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("prev_hash", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("entry_at", "entry", ["at"])
