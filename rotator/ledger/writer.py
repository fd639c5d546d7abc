"""Writes to the ledger: one commit for each step boundary."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from sqlalchemy import (
    Connection,
    Engine,
    String,
    bindparam,
    func,
    insert,
    or_,
    select,
    union,
    update,
)

from rotator.ledger import chain, comparison, deletions, due, outbox, sightings, tables
from rotator.ledger.claims import claimant
from rotator.ledger.clock import clock_of
from rotator.ledger.database import reading, run_again, writing
from rotator.ledger.deletions import Deletion
from rotator.ledger.leases import (
    ACCOUNT,
    CHANGED_ACCOUNT,
    Leases,
    added,
    change,
    fenced,
    locked,
)
from rotator.ledger.mapping import (
    EXPENDABLE_IDS,
    IDENTITY,
    columns_of,
    from_row,
    hold_of,
    identity_of,
    snapshot_columns,
    to_row,
    trouble_in,
    trouble_text,
)
from rotator.model import ABANDONED, Identity, Rotation, State, Step, Trouble, Written
from rotator.model.notification import Event
from rotator.rotation import schedule
from rotator.rotation.ports import (
    AccountSnapshot,
    AccountState,
    Claimant,
    CommitResult,
    Lease,
    NewEntry,
)


class LedgerWriter(Leases):
    """Writer of the ledger (implements `rotator.rotation.ports.Ledger`)."""

    def __init__(
        self,
        engine: Engine,
        *,
        lease_seconds: float,
        owner: str | None = None,
        subscribers: outbox.Subscribers = lambda _event, _account: (),
    ) -> None:
        """Write to `engine`'s database; see `Leases`.

        `subscribers` returns the hooks that an event of an account must be delivered to.
        """
        super().__init__(engine, lease_seconds=lease_seconds, owner=owner)
        self._subscribers = subscribers

    def load(self, name: str) -> AccountState:
        """See `Ledger.load`."""
        of_name = {"of_name": name}
        with reading(self._engine) as connection:
            account: tables.AnyRow | None = connection.execute(ACCOUNT, of_name).mappings().first()
            rotation = _opened(connection, name)
            expendable = connection.execute(EXPENDABLE_IDS, of_name).scalars().all()
            ledger_id = connection.execute(_LEDGER_ID).scalar()
            hold_fault = comparison.hold_fault(connection, account) if account else None
            chain_fault = chain.end_fault(connection, account) if account else None
            rotation_fault = None
            if account and rotation:
                rotation_fault = comparison.rotation_fault(connection, account, rotation)
        if account is None:
            account = _NO_ACCOUNT
        deleted = deletions.of_row(account)
        return AccountState(
            rotation=rotation,
            deleted_ids=frozenset(id_ for id_, state in deleted if state is Deletion.DONE),
            perhaps_deleted_ids=frozenset(
                id_ for id_, state in deleted if state is not Deletion.DONE
            ),
            expendable_ids=frozenset(expendable),
            hold=hold_of(account),
            hold_fault=hold_fault,
            chain_fault=chain_fault,
            rotation_fault=rotation_fault,
            adopted_id=account["adopted_id"],
            adopted_base_version=account["adopted_over"],
            written=Written(
                version=account["written_version"], index=account["written_index"] or ""
            ),
            head=account["chain_head"],
            trouble=trouble_in(account["trouble"]),
            current_id=account["current_id"],
            seen=sightings.known(account),
            failures=account["failures"],
            ledger_id=ledger_id,
            identity=identity_of(account),
        )

    def knows_rotation(self, name: str, rotation_id: str) -> bool:
        """See `Ledger.knows_rotation`."""
        rotation = tables.rotation.c
        query = select(rotation.id).where(
            rotation.account == name,
            rotation.id == rotation_id,
            rotation.error_code.is_distinct_from(ABANDONED),
        )
        with reading(self._engine) as connection:
            return connection.execute(query).first() is not None

    def knows_secret(self, name: str, secret_id: str) -> bool:
        """See `Ledger.knows_secret`."""
        rotation, account = tables.rotation.c, tables.account.c
        is_of_rotation = or_(rotation.new_id == secret_id, rotation.predecessor_id == secret_id)
        query = union(
            select(rotation.account).where(rotation.account == name, is_of_rotation),
            select(account.name).where(account.name == name, account.adopted_id == secret_id),
        )
        with reading(self._engine) as connection:
            return connection.execute(query).first() is not None

    def claimant(self, name: str, identity: Identity) -> Claimant | None:
        """See `Ledger.claimant`."""
        with reading(self._engine) as connection:
            return claimant(connection, name, identity)

    @run_again
    def register(self, lease: Lease, identity: Identity | None, now: datetime) -> Claimant | None:
        """See `Ledger.register`. None clears the identity, for an operator's `forget`."""
        with writing(self._engine) as connection:
            if connection.dialect.name == "postgresql":
                # Two registrations at once would not see each other's accounts. SQLite has one
                # writer anyway.
                connection.execute(select(func.pg_advisory_xact_lock(_REGISTRATION_LOCK)))
            row = self._guarded(connection, lease)
            other = claimant(connection, lease.account, identity) if identity else None
            if other:
                return other
            columns = columns_of(identity)
            if row["api_key"] not in (None, columns["api_key"]):
                # What was listed was another account's.
                columns |= {"recorded_ids": None, "origins": None}
            if row["vault_path"] not in (None, columns["vault_path"]):
                # The last recorded write was to a path that the account has left.
                columns |= {"written_version": 0, "written_index": None}
            if identity and row["chain_seq"] and identity != identity_of(row):
                entry = NewEntry(event="registered", step=None, detail=vars(identity))
                columns |= chain.append(connection, row, [entry], now)[1]
            change(connection, lease.account, **columns)
        self._recorded(lease, {**row, **columns})
        return None

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
            row = dict(self._guarded(connection, lease))
            if rotation is not None:
                is_opened = any(entry.event == "opened" for entry in entries)
                _upsert_rotation(connection, rotation, is_opened=is_opened)
            opened = rotation or (_opened(connection, lease.account) if snapshot else None)
            seen, recorded = sightings.found(row, entries, opened, snapshot)
            found = _failure_columns(row, entries, now) | _trouble_columns(row, entries)
            new = [*seen, *fenced(entries, lease)]
            appended = self._append(connection, row | found, new, rotation, now)
            comparison.require(connection, row | appended, entries, rotation)
            change(
                connection,
                lease.account,
                lease_owner=None if last else lease.owner,
                lease_expires_at=None if last else self._expiry(clock_of(connection, now)),
                **found,
                **recorded,
                **appended,
                **(snapshot_columns(snapshot, row, now) if snapshot else {}),
                **_adoption_columns(row, entries, rotation),
                **deletions.columns(row, entries, rotation),
                **_written_columns(entries),
            )
        self._recorded(lease, row | appended)
        if last:
            self._released.add((lease.account, lease.token))
        head = (row | appended)["chain_head"]
        return CommitResult(head=head, hold=hold_of(row), found=tuple(seen))

    @run_again
    def set_alert(  # noqa: PLR0913  # all but three by name
        self,
        name: str,
        event: Event,
        what: str | None,
        *,
        why: str,
        now: datetime,
        trouble: Trouble | None = None,
    ) -> bool:
        """Record a condition of account `name`, or its end, and notify its hooks: once.

        `what` identifies it: as long as it is unchanged, nothing is recorded. None ends it. `why`
        is the text for people, `trouble` has the cure. For `overdue` and `balance`, which no
        rotation causes; takes no lease and waits for none. Returns whether anything was recorded.

        Raises:
            LedgerError: the ledger cannot be written.
        """
        with writing(self._engine) as connection:
            row = dict(locked(connection, name) or added(connection, name))
            if outbox.alert_state(row).get(event) == what:
                return False
            opened = _opened(connection, name)
            entry = NewEntry(
                event=event.value if what else f"{event}-over",
                step=None,
                detail={"code": what, "why": why} if what else {},
                trouble=trouble,
            )
            change(connection, name, **self._append(connection, row, [entry], opened, now))
        return True

    def alerted(self, event: Event) -> set[str]:
        """Return the accounts for which `set_alert` has recorded `event`, and not yet its end.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        query = select(tables.account.c.name, tables.account.c.told)
        with reading(self._engine) as connection:
            rows = connection.execute(query.where(tables.account.c.told != "{}")).mappings()
            return {row["name"] for row in rows if event in outbox.alert_state(row)}

    def reschedule(
        self,
        next_due: Callable[[str, datetime], datetime | None],
        *,
        on_request: Collection[str] = (),
    ) -> int:
        """Update the recorded due times from `next_due`; return how many changed.

        `next_due` gets an account's name and when its current secret was created, and returns when
        it is due, or None where it cannot know. Accounts with a secret of unknown age keep their
        time; those `on_request` have none. Costs one read if nothing has changed.

        Raises:
            LedgerError: the ledger cannot be used; some due times may have been changed.
        """
        with reading(self._engine) as connection:
            changes = due.changed_times(connection, next_due, on_request)
        for start in range(0, len(changes), _BATCH):
            self._change_due_times(changes[start : start + _BATCH])
        return len(changes)

    @run_again
    def _change_due_times(self, changes: list[tables.Row]) -> None:
        with writing(self._engine) as connection:
            connection.execute(_CHANGED_DUE_TIME, changes)

    def _append(
        self,
        connection: Connection,
        row: tables.Row,
        new: Sequence[NewEntry],
        rotation: Rotation | None,
        now: datetime,
    ) -> tables.Row:
        """Append entries and their deliveries; return the account's new columns."""
        entries, end = chain.append(connection, row, new, now)
        state = outbox.put(
            connection,
            zip(new, entries, strict=True),
            account=row,
            rotation=rotation,
            subscribers=self._subscribers,
            now=now,
        )
        return end | {"told": chain.canonical_json(state)}


