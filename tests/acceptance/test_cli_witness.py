"""Checkpoints of the ledger, on both sides, as the real process."""

import json
import os
import re
import shutil
import signal
import subprocess
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rotator.ledger import chain
from tests.support.cli_fixture import CliFixture, CommandResult
from tests.support.commands import ROOT
from tests.support.webhook_receiver import receiving

UNLOCK = "DROP TRIGGER entry_no_update", "DROP TRIGGER entry_no_delete"


def configure(cli: CliFixture, folder: Path, **more: str) -> None:
    """Configure checkpoints in a directory, and anything else."""
    made = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", f"{cli.folder}/key.pem"]
    subprocess.run(made, check=True, timeout=60)
    (cli.folder / "key.pem").chmod(0o600)
    folder.mkdir(exist_ok=True)
    keys = {"key_file": f"{cli.folder}/key.pem", "directory": str(folder), **more}
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
    cli.config.write_text(f"{cli.text}\n[ledger.witness]\n{lines}")


@pytest.fixture(scope="module")
def witnessed(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path
) -> Iterator[tuple[CliFixture, Path]]:
    """An account that was rotated three times, with a checkpoint after each, and backups."""
    folder = tmp_path_factory.mktemp("witness")
    kept = folder / "kept"
    kept.mkdir()
    with CliFixture(folder, ledger=sqlite_template) as cli:
        configure(cli, folder / "checkpoints", vault_path="rotator/witness")
        (folder / "log.vkey").write_text(cli.run("ledger", "witness", "key").out)
        for number in (1, 2, 3):
            cli.rotate()
            assert cli.run("ledger", "witness", "publish").code == 0
            cli.sql("VACUUM INTO ?", str(kept / f"{number}.db"))
        shutil.copytree(folder / "checkpoints", kept / "checkpoints")
        (kept / "entry.json").write_text(json.dumps(cli.world.vault.read("rotator/witness")))
        yield cli, kept


@pytest.fixture
def cli(witnessed: tuple[CliFixture, Path]) -> CliFixture:
    """The same, whatever the test before did to the ledger and the checkpoints."""
    cli, kept = witnessed
    for end in ("", "-wal", "-shm"):
        Path(f"{cli.ledger}{end}").unlink(missing_ok=True)
    shutil.copy(kept / "3.db", cli.ledger)
    shutil.rmtree(folder_of(cli))
    shutil.copytree(kept / "checkpoints", folder_of(cli))
    cli.world.vault.write("rotator/witness", json.loads((kept / "entry.json").read_text()))
    return cli


def folder_of(cli: CliFixture) -> Path:
    """Return the directory of checkpoints."""
    return cli.folder / "checkpoints"


def verify(cli: CliFixture) -> CommandResult:
    """Verify the ledger as an auditor with the checkpoints does, without Vault."""
    where = ("--witness", str(folder_of(cli)), "--key", str(cli.folder / "log.vkey"))
    return cli.run("ledger", "verify", "--offline", *where)


def check(cli: CliFixture, *more: str) -> CommandResult:
    """Check the checkpoints as somebody who has nothing else."""
    where = (str(folder_of(cli)), "--key", str(cli.folder / "log.vkey"))
    nothing = {**cli.environment, "ROTATOR_CONFIG": "/nowhere"}
    return cli.run("ledger", "witness", "check", *where, *more, environment=nothing)


def rewrite(cli: CliFixture) -> None:
    """Change one entry, and make every later hash fit, as somebody with the file in hand can."""
    for unlock in UNLOCK:
        cli.sql(unlock)
    cli.sql("UPDATE entry SET event = 'forged' WHERE seq = 3")
    head = chain.GENESIS
    for row in cli.sql("SELECT * FROM entry ORDER BY seq"):
        entry = chain.Entry._make(row)._replace(prev_hash=head)
        head = chain.hash_of(entry)
        change = "UPDATE entry SET prev_hash = ?, hash = ? WHERE seq = ?"
        cli.sql(change, entry.prev_hash, head, entry.seq)
    cli.sql("UPDATE account SET chain_head = ?", head)


