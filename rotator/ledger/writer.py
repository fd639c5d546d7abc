"""Writes to the ledger: leases, and one commit for each step boundary."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    RowMapping,
    Select,
    String,
    bindparam,
    func,
    insert,
    or_,
    select,
    union,
    update,
)

from rotator.errors import Busy, LeaseLost
from rotator.ledger import chain, deletions, due, identities, outbox, tables, warrant
from rotator.ledger.database import inserting, reading, run_again, writing
from rotator.ledger.deletions import Deletion
from rotator.ledger.mapping import from_row, hold_of, to_row
from rotator.ledger.owner import is_alive, is_dead, this_process
from rotator.model import ABANDONED, NOTHING_WRITTEN, Hold, Identity, Rotation, Step, Written
from rotator.model.notification import Event
from rotator.rotation import refusals, schedule
from rotator.rotation.ports import (
    AccountSnapshot,
    AccountState,
    Claimant,
    CommitResult,
    Lease,
    NewEntry,
)


class LedgerWriter:
    """Writer of the ledger (implements `rotator.rotation.ports.Ledger`)."""

    def __init__(
        self,
        engine: Engine,
        *,
        lease_seconds: float,
        owner: str | None = None,
        hearing: outbox.Hearing = lambda _event, _account: (),
    ) -> None:
        """Write to `engine`'s database.

        `lease_seconds` is how long a lease lasts from each renewal; it must exceed the longest
        single call to Vonage, Vault or a hook. `owner` is this process's name for others. `hearing`
        returns the hooks that an event must be delivered to.
        """
        self._engine = engine
        self._hearing = hearing
        self._lease_seconds = lease_seconds
        self._owner = owner
        #: Account and fencing token of each lease that a last commit released.
        self._given_up: set[tuple[str, int]] = set()

    @cached_property
    def owner(self) -> str:
        """The name under which this process claims leases."""
        return self._owner or this_process()

    # -- Leases. ---------------------------------------------------------------------------

    @run_again
    def claim(self, name: str, now: datetime) -> Lease:
        """See `Ledger.claim`. Each claim takes the next fencing token."""
        with writing(self._engine) as connection:
            row = locked(connection, name) or added(connection, name)
            now = clock_of(connection, now)
            if not _is_held(row, now):
                return self._take(connection, row, now)
            self._shorten(connection, row, now)
        raise Busy(
            f"process {_readable(row['lease_owner'])} is working on {name}",
            hint="try again in a minute; its lease ends by itself if it died, and by `rotator "
            f"release --lease {name}` where you know that it did",
        )

    def due(self, now: datetime) -> list[due.Due]:
        """Return all that is due, including what is being worked on, the longest due first.

        Due is an account whose next due time has come, or that has an open rotation with no grace
        or gate to wait for; excluded are accounts that failed and wait for a retry. An account with
        a hold is only due for a rotation that has pushed, or may have; with a freeze, not at all.
        """
        with reading(self._engine) as connection:
            return due.due(connection, now)

    @run_again
    def claim_due(self, names: Collection[str], *, limit: int, now: datetime) -> list[Lease]:
        """Claim those of `names` that are due now, at most `limit` of them.

        Due is defined as in `due`. Skipped are accounts leased to a process not known to be dead,
        and those being claimed at this moment: many processes may claim at once, and each gets
        different accounts.
        """
        with writing(self._engine) as connection:
            clock = clock_of(connection, now)
            leases = due.leases(connection, names)
            for lease in leases:
                self._shorten(connection, lease, clock)
            owners = {lease["lease_owner"] for lease in leases} - {self.owner}
            dead = [owner for owner in owners if is_dead(owner)]
            rows = due.lock_due(connection, names, limit=limit, now=now, clock=clock, dead=dead)
            return [self._take(connection, row, clock) for row in rows]

    def reschedule(self, next_due: Callable[[str, datetime], datetime | None]) -> int:
        """Update the recorded due times from `next_due`; return how many changed.

        `next_due` gets an account's name and when its current secret was created, and returns when
        it is due, or None where it cannot know. Accounts with a secret of unknown age keep their
        time. Costs one read if nothing has changed.

        Raises:
            LedgerError: the ledger cannot be used; some due times may have been changed.
        """
        with reading(self._engine) as connection:
            rows = connection.execute(_DUE_TIMES).all()
        changes = [
            {"of_name": name, "of_since": since, "next_due_at": due_at}
            for name, since, known in rows
            if (due_at := next_due(name, since)) and due_at != known
        ]
        for start in range(0, len(changes), _BATCH):
            self._change_due_times(changes[start : start + _BATCH])
        return len(changes)

    @run_again
    def _change_due_times(self, changes: list[dict[str, object]]) -> None:
        with writing(self._engine) as connection:
            connection.execute(_CHANGED_DUE_TIME, changes)

    @run_again
    def renew(self, lease: Lease, now: datetime) -> None:
        """See `Ledger.renew`."""
        with writing(self._engine) as connection:
            _guarded(connection, lease)
            expiry = self._expiry(clock_of(connection, now))
            _set(connection, lease.account, lease_expires_at=expiry)

    def check(self, lease: Lease) -> Hold | None:
        """See `Ledger.check`."""
        with reading(self._engine) as connection:
            row = connection.execute(_STANDING, {"of_name": lease.account}).mappings().first()
        return hold_of(_ours(row, lease))

    @run_again
    def release(self, lease: Lease) -> None:
        """See `Ledger.release`."""
        if (lease.account, lease.token) in self._given_up:
            self._given_up.discard((lease.account, lease.token))
            return
        with writing(self._engine) as connection:
            connection.execute(
                update(tables.account)
                .where(tables.account.c.name == lease.account)
                .where(tables.account.c.fencing_token == lease.token)
                .where(tables.account.c.lease_owner == lease.owner)
                .values(lease_owner=None, lease_expires_at=None)
            )

    def end_lease(self, name: str, *, by: str, now: datetime) -> str | None:
        """End the lease on account `name`; return its owner, None where there was none.

        For an operator who knows that the owner is dead. If it lives after all, the fencing token
        keeps it from writing anything more. The entry records who ended the lease.

        Raises:
            Busy: its owner is running on this machine.
            LedgerError: it is not certain to be recorded.
        """
        with writing(self._engine) as connection:
            locked_row = locked(connection, name)
            if locked_row is None or locked_row["lease_owner"] is None:
                return None
            row, owner = dict(locked_row), locked_row["lease_owner"]
            if is_alive(owner):
                raise Busy(
                    f"process {_readable(owner)} is running, and working on {name}",
                    hint="stop it first: its lease then ends by itself",
                )
            draft = NewEntry(
                event="lease-ended", step=None, detail={"by": by, "owner": _readable(owner)}
            )
            _set(
                connection,
                name,
                lease_owner=None,
                lease_expires_at=None,
                fencing_token=row["fencing_token"] + 1,
                **self._append(connection, row, [draft], None, now),
            )
        return _readable(owner)

    # -- What is known. --------------------------------------------------------------------

    def load(self, name: str) -> AccountState:
        """See `Ledger.load`."""
        of_name = {"of_name": name}
        with reading(self._engine) as connection:
            account = connection.execute(_ACCOUNT, of_name).mappings().first()
            opened = connection.execute(_OPEN_ROTATION, of_name).mappings().first()
            expendable = connection.execute(_EXPENDABLE_IDS, of_name).scalars().all()
            ledger_id = connection.execute(_LEDGER_ID).scalar()
            rotation = from_row(opened) if opened else None
            hold_fault = warrant.hold_fault(connection, account) if account else None
            rotation_fault = None
            if account and rotation:
                rotation_fault = warrant.rotation_fault(connection, account, rotation)
        deleted = _deletions_in(account) if account else ()
        return AccountState(
            rotation=rotation,
            deleted_ids=frozenset(id_ for id_, state in deleted if state is Deletion.DONE),
            perhaps_deleted_ids=frozenset(
                id_ for id_, state in deleted if state is not Deletion.DONE
            ),
            expendable_ids=frozenset(expendable),
            hold=hold_of(account) if account else None,
            hold_fault=hold_fault,
            rotation_fault=rotation_fault,
            adopted_id=account["adopted_id"] if account else None,
            adopted_over=account["adopted_over"] if account else 0,
            written=_written_in(account) if account else NOTHING_WRITTEN,
            head=account["chain_head"] if account else chain.GENESIS,
            drift=account["drift"] if account else None,
            ledger_id=ledger_id,
            identity=identities.identity_of(account) if account else None,
        )

    def knows_rotation(self, name: str, rotation_id: str) -> bool:
        """See `Ledger.knows_rotation`."""
        with reading(self._engine) as connection:
            found = connection.execute(
                select(tables.rotation.c.id)
                .where(tables.rotation.c.account == name)
                .where(tables.rotation.c.id == rotation_id)
                .where(tables.rotation.c.error_code.is_distinct_from(ABANDONED))
            ).first()
        return found is not None

    def knows_secret(self, name: str, secret_id: str) -> bool:
        """See `Ledger.knows_secret`."""
        rotation, account = tables.rotation.c, tables.account.c
        is_of_rotation = or_(rotation.new_id == secret_id, rotation.predecessor_id == secret_id)
        with reading(self._engine) as connection:
            found = connection.execute(
                union(
                    select(rotation.account).where(rotation.account == name, is_of_rotation),
                    select(account.name)
                    .where(account.name == name)
                    .where(account.adopted_id == secret_id),
                )
            ).first()
        return found is not None

    def claimant(self, name: str, identity: Identity) -> Claimant | None:
        """See `Ledger.claimant`."""
        with reading(self._engine) as connection:
            return identities.claimant(connection, name, identity)

    @run_again
    def register(self, lease: Lease, identity: Identity | None, now: datetime) -> Claimant | None:
        """See `Ledger.register`. None clears the identity, for an operator's `forget`."""
        with writing(self._engine) as connection:
            identities.begin(connection)
            row = dict(_guarded(connection, lease))
            other = None
            if identity is not None:
                other = identities.claimant(connection, lease.account, identity)
            if other is None:
                columns = identities.columns_of(identity)
                if row["vault_path"] not in (None, columns["vault_path"]):
                    # The last recorded write was to a path that the account has left.
                    columns |= {"written_version": 0, "written_index": None}
                if identity and row["chain_seq"] and identity != identities.identity_of(row):
                    draft = NewEntry(event="registered", step=None, detail=vars(identity))
                    columns |= self._append(connection, row, [draft], None, now)
                _set(connection, lease.account, **columns)
        return other

    # -- Commits. --------------------------------------------------------------------------

    @run_again
    def commit(  # noqa: PLR0913  # all but one by name
        self,
        lease: Lease,
        *,
        rotation: Rotation | None,
        entries: Sequence[NewEntry],
        snapshot: AccountSnapshot | None,
        now: datetime,
        last: bool = False,
    ) -> CommitResult:
        """See `Ledger.commit`."""
        with writing(self._engine) as connection:
            row = dict(_guarded(connection, lease))
            if rotation is not None:
                is_opened = any(draft.event == "opened" for draft in entries)
                _upsert_rotation(connection, rotation, is_opened=is_opened)
            appended = self._append(connection, row, entries, rotation, now)
            warrant.require(connection, row | appended, entries, rotation)
            _set(
                connection,
                lease.account,
                lease_owner=None if last else lease.owner,
                lease_expires_at=None if last else self._expiry(clock_of(connection, now)),
                **appended,
                **_seen(snapshot, row, now),
                **_tried(row, entries, now),
                **_adopted(row, entries, rotation),
                **_deleted(row, entries, rotation),
                **_written(entries),
            )
        if last:
            self._given_up.add((lease.account, lease.token))
        return CommitResult(head=appended["chain_head"], hold=hold_of(row))

    @run_again
    def notice(self, name: str, event: Event, what: str | None, *, why: str, now: datetime) -> bool:
        """Record a condition of account `name`, and notify its hooks: once.

        `what` identifies it: as long as it is unchanged, nothing is recorded. None means "it is
        over", of which no hook is notified. `why` is the text for people. For `overdue` and
        `balance`, which no rotation causes; takes no lease and waits for none. Returns whether it
        was news.

        Raises:
            LedgerError: the ledger cannot be written.
        """
        with writing(self._engine) as connection:
            row = dict(locked(connection, name) or added(connection, name))
            told = {key: text for key, text in outbox.told_in(row).items() if key != event}
            if outbox.told_in(row).get(event) == what:
                return False
            entry = NewEntry(
                event=event.value if what else f"{event}-over",
                step=None,
                detail={"code": what, "why": why} if what else {},
            )
            told |= {event.value: what} if what else {}
            row["told"] = chain.canonical_json(told)
            _set(connection, name, **self._append(connection, row, [entry], None, now))
        return True

    def noticed(self, event: Event) -> set[str]:
        """Return the accounts for which `notice` has recorded `event`, and not yet its end.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        query = select(tables.account.c.name, tables.account.c.told)
        with reading(self._engine) as connection:
            rows = connection.execute(query.where(tables.account.c.told != "{}")).mappings()
            return {row["name"] for row in rows if event in outbox.told_in(dict(row))}

    def _append(
        self,
        connection: Connection,
        row: tables.Row,
        drafts: Sequence[NewEntry],
        rotation: Rotation | None,
        now: datetime,
    ) -> tables.Row:
        """Append entries and their deliveries; return the account's new columns."""
        entries = _append(connection, row, drafts, now)
        told = outbox.put(
            connection,
            zip(drafts, entries, strict=True),
            told=outbox.told_in(row),
            rotation=rotation,
            hearing=self._hearing,
            now=now,
        )
        return _chained(row, entries) | {"told": chain.canonical_json(told)}

    def _take(self, connection: Connection, row: RowMapping, now: datetime) -> Lease:
        lease = Lease(
            account=row["name"],
            owner=self.owner,
            token=row["fencing_token"] + 1,
            seconds=self._lease_seconds,
        )
        _set(
            connection,
            lease.account,
            lease_owner=lease.owner,
            lease_expires_at=self._expiry(now),
            lease_seconds=lease.seconds,
            fencing_token=lease.token,
        )
        return lease

    def _shorten(self, connection: Connection, row: RowMapping, now: datetime) -> None:
        """Bound the end of a lease by its length from now.

        A lease that ends later was renewed while the clock was ahead. Its owner may be alive: it
        still has a full length to renew it, and no other process waits for the clock to get there.
        """
        length = timedelta(seconds=row["lease_seconds"] or self._lease_seconds)
        if row["lease_expires_at"] and row["lease_expires_at"] > now + length:
            _set(connection, row["name"], lease_expires_at=now + length)

    def _expiry(self, now: datetime) -> datetime:
        return now + timedelta(seconds=self._lease_seconds)


