"""Every column of the ledger's rows, changed one at a time between two passes.

By someone who may write to the tables, and not to Vault, and does not go to the trouble of forging
entries. Whatever a row says then: nothing is deleted early, or a stranger's, and no value is lost,
which the fixture itself watches. `rotator ledger verify` names what was changed, or the threat
model names the column as one of which nothing is proven. A new column fails here until it is
judged.
"""

import re
import sqlite3
import string
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from rotator.ledger import tables
from rotator.ledger.holds import Holds
from rotator.model import Hold
from tests.support.rotation_fixture import NAME, RotationFixture

GRACE = timedelta(hours=24)
THREATS = Path(__file__).parents[3] / "docs" / "threat-model.md"
LONG_AGO, FAR = "'2020-01-01 00:00:00.000000'", "'2199-01-01 00:00:00.000000'"

#: When a column is changed, by table, and by column where that is another time: the value was sent
#: and the process killed before it heard, the grace, the time after it, and a grace under a freeze.
MOMENTS = {
    "rotation": ("sent", "waiting"),
    "account": ("waiting", "idle"),
    "ledger": ("sent",),
    "account.held_by": ("held",),
    "account.held_at": ("held",),
    "account.hold_freeze": ("held",),
    "account.adopted_id": ("waiting",),
    "rotation.predecessor_version": ("waiting",),
}
#: By column: values, as SQL has them, that `rotator ledger verify` names; $old and $new are ids.
SEEN: dict[str, tuple[str, ...]] = {
    "rotation.account": ("'nobody'",),
    "rotation.id": ("'another'",),
    "rotation.reason": ("'compromised'", "'due'"),
    "rotation.step": ("'push'", "'open'"),
    "rotation.predecessor_id": ("NULL", "'$new'", "'made-up'"),
    "rotation.new_id": ("'$old'", "'made-up'"),
    "rotation.grace_seconds": ("0", "-5"),
    "rotation.draws": ("0", "99"),
    "rotation.rejected": ("1",),
    "rotation.sent_at": ("NULL",),
    "rotation.vault_version": ("1", "99"),
    "rotation.api_key": ("NULL", "'another'"),
    "rotation.issuer": ("'another'",),
    "rotation.vault_path": ("'another'",),
    "rotation.pending_path": ("'another'",),
    "rotation.verified_at": (LONG_AGO, FAR),
    "rotation.delete_due_at": (LONG_AGO, FAR),
    "rotation.predecessor_version": ("NULL", "99"),
    "rotation.dead_at": (LONG_AGO,),
    "rotation.dead_after": ("5",),
    "rotation.closed_at": (LONG_AGO,),
    "rotation.abort_code": ("'overtaken'",),
    "rotation.outcome": ("'completed'", "'failed'"),
    "rotation.error_code": ("'overtaken'",),
    "account.name": ("'another'",),
    "account.api_key": ("NULL", "'another'"),
    "account.issuer": ("'another'",),
    "account.vault_path": ("'another'",),
    "account.pending_path": ("'another'",),
    "account.adopted_id": ("'$old'", "'$new'"),
    "account.adopted_over": ("99",),
    "account.deletions": ('\'[["$new", "done"]]\'', "'{'"),
    "account.written_version": ("99",),
    "account.next_due_at": (FAR,),
    "account.retry_at": (FAR,),
    "account.hold_reason": ("'because'",),
    "account.held_by": ("'eve'",),
    "account.hold_freeze": ("0",),
    "account.chain_seq": ("0", "1", "99"),
    "account.chain_head": ("'ffff'", "'none'"),
}
#: Likewise, of values that nobody names: they harm nothing, and the threat model has the column.
UNPROVEN: dict[str, tuple[str, ...]] = {
    "rotation.sent_at": (LONG_AGO, FAR),
    "rotation.opened_at": (LONG_AGO, FAR),
    "rotation.pending_version": ("0", "99"),
    "rotation.deleted_at": (LONG_AGO, FAR),
    "rotation.gate": ("'another'",),
    "rotation.gate_reason": ("'another'",),
    "rotation.gate_since": (LONG_AGO, FAR),
    "rotation.gate_retry_at": (LONG_AGO, FAR),
    "rotation.gate_convergence": ("'no JSON'", "'{}'", '\'{"consumers": 9, "converged": 9}\''),
    "account.listed_ids": ("NULL", "'[\"$old\"]'"),
    "account.recorded_ids": ("NULL", "'[\"$old\"]'", "'{}'", "'no JSON'"),
    "account.origins": ('\'{"$old": "made up"}\'', "'no JSON'"),
    "account.current_id": ("'$old'",),
    "account.current_since": (FAR,),
    "account.seen_at": (LONG_AGO, FAR),
    "account.trouble": ("'made up'", '\'{"state": "broken"}\''),
    "account.failure": ("'made up'", "'[]'"),
    "account.written_version": ("0",),
    "account.written_index": ("'another'",),
    "account.next_due_at": ("NULL", LONG_AGO),
    "account.told": ('\'{"drift": "made up"}\'',),
    "account.failures": ("-5", "99"),
    "account.retry_at": (LONG_AGO,),
    "account.held_at": (FAR,),
    "account.lease_owner": ("'elsewhere/x/y/1/2'",),
    "account.lease_expires_at": (LONG_AGO, FAR),
    "account.lease_seconds": ("1", "1000000000"),
    "account.fencing_token": ("0", "99"),
    "ledger.id": ("'another'",),
}
#: Of these, no row is changed here: entries are chained, the others say what is told and found.
CHAINED = {"entry"}
NAMED_AS_A_WHOLE = {"delivery", "subaccount", "listing", "daemon", "trigger_request", "checkpoint"}


