"""`report`, as the real process, on a ledger of half a year."""

import csv
import io
import json
import os
import pty
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from rotator.ledger.database import open_database
from rotator.reporting.audit_sheet import COLUMNS
from tests.support.cli_fixture import CliFixture, CommandResult
from tests.support.legacy_ledger import rewritable, rewrite
from tests.support.seeded_ledger import half_a_year
from tests.support.terminal import chunks

PERIOD = ("--since", "2026-04-05", "--until", "2026-10-01T00:00:00Z")
NAMES = ("good", "late", "held", "new")


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[CliFixture]:
    """Four accounts with a past."""
    folder = tmp_path_factory.mktemp("report")
    with CliFixture(folder, ledger=sqlite_template) as cli:
        database = open_database(f"sqlite:///{cli.ledger}")
        half_a_year(database)
        database.dispose()
        vault = cli.text[: cli.text.index("[[accounts]]")]
        rows = [
            f'[[accounts]]\nname = "{name}"\napi_key = "key{number}"\nvault_path = "v/{name}"\n'
            for number, name in enumerate(NAMES)
        ]
        cli.config.write_text(vault + "".join(rows))
        for name in NAMES[:-1]:
            noted(cli, name)
        yield cli


def noted(cli: CliFixture, name: str) -> None:
    """Write an entry into Vault with a note that names the newest entry of an account's chain."""
    (head,) = cli.sql("SELECT chain_head FROM account WHERE name = ?", name)[0]
    note = {
        **dict.fromkeys(("secret_id", "rotation_id", "check"), "x"),
        "rotated_at": "2026-10-01T00:00:00Z",
        "ledger_head": head,
    }
    cli.world.vault.write(f"v/{name}", {"api_secret": "x", "rotator": note})


def report(cli: CliFixture, *arguments: str) -> CommandResult:
    """Run `report` for half a year."""
    return cli.run("report", *PERIOD, *arguments)


class Page(HTMLParser):
    """What is in a page: its texts, its elements, and whether they are closed in order."""

    EMPTY = frozenset({"meta"})

    def __init__(self, text: str) -> None:
        """Read a page."""
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See an element begin."""
        self.elements.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """See it end."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """See a text."""
        self.texts.append(data)


def test_the_page_stands_alone(cli: CliFixture) -> None:
    """It loads nothing, runs nothing, and shows what people wrote as text."""
    done = report(cli)
    page = Page(done.out)
    loaded = [each for _, given in page.elements for each in ("src", "href") if each in given]
    links = {given["href"] for tag, given in page.elements if tag == "a"}

    assert done.code == 0
    assert page.open == []
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in page.elements}
    assert len(loaded) == len(NAMES)
    assert links == {f"#{name}" for name in NAMES}
    assert "url(" not in done.out
    assert "moving <house> & home (frozen)" in page.texts
    assert "prefers-color-scheme: dark" in done.out
    assert "@media print" in done.out


def test_the_document_tells_it_all(cli: CliFixture) -> None:
    """Ages against policy, what was overdue, refused and held, and the ledger's proof."""
    document = report(cli, "--format", "json").json()

    accounts = {account["name"]: account for account in document["accounts"]}
    late = accounts["late"]
    assert document["since"] == "2026-04-05T00:00:00Z"
    assert document["ledger_verified"] is True
    assert [accounts[name]["verdict"] for name in NAMES] == [
        "within policy",
        "overdue",
        "within policy",
        "within policy",
    ]
    assert (late["oldest_age_days"], late["max_age_days"], late["overdue_days"]) == (63, 45, 18)
    assert [trouble["count"] for trouble in late["refusals"]] == [9]
    assert [(hold["by"], hold["ended_by"]) for hold in late["holds"]] == [("ann", "bob")]
    assert [deed["secret_id"] for deed in late["by_hand"]] == ["0ddba11a"]
    assert [rotation["outcome"] for rotation in late["rotations"]] == [
        "completed",
        "failed",
        "completed",
    ]
    assert [late["ledger"][key] for key in ("chain", "rows", "rules")] == ["whole", "match", "kept"]
    assert late["ledger"]["vault"] == "matches"
    assert accounts["new"]["ledger"]["vault"] == "no note"
    assert len(accounts["good"]["rotations"]) == 6


