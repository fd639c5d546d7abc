"""The ledger's tables. `migrations/` creates them; a test checks that both agree."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    RowMapping,
    String,
    Table,
    Text,
    TypeDecorator,
)


class Instant(TypeDecorator[datetime]):
    """A point in time, UTC in and out. SQLite would drop the offset and return it naive."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store UTC, without the offset where the database cannot store one."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time in the ledger needs its zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Return an aware time in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


metadata = MetaData()

#: The ledger itself, in one row: a copy or a restored backup has the same id.
ledger = Table("ledger", metadata, Column("id", String(36), primary_key=True))

account = Table(
    "account",
    metadata,
    Column("name", String(64), primary_key=True),
    #: Identity as last registered; null for never, or after an operator's `forget`.
    Column("api_key", Text),
    Column("issuer", Text),
    Column("vault_path", Text),
    Column("pending_path", Text),
    #: The latest snapshot, for `status`.
    Column("listed_ids", Text),
    #: The ids that Vonage lists according to the entries: JSON; null before the first look. See
    #: `sightings`.
    Column("recorded_ids", Text),
    #: Who made or revoked secrets, as far as others did and Vonage has told: JSON, words by id.
    Column("origins", Text),
    Column("current_id", Text),
    Column("current_since", Instant),
    Column("seen_at", Instant),
    #: What the newest look found wrong, and what the failed tries in a row end in: JSON, in the
    #: form of `rotator.model.Trouble`.
    Column("trouble", Text),
    Column("failure", Text),
    #: The secret that an operator adopted into Vault, or began to; null once a rotation has
    #: replaced it.
    Column("adopted_id", Text),
    #: Version of the current entry that the adoption replaced.
    Column("adopted_over", BigInteger, nullable=False, server_default="0"),
    #: The newest deletions, with the state of each: JSON; see `deletions`.
    Column("deletions", Text, nullable=False, server_default="[]"),
    #: What rotator last wrote to the current entry: its version, and Vault's name for the state
    #: that includes it, if Vault has one.
    Column("written_version", BigInteger, nullable=False, server_default="0"),
    Column("written_index", Text),
    #: When the next rotation is due; null until the current secret's age is known.
    Column("next_due_at", Instant),
    #: What hooks were notified of last, by the kind of trouble: JSON.
    Column("told", Text, nullable=False, server_default="{}"),
    #: Consecutive failed or refused passes, and the time of the next try.
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("retry_at", Instant),
    Column("hold_reason", Text),
    Column("held_by", Text),
    Column("held_at", Instant),
    #: 1 for a freeze: not even a rotation that has pushed is finished.
    Column("hold_freeze", Integer, nullable=False, server_default="0"),
    #: The lease: its owner, its end, and the fencing token, which grows at each claim.
    Column("lease_owner", Text),
    Column("lease_expires_at", Instant),
    #: Length of the lease from each renewal, in seconds: it cannot end later than that from now.
    Column("lease_seconds", Double),
    Column("fencing_token", BigInteger, nullable=False, server_default="0"),
    #: Sequence number and hash of the account's newest entry.
    Column("chain_seq", BigInteger, nullable=False, server_default="0"),
    Column("chain_head", String(64), nullable=False, server_default="0" * 64),
    Index("account_next_due_at", "next_due_at"),
    Index("account_api_key", "api_key", "issuer", unique=True),
    Index("account_vault_path", "vault_path", unique=True),
)

