"""`history` and `ledger`, as the real process."""

import json
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rotator.ledger import chain
from rotator.ledger.database import open_database
from tests.support.cli_fixture import CliFixture
from tests.support.legacy_ledger import rewrite

#: Lets the ledger's entries be changed, as someone with the file in hand can.
UNLOCK = "DROP TRIGGER entry_no_update", "DROP TRIGGER entry_no_delete"


@pytest.fixture(scope="module")
def rotated(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path
) -> Iterator[tuple[CliFixture, Path]]:
    """One account that was rotated, and a copy of its ledger."""
    folder = tmp_path_factory.mktemp("record")
    with CliFixture(folder, ledger=sqlite_template) as cli:
        cli.rotate()
        cli.sql("VACUUM INTO ?", str(folder / "copy.db"))
        yield cli, folder / "copy.db"


@pytest.fixture
def cli(rotated: tuple[CliFixture, Path], tmp_path: Path) -> CliFixture:
    """The same, whatever the test before did to the ledger and the configuration."""
    cli, copy = rotated
    cli.ledger = tmp_path / "ledger.db"
    shutil.copy(copy, cli.ledger)
    cli.text = re.sub('sqlite:///[^"]*', f"sqlite:///{cli.ledger}", cli.text)
    cli.config.write_text(cli.text)
    return cli


def tamper(cli: CliFixture, statement: str) -> None:
    """Change the record."""
    for unlock in UNLOCK:
        cli.sql(unlock)
    cli.sql(statement)


def test_history_shows_the_newest_the_oldest_first(cli: CliFixture) -> None:
    """`--limit` leaves the newest entries, in the order in which they were written."""
    table = cli.run("history", "account-1")
    newest = cli.run("history", "--limit", "2", "--json").json()

    lines = table.out.splitlines()
    assert lines[0].split() == ["time", "account", "rotation", "step", "event", "detail"]
    assert [line.split()[3:5] for line in lines[1:4]] == [
        ["-", "requested"],
        ["-", "registered"],
        ["open", "opened"],
    ]
    assert "outcome=completed" in lines[-1]
    assert [(entry["step"], entry["event"]) for entry in newest] == [
        ("delete", "done"),
        ("complete", "closed"),
    ]


def test_history_says_what_others_did(cli: CliFixture) -> None:
    """Once, at the first look that shows it, with the whole id and in words."""
    foreign = cli.world.vonage.add_secret(cli.account.api_key, "MadeByHand1")
    cli.run("resume", "account-1")
    cli.run("status", "--refresh")
    cli.world.vonage.revoke(cli.account.api_key, foreign)
    for _ in range(2):
        cli.run("status", "--refresh")
    told = [line for line in cli.run("history").out.splitlines() if f"secret_id={foreign}" in line]

    assert ["secret-appeared" in line for line in told] == [True, False]
    assert ["secret-vanished" in line for line in told] == [False, True]
    assert [line.partition("why=")[2] for line in told] == [
        "Vonage lists it, and no entry records who made it",
        "Vonage no longer lists it, and no entry records who revoked it",
    ]


def test_export_is_one_entry_a_line(cli: CliFixture) -> None:
    """Every entry is exported with its hashes, which anybody can recompute."""
    done = cli.run("ledger", "export", "account-1")

    entries = [json.loads(line) for line in done.out.splitlines()]
    head = chain.GENESIS
    for number, entry in enumerate(entries, start=1):
        prev_hash, hashed = entry.pop("prev_hash"), entry.pop("hash")
        rebuilt = chain.Entry(
            **{**entry, "detail": chain.canonical_json(entry["detail"])},
            prev_hash=prev_hash,
            hash="",
        )
        assert (entry["seq"], prev_hash) == (number, head)
        assert chain.hash_of(rebuilt) == hashed
        head = hashed
    assert len(entries) > 10


