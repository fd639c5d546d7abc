"""Leases on accounts: one writer each, guarded by a fencing token.

A lease is in the account's row, as is the end of the account's chain. Whatever changes a row locks
it first, until the transaction ends.
"""

import os
import socket
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path

from sqlalchemy import Connection, Engine, RowMapping, String, bindparam, select, update

from rotator.errors import Busy, LeaseLost
from rotator.ledger import chain, due, tables
from rotator.ledger.clock import clock_of
from rotator.ledger.database import reading, run_again, writing
from rotator.ledger.mapping import hold_of
from rotator.model import Actor, Hold
from rotator.rotation.ports import REQUESTED, Lease, NewEntry

_PROC = Path("/proc")
#: The fencing tokens of the leases that this process uses, by database, owner and account. Any
#: other lease of its own was left behind: its release did not reach the ledger, or was lost when
#: the database failed over.
_IN_USE: dict[tuple[str, str, str], int] = {}

#: Leases that a transaction takes, each with the token that was in use before.
Taken = list[tuple[Lease, int | None]]


def this_process() -> str:
    """Return this process's identity: host, boot, pid namespace, pid, start time."""
    pid = os.getpid()
    return f"{_pid_scope()}/{pid}/{_start_time(pid) or '?'}"


def is_dead(owner: str) -> bool:
    """Return whether `owner`, a name from `this_process`, has certainly ended.

    False wherever this cannot be determined from here.
    """
    pid, started = _pid_and_start(owner)
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        pass
    now_started = _start_time(pid)
    return now_started is not None and now_started != started


def is_alive(owner: str) -> bool:
    """Return whether `owner`, a name from `this_process`, is certainly running on this machine."""
    pid, started = _pid_and_start(owner)
    return pid is not None and _start_time(pid) == started


def _pid_and_start(owner: str) -> tuple[int | None, str]:
    """Return an owner's pid and start time; no pid if it is unknown or means nothing here."""
    here = f"{_pid_scope()}/"
    pid, _, started = owner.removeprefix(here).partition("/")
    is_known = owner.startswith(here) and "?" not in owner and pid.isdecimal()
    return (int(pid) if is_known else None), started


def _pid_scope() -> str:
    """Return the scope of a pid: host, boot and pid namespace."""
    return f"{socket.gethostname()}/{_boot_id()}/{_pid_namespace()}"


def _boot_id() -> str:
    with suppress(OSError):
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    return "?"


def _pid_namespace() -> str:
    with suppress(OSError):
        return (_PROC / "self/ns/pid").readlink().name
    return "?"


def _start_time(pid: int) -> str | None:
    """Return the start time of `pid`, in clock ticks since boot; `zombie` if it waits to be reaped.

    None where the kernel does not say (`/proc` hidden or absent). Fields are counted from the end
    of the command name, which may contain spaces and brackets (proc(5), /proc/pid/stat).
    """
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        return "zombie" if fields[0] in "ZX" else fields[19]
    except (OSError, IndexError):
        return None