def test_a_ledger_that_only_grew_holds_on_both_sides(cli: CliFixture) -> None:
    """Exit 0: with the ledger, and with nothing but the files and the key."""
    cli.rotate()
    verified, checked = verify(cli), check(cli, "--json")

    assert verified.code == 0, verified.err
    assert "the ledger extends 3 checkpoints" in verified.out
    assert "entries since" in verified.out
    assert checked.code == 0, checked.err
    assert checked.json()["verdict"] == "holds"
    assert checked.json()["checkpoints"] == 3


def test_the_verdict_is_part_of_the_json_of_each_account(cli: CliFixture) -> None:
    """The document stays a list of accounts."""
    where = ("--witness", str(folder_of(cli)))
    verified = cli.run("ledger", "verify", "--offline", "--json", *where)

    assert verified.code == 0, verified.err
    assert verified.json()[0]["witness"]["verdict"] == "holds"


def test_a_ledger_that_was_lost_and_written_to_again_is_found(cli: CliFixture) -> None:
    """Without checkpoints, it verifies as whole."""
    cli.ledger.unlink()
    cli.rotate()
    alone = cli.run("ledger", "verify")
    found = verify(cli)
    by_own_key = cli.run("ledger", "verify", "--witness", str(folder_of(cli)))
    published = cli.run("ledger", "witness", "publish")

    assert alone.code == 0, alone.err
    for each in (found, by_own_key):
        assert each.code == 1
        assert "is a checkpoint of another ledger" in each.err
        assert "was lost or replaced" in each.err
        assert "the ledger extends" not in each.out
    assert published.code == 3
    assert "another ledger" in published.err
    assert len(list(folder_of(cli).iterdir())) == 3


def test_a_restored_backup_is_found_and_signs_nothing(
    cli: CliFixture, witnessed: tuple[CliFixture, Path]
) -> None:
    """It lacks what was recorded after it, however long it grows again."""
    shutil.copy(witnessed[1] / "2.db", cli.ledger)
    for _ in range(3):
        cli.rotate()
    found = verify(cli)
    published = cli.run("ledger", "witness", "publish")

    assert found.code == 1
    assert "0000000003.checkpoint does not hold: the ledger lacks what it recorded" in found.err
    assert "restored from a backup" in found.err
    assert published.code == 3
    assert "restored from a backup" in published.err


def test_a_restored_backup_that_lacks_no_entry_goes_on(
    cli: CliFixture, witnessed: tuple[CliFixture, Path]
) -> None:
    """Each day's checkpoint since the backup was of nothing new, and is the ledger's own again."""
    for number in (4, 5):
        # Of the same entries, in the same second, it would be the same text.
        newest = (folder_of(cli) / f"{number - 1:010d}.checkpoint").read_text()
        while f"time {datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}" in newest:
            threading.Event().wait(0.05)
        assert cli.run("ledger", "witness", "publish").code == 0
    shutil.copy(witnessed[1] / "3.db", cli.ledger)
    before = cli.run("doctor", "--json", "--all")
    published = cli.run("ledger", "witness", "publish", "--json")
    found = verify(cli), check(cli)

    [told] = [each for each in before.json()["checks"] if each["about"] == "history"]
    assert told["cure"].startswith("`rotator ledger witness publish` goes on if")
    assert published.code == 0, published.err
    assert published.json()["number"] == 6
    assert [each.code for each in found] == [0, 0], [each.err for each in found]


def test_an_entry_that_was_rewritten_with_all_hashes_is_found(cli: CliFixture) -> None:
    """Its chain is whole, and the first checkpoint already does not hold."""
    rewrite(cli)
    found = verify(cli)
    published = cli.run("ledger", "witness", "publish")

    assert found.code == 1
    assert found.out.split()[found.out.split().index("whole") - 1].isdigit()
    assert "0000000001.checkpoint does not hold: the ledger is not what it was on" in found.err
    assert published.code == 3
    assert "are not those that were signed on" in published.err


def test_an_entry_that_does_not_fit_its_hash_is_in_no_ledger_that_extends(cli: CliFixture) -> None:
    """Checkpoints cover the hashes alone, which are all there."""
    for unlock in UNLOCK:
        cli.sql(unlock)
    cli.sql("UPDATE entry SET event = 'forged' WHERE seq = 3")
    found = verify(cli)

    assert found.code == 1
    assert "entry 3 was changed" in found.err
    assert found.out.splitlines()[-1].startswith("by its hashes alone, the ledger extends 3 ")


