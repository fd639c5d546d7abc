"""A ledger with months of rotations, refusals and holds, written at once."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from rotator.ledger.holds import Holds
from rotator.ledger.reader import LedgerReader
from rotator.ledger.writer import LedgerWriter
from rotator.model import Actor, Hold, Rotation, Step
from rotator.rotation.ports import AccountSnapshot, NewEntry
from tests.support.legacy_ledger import rewritable, rewrite, without_tokens

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
TODAY = datetime(2026, 10, 1, tzinfo=UTC)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
#: Minutes from its opening, an event, its rotation as it is then, and what the entry says of it.
_Fact = tuple[int, str, Rotation, dict[str, str | int | None]]


class SeededLedger:
    """Writes what would have been recorded."""

    def __init__(self, database: Engine) -> None:
        """Write into a ledger."""
        self._book = LedgerWriter(database, lease_seconds=60)
        self._holds = Holds(database)
        self._count = 0

    def entries(self, name: str, at: datetime, *drafts: NewEntry) -> None:
        """Append entries of an account, one a minute."""
        for number, entry in enumerate(drafts):
            self._commit(name, at + number * MINUTE, entry)

    def rotated(
        self, name: str, at: datetime, old: str, new: str, old_since: datetime | None = None
    ) -> None:
        """Record a whole rotation without grace."""
        since = f"{old_since:%Y-%m-%dT%H:%M:%SZ}" if old_since else None
        opened = self._opened(name, at, old)
        sent = replace(opened, step=Step.CREATE)
        made = replace(sent, new_id=new)
        pushing = replace(made, step=Step.PUSH)
        version, verified_at = self._count + 1, at + 2 * MINUTE
        verified = replace(made, step=Step.VERIFY, vault_version=version, verified_at=verified_at)
        closed = replace(
            verified, step=Step.COMPLETE, closed_at=at + 3 * MINUTE, outcome="completed"
        )
        facts: list[_Fact] = [
            (
                0,
                "opened",
                opened,
                {"reason": "due", "predecessor_id": old, "predecessor_since": since},
            ),
            (1, "intent", sent, {}),
            (1, "done", made, {"secret_id": new}),
            (2, "intent", pushing, {}),
            (2, "done", replace(pushing, vault_version=version), {"vault_version": version}),
            (2, "done", verified, {"vault_version": version}),
            (3, "closed", closed, {"outcome": "completed", "code": None}),
        ]
        self._steps(at, facts)

    def failed(self, name: str, at: datetime, old: str, code: str) -> None:
        """Record a rotation that was undone."""
        opened = self._opened(name, at, old)
        aborting = replace(opened, step=Step.ABORT, abort_code=code)
        closed = replace(aborting, closed_at=at + 2 * MINUTE, outcome="failed", error_code=code)
        self._steps(
            at,
            [
                (0, "opened", opened, {"reason": "due", "predecessor_id": old}),
                (1, "aborting", aborting, {"code": code}),
                (2, "closed", closed, {"outcome": "failed", "code": code}),
            ],
        )

    def refused(self, name: str, at: datetime, code: str, why: str, times: int = 1) -> None:
        """Record that an operator had to decide."""
        entry = NewEntry(event="refused", step=None, detail={"code": code, "why": why})
        self.entries(name, at, *[entry] * times)

    def held(self, name: str, hold: Hold, until: datetime | None = None, by: str = "bob") -> None:
        """Record a hold and, where there is an end, its release."""
        self._holds.put(name, hold)
        if until:
            self._holds.lift(name, actor=Actor(by=by, host="there"), now=until)

    def by_hand(self, name: str, at: datetime, operation: str, secret_id: str) -> None:
        """Record that an operator made or deleted a secret."""
        detail = {"by": "operator", "operation": operation, "secret_id": secret_id}
        events = ("intent", "done")
        self.entries(name, at, *(NewEntry(event=each, step=None, detail=detail) for each in events))

    def seen(self, name: str, secret_id: str, since: datetime) -> None:
        """Record which secret Vault holds."""
        lease = self._book.claim(name, TODAY)
        snapshot = AccountSnapshot(
            listed_ids=(secret_id,), current_id=secret_id, current_since=since
        )
        self._book.commit(lease, rotation=None, entries=[], snapshot=snapshot, now=TODAY, last=True)

    def _opened(self, name: str, at: datetime, old: str) -> Rotation:
        self._count += 1
        return Rotation(
            id=f"{self._count:08d}-0000-4000-8000-000000000000",
            account=name,
            reason="due",
            step=Step.OPEN,
            predecessor_id=old,
            grace=timedelta(),
            opened_at=at,
        )

    def _steps(self, at: datetime, steps: Sequence[_Fact]) -> None:
        """Append entries of a rotation, each with its row as it is then."""
        for minutes, event, rotation, detail in steps:
            entry = NewEntry(
                event=event, step=rotation.step, detail=detail, rotation_id=rotation.id
            )
            self._commit(rotation.account, at + minutes * MINUTE, entry, rotation)

    def _commit(
        self, name: str, now: datetime, entry: NewEntry, rotation: Rotation | None = None
    ) -> None:
        lease = self._book.claim(name, now)
        self._book.commit(
            lease, rotation=rotation, entries=[entry], snapshot=None, now=now, last=True
        )


def half_a_year(database: Engine) -> None:
    """Write four accounts: one as it should be, one late, one in trouble, one never rotated.

    As an older version did, which recorded less of what its effects were decided on.
    """
    past = SeededLedger(database)
    at = TODAY - 170 * DAY
    past.rotated("good", at, "3b8f0a52", "secret-1", at - 29 * DAY)
    for number in range(1, 6):
        past.rotated("good", at + number * 30 * DAY, f"secret-{number}", f"secret-{number + 1}")
    past.rotated("late", TODAY - 100 * DAY, "f00dcafe", "beef0001", TODAY - 130 * DAY)
    past.refused("late", TODAY - 68 * DAY, "foreign-secret", "both slots are taken", 9)
    past.held(
        "late",
        Hold(reason="moving <house> & home", by="ann", at=TODAY - 60 * DAY, freeze=True),
        TODAY - 40 * DAY,
    )
    past.by_hand("late", TODAY - 39 * DAY, "delete", "0ddba11a")
    past.failed("late", TODAY - 38 * DAY, "beef0001", "new-secret-refused")
    past.rotated("late", TODAY - 37 * DAY, "beef0001", "beef0002")
    past.rotated("held", TODAY - 20 * DAY, "c0ffee01", "c0ffee02", TODAY - 48 * DAY)
    past.held("held", Hold(reason="=1+1", by="eve", at=TODAY - 3 * DAY))
    past.seen("new", "abad1dea", TODAY - 12 * DAY)
    past.seen("good", "secret-6", TODAY - 20 * DAY)
    past.seen("late", "beef0002", TODAY - 37 * DAY)
    past.seen("held", "c0ffee02", TODAY - 20 * DAY)
    with rewritable(database):
        for name in ("good", "late", "held"):
            rewrite(database, name, without_tokens)


def end_graces(database: Engine) -> None:
    """End every grace in a ledger, as if it had begun long ago.

    To wait for one, it would have to be so short that a busy machine lets it pass before the
    command that began it has ended. Rows alone would be refused: the entries say it, too.
    """
    writer, now = LedgerWriter(database, lease_seconds=60), datetime.now(UTC)
    detail = {"verified_at": LONG_AGO.isoformat(timespec="microseconds")}
    for name in LedgerReader(database).open_accounts():
        opened = writer.load(name).rotation
        if opened is None or opened.verified_at is None:
            continue
        entry = NewEntry(event="learned", step=Step.VERIFY, detail=detail, rotation_id=opened.id)
        writer.commit(
            writer.claim(name, now),
            rotation=replace(opened, verified_at=LONG_AGO),
            entries=[entry],
            snapshot=None,
            now=now,
            last=True,
        )