@dataclass(frozen=True, kw_only=True)
class Change:
    """What someone writes into a column, and when."""

    column: str
    moment: str
    value: str

    def __str__(self) -> str:
        """Return its name in the test's id."""
        return f"{self.column}-{self.moment}-{self.value}"


def changes(judged: dict[str, tuple[str, ...]]) -> list[Change]:
    """Return each value of each column, at each moment."""
    return [
        Change(column=column, moment=moment, value=value)
        for column, values in judged.items()
        for moment in MOMENTS.get(column, MOMENTS[column.partition(".")[0]])
        for value in values
    ]


def begin(fixture: RotationFixture, moment: str) -> None:
    """Get to the moment at which the column is changed."""
    if moment == "sent":
        fixture.calls.plan("after", "issuer.create_secret", 1, fixture.calls.kill)
        fixture.run_until_killed()
        return
    fixture.attempt(grace=timedelta() if moment == "idle" else None)
    if moment == "held":
        put = Hold(reason="moving house", by="ann", at=fixture.clock.now(), freeze=True)
        Holds(fixture.database).put(NAME, put)
    if moment == "idle":
        fixture.make_foreign()
        fixture.clock.advance(days=31)


def write(fixture: RotationFixture, change: Change) -> None:
    """Write to the ledger's tables as someone else, whom no foreign key keeps from it."""
    fixture.is_tampered_with = True
    old, new = [secret.id for secret in fixture.secrets()]
    table, _, column = change.column.partition(".")
    value = string.Template(change.value).substitute(old=old, new=new)
    statement = f"UPDATE {table} SET {column} = {value}"  # noqa: S608  # of the lists above
    if fixture.setting.ledger_url.startswith("postgresql"):
        with fixture.database.begin() as connection:
            connection.execute(text(statement))
        return
    with closing(sqlite3.connect(fixture.ledger_file)) as file, file:
        file.execute(statement)


def is_named(fixture: RotationFixture) -> bool:
    """Whether `rotator ledger verify` finds something."""
    delays = fixture.queries.implausible_delays(NAME, fixture.accounts[NAME], fixture.clock.now())
    return bool(fixture.queries.verify(NAME).faults or delays)


def go_on(fixture: RotationFixture) -> None:
    """Let an hour of passes come, of all kinds that nobody asked to hurry."""
    for reason in (None, "due", None, "asked"):
        fixture.restart()
        fixture.run_until_killed(reason=reason)
        fixture.clock.advance(minutes=15)


def lost(fixture: RotationFixture) -> list[str]:
    """Return the live secrets whose value is nowhere in Vault."""
    seen, foreign = fixture.look(), fixture.monitor.foreign
    known = seen.kept | {seen.pending_value}
    live = [secret for secret in fixture.secrets() if secret.id not in foreign]
    return [secret.id for secret in live if secret.value not in known]


def nothing_comes_of(fixture: RotationFixture, change: Change) -> bool:
    """Change a column, let passes come, and check what they did; give whether it was named."""
    begin(fixture, change.moment)
    write(fixture, change)
    named = is_named(fixture)
    before = {secret.id for secret in fixture.secrets()}
    go_on(fixture)
    after = {secret.id for secret in fixture.secrets()}
    fixture.clock.advance(hours=25)
    go_on(fixture)

    assert before <= after, "a secret was deleted early, or a stranger's"
    assert lost(fixture) == []
    assert fixture.look().works
    return named


@pytest.mark.parametrize("change", changes(SEEN), ids=str)
def test_what_is_changed_is_named(tmp_path: Path, change: Change) -> None:
    """And nothing comes of it."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        assert nothing_comes_of(fixture, change)


@pytest.mark.parametrize("change", changes(UNPROVEN), ids=str)
def test_what_is_not_proven_harms_nothing(tmp_path: Path, change: Change) -> None:
    """Though nobody can tell that it was changed."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        assert not nothing_comes_of(fixture, change)


ON_BOTH = [
    Change(column=column, moment="waiting", value=value)
    for column, value in {
        "rotation.predecessor_id": "'$new'",
        "rotation.grace_seconds": "0",
        "rotation.step": "'push'",
        "rotation.sent_at": "NULL",
        "rotation.api_key": "NULL",
        "account.vault_path": "'another'",
        "account.hold_reason": "'because'",
        "account.deletions": '\'[["$new", "done"]]\'',
        "account.chain_head": "'none'",
    }.items()
]


@pytest.mark.parametrize("kind", [pytest.param("postgresql", marks=pytest.mark.postgres)])
@pytest.mark.parametrize("change", ON_BOTH, ids=str)
def test_what_is_changed_in_postgresql_is_named(
    tmp_path: Path, ledger_url: str, change: Change
) -> None:
    """As in SQLite."""
    with RotationFixture(tmp_path, ledger_url=ledger_url, grace=GRACE) as fixture:
        assert nothing_comes_of(fixture, change)


def test_each_column_is_judged() -> None:
    """Whoever adds one says whether it is proven, here, and in the threat model if it is not."""
    columns = {
        str(column)
        for table in tables.metadata.sorted_tables
        for column in table.c
        if table.name not in CHAINED | NAMED_AS_A_WHOLE
    }
    named = set(re.findall(r"`(\w+\.\w+)`", THREATS.read_text(encoding="utf-8")))

    assert SEEN.keys() | UNPROVEN.keys() == columns
    assert {name for name in named if name in columns} == UNPROVEN.keys()
    assert {table.name for table in tables.metadata.sorted_tables} == (
        CHAINED | NAMED_AS_A_WHOLE | {name.partition(".")[0] for name in columns}
    )