class Leases:
    """Claims, renews and releases leases (that part of `rotator.rotation.ports.Ledger`).

    Every method may raise `LedgerError`: then nothing is certain to be recorded.
    """

    def __init__(self, engine: Engine, *, lease_seconds: float, owner: str | None = None) -> None:
        """Claim leases in `engine`'s database.

        `lease_seconds` is how long a lease lasts from each renewal; it must exceed the longest
        single call to Vonage, Vault or a hook. `owner` is this process's name for others.
        """
        self._engine = engine
        self._lease_seconds = lease_seconds
        self._owner = owner
        #: By account and fencing token, number and hash of the newest entry that was committed
        #: under each lease in use.
        self._newest: dict[tuple[str, int], tuple[int, str]] = {}
        #: Account and fencing token of each lease that a last commit released.
        self._released: set[tuple[str, int]] = set()

    @cached_property
    def owner(self) -> str:
        """The name under which this process claims leases."""
        return self._owner or this_process()

    @run_again
    def claim(self, name: str, now: datetime) -> Lease:
        """See `Ledger.claim`. Each claim takes the next fencing token."""
        with self._claiming() as (connection, taken):
            row = locked(connection, name) or added(connection, name)
            now = clock_of(connection, now)
            if self._is_left(row) or not _is_leased(row, now):
                return self._take(connection, row, now, taken)
            self._shorten(connection, row, now)
        raise Busy(
            f"process {_readable(row['lease_owner'])} is working on {name}",
            hint="try again in a minute; if the process died, its lease expires, or "
            f"`rotator release --lease {name}` ends the lease once you are sure",
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
        with self._claiming() as (connection, taken):
            clock = clock_of(connection, now)
            leases = connection.execute(_LEASES, {"of_names": [*names]}).mappings().all()
            for lease in leases:
                if self._is_left(lease):
                    self._free(connection, lease["name"], lease["fencing_token"])
                else:
                    self._shorten(connection, lease, clock)
            owners = {lease["lease_owner"] for lease in leases} - {self.owner}
            dead = [owner for owner in owners if is_dead(owner)]
            rows = due.lock_due(connection, names, limit=limit, now=now, clock=clock, dead=dead)
            return [self._take(connection, row, clock, taken) for row in rows]

    @run_again
    def renew(self, lease: Lease, now: datetime) -> None:
        """See `Ledger.renew`."""
        with writing(self._engine) as connection:
            self._guarded(connection, lease)
            expiry = self._expiry(clock_of(connection, now))
            change(connection, lease.account, lease_expires_at=expiry)

    def check(self, lease: Lease) -> Hold | None:
        """See `Ledger.check`."""
        with reading(self._engine) as connection:
            found = connection.execute(_LAST_LOOK, {"of_name": lease.account}).mappings().first()
            row = self._ours(connection, found, lease)
        return hold_of(row)

    @run_again
    def release(self, lease: Lease) -> None:
        """See `Ledger.release`."""
        self._forget(lease)
        if (lease.account, lease.token) in self._released:
            self._released.discard((lease.account, lease.token))
            return
        with writing(self._engine) as connection:
            self._free(connection, lease.account, lease.token)

    def end_lease(self, name: str, *, actor: Actor, now: datetime) -> str | None:
        """End the lease on account `name`; return its owner, None where there was none.

        For an operator who knows that the owner is dead. If it lives after all, the fencing token
        keeps it from writing anything more. The entry records who ended the lease.

        Raises:
            Busy: its owner is running on this machine.
        """
        with writing(self._engine) as connection:
            row = locked(connection, name)
            if row is None or row["lease_owner"] is None:
                return None
            owner = _readable(row["lease_owner"])
            if is_alive(row["lease_owner"]):
                raise Busy(
                    f"process {owner} is running, and working on {name}",
                    hint="stop it first: its lease then ends by itself",
                )
            detail = {"owner": owner, **actor.facts()}
            entry = NewEntry(event="lease-ended", step=None, detail=detail)
            append_to(connection, name, [entry], now)
            change(
                connection,
                name,
                lease_owner=None,
                lease_expires_at=None,
                fencing_token=row["fencing_token"] + 1,
            )
        return owner

    @contextmanager
    def _claiming(self) -> Iterator[tuple[Connection, Taken]]:
        """Yield a transaction that claims, and the list of its leases, which are then in use.

        None of them is where it fails; the ledger may have them all the same, if its answer to the
        commit was lost.
        """
        taken: Taken = []
        try:
            with writing(self._engine) as connection:
                yield connection, taken
        except BaseException:
            for lease, former in taken:
                self._forget(lease)
                if former is not None:
                    # Of a thread whose lease had expired: it has it still, and may renew it.
                    _IN_USE.setdefault(self._key(lease.account), former)
            raise

    def _take(self, connection: Connection, row: RowMapping, now: datetime, taken: Taken) -> Lease:
        lease = Lease(
            account=row["name"],
            owner=self.owner,
            token=row["fencing_token"] + 1,
            seconds=self._lease_seconds,
        )
        # Before others of this process can see it in the ledger.
        key = self._key(lease.account)
        taken.append((lease, _IN_USE.get(key)))
        _IN_USE[key] = lease.token
        change(
            connection,
            lease.account,
            lease_owner=lease.owner,
            lease_expires_at=self._expiry(now),
            lease_seconds=lease.seconds,
            fencing_token=lease.token,
        )
        return lease

    def _free(self, connection: Connection, name: str, token: int) -> None:
        """End a lease of this process, unless it has ended already."""
        account = tables.account.c
        ours = account.fencing_token == token, account.lease_owner == self.owner
        connection.execute(
            update(tables.account)
            .where(account.name == name, *ours)
            .values(lease_owner=None, lease_expires_at=None)
        )

    def _is_left(self, row: RowMapping) -> bool:
        """Return whether the lease in `row` is one of this process that nothing here uses.

        Without `/proc`, another process may have the same name.
        """
        is_ours = row["lease_owner"] == self.owner and "?" not in self.owner
        return is_ours and self._key(row["name"]) not in _IN_USE

    def _forget(self, lease: Lease) -> None:
        """Note that a lease is not in use any more."""
        self._newest.pop((lease.account, lease.token), None)
        key = self._key(lease.account)
        if _IN_USE.get(key) == lease.token:
            del _IN_USE[key]

    def _guarded(self, connection: Connection, lease: Lease) -> RowMapping:
        """Lock the account's row, provided that the lease is still ours.

        Raises:
            LeaseLost: another process has claimed the account since, or the ledger is not the one
                that was written to under this lease.
        """
        return self._ours(connection, locked(connection, lease.account), lease)

    def _ours(self, connection: Connection, row: RowMapping | None, lease: Lease) -> RowMapping:
        if row is None:
            raise LeaseLost(f"{lease.account}: the ledger no longer has this account")
        if row["fencing_token"] != lease.token or row["lease_owner"] != lease.owner:
            raise LeaseLost(f"{lease.account}: the lease went to {_readable(row['lease_owner'])}")
        # A standby that was promoted may have the lease, and lack what was committed under it last.
        seq, head = self._newest.get((lease.account, lease.token), (0, chain.GENESIS))
        is_end = row["chain_seq"] == seq
        if seq and head != (
            row["chain_head"] if is_end else chain.hash_at(connection, lease.account, seq)
        ):
            raise LeaseLost(
                f"{lease.account}: the ledger lacks what was recorded last: its database failed "
                "over, or was restored",
                hint="try again: the next pass looks at what was done",
            )
        return row

    def _recorded(self, lease: Lease, row: tables.AnyRow) -> None:
        """Note the end of the chain in `row` as committed under a lease."""
        self._newest[lease.account, lease.token] = row["chain_seq"], row["chain_head"]

    def _key(self, name: str) -> tuple[str, str, str]:
        return str(self._engine.url), self.owner, name

    def _shorten(self, connection: Connection, row: RowMapping, now: datetime) -> None:
        """Bound the end of a lease by its length from now.

        A lease that ends later was renewed while the clock was ahead. Its owner may be alive: it
        still has a full length to renew it, and no other process waits for the clock to get there.
        """
        length = timedelta(seconds=row["lease_seconds"] or self._lease_seconds)
        if row["lease_expires_at"] and row["lease_expires_at"] > now + length:
            change(connection, row["name"], lease_expires_at=now + length)

    def _expiry(self, now: datetime) -> datetime:
        return now + timedelta(seconds=self._lease_seconds)


def added(connection: Connection, name: str) -> RowMapping:
    """Add and lock the row of an account without one; two processes may try at once."""
    tables.upsert(connection, tables.account, {"name": name}, {})
    return connection.execute(_LOCKED_ACCOUNT, {"of_name": name}).mappings().one()


def locked(connection: Connection, name: str) -> RowMapping | None:
    """Read the account's row and lock it until the transaction ends.

    Waits for another lock, which never lasts long: skipping a locked row would make an account
    look busy that is only being released. On SQLite `FOR UPDATE` compiles to nothing; there the
    transaction itself has the lock.
    """
    return connection.execute(_LOCKED_ACCOUNT, {"of_name": name}).mappings().first()


def fenced(entries: Sequence[NewEntry], lease: Lease) -> list[NewEntry]:
    """Return entries to be recorded under a lease: those that begin something have its token.

    So the entries alone show that no process went on after another one had taken over.
    """
    return [
        replace(entry, detail={**entry.detail, "fencing_token": lease.token})
        if entry.event in FENCED
        else entry
        for entry in entries
    ]


def change(connection: Connection, name: str, **values: object) -> None:
    """Set columns of the account's row, which is locked."""
    connection.execute(CHANGED_ACCOUNT, {"of_name": name, **values})


def append_to(
    connection: Connection, name: str, entries: Sequence[NewEntry], now: datetime
) -> None:
    """Append entries to the chain of account `name`, regardless of its lease.

    Entries of other processes continue the same chain: its end is in the account's row, which stays
    locked until the transaction ends.

    Raises:
        Refused: the chain does not end where the account's row says.
    """
    # An account with entries to append has a row.
    row = connection.execute(_LOCKED_ACCOUNT, {"of_name": name}).mappings().one()
    _, end = chain.append(connection, row, entries, now)
    change(connection, name, **end)


def _is_leased(row: RowMapping, now: datetime) -> bool:
    owner, expires_at = row["lease_owner"], row["lease_expires_at"]
    return bool(owner and expires_at and expires_at > now and not is_dead(owner))


def _readable(owner: str | None) -> str:
    """Return the pid and host of a lease's owner."""
    parts = (owner or "").split("/")
    return f"{parts[-2]} on {parts[0]}" if len(parts) > 1 else owner or "nobody"


#: Events with a fencing token: of a person's request, which a pass begins with, of each effect and
#: of the gates that it was decided on, and of both ends of a rotation.
FENCED = frozenset({REQUESTED, "opened", "intent", "gates-open", "gates-skipped", "closed"})

# Statements, built once: building takes longer than executing.
_COLUMN = tables.account.c

_IS_NAMED = _COLUMN.name == bindparam("of_name", type_=String)

ACCOUNT = select(
    # Columns that are only written, or read elsewhere, would be decoded for nothing.
    *(
        column
        for column in _COLUMN
        if column.name not in ("listed_ids", "current_since", "retry_at")
    )
).where(_IS_NAMED)

_LOCKED_ACCOUNT = ACCOUNT.with_for_update()

CHANGED_ACCOUNT = update(tables.account).where(_IS_NAMED)

_LEASES = select(
    _COLUMN.name,
    _COLUMN.lease_owner,
    _COLUMN.lease_expires_at,
    _COLUMN.lease_seconds,
    _COLUMN.fencing_token,
).where(
    _COLUMN.name.in_(bindparam("of_names", expanding=True)),
    _COLUMN.lease_owner.is_not(None),
)

#: Only what the last look before an effect needs.
_LAST_LOOK = select(
    _COLUMN.lease_owner,
    _COLUMN.fencing_token,
    _COLUMN.hold_reason,
    _COLUMN.held_by,
    _COLUMN.held_at,
    _COLUMN.hold_freeze,
    _COLUMN.chain_seq,
    _COLUMN.chain_head,
).where(_IS_NAMED)