def append_to(connection: Connection, name: str, drafts: Sequence[NewEntry], now: datetime) -> None:
    """Append entries to the chain of account `name`, regardless of its lease.

    Entries of other processes continue the same chain: its end is in the account's row, which stays
    locked until the transaction ends.
    """
    # An account with entries to append has a row.
    row = dict(connection.execute(_LOCKED_ACCOUNT, {"of_name": name}).mappings().one())
    _set(connection, name, **_chained(row, _append(connection, row, drafts, now)))


def _append(
    connection: Connection, row: tables.Row, drafts: Sequence[NewEntry], now: datetime
) -> list[chain.Entry]:
    """Append entries to the account's chain; give them.

    Raises:
        Refused: the chain does not end where the account's row says.
    """
    entries: list[chain.Entry] = []
    head, seq = row["chain_head"], row["chain_seq"]
    if drafts:
        warrant.require_end(connection, row["name"], seq, head)
    for draft in drafts:
        seq += 1
        entry = chain.linked(draft, account=row["name"], at=now, seq=seq, prev_hash=head)
        entries.append(entry)
        head = entry.hash
    if entries:
        connection.execute(_NEW_ENTRY, [entry._asdict() for entry in entries])
    return entries


def _chained(row: tables.Row, entries: Sequence[chain.Entry]) -> tables.Row:
    """Return the end of the account's chain after `entries` were appended."""
    if not entries:
        return {"chain_head": row["chain_head"], "chain_seq": row["chain_seq"]}
    return {"chain_head": entries[-1].hash, "chain_seq": entries[-1].seq}


