"""The commands around it all: version, help, `config`, `db` and `sim`, as the real process."""

import json
import os
import pty
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotator.cli import main
from rotator.config import load
from tests.support.cli_fixture import CliFixture
from tests.support.commands import ROOT
from tests.support.editor import SCHEMA, lint, objections
from tests.support.terminal import chunks


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[CliFixture]:
    """One account, and no ledger yet."""
    with CliFixture(tmp_path) as cli:
        yield cli


def imported(cli: CliFixture, *arguments: str) -> set[str]:
    """Return the modules that a command imports, and their packages."""
    command = [sys.executable, "-X", "importtime", "-m", "rotator", *arguments]
    environment = {"PYTHONPATH": str(ROOT), "ROTATOR_CONFIG": str(cli.config)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    modules = {line.rpartition("|")[2].strip() for line in lines}
    return modules | {module.partition(".")[0] for module in modules}


def test_the_version_is_told_at_once(cli: CliFixture) -> None:
    """`--version` is one line, and imports none of the libraries."""
    done = cli.run("--version")

    assert (done.code, done.out.split()[0], done.err) == (0, "rotator", "")
    assert imported(cli, "--version").isdisjoint({"typer", "pydantic", "h11", "sqlalchemy"})


def test_status_imports_no_client(cli: CliFixture) -> None:
    """`status` reads the ledger, and loads neither clients nor migrations nor what writes."""
    assert cli.run("db", "upgrade").code == 0
    unneeded = {"h11", "hvac", "requests", "alembic", "rich", "cronsim", "rotator.ledger.leases"}

    assert imported(cli, "status").isdisjoint(unneeded)


def test_no_command_collects_what_its_imports_created(cli: CliFixture) -> None:
    """Nothing of it is garbage: going through all of it would take a tenth of the whole time."""
    code = (
        "import atexit, gc, sys; from rotator.cli.main import main; before = gc.get_stats();"
        "atexit.register(lambda: print(gc.get_stats() == before)); main()"
    )
    for arguments in ["status"], ["rotate-now", "--all"]:
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            env={"PYTHONPATH": str(ROOT), "ROTATOR_CONFIG": str(cli.config)},
            capture_output=True,
            text=True,
            check=True,
        )

        assert done.stdout.endswith("True\n")


def test_paragraphs_of_help_are_folded_by_the_terminal_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No line of a description ends where the source's line does."""
    main.run("rotator", ["hold", "--help"])
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]

    described = lines[lines.index("") :]
    start = next(i for i, line in enumerate(described) if line.startswith("An open rotation"))
    assert all(len(line) > 60 for line in described[start : start + 3]), described


def test_a_short_way_to_help(cli: CliFixture) -> None:
    """`-h` is `--help`, at every level; a group without a command shows its help, too."""
    for path in ((), ("secrets",), ("ledger", "verify")):
        short, long = cli.run(*path, "-h"), cli.run(*path, "--help")
        assert (short.code, short.out) == (0, long.out)
    group, whole = cli.run("ledger"), cli.run()

    assert (group.code, group.err) == (0, "")
    assert group.out.strip() == cli.run("ledger", "-h").out.strip()
    assert (whole.code, "Usage: rotator [OPTIONS] COMMAND" in whole.out) == (0, True)


def test_help_that_nobody_takes(cli: CliFixture) -> None:
    """A reader that is gone is no error; a full disk is told of, and is no fault of rotator's."""
    reader, writer = os.pipe()
    os.close(reader)
    unread = cli.run_anew("status", "--help", stdout=writer)
    os.close(writer)
    with open("/dev/full", "w") as full:  # noqa: PTH123  # a device
        untaken = cli.run_anew("--help", stdout=full)

    assert (unread.code, unread.err) == (141, "")
    assert untaken.code == 1
    assert untaken.err == "error: standard output cannot be written: no space left on device\n"


def test_no_type_of_python_is_in_the_help(cli: CliFixture) -> None:
    """A flag is a flag, and an argument what its name says."""
    done = cli.run("rotate-now", "--help")

    assert "--dry-run" in done.out
    assert "<" not in done.out