rotation = Table(
    "rotation",
    metadata,
    #: The id may come from a pending entry in Vault, so another account may have the same one.
    Column("account", ForeignKey("account.name"), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("predecessor_id", Text),
    Column("new_id", Text),
    Column("grace_seconds", Double, nullable=False),
    Column("draws", Integer, nullable=False),
    Column("rejected", Integer, nullable=False),
    Column("sent_at", Instant),
    Column("vault_version", BigInteger),
    Column("pending_version", BigInteger, nullable=False, server_default="0"),
    Column("opened_at", Instant, nullable=False),
    #: Identity it was opened for; null where that was before these columns existed.
    Column("api_key", Text),
    Column("issuer", Text),
    Column("vault_path", Text),
    Column("pending_path", Text),
    Column("verified_at", Instant),
    #: `verified_at` plus the grace; stored so that it can be searched.
    Column("delete_due_at", Instant),
    #: Version of the current entry with the predecessor's value; when that was deleted, when Vonage
    #: first refused it, and how many seconds later.
    Column("predecessor_version", BigInteger),
    Column("deleted_at", Instant),
    Column("dead_at", Instant),
    Column("dead_after", BigInteger),
    Column("closed_at", Instant),
    Column("abort_code", Text),
    #: The gate that the rotation waits for.
    Column("gate", Text),
    Column("gate_reason", Text),
    Column("gate_since", Instant),
    Column("gate_retry_at", Instant),
    #: What it counted, as JSON; null where it does not.
    Column("gate_convergence", Text),
    Column("outcome", Text),
    Column("error_code", Text),
    Index("rotation_account", "account", "opened_at"),
)
# Only of open rotations, and below only of closed ones: the migrations contain the conditions. To
# state them here as well would load PostgreSQL's dialect, a tenth of each start-up.
Index("rotation_open", rotation.c.account, unique=True)
Index("rotation_delete_due_at", rotation.c.delete_due_at)
#: Outcomes of the rotations of the last days: of all accounts, and of one.
for _name, _of in (("rotation_closed_at", ()), ("rotation_account_closed_at", ("account",))):
    Index(_name, *(rotation.c[column] for column in (*_of, "closed_at", "outcome")))

entry = Table(
    "entry",
    metadata,
    Column("account", ForeignKey("account.name"), primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("rotation_id", Text),
    #: In the form that was hashed: `2026-11-23T07:28:00.123456Z`.
    Column("at", String(27), nullable=False),
    Column("event", Text, nullable=False),
    Column("step", Text),
    #: In the form that was hashed: canonical JSON.
    Column("detail", Text, nullable=False),
    Column("prev_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    #: For the newest entries of all accounts.
    Index("entry_at", "at"),
    # A rowid would be a second key by which REPLACE could delete a row.
    sqlite_with_rowid=False,
)
#: Only of entries about holds.
Index("entry_hold", entry.c.account, entry.c.seq)

#: Pending deliveries. A row is removed once its notification was delivered or given up, which an
#: entry records.
delivery = Table(
    "delivery",
    metadata,
    Column("id", String(64), primary_key=True),
    #: The entry that caused it.
    Column("account", ForeignKey("account.name"), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("hook", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("at", Instant, nullable=False),
    #: The notification: JSON.
    Column("notice", Text, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    #: When it may be retried, and why the last try failed.
    Column("retry_at", Instant, nullable=False),
    Column("reason", Text),
    #: The claim: which process is trying it, and until when no other may.
    Column("lease_owner", Text),
    Column("lease_expires_at", Instant),
    Index("delivery_retry_at", "retry_at"),
    Index("delivery_account", "account"),
)

#: Rotations that were asked for through the trigger. Rows stay, so that each id counts once.
trigger_request = Table(
    "trigger_request",
    metadata,
    #: The sender's.
    Column("id", Text, primary_key=True),
    Column("account", ForeignKey("account.name"), nullable=False),
    #: Number of the entry that records what was asked for, by whom, and why.
    Column("seq", BigInteger, nullable=False),
    Column("asked_at", Instant, nullable=False),
    #: Tries that failed, and the time of the next one.
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("retry_at", Instant),
    #: When it was carried out or refused, which an entry records; null before.
    Column("settled_at", Instant),
    Index("trigger_request_settled_at", "settled_at"),
    Index("trigger_request_asked_at", "asked_at"),
)

#: Subaccounts that were discovered below a parent, as last listed.
subaccount = Table(
    "subaccount",
    metadata,
    #: Name of the parent's account, which need not have a row of its own yet.
    Column("parent", String(64), primary_key=True),
    Column("api_key", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("changed_at", Instant, nullable=False),
)

#: When the subaccounts of each parent were last listed.
listing = Table(
    "listing",
    metadata,
    Column("parent", String(64), primary_key=True),
    Column("listed_at", Instant, nullable=False),
)

#: What was signed of the ledger for witnesses outside of it. Rows are only added.
checkpoint = Table(
    "checkpoint",
    metadata,
    #: Counted from 1.
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    #: The entries that it covers and the one before does not: JSON, the first and the last sequence
    #: number by account.
    Column("reach", Text, nullable=False),
    #: The signed note: size, root and time.
    Column("note", Text, nullable=False),
    sqlite_with_rowid=False,
)

#: The daemons that use this ledger, one row for each host.
daemon = Table(
    "daemon",
    metadata,
    Column("host", Text, primary_key=True),
    Column("version", Text, nullable=False),
    Column("started_at", Instant, nullable=False),
    #: The last poll, and the time from one to the next.
    Column("polled_at", Instant, nullable=False),
    Column("poll_seconds", Double, nullable=False),
    #: What that daemon cannot use, by component: JSON.
    Column("outages", Text, nullable=False, server_default="{}"),
)

#: Columns to write, and a row as read.
Row = dict[str, Any]
AnyRow = RowMapping | Mapping[str, Any]


def upsert(connection: Connection, table: Table, key: Row, values: Row) -> None:
    """Insert a row of `key` and `values`; if one has this key, set its `values`.

    PostgreSQL's dialect is imported only for PostgreSQL: that takes a tenth of the start-up time.
    """
    new: Any
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql  # noqa: PLC0415

        new = postgresql.insert(table)
    else:
        from sqlalchemy.dialects import sqlite  # noqa: PLC0415

        new = sqlite.insert(table)
    new = new.values(key | values)
    if values:
        new = new.on_conflict_do_update(index_elements=[*key], set_=values)
    else:
        new = new.on_conflict_do_nothing()
    connection.execute(new)