def _upsert_rotation(connection: Connection, rotation: Rotation, *, is_opened: bool) -> None:
    """Write the row of a rotation; one that is opened may have been abandoned before.

    Of that one, nothing stays: an older version of rotator may have opened it, and its entries
    count from its newest opening.
    """
    values = to_row(rotation)
    changing = {
        key: value
        for key, value in values.items()
        if is_opened or not (key in _FIXED or (key in _SET_ONCE and value is None))
    }
    known = {"of_account": rotation.account, "of_id": rotation.id}
    if connection.execute(_CHANGED_ROTATION, known | changing).rowcount == 0:
        connection.execute(_NEW_ROTATION, values)


#: Columns of a rotation that never change, and those that never become null again. Setting a column
#: to its present value makes SQLite rewrite its index.
_FIXED = ("account", "id", "opened_at", *identities.COLUMNS)
_SET_ONCE = ("closed_at", "delete_due_at")


def _seen(snapshot: AccountSnapshot | None, row: tables.Row, now: datetime) -> tables.Row:
    if snapshot is None:
        return {}
    values: tables.Row = {
        "listed_ids": chain.canonical_json(sorted(snapshot.listed_ids)),
        "current_id": snapshot.current_id,
        "current_since": snapshot.current_since,
        "seen_at": now,
        "drift": snapshot.drift,
    }
    due_at = snapshot.next_due_at or row["next_due_at"]
    if snapshot.first_due_at and not snapshot.next_due_at:
        due_at = min(due_at or snapshot.first_due_at, snapshot.first_due_at)
    # Omitted if unchanged: setting it would make SQLite rewrite its index.
    return values if due_at == row["next_due_at"] else values | {"next_due_at": due_at}