def test_a_ledger_that_was_cut_off_is_found(cli: CliFixture) -> None:
    """With the row of its account made to fit; the checkpoints in the ledger still say more."""
    for unlock in UNLOCK:
        cli.sql(unlock)
    cli.sql("DELETE FROM entry WHERE seq > 15")
    [(head,)] = cli.sql("SELECT hash FROM entry WHERE seq = 15")
    cli.sql("UPDATE account SET chain_seq = 15, chain_head = ?", head)
    found = verify(cli)

    assert found.code == 1
    assert "does not hold" in found.err


def test_a_ledger_without_its_checkpoints_is_found(cli: CliFixture) -> None:
    """Whoever removes the table's rows shows by that alone that something was removed."""
    cli.sql("DROP TRIGGER checkpoint_no_delete")
    cli.sql("DELETE FROM checkpoint")
    found = verify(cli)

    assert found.code == 1
    assert "Its own checkpoints cover 0 entries" in found.err


@pytest.mark.parametrize("reach", ["{}", "[" * 100_000], ids=["nothing", "deep"])
def test_checkpoints_in_the_ledger_that_were_changed_are_found(cli: CliFixture, reach: str) -> None:
    """The command says so, and does not fail in another way."""
    cli.sql("DROP TRIGGER checkpoint_no_update")
    cli.sql("UPDATE checkpoint SET reach = ?", reach)
    found = verify(cli)

    assert found.code == 1
    assert "somebody changed checkpoint 1 in the ledger" in found.err


@pytest.mark.parametrize("what", ["size", "signature", "truncated"])
def test_a_forged_checkpoint_is_found_on_both_sides(cli: CliFixture, what: str) -> None:
    """A text that was changed, a signature that was, and a file that was cut off."""
    file = folder_of(cli) / "0000000002.checkpoint"
    text = file.read_text()
    head, _, signature = text.rstrip("\n").rpartition(" ")
    if what == "size":
        text = text.replace("\ntime 2", "\ntime 1")
    elif what == "signature":
        raw = bytearray(b64decode(signature))
        raw[-1] ^= 1
        text = f"{head} {b64encode(raw).decode()}\n"
    else:
        text = head
    file.write_text(text)

    for found in (verify(cli), check(cli)):
        assert found.code == 1
        assert "0000000002.checkpoint: it" in found.err
        assert "hint: get the file again" in found.err