def _opened(connection: Connection, name: str) -> Rotation | None:
    row = connection.execute(_OPEN_ROTATION, {"of_name": name}).mappings().first()
    return from_row(row) if row else None


#: An arbitrary number that is no other advisory lock of the database.
_REGISTRATION_LOCK = 7_284_310_560


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
_FIXED = ("account", "id", "opened_at", *IDENTITY)
_SET_ONCE = ("closed_at", "delete_due_at")


def _failure_columns(row: tables.Row, entries: Sequence[NewEntry], now: datetime) -> tables.Row:
    """Return the columns that count consecutive failures and set the time of the next try."""
    if any(entry.event in _FAILED for entry in entries):
        failures = row["failures"] + 1
        return {"failures": failures, "retry_at": schedule.retry_at(row["name"], failures, now)}
    if any(entry.step in _SUCCEEDED or entry.event == "trouble-over" for entry in entries):
        return {"failures": 0, "retry_at": None}
    return {}


def _trouble_columns(row: tables.Row, entries: Sequence[NewEntry]) -> tables.Row:
    """Return the columns of what is wrong, which these entries record or end.

    Progress ends what an operator had to decide; but only a verified value, or a look, shows that
    consumers read a working secret again.
    """
    columns: tables.Row = {}
    for entry in entries:
        if entry.step in _SUCCEEDED or entry.event == "trouble-over":
            columns |= {"trouble": None, "failure": None}
        elif entry.event == "opened" or (entry.event == "done" and entry.rotation_id):
            known = trouble_in(columns.get("trouble", row["trouble"]))
            columns |= {} if known and known.state is State.BROKEN else {"trouble": None}
        elif entry.trouble:
            name = "failure" if entry.trouble.state is State.FAILING else "trouble"
            known = trouble_in(columns.get(name, row[name]))
            # A pass that was refused got further than those before it that failed.
            columns |= {"failure": None, name: trouble_text(entry.trouble.after(known))}
    # Omitted if unchanged: most commits change nothing of it.
    return {name: text for name, text in columns.items() if text != row[name]}