def test_export_into_a_closed_pipe_is_quiet(cli: CliFixture) -> None:
    """Nobody has to read it all."""
    with cli.started_anew("ledger", "export", stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.close()

    assert cli.ended(process).err == ""
    assert process.returncode == 141


def test_rules_are_kept_or_the_entry_that_breaks_one_is_named(cli: CliFixture) -> None:
    """Though chain and rows are whole; without the option nothing is said of rules."""
    kept = cli.run("ledger", "verify", "--rules", "--offline")
    document = cli.run("ledger", "verify", "--rules", "--offline", "--json").json()[0]
    database = open_database(f"sqlite:///{cli.ledger}")
    rewrite(database, "account-1", _untried)
    database.dispose()
    broken = cli.run("ledger", "verify", "--rules", "--offline")
    unasked = cli.run("ledger", "verify", "--offline")

    assert kept.code == 0, kept.err
    assert kept.out.splitlines()[0].split()[-1] == "rules"
    assert kept.out.splitlines()[1].split()[-1] == "kept"
    assert document["rules"] == {"verdict": "kept", "faults": []}
    assert broken.code == 1
    assert broken.out.splitlines()[1].split()[2:4] == ["whole", "match"]
    assert broken.out.splitlines()[1].split()[-1] == "BROKEN"
    assert "breaks rule 4: Vault's value was seen to authenticate at 2020-01-01" in broken.err
    assert "hint: keep a copy of the ledger" in broken.err
    assert (unasked.code, "rules" in unasked.out) == (0, False)


def _untried(event: str, step: str | None, detail: dict[str, Any]) -> dict[str, Any]:
    """Return an entry's facts, of which a deletion's are older than they may be."""
    is_deletion = (event, step) == ("intent", "delete")
    return detail | ({"authenticated_at": "2020-01-01T00:00:00+00:00"} if is_deletion else {})


def test_verify_follows_the_chain_and_asks_vault(cli: CliFixture) -> None:
    """A whole ledger matches the hash that the rotation left in Vault."""
    table, document = cli.run("ledger", "verify"), cli.run("ledger", "verify", "--json").json()

    assert table.out.splitlines()[1].split()[2:] == ["whole", "match", "matches"]
    assert (table.code, table.err) == (0, "")
    assert document[0].keys() == {
        *("account", "entries", "head", "ok", "fault", "chain", "rows", "vault_head"),
    }
    assert document[0]["ok"] is True
    assert document[0]["chain"] == {"verdict": "whole", "fault": None}
    assert document[0]["rows"] == {"verdict": "match", "faults": []}
    assert document[0]["vault_head"] == {"verdict": "matches", "fault": None, "error": None}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            "UPDATE account SET hold_reason = 'x', held_by = 'eve', held_at = '2026-01-01'",
            "the account's row says that it is held: x (eve), and the entries say that nobody",
        ),
        ("DELETE FROM rotation", "there are entries of rotation "),
        (
            "UPDATE account SET next_due_at = '2099-01-01 00:00:00'",
            "its row has it due at 2099-01-01 00:00:00 UTC, and its policy not after 20",
        ),
        (
            "UPDATE account SET retry_at = '2099-01-01 00:00:00'",
            "its row has it tried again at 2099-01-01 00:00:00 UTC, after too long a wait",
        ),
    ],
)
def test_a_changed_row_is_named(cli: CliFixture, change: str, fault: str) -> None:
    """Though the chain is whole, and Vault's note in it."""
    cli.sql(change)
    table, told = cli.run("ledger", "verify"), cli.run("ledger", "verify", "--json").json()

    assert table.out.splitlines()[1].split()[2:] == ["whole", "FAILED", "matches"]
    assert table.err.startswith(f"error: account-1: {fault}")
    assert "hint: someone wrote to the ledger's tables" in table.err
    assert (table.code, told[0]["ok"], told[0]["rows"]["verdict"]) == (1, False, "failed")


def test_a_changed_entry_is_named(cli: CliFixture) -> None:
    """The first entry that was changed is named."""
    tamper(cli, "UPDATE entry SET event = 'refused' WHERE seq = 4")
    done = cli.run("ledger", "verify", "--offline")

    assert done.err.startswith("error: account-1: entry 4 was changed\nhint: ")
    assert "FAILED" in done.out
    assert done.code == 1