def _tried(row: tables.Row, entries: Sequence[NewEntry], now: datetime) -> tables.Row:
    """Count consecutive failures, and set the time of the next try."""
    if any(draft.event in _FAILED for draft in entries):
        failures = row["failures"] + 1
        return {"failures": failures, "retry_at": schedule.retry_at(row["name"], failures, now)}
    if any(draft.step in _SUCCEEDED or draft.event == "drift-over" for draft in entries):
        return {"failures": 0, "retry_at": None}
    return {}


def _adopted(row: tables.Row, entries: Sequence[NewEntry], rotation: Rotation | None) -> tables.Row:
    """Return the columns of the adopted secret: set before the write to Vault, until replaced."""
    for draft in entries:
        if draft.detail.get("operation") == "adopt" and draft.event in _ADOPTING:
            # A secret that was certainly not written is not adopted.
            adopted_id = draft.detail["secret_id"] if draft.event == "intent" else None
            return {"adopted_id": adopted_id, "adopted_over": draft.detail["over"]}
    is_verified = any((draft.event, draft.step) == ("done", Step.VERIFY) for draft in entries)
    if not is_verified or rotation is None:
        return {}
    is_replaced = rotation.replaces(row["adopted_id"], over=row["adopted_over"])
    return {"adopted_id": None} if is_replaced else {}