def test_the_sheet_has_the_promised_columns(cli: CliFixture) -> None:
    """A row for each thing, and nothing that a spreadsheet would compute."""
    done = report(cli, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(done.out)))

    assert done.out.splitlines()[0] == (
        "record,account,api_key,from,to,rotation_id,old_secret_id,new_secret_id,reason,outcome,"
        "code,count,age_days,max_age_days,overdue_days,person,text,state,hint,host,because,"
        "revoked_at,revoked_by,broken_seconds,dead_at,rules"
    )
    assert tuple(rows[0]) == COLUMNS
    assert {row["record"] for row in rows} == {
        *("account", "rotation", "secret", "refused", "hold", "by hand"),
        *("act", "trouble", "revocation", "present", "live secret"),
    }
    assert [row["text"] for row in rows if row["person"] == "eve"] == ["'=1+1", "freeze=False"]
    assert [row["because"] for row in rows if row["person"] == "eve"] == ["", "'=1+1"]
    assert [row["overdue_days"] for row in rows if row["record"] == "account"] == [
        *("0.0", "18.0", "0.0", "0.0")
    ]


def test_one_account_alone_into_a_file(cli: CliFixture, tmp_path: Path) -> None:
    """The file is written as a whole; standard output stays empty."""
    path = tmp_path / "report.csv"
    done = report(cli, "good", "--format", "csv", "--output", str(path))

    assert (done.code, done.out) == (0, "")
    assert done.err.endswith(f"wrote {path}\n")
    assert {line.split(",")[1] for line in path.read_text().splitlines()[1:]} == {"good"}
    assert [each.name for each in tmp_path.iterdir()] == ["report.csv"]


def test_a_changed_ledger_is_not_certified(cli: CliFixture, tmp_path: Path) -> None:
    """The page says which entry was changed, and the command fails."""
    copy = tmp_path / "ledger.db"
    shutil.copy(cli.ledger, copy)
    cli.sql("DROP TRIGGER entry_no_update")
    cli.sql("UPDATE entry SET detail = 'x', at = 'y' WHERE account = 'late' AND seq = 3")
    done = report(cli)
    shutil.copy(copy, cli.ledger)

    assert done.code == 1
    assert "error: late: entry 3 was changed" in done.err
    assert "NOT VERIFIED" in done.out
    assert "FAILED: entry 3 was changed" in done.out


def test_rows_that_do_not_match_are_told_with_their_cure(cli: CliFixture, tmp_path: Path) -> None:
    """And not as a broken chain: what is reported is taken from entries."""
    copy = tmp_path / "ledger.db"
    shutil.copy(cli.ledger, copy)
    cli.sql("UPDATE account SET hold_reason = 'because', held_by = 'eve' WHERE name = 'late'")
    page, told = report(cli), report(cli, "--format", "json").json()
    shutil.copy(copy, cli.ledger)
    (late,) = [account for account in told["accounts"] if account["name"] == "late"]

    assert page.code == 1
    assert "error: late: the account's row says that it is held: because (eve)" in page.err
    assert "hint: someone wrote to the ledger's tables: correct the row" in page.err
    assert "someone wrote to the ledger&#39;s tables: correct the row" in page.out
    assert (late["ledger"]["chain"], late["ledger"]["rows"]) == ("whole", "failed")
    assert told["ledger_verified"] is False


def done_by_another(event: str, _step: str | None, detail: dict[str, Any]) -> dict[str, Any]:
    """Return an entry's facts, with another person of what was done than of what was begun."""
    is_by_hand = event == "done" and detail.get("operation") == "delete"
    return detail | {"by": "eve"} if is_by_hand else detail


def test_a_broken_rule_is_no_evidence(cli: CliFixture, tmp_path: Path) -> None:
    """In every format, in the words of `ledger verify`: chain and rows match all the same."""
    copy = tmp_path / "ledger.db"
    shutil.copy(cli.ledger, copy)
    database = open_database(f"sqlite:///{cli.ledger}")
    with rewritable(database):
        rewrite(database, "late", done_by_another)
    database.dispose()
    page, sheet = report(cli, "--offline"), report(cli, "--offline", "--format", "csv")
    told = report(cli, "--offline", "--format", "json").json()
    verified = cli.run("ledger", "verify", "late", "--offline", "--rules", "--json")
    shutil.copy(copy, cli.ledger)
    (late,) = [account for account in told["accounts"] if account["name"] == "late"]
    (good,) = [account for account in told["accounts"] if account["name"] == "good"]
    rows = [row for row in csv.DictReader(io.StringIO(sheet.out)) if row["account"] == "late"]
    [fault] = verified.json()[0]["rules"]["faults"]
    told_as = f"entry {fault['seq']} breaks rule 3: {fault['fault']}"

    assert (page.code, sheet.code, told["ledger_verified"]) == (1, 1, False)
    assert "is not the outcome of the intent in entry" in fault["fault"]
    assert f"error: late: {told_as}" in page.err
    assert "NOT VERIFIED" in page.out
    assert "chain whole, rows match, rules BROKEN, not compared" in page.out
    assert "chain whole, rows match, rules kept, not compared" in page.out
    assert page.out.count("Entries that break a rule</h3>") == 1
    assert late["ledger"]["rules"] == verified.json()[0]["rules"]["verdict"] == "broken"
    assert late["ledger"]["broken_rules"] == [fault]
    assert [good["ledger"][key] for key in ("rules", "broken_rules")] == ["kept", []]
    assert (rows[0]["record"], rows[0]["rules"]) == ("account", "BROKEN")
    assert f"rules BROKEN; FAILED: {told_as}" in rows[0]["text"]
    assert [(row["code"], row["text"]) for row in rows if row["record"] == "broken-rule"] == [
        ("rule-3", told_as)
    ]