@pytest.mark.parametrize("zone", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"])
def test_a_time_that_is_in_no_year_is_damage(cli: CliFixture, zone: str) -> None:
    """Nobody has to sign a file to place it among the others: it ends in a verdict."""
    file = folder_of(cli) / "0000000004.checkpoint"
    text = (folder_of(cli) / "0000000003.checkpoint").read_text()
    file.write_text(re.sub("\ntime .*\n", f"\ntime {zone}\n", text))
    published = cli.run("ledger", "witness", "publish")

    for found in (verify(cli), check(cli)):
        assert found.code == 1
        assert "0000000004.checkpoint: it is damaged or no checkpoint" in found.err
    assert published.code == 3
    assert "holds what is no checkpoint" in published.err


def test_a_name_in_other_digits_is_no_checkpoints(cli: CliFixture) -> None:
    """Files that have other names are left alone."""
    (folder_of(cli) / "\N{ARABIC-INDIC DIGIT ONE}000000001.checkpoint").touch()

    assert check(cli).code == 0


def test_a_checkpoint_is_taken_from_a_pipe(cli: CliFixture) -> None:
    """As from `vault kv get -field checkpoint`; it is waited for until its end."""
    file = folder_of(cli) / "0000000003.checkpoint"
    where = ("/dev/stdin", "--key", str(cli.folder / "log.vkey"))
    with subprocess.Popen(["sh", "-c", f"sleep 0.5; cat {file}"], stdout=subprocess.PIPE) as slow:
        found = cli.run_anew("ledger", "witness", "check", *where, stdin=slow.stdout)

    assert found.code == 0, found.err


def test_a_checkpoint_by_another_key_is_found(cli: CliFixture) -> None:
    """Whoever replaces the key cannot make up a history for somebody who has the former one."""
    made = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", f"{cli.folder}/key.pem"]
    before = (cli.folder / "key.pem").read_bytes()
    subprocess.run(made, check=True, timeout=60)
    try:
        published = cli.run("ledger", "witness", "publish")
        found = check(cli)
        both = check(cli, "--key", cli.run("ledger", "witness", "key").out.strip())
        where = ("--offline", "--witness", str(folder_of(cli)))
        by_new_key = cli.run("ledger", "verify", *where)
    finally:
        (cli.folder / "key.pem").write_bytes(before)

    assert published.code == 0, published.err
    assert found.code == 1
    assert "0000000004.checkpoint: it is not signed with the key" in found.err
    assert "give `--key` twice" in found.err
    assert both.code == 0, both.err
    assert by_new_key.code == 1
    assert by_new_key.out.splitlines()[-1] == "no checkpoint could be compared"


def test_a_missing_file_is_not_compared_by_itself_and_holds_with_the_ledger(
    cli: CliFixture,
) -> None:
    """Exit 75 where nothing is known to be wrong."""
    (folder_of(cli) / "0000000002.checkpoint").unlink()
    checked, verified = check(cli), verify(cli)

    assert checked.code == 75
    assert "is missing before it" in checked.err
    assert verified.code == 0, verified.err


def test_a_checkpoint_from_vault_is_one_as_well(cli: CliFixture) -> None:
    """The entry holds the newest one, with its proof."""
    mine = cli.world.vault.read("rotator/witness")
    newest = (folder_of(cli) / "0000000003.checkpoint").read_text()

    assert mine
    assert mine.keys() == {"origin", "checkpoint"}
    assert newest.partition("\n\n")[2].split("\n")[0] == mine["origin"]


def test_the_checkpoints_have_to_be_young_enough(cli: CliFixture) -> None:
    """For a timer of whoever keeps them."""
    aged = check(cli, "--max-age", "1d")
    for file in folder_of(cli).iterdir():
        if not file.name.startswith("0000000001"):
            file.unlink()
    late = check(cli, "--max-age", "0s")

    assert aged.code == 0, aged.err
    assert late.code == 1
    assert "the newest checkpoint is" in late.err


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        (("witness", "check", "."), 2, "--key is needed"),
        (("witness", "check", "./nowhere", "--key", "{vkey}"), 2, "nowhere cannot be read"),
        (("witness", "check", ".", "--key", "a+b+c"), 2, "cannot be read"),
        (("witness", "check", ".", "--key", "{vkey}", "--max-age", "1"), 2, "not a duration"),
        (("verify", "--offline", "--witness", "./nowhere"), 2, "nowhere cannot be read"),
        (("verify", "--offline", "--key", "{vkey}"), 2, "--key is for checkpoints"),
        (("verify", "--offline", "--witness", "{empty}"), 75, "no checkpoints to compare"),
        (("witness", "check", "{empty}", "--key", "{vkey}"), 75, "hint: name the directory"),
    ],
)
def test_what_cannot_be_checked_is_told(
    cli: CliFixture, tmp_path: Path, arguments: tuple[str, ...], code: int, why: str
) -> None:
    """Bad usage, or nothing to compare with."""
    names = {"vkey": str(cli.folder / "log.vkey"), "empty": str(tmp_path)}
    found = cli.run("ledger", *(each.format(**names) for each in arguments))

    assert found.code == code
    assert why in found.err


def test_the_page_sets_up_what_works(cli: CliFixture) -> None:
    """Its commands, in other folders; the drop-in passes the credential that the key's file is."""
    page = (ROOT / "docs" / "witness.md").read_text().replace("/etc/", f"{cli.folder}/etc/")
    page = page.replace("/var/lib/rotator", f"{cli.folder}/state")
    for folder in ("etc/rotator", "state"):
        (cli.folder / folder).mkdir(parents=True)
    [commands, text] = [
        re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL)[0] for kind in ("sh", "toml")
    ]
    subprocess.run(["sh", "-ec", commands], check=True, timeout=60, stderr=subprocess.DEVNULL)
    config = cli.folder / "etc" / "rotator" / "config.toml"
    config.write_text(f"{cli.text}\n{text}")
    published = cli.run("--config", str(config), "ledger", "witness", "publish")
    drop_in = (cli.folder / "etc/systemd/system/rotator.service.d/witness.conf").read_text()

    assert published.code == 0, published.err
    assert len(list((cli.folder / "state" / "witness").iterdir())) == 3 + 1
    assert drop_in == (
        f"[Service]\nLoadCredential=witness-key:{cli.folder}/etc/rotator/witness-key\n"
    )
    assert 'key_file = "$CREDENTIALS_DIRECTORY/witness-key"' in text