def _adoption_columns(
    row: tables.Row, entries: Sequence[NewEntry], rotation: Rotation | None
) -> tables.Row:
    """Return the columns of the adopted secret: set before the write to Vault, until replaced."""
    for entry in entries:
        if entry.detail.get("operation") == "adopt" and entry.event in _ADOPTING:
            # A secret that was certainly not written is not adopted.
            adopted_id = entry.detail["secret_id"] if entry.event == "intent" else None
            return {"adopted_id": adopted_id, "adopted_over": entry.detail["over"]}
    is_verified = any((entry.event, entry.step) == ("done", Step.VERIFY) for entry in entries)
    if not is_verified or rotation is None:
        return {}
    is_replaced = rotation.replaces(row["adopted_id"], base_version=row["adopted_over"])
    return {"adopted_id": None} if is_replaced else {}


def _written_columns(entries: Sequence[NewEntry]) -> tables.Row:
    """Return the columns of the last write to Vault, for later reads."""
    for entry in reversed(entries):
        if entry.written:
            return {"written_version": entry.written.version, "written_index": entry.written.index}
    return {}


#: Events that settle an adoption: about to be written, or certainly not written.
_ADOPTING = ("intent", "rejected", "withdrawn")
#: Events that end a pass without success.
_FAILED = ("failed", "refused")
#: Steps whose record means that earlier failures are overcome.
_SUCCEEDED = (Step.VERIFY, Step.COMPLETE)

# Statements, built once: building takes longer than executing.
_OF_NAME = bindparam("of_name", type_=String)
_ROTATION = tables.rotation.c
_LEDGER_ID = select(tables.ledger.c.id)
#: Unless another secret has become current since.
_CHANGED_DUE_TIME = CHANGED_ACCOUNT.where(
    tables.account.c.current_since.is_not_distinct_from(
        bindparam("of_since", type_=tables.Instant())
    )
)
#: Due times changed in one transaction, for which other writers wait.
_BATCH = 500
_NEW_ROTATION = insert(tables.rotation)
_CHANGED_ROTATION = update(tables.rotation).where(
    _ROTATION.account == bindparam("of_account"), _ROTATION.id == bindparam("of_id")
)
_OPEN_ROTATION = select(tables.rotation).where(
    _ROTATION.account == _OF_NAME, _ROTATION.closed_at.is_(None)
)
#: The row of an account that has none yet.
_NO_ACCOUNT: tables.Row = dict.fromkeys(tables.account.c.keys()) | {
    "adopted_over": 0,
    "deletions": "[]",
    "failures": 0,
    "written_version": 0,
    "chain_head": chain.GENESIS,
}