def test_a_ledger_that_was_cut_off_is_exposed_by_vault(cli: CliFixture) -> None:
    """A chain that is whole in itself does not pass if Vault knows of more."""
    tamper(cli, "DELETE FROM entry WHERE seq > 3")
    ((head,),) = cli.sql("SELECT hash FROM entry WHERE seq = 3")
    cli.sql("UPDATE account SET chain_seq = 3, chain_head = ?", head)
    offline, online = cli.run("ledger", "verify", "--offline"), cli.run("ledger", "verify")

    assert offline.code == online.code == 1
    assert "its outcome is completed, and the entries say nothing" in offline.err
    assert online.out.splitlines()[1].split()[2:] == ["whole", "FAILED", "FAILED"]
    assert "lacks the entry that Vault's note names: it was rewritten or cut off, " in online.err


def test_a_broken_chain_is_not_blamed_on_vault(cli: CliFixture) -> None:
    """Where the chain breaks before the entry that Vault's note names, only the chain is wrong."""
    tamper(cli, "UPDATE entry SET event = 'refused' WHERE seq = 4")
    done = cli.run("ledger", "verify")

    assert done.out.splitlines()[1].split()[2:] == [
        *("FAILED", "not", "compared", "not", "reached")
    ]
    assert done.err.count("error: ") == 1


def test_a_lost_ledger_is_exposed_by_vault(cli: CliFixture, sqlite_template: Path) -> None:
    """An empty ledger does not pass where Vault's note names an entry."""
    shutil.copy(sqlite_template, cli.ledger)
    done = cli.run("ledger", "verify", "--json")

    assert done.code == 1
    assert done.json()[0]["chain"]["verdict"] == "whole"
    assert done.json()[0]["vault_head"]["verdict"] == "failed"
    assert "the ledger was lost or replaced" in done.json()[0]["fault"]


def test_a_note_that_vanished_from_vault_is_a_complaint(cli: CliFixture) -> None:
    """The entry was written by hand over rotator's: nothing is left to compare the ledger with."""
    path = cli.world.accounts[0].vault_path
    entry = cli.world.vault.read(path) or {}
    cli.world.vault.write(path, {"api_key": entry["api_key"], "api_secret": "x"})
    done = cli.run("ledger", "verify")
    cli.world.vault.write(path, entry)

    assert done.out.splitlines()[1].split()[2:] == ["whole", "match", "vanished"]
    assert done.err.startswith("error: account-1: Vault's entry has no note, and rotator wrote ver")
    assert "hint: the entry was replaced or deleted" in done.err
    assert done.code == 1


def test_a_vault_that_cannot_be_asked_is_no_changed_ledger(cli: CliFixture) -> None:
    """What could not be compared has an exit code and a text of its own, unless left out."""
    cli.world.vault.sealed = True
    online, told = cli.run("ledger", "verify"), cli.run("ledger", "verify", "--json").json()
    offline = cli.run("ledger", "verify", "--offline")
    cli.world.vault.sealed = False
    token = cli.token_file.read_text()
    cli.token_file.write_text("wrong")
    refused = cli.run("ledger", "verify")
    cli.token_file.write_text(token)

    assert online.out.splitlines()[1].split()[2:] == ["whole", "match", "not", "compared"]
    what, hint = online.err.splitlines()
    assert what.startswith("error: could not compare with Vault: Vault is sealed")
    assert what.endswith("; chain and rows are whole")
    assert hint.startswith("hint: unseal Vault; nothing is lost; --offline compares")
    assert told[0]["ok"] is False
    assert told[0]["vault_head"]["error"]["code"] == "vault-sealed"
    assert (online.code, refused.code, offline.code) == (75, 75, 0)