def test_misuse_is_explained(cli: CliFixture) -> None:
    """A command line that makes no sense is exit 2, with where to read on."""
    done = cli.run("rotate-now", "--dryrun")

    assert done.code == 2
    assert done.err.startswith("error: no such option: --dryrun")
    assert done.err.endswith("hint: see `rotator rotate-now --help`\n")


def test_init_writes_the_example(cli: CliFixture) -> None:
    """The configuration to begin with is the example, and the next commands are named."""
    cli.config.unlink()
    done = cli.run("init")

    assert done.code == 0, done
    written, example = cli.config.read_text(), (ROOT / "config.example.toml").read_text()
    assert written == example.replace("docs/", f"{ROOT}/docs/", 1)
    assert written.startswith(f"#:schema {ROOT}/docs/config.schema.json\n\n# ")
    assert lint(cli.config).returncode == 0
    commands = [line.split()[3:] for line in done.out.splitlines()[2:]]
    assert commands == [["config", "check"], ["adopt", "sms-prod"], ["doctor"]]
    assert cli.run("config", "check").code == 0


def test_init_knows_vault_from_the_environment(cli: CliFixture) -> None:
    """Vault's address and namespace are filled in; what belongs in no file is not."""
    environment = {"PYTHONPATH": str(ROOT), "ROTATOR_CONFIG": str(cli.folder / "new" / "c.toml")}
    good = environment | {"VAULT_ADDR": "https://v.example.com", "VAULT_NAMESPACE": "team/a"}
    done = cli.run_anew("init", env=good)
    settings = load(cli.folder / "new" / "c.toml", {})
    cli.run_anew("init", "--force", env=environment | {"VAULT_ADDR": "https://me:pw@v.example.com"})

    assert done.out.splitlines()[0].endswith("with $VAULT_ADDR and $VAULT_NAMESPACE")
    assert (settings.vault.address, settings.vault.namespace) == ("https://v.example.com", "team/a")
    assert "pw@" not in (cli.folder / "new" / "c.toml").read_text()


def test_init_overwrites_only_by_force(cli: CliFixture) -> None:
    """A configuration that is there stays, unless --force is given; no folder is guessed."""
    kept, nowhere = cli.run("init"), cli.run("--config", "/nowhere/at/all.toml", "init")
    before = cli.config.read_text()
    forced = cli.run("init", "--force")

    assert (kept.code, nowhere.code, forced.code) == (2, 2, 0)
    assert "already exists" in kept.err
    assert "cannot be written" in nowhere.err
    assert before == cli.text != cli.config.read_text()


def test_config_schema_needs_no_configuration(cli: CliFixture) -> None:
    """The schema is printed as it is installed, and has no objection to a file that is in use."""
    in_use = tomllib.loads(cli.config.read_text())
    cli.config.unlink()
    done = cli.run("config", "schema")

    assert (done.code, done.json()) == (0, SCHEMA)
    assert objections(in_use) == []


def test_config_check_counts(cli: CliFixture) -> None:
    """A usable configuration is said to be one."""
    done = cli.run("config", "check")

    assert (done.code, done.out) == (0, "ok: 1 account\n")


def test_config_show_is_a_configuration_with_the_same_effect(cli: CliFixture) -> None:
    """What is shown, written to a file, is what was shown; `--json` has the same in it."""
    shown, as_json = cli.run("config", "show"), cli.run("config", "show", "--json")

    copy = cli.folder / "copy.toml"
    copy.write_text(shown.out)
    assert load(copy, {}).shown() == load(cli.config, {}).shown() == as_json.json()
    assert tomllib.loads(shown.out)["policy"]["grace"] == "0s"
    assert objections(tomllib.loads(shown.out)) == []