def _deleted(row: tables.Row, entries: Sequence[NewEntry], rotation: Rotation | None) -> tables.Row:
    """Return the column of deletions: each is recorded before it is sent to Vonage."""
    if not any(map(deletions.concerns, entries)):
        return {}
    known = deletions.after(deletions.read(row["deletions"]), entries, rotation)
    return {"deletions": deletions.written(known)}


def _deletions_in(row: RowMapping) -> deletions.Deletions:
    try:
        return deletions.read(row["deletions"])
    except (TypeError, ValueError):
        why = "the account's row has deletions that cannot be read"
        raise refusals.rows_altered(why).error() from None


def _written(entries: Sequence[NewEntry]) -> tables.Row:
    """Return the columns of the last write to Vault, for later reads."""
    written = [draft.written for draft in entries if draft.written]
    if not written:
        return {}
    return {"written_version": written[-1].version, "written_index": written[-1].index}


def _written_in(row: RowMapping) -> Written:
    return Written(version=row["written_version"], index=row["written_index"] or "")


#: Events that settle an adoption: about to be written, or certainly not written.
_ADOPTING = ("intent", "rejected", "withdrawn")
#: Events that end a pass without success.
_FAILED = ("failed", "refused")
#: Steps whose record means that earlier failures are overcome.
_SUCCEEDED = (Step.VERIFY, Step.COMPLETE)


def added(connection: Connection, name: str) -> RowMapping:
    """Add and lock the row of an account without one; two processes may try at once."""
    new = inserting(connection, tables.account).values(name=name)
    connection.execute(new.on_conflict_do_nothing())
    return connection.execute(_LOCKED_ACCOUNT, {"of_name": name}).mappings().one()


def locked(connection: Connection, name: str) -> RowMapping | None:
    """Read the account's row and lock it until the transaction ends.

    Waits for another lock, which never lasts long: skipping a locked row would make an account
    look busy that is only being released. On SQLite `FOR UPDATE` compiles to nothing; there the
    transaction itself has the lock.
    """
    return connection.execute(_LOCKED_ACCOUNT, {"of_name": name}).mappings().first()


def _guarded(connection: Connection, lease: Lease) -> RowMapping:
    """Lock the account's row, provided that the lease is still ours.

    Raises:
        LeaseLost: another process has claimed the account since, or the ledger was replaced.
    """
    return _ours(locked(connection, lease.account), lease)