def test_a_note_that_vanished_from_vault_is_a_complaint(cli: CliFixture) -> None:
    """What was written without a note over rotator's entry takes the ledger's witness away."""
    cli.world.vault.write("v/late", {"api_secret": "by hand"})
    page, told = report(cli), report(cli, "--format", "json").json()
    noted(cli, "late")
    (late,) = [account for account in told["accounts"] if account["name"] == "late"]

    assert (page.code, told["ledger_verified"]) == (1, False)
    assert "error: late: Vault's entry has no note, and rotator wrote version" in page.err
    assert "hint: the entry was replaced or deleted, or its version ended" in page.err
    assert (late["ledger"]["chain"], late["ledger"]["vault"]) == ("whole", "vanished")


def test_without_vault_it_says_so(cli: CliFixture) -> None:
    """That the ledger could not be compared is no failure, and is told."""
    cli.world.vault.sealed = True
    away = report(cli, "--format", "json")
    cli.world.vault.sealed = False
    offline = report(cli, "--format", "json", "--offline")

    assert "note: not compared with Vault: Vault is sealed" in away.err
    assert away.json()["accounts"][0]["ledger"]["vault_unread"].startswith("Vault is sealed")
    assert (away.code, offline.code, offline.err) == (0, 0, "")
    assert offline.json()["accounts"][0]["ledger"]["vault"] == "not compared"


def test_it_says_what_status_says_and_who_did_what(tmp_path: Path, sqlite_template: Path) -> None:
    """State, cause and cure word for word; revocations, live credentials and acts beside them."""
    with CliFixture(tmp_path, ledger=sqlite_template, subaccounts=1) as cli:
        account = cli.world.accounts[1]
        (first,) = (secret.id for secret in cli.world.vonage.secrets(account.api_key))
        cli.rotate(account.name, "--actor", "ann", "--reason", "it leaked")
        foreign = cli.world.vonage.add_secret(account.api_key, "MadeByHand1")
        entry = cli.world.vault.read(account.vault_path) or {}
        cli.world.vault.write(
            account.vault_path, entry | {"api_secret": "Mistyped0ByHandxxxxxxxxxx"}
        )
        # What is wrong is found by a pass, which records that it is broken.
        assert cli.run("rotate-now", account.name, "--actor", "bob").code == 3
        cli.run("status", "--refresh")
        done = cli.run("report", account.name, "--format", "json")
        status = cli.run("status", account.name, "--json").json()
        page = cli.run("report", account.name).out
        cli.world.vault.write(account.vault_path, entry)
    (told,), (shown,) = done.json()["accounts"], status["accounts"]
    now = told["present"]

    assert told["verdicts"] == ["broken", "unmanaged live credential"]
    assert now["state"] == shown["state"] == "broken"
    assert now["conditions"] == shown["conditions"]
    assert {key: now[key] for key in ("code", "why", "since", "tries", "next_try_at", "hint")} == {
        key: shown[key] for key in ("code", "why", "since", "tries", "next_try_at", "hint")
    }
    texts = "".join(Page(page).texts)
    assert shown["hint"].replace("`", "") in texts
    assert shown["why"] in texts
    assert now["observed_at"].startswith("20")
    assert [secret["id"] for secret in now["live_secrets"] if not secret["managed"]] == [foreign]
    assert [(each["secret_id"], each["by"]) for each in told["revocations"]] == [(first, "rotator")]
    assert [(use["id"] == first, use["live"], use["revoked_by"]) for use in told["secrets"]] == [
        (True, False, "rotator"),
        (False, True, None),
    ]
    assert [
        (act["operation"], act["by"], act["because"], bool(act["from"])) for act in told["acts"]
    ] == [("rotate", "ann", "it leaked", True), ("rotate", "bob", None, True)]
    assert [(each["state"], each["until"]) for each in told["troubles"]] == [("broken", None)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--since", "yesterday"], "--since: 'yesterday' is not a point in time"),
        (["--until", "2026-13-01"], "--until: '2026-13-01' is not a point in time"),
        (["--since", "2026-10-02", "--until", "2026-10-01"], "--since is not before --until"),
        (["--format", "pdf"], "invalid value for '--format'"),
        (["nobody"], "'nobody'"),
    ],
)
def test_what_is_no_period_is_bad_usage(
    cli: CliFixture, arguments: list[str], message: str
) -> None:
    """And what to write instead is told."""
    done = cli.run("report", *arguments)

    assert done.code == 2
    assert message in done.err
    assert "hint: " in done.err


