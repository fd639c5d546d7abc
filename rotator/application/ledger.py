"""The ledger of the settings: its database, and the readers and writers of it.

What only reads, as `status` does, loads nothing that writes.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy

from rotator.config import Settings
from rotator.config.urls import sqlite_path
from rotator.errors import LedgerUnusable
from rotator.ledger import schema
from rotator.ledger.database import open_database, open_for_readers
from rotator.ledger.file import obstacle
from rotator.ledger.reader import LedgerReader, SummaryCache
from rotator.model import Actor
from rotator.model.notification import Hook, PendingDelivery, subscribers

if TYPE_CHECKING:
    from rotator.ledger.backup import Backup
    from rotator.ledger.checkpoints import Checkpoints
    from rotator.ledger.copy import CopyResult
    from rotator.ledger.daemons import DaemonRecord, Daemons
    from rotator.ledger.deliveries import Deliveries
    from rotator.ledger.discovery import DiscoveredSubaccounts
    from rotator.ledger.holds import Holds
    from rotator.ledger.triggers import Triggers
    from rotator.ledger.writer import LedgerWriter


class LedgerAccess:
    """The ledger's objects, built on first use.

    Unless noted, the first use checks the schema, and upgrades it where
    `ledger.auto_upgrade` is true; it raises `LedgerUnusable` if the schema is another version's.
    """

    def __init__(self, settings: Settings, cleanup: ExitStack) -> None:
        """Open nothing yet; what is opened is closed by `cleanup`."""
        self._settings = settings
        self._cleanup = cleanup

    @cached_property
    def database(self) -> sqlalchemy.Engine:
        """The ledger's database, whatever its schema."""
        return self._opened(open_database(self._settings.ledger.read_url()))

    @cached_property
    def _ready_database(self) -> sqlalchemy.Engine:
        schema.ensure(self.database, auto_upgrade=self._settings.ledger.auto_upgrade)
        return self.database

    @cached_property
    def _pages_database(self) -> sqlalchemy.Engine:
        """The database for pages, whose connections no pass has to wait for."""
        _ = self._ready_database
        return self._opened(open_for_readers(self._settings.ledger.read_url()))

    @cached_property
    def reader(self) -> LedgerReader:
        """Reader of the ledger."""
        return LedgerReader(self._ready_database)

    @cached_property
    def page_reader(self) -> LedgerReader:
        """Reader of the ledger for pages."""
        return LedgerReader(self._pages_database)

    @cached_property
    def summaries(self) -> SummaryCache:
        """Cache of all account summaries, for pages."""
        return SummaryCache(self._pages_database)

    @cached_property
    def holds(self) -> "Holds":
        """Operators' holds."""
        from rotator.ledger.holds import Holds  # noqa: PLC0415  # see above

        return Holds(self._ready_database)

    @cached_property
    def triggers(self) -> "Triggers":
        """Rotations that are asked for through the trigger."""
        from rotator.ledger.triggers import Triggers  # noqa: PLC0415  # see above

        return Triggers(self._ready_database)

    @cached_property
    def checkpoints(self) -> "Checkpoints":
        """The ledger's checkpoints."""
        return _checkpoints(self._ready_database)

    def newest_checkpoint(self) -> datetime | None:
        """Return when the newest checkpoint was taken, for pages; None for never, or if it is off.

        Raises:
            WitnessConflict: somebody changed it.
        """
        if not self._settings.ledger.witness.is_on:
            return None
        newest = _checkpoints(self._pages_database).newest()
        return newest.checkpoint.at if newest else None

    @cached_property
    def discovered(self) -> "DiscoveredSubaccounts":
        """The subaccounts that were discovered below parents."""
        return _discovered(self._ready_database)

    @cached_property
    def writer(self) -> "LedgerWriter":
        """Writer of the ledger."""
        return self._writer(self._ready_database, self._settings.hooks)

    def _writer(self, database: sqlalchemy.Engine, hooks: Sequence[Hook]) -> "LedgerWriter":
        from rotator.ledger.writer import LedgerWriter  # noqa: PLC0415  # see above

        return LedgerWriter(
            database,
            lease_seconds=self._lease_seconds(),
            subscribers=lambda event, name: subscribers(hooks, event, name),
        )

    @cached_property
    def deliveries(self) -> "Deliveries":
        """Pending deliveries to hooks."""
        return _deliveries(self._ready_database)

    def pending_deliveries(
        self, *, for_pages: bool = False
    ) -> dict[str, tuple[PendingDelivery, ...]]:
        """Return each account's pending deliveries, the oldest first; empty without hooks."""
        pending: dict[str, tuple[PendingDelivery, ...]] = {}
        if hooks := [hook.name for hook in self._settings.hooks]:
            deliveries = _deliveries(self._pages_database) if for_pages else self.deliveries
            for each in deliveries.undelivered(hooks):
                pending[each.account] = (*pending.get(each.account, ()), each)
        return pending

    def count_undelivered(self) -> dict[str, tuple[int, datetime]]:
        """Return how many deliveries are pending for each hook, and since when, for pages."""
        hooks = [hook.name for hook in self._settings.hooks]
        return _deliveries(self._pages_database).count_undelivered(hooks) if hooks else {}

    @cached_property
    def daemons(self) -> "Daemons":
        """The daemons that use the ledger."""
        return _daemons(self._ready_database)

    def daemon_records(self, *, for_pages: bool = False) -> "list[DaemonRecord]":
        """Return the daemons that use the ledger, as of their last polls."""
        daemons = _daemons(self._pages_database) if for_pages else self.daemons
        return daemons.read(datetime.now(UTC))

    @cached_property
    def existing_reader(self) -> LedgerReader:
        """Reader of an existing ledger, which is not upgraded."""
        schema.ensure(self.database, auto_upgrade=False)
        return LedgerReader(self.database)

    @cached_property
    def dry_run_writer(self) -> "LedgerWriter":
        """Ledger for a dry run, not upgraded: a missing one is blank, and is not created."""
        is_there = self.revision() is not None
        database = self.database if is_there else self._blank_database()
        schema.ensure(database, auto_upgrade=not is_there)
        return self._writer(database, ())

    def settings_with_discovered(self) -> Settings:
        """Return the settings with the accounts discovered so far; creates no ledger.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        if not self._settings.discover or self.revision() != schema.HEAD:
            return self._settings
        return self._settings.with_discovered(_discovered(self.database).all())

    def revision(self) -> str | None:
        """Return the revision of the ledger's schema; None where there is no ledger yet."""
        path = sqlite_path(self._settings.ledger.read_url())
        try:
            # Connecting creates the file; where there can be none, it reports that.
            is_there = path is None or Path(path).exists() or obstacle(Path(path)) is not None
        except OSError:
            # Its folder may be unreadable: SQLite will report that, and create nothing.
            is_there = True
        return schema.revision(self.database) if is_there else None

    def require(self, purpose: str) -> None:
        """Refuse to `purpose` a ledger that is not there: an empty new one would look whole.

        Raises:
            LedgerUnusable: there is none, or what is there is not rotator's. Nothing is created.
            LedgerError: the database cannot be read.
        """
        if self.revision() is not None:
            return
        path = sqlite_path(self._settings.ledger.read_url())
        if path is None or Path(path).exists():
            schema.require_own(self.database)
        where = f" at {path}" if path else ""
        hint = (
            "check ledger.url, and restore a backup if the ledger was lost; the first rotation "
            "creates a new one, or `rotator db upgrade`"
        )
        raise LedgerUnusable(f"there is no ledger to {purpose}{where}", hint=hint)

    def upgrade(self) -> None:
        """Upgrade the ledger's schema."""
        schema.upgrade(self.database)

    def copy_to(self, url: str, actor: Actor) -> "CopyResult":
        """Copy the ledger into the empty database at `url`; see `rotator.ledger.copy.copy`.

        Raises:
            LedgerUnusable: there is no ledger to copy, or it cannot be copied to `url`.
            RotatorError: as `copy`.
        """
        from rotator.ledger.copy import copy  # noqa: PLC0415  # see above

        self.require("copy")
        target = self._opened(open_database(url))
        return copy(self.database, target, actor=actor, now=datetime.now(UTC))

    def back_up(self, path: Path) -> "Backup":
        """Write a backup to a new file at `path`; see `rotator.ledger.backup.back_up`.

        Raises:
            LedgerUnusable: there is no ledger.
            RotatorError: as `back_up`.
        """
        from rotator.ledger.backup import back_up  # noqa: PLC0415  # see above

        self.require("back up")
        return back_up(self.database, path)

    def _opened(self, database: sqlalchemy.Engine) -> sqlalchemy.Engine:
        self._cleanup.callback(database.dispose)
        return database

    def _blank_database(self) -> sqlalchemy.Engine:
        from tempfile import TemporaryDirectory  # noqa: PLC0415  # see above

        folder = self._cleanup.enter_context(TemporaryDirectory(prefix="rotator-"))
        return self._opened(open_database(f"sqlite:///{folder}/blank.db"))

    def _lease_seconds(self) -> float:
        """Return a length beyond the longest single call, including retries at Vonage and Vault."""
        vonage, vault = self._settings.vonage.timeout, self._settings.vault
        hook = max((hook.timeout for hook in self._settings.hooks), default=timedelta())
        longest = 3 * (vonage + vault.timeout) + vault.patience + hook
        return 60 + 2 * longest.total_seconds()


def _discovered(database: sqlalchemy.Engine) -> "DiscoveredSubaccounts":
    from rotator.ledger.discovery import DiscoveredSubaccounts  # noqa: PLC0415  # see above

    return DiscoveredSubaccounts(database)


def _checkpoints(database: sqlalchemy.Engine) -> "Checkpoints":
    from rotator.ledger.checkpoints import Checkpoints  # noqa: PLC0415  # see above

    return Checkpoints(database)


def _deliveries(database: sqlalchemy.Engine) -> "Deliveries":
    from rotator.ledger.deliveries import Deliveries  # noqa: PLC0415  # see above

    return Deliveries(database)


def _daemons(database: sqlalchemy.Engine) -> "Daemons":
    from rotator.ledger.daemons import Daemons  # noqa: PLC0415  # see above

    return Daemons(database)