def _ours(row: RowMapping | None, lease: Lease) -> RowMapping:
    """Return the account's row, provided that the lease is still ours.

    Raises:
        LeaseLost: another process has claimed the account since, or the ledger was replaced.
    """
    if row is None:
        message = f"{lease.account}: the ledger no longer has this account"
        raise LeaseLost(message)
    if row["fencing_token"] != lease.token or row["lease_owner"] != lease.owner:
        message = f"{lease.account}: the lease went to {_readable(row['lease_owner'])}"
        raise LeaseLost(message)
    return row


def _open_rotations() -> Select[Any]:
    return select(tables.rotation).where(tables.rotation.c.closed_at.is_(None))


def _is_held(row: RowMapping, now: datetime) -> bool:
    owner, expires_at = row["lease_owner"], row["lease_expires_at"]
    return bool(owner and expires_at and expires_at > now and not is_dead(owner))


def clock_of(connection: Connection, now: datetime) -> datetime:
    """Return the time on the clock that leases are measured by: one that all users share."""
    if connection.dialect.name == "postgresql":
        shared: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
        return shared
    return now


def _set(connection: Connection, name: str, **values: object) -> None:
    connection.execute(_CHANGED_ACCOUNT, {"of_name": name, **values})


def _readable(owner: str | None) -> str:
    """Return the pid and host of a lease's owner."""
    parts = (owner or "").split("/")
    return f"{parts[-2]} on {parts[0]}" if len(parts) > 1 else owner or "nobody"


# -- Statements, built once: building takes longer than executing. ---------------------------

_OF_NAME = bindparam("of_name", type_=String)
_ACCOUNT = select(
    # Columns that are only written, or read elsewhere, would be decoded for nothing.
    *(
        column
        for column in tables.account.c
        if column.name not in ("listed_ids", "current_id", "current_since", "seen_at", "retry_at")
    )
).where(tables.account.c.name == _OF_NAME)
_LOCKED_ACCOUNT = _ACCOUNT.with_for_update()
#: Only what the last look before an effect needs.
_STANDING = select(
    tables.account.c.lease_owner,
    tables.account.c.fencing_token,
    tables.account.c.hold_reason,
    tables.account.c.held_by,
    tables.account.c.held_at,
    tables.account.c.hold_freeze,
).where(tables.account.c.name == _OF_NAME)
_LEDGER_ID = select(tables.ledger.c.id)
_CHANGED_ACCOUNT = update(tables.account).where(tables.account.c.name == _OF_NAME)
#: In this order, so that two daemons that update the same rows cannot deadlock.
_DUE_TIMES = (
    select(tables.account.c.name, tables.account.c.current_since, tables.account.c.next_due_at)
    .where(tables.account.c.current_since.is_not(None))
    .order_by(tables.account.c.name)
)
#: Unless another secret has become current since.
_CHANGED_DUE_TIME = _CHANGED_ACCOUNT.where(
    tables.account.c.current_since == bindparam("of_since", type_=tables.Instant())
)
#: Due times changed in one transaction, for which other writers wait.
_BATCH = 500
_NEW_ENTRY = insert(tables.entry)
_NEW_ROTATION = insert(tables.rotation)
_CHANGED_ROTATION = update(tables.rotation).where(
    tables.rotation.c.account == bindparam("of_account"),
    tables.rotation.c.id == bindparam("of_id"),
)
_OPEN_ROTATION = _open_rotations().where(tables.rotation.c.account == _OF_NAME)
#: Superseded predecessors, and orphans of rotations that were undone.
_EXPENDABLE_IDS = union(
    select(tables.rotation.c.predecessor_id).where(
        tables.rotation.c.account == _OF_NAME,
        tables.rotation.c.verified_at.is_not(None),
        tables.rotation.c.outcome.is_distinct_from("failed"),
        tables.rotation.c.predecessor_id.is_not(None),
    ),
    select(tables.rotation.c.new_id).where(
        tables.rotation.c.account == _OF_NAME,
        tables.rotation.c.outcome == "failed",
        # A secret that was ever in Vault may be in use; so may one abandoned on its way there.
        tables.rotation.c.vault_version.is_(None),
        tables.rotation.c.step != Step.PUSH.value,
        tables.rotation.c.new_id.is_not(None),
    ),
)