@pytest.mark.parametrize(
    ("command", "purpose"),
    [
        (("ledger", "verify"), "verify"),
        (("ledger", "verify", "--offline", "account-1"), "verify"),
        (("ledger", "export"), "export"),
        (("history",), "show"),
        (("report", "--offline"), "report on"),
        (("ledger", "backup", "copy.db"), "back up"),
    ],
)
@pytest.mark.parametrize("is_empty", [False, True])
def test_a_record_that_is_not_there_is_not_made_up(
    cli: CliFixture, command: tuple[str, ...], purpose: str, *, is_empty: bool
) -> None:
    """A typing error in ledger.url, or a loss, is no ledger that is whole; status may begin one."""
    if is_empty:
        cli.ledger.touch()
    found = cli.run(*command)
    is_made = cli.run("db", "current").out != "none: `rotator db upgrade` creates it\n"
    left = [each.name for each in cli.ledger.parent.glob(f"{cli.ledger.name}*")]
    begun, again = cli.run("status"), cli.run("ledger", "verify")

    assert (found.code, found.out) == (2, "")
    assert found.err.startswith(f"error: there is no ledger to {purpose} at {cli.ledger}\nhint: ")
    assert "check ledger.url" in found.err
    assert not is_made
    assert left == ([cli.ledger.name] if is_empty else [])
    assert (begun.code, again.code) == (0, 0), begun.err + again.err


def test_what_is_no_ledger_is_not_read_as_one(cli: CliFixture) -> None:
    """Nor called a missing one: another program's database has a message of its own."""
    cli.sql("CREATE TABLE another (id INTEGER)")
    found = cli.run("ledger", "verify", "--offline")

    assert found.code == 2
    assert "the database holds tables that are not the ledger's: another" in found.err


def test_db_upgrade_makes_the_ledger(cli: CliFixture) -> None:
    """The schema's revision is none until it is made, and asking does not make it."""
    commands = [("db", "current"), ("db", "upgrade"), ("db", "upgrade"), ("db", "current")]
    none, made, again, current = (cli.run(*command) for command in commands)

    assert none.out.startswith("none")
    assert made.out.startswith("none -> ")
    assert again.out == f"{current.out.strip()}, as before\n"
    assert {none.code, made.code, again.code, current.code} == {0}
    assert cli.ledger.stat().st_mode & 0o777 == 0o600


def test_sim_is_a_world_to_test_against(tmp_path: Path) -> None:
    """It prints where it is, writes a configuration that works, and ends well on a signal."""
    config = tmp_path / "sim.toml"
    options = ["--accounts", "1", "--subaccounts", "1", "--latency", "5ms"]
    command = [sys.executable, "-m", "rotator", "sim", *options, "--write-config", str(config)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        told = json.loads(process.stdout.readline())
        rotated = subprocess.run(
            [sys.executable, "-m", "rotator", "--config", str(config), "rotate-now", "--all"],
            cwd=ROOT,
            capture_output=True,
            check=False,
        )
        process.send_signal(signal.SIGTERM)

    assert told.keys() == {"vonage_url", "vault_url", "vault_token", "accounts"}
    assert told["accounts"][1].keys() == {
        "name",
        "api_key",
        "api_secret",
        "vault_path",
        "managed_by",
    }
    assert rotated.returncode == 0, rotated
    assert process.returncode == 0
    assert (tmp_path / "sim.toml.token").stat().st_mode & 0o777 == 0o600


def test_sim_does_not_overwrite_a_configuration(cli: CliFixture) -> None:
    """A file that `sim` did not write itself is left alone."""
    done = cli.run("sim", "--write-config", str(cli.config))

    assert done.code == 2
    assert "already exists" in done.err
    assert cli.config.read_text() == cli.text


def test_on_a_terminal_it_draws(cli: CliFixture) -> None:
    """With a terminal for both streams there is live progress, and a table after it."""
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "rotator", "rotate-now", "--all"]
    environment = {"PYTHONPATH": str(ROOT), "ROTATOR_CONFIG": str(cli.config), "TERM": "xterm"}
    with subprocess.Popen(
        command, env=environment, stdin=terminal, stdout=terminal, stderr=terminal
    ) as process:
        os.close(terminal)
        drawn = b"".join(chunks(controller))
        os.close(controller)

    assert process.returncode == 0, drawn
    assert b"completed" in drawn
    assert "─".encode() in drawn