def at_terminal(
    cli: CliFixture, folder: Path, *arguments: str, **environment: str
) -> tuple[CommandResult, str]:
    """Run `report` in a folder with a terminal for its output; also return what that showed."""
    controller, terminal = pty.openpty()
    command = ("report", *PERIOD, *arguments)
    done = cli.run_anew(
        *command, cwd=folder, stdout=terminal, env={**cli.environment, **environment}
    )
    os.close(terminal)
    shown = b"".join(chunks(controller))
    os.close(controller)
    return done, shown.decode()


def test_a_terminal_gets_no_page_but_its_file(cli: CliFixture, tmp_path: Path) -> None:
    """The page is in a new file, which is named with what to do with it."""
    done, shown = at_terminal(cli, tmp_path, "good")
    (path,) = tmp_path.iterdir()

    assert (done.code, shown) == (0, "")
    assert path.name.startswith("rotator-report-20")
    assert path.read_text().startswith("<!doctype html>")
    assert done.err.startswith(f"wrote {path.name} (")
    assert done.err.endswith(" kB): open it in a browser\n")


@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_terminal_gets_its_pager(cli: CliFixture, tmp_path: Path, form: str) -> None:
    """Other formats are shown in `$PAGER`, which leaves a short one on the screen."""
    seen = tmp_path / "seen"
    done, shown = at_terminal(
        cli, tmp_path, "good", "--format", form, PAGER=f"sh -c 'cat > {seen}; echo \"$LESS\"'"
    )
    expected = report(cli, "good", "--format", form).out

    assert (done.code, done.err) == (0, "")
    assert shown == "FRX\r\n"
    if form == "csv":
        assert seen.read_text() == expected
    else:
        assert json.loads(seen.read_text())["accounts"] == json.loads(expected)["accounts"]


@pytest.mark.parametrize("pager", ["", "cat", "no-such-pager", "'"])
def test_without_a_pager_it_is_written(cli: CliFixture, tmp_path: Path, pager: str) -> None:
    """As is `-`, which asks for it."""
    for asked in ([], ["--output", "-"]):
        done, shown = at_terminal(cli, tmp_path, "good", "--format", "csv", *asked, PAGER=pager)

        assert (done.code, done.err) == (0, "")
        assert shown.startswith("record,account,")


def test_a_pager_that_is_left_early_is_no_failure(cli: CliFixture, tmp_path: Path) -> None:
    """Whoever has seen enough leaves it."""
    done, _ = at_terminal(cli, tmp_path, "--format", "json", PAGER="true")

    assert (done.code, done.err) == (0, "")


def test_a_folder_that_is_not_there_is_named(cli: CliFixture, tmp_path: Path) -> None:
    """Why the file cannot be written is told in a line; a wrong path is bad usage."""
    absent = report(cli, "--output", str(tmp_path / "no" / "report.html"))
    folder = report(cli, "--output", str(tmp_path))
    dash = report(cli, "--format", "csv", "--output", "-")

    assert (absent.code, folder.code) == (2, 2)
    assert dash.out.startswith("record,account,")
    assert "cannot be written: there is no such directory" in absent.err
    assert "cannot be written: it is a directory" in folder.err
    assert f"hint: make it with `mkdir -p {tmp_path / 'no'}`" in absent.err
    assert f"hint: name a file in it: {tmp_path}/FILE" in folder.err


def test_what_a_full_device_does_not_take_is_told_with_a_way_out(cli: CliFixture) -> None:
    """It failed, as anything may that was asked for rightly."""
    full = report(cli, "--output", "/dev/full")

    assert full.code == 1
    assert "cannot be written: no space left on device" in full.err
    assert "hint: name a file elsewhere, or - for standard output" in full.err