def test_a_changed_ledger_is_one_while_vault_is_sealed(cli: CliFixture) -> None:
    """A fault that is certain decides the exit code, whatever could not be compared."""
    tamper(cli, "UPDATE entry SET event = 'refused' WHERE seq = 4")
    cli.world.vault.sealed = True
    done = cli.run("ledger", "verify")
    cli.world.vault.sealed = False

    assert done.code == 1
    assert done.err.startswith("error: account-1: entry 4 was changed\n")
    assert done.err.splitlines()[2].startswith("error: could not compare with Vault: Vault is")
    assert "are whole" not in done.err


def test_a_ledger_that_cannot_be_read_is_no_changed_ledger(cli: CliFixture) -> None:
    """Nothing was verified, which is neither a verdict nor a wrong configuration."""
    with closing(sqlite3.connect(cli.ledger)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        done = cli.run("ledger", "verify", "--offline")

    assert done.code == 75
    assert done.err.startswith(
        "error: nothing was verified: another process keeps the ledger file /"
    )


def test_a_backup_is_restored(cli: CliFixture, tmp_path: Path) -> None:
    """What is printed says what was written, and how it is put back; that is all it takes."""
    file = tmp_path / "backup.db"
    done = cli.run("ledger", "backup", str(file))
    told = cli.run("ledger", "backup", str(tmp_path / "other.db"), "--json").json()
    cli.ledger.write_bytes(file.read_bytes())
    verified = cli.run("ledger", "verify")

    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"wrote {file}: {file.stat().st_size} bytes, schema ")
    assert "verified chains: 1 with " in done.out
    assert f"to restore it: stop the daemon, remove {cli.ledger}-wal" in done.out
    assert "change the configuration" not in done.out
    assert told["bytes"] == (tmp_path / "other.db").stat().st_size
    assert told["chains"][0].keys() == {"account", "entries", "head", "fault"}
    assert verified.code == 0, verified


def test_a_backup_replaces_nothing(cli: CliFixture) -> None:
    """Least of all the ledger."""
    before = cli.sql("SELECT hash FROM entry")
    done = cli.run("ledger", "backup", str(cli.ledger))

    assert done.code == 2
    assert (
        done.err
        == f"error: {cli.ledger} is already there\nhint: name a new file: none is replaced\n"
    )
    assert cli.sql("SELECT hash FROM entry") == before


def test_a_backup_of_a_changed_ledger_says_so(cli: CliFixture, tmp_path: Path) -> None:
    """It is written all the same, as evidence, and the command fails."""
    tamper(cli, "UPDATE entry SET event = 'refused' WHERE seq = 4")
    done = cli.run("ledger", "backup", str(tmp_path / "backup.db"))

    assert done.code == 1
    assert "verified chains: 1 with 3 entries, 1 BROKEN" in done.out
    assert done.err.startswith("error: account-1: entry 4 was changed\nhint: the backup is as the")
    assert (tmp_path / "backup.db").exists()


def test_there_is_no_backup_of_an_older_schema_s_chains(cli: CliFixture, tmp_path: Path) -> None:
    """Before an upgrade, the file is copied as it is, without being upgraded, and that is said."""
    cli.sql("UPDATE alembic_version SET version_num = '0001'")
    done = cli.run("ledger", "backup", str(tmp_path / "backup.db"))

    assert done.code == 0
    assert "schema 0001\nits chains were not verified" in done.out


def test_without_a_ledger_there_is_no_backup(cli: CliFixture, tmp_path: Path) -> None:
    """None is made for it either."""
    cli.ledger.unlink()
    done = cli.run("ledger", "backup", str(tmp_path / "backup.db"))

    assert done.code == 2
    assert done.err.startswith(f"error: there is no ledger to back up at {cli.ledger}\nhint: ")
    assert not cli.ledger.exists()


def test_an_account_that_is_gone_keeps_its_record(cli: CliFixture) -> None:
    """What is no longer configured can still be asked for; what never was cannot."""
    cli.config.write_text(cli.text.replace('"account-1"', '"renamed"'))
    old, new = cli.run("ledger", "verify", "account-1"), cli.run("history", "acount-1")

    assert old.out.splitlines()[1].split()[2:] == ["whole", "match", "not", "configured"]
    assert old.code == 0
    assert new.code == 2