def test_without_a_key_nothing_is_signed(cli: CliFixture) -> None:
    """The hint says what to configure."""
    plain = cli.folder / "plain.toml"
    plain.write_text(cli.text)
    found = cli.run("--config", str(plain), "ledger", "witness", "publish")

    assert found.code == 2
    assert "key_file in [ledger.witness]" in found.err


def test_who_compares_without_a_key_is_asked_for_the_option(cli: CliFixture) -> None:
    """An auditor's configuration has no key, and needs none."""
    plain = cli.folder / "plain.toml"
    plain.write_text(cli.text)
    where = ("--offline", "--witness", str(folder_of(cli)))
    found = cli.run("--config", str(plain), "ledger", "verify", *where)

    assert found.code == 2
    assert "--key is needed" in found.err
    assert "`rotator ledger witness key` prints it" in found.err


def test_doctor_looks_at_key_places_and_age(cli: CliFixture) -> None:
    """What is in order, and a directory that is gone."""
    fine = cli.run("doctor", "--json", "--all")
    shutil.rmtree(folder_of(cli))
    broken = cli.run("doctor", "--json", "--all")
    folder_of(cli).mkdir()

    about = [each for each in fine.json()["checks"] if each["check"] == "witness"]
    assert {each["verdict"] for each in about} == {"ok"}, about
    assert len(about) == 4
    assert "there is no such directory" in broken.out


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder away")
def test_doctor_tells_root_of_a_directory_that_the_service_may_not_write_to(
    cli: CliFixture,
) -> None:
    """Root itself may write anywhere."""
    owner = cli.folder.stat().st_uid
    os.chown(cli.folder, 65534, -1)
    try:
        found = cli.run("doctor", "--json", "--all").json()["checks"]
        os.chown(folder_of(cli), 65534, -1)
        mended = cli.run("doctor", "--json", "--all").json()["checks"]
    finally:
        os.chown(cli.folder, owner, -1)

    [told] = [each for each in found if each["about"] == str(folder_of(cli))]
    assert "another user than the ledger's folder" in told["finding"]
    assert f"chown --reference={cli.folder} {folder_of(cli)}" in told["cure"]
    assert [each["verdict"] for each in mended if each["about"] == told["about"]] == ["ok"]


def test_the_daemon_publishes_by_itself(cli: CliFixture) -> None:
    """To each place, the witness included, each time that `every` is over."""
    configured = cli.config.read_text()
    with receiving() as receiver:
        cli.config.write_text(f'{configured}url = "{receiver.url}"\nevery = "1s"\n')
        try:
            with cli.started("run") as daemon:
                while len(list(folder_of(cli).iterdir())) < 5:
                    assert daemon.poll() is None, (cli.folder / "err").read_text()
                    threading.Event().wait(0.1)
                daemon.send_signal(signal.SIGTERM)
        finally:
            cli.config.write_text(configured)
        taken = [each.body.decode() for each in receiver.taken]

    assert (folder_of(cli) / "0000000004.checkpoint").read_text() in taken
    assert check(cli).code == 0
    assert verify(cli).code == 0


def test_the_daemon_shows_that_it_refuses_to_sign(
    cli: CliFixture, witnessed: tuple[CliFixture, Path]
) -> None:
    """A restored backup is an outage until somebody decides; rotations go on."""
    shutil.copy(witnessed[1] / "2.db", cli.ledger)
    with cli.started("run") as daemon:
        while "witness-conflict" not in (log := (cli.folder / "err").read_text()):
            assert daemon.poll() is None, log
            threading.Event().wait(0.1)
        daemon.send_signal(signal.SIGTERM)

    assert "component=witness" in log or '"component": "witness"' in log
    assert len(list(folder_of(cli).iterdir())) == 3
