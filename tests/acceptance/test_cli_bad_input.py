"""What the command is given that it cannot work with: named, explained, and nothing changed."""

import ctypes
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rotator.sim import Fault
from tests.support.cli_fixture import CliFixture, CommandResult


@pytest.fixture
def cli(tmp_path: Path, sqlite_template: Path) -> Iterator[CliFixture]:
    """One account with an empty ledger; at the end nothing has been changed at either server."""
    with CliFixture(tmp_path, ledger=sqlite_template) as cli:
        before = cli.snapshot()
        yield cli
        assert cli.snapshot() == before


def refused(done: CommandResult, code: int, message: str, hint: str) -> None:
    """See that a command ended with `code`, and says why and what to do."""
    errors = done.err.splitlines()

    assert done.code == code, done
    assert message in errors[0], done
    assert errors[0].startswith("error: ")
    assert any(line.startswith("hint: ") and hint in line for line in errors), done


# -- The configuration. --------------------------------------------------------------------

VAULT = '[vault]\naddress = "http://127.0.0.1:1"\n'


def accounts(*rows: str) -> str:
    """Return a configuration with accounts of these names, the parent behind a slash."""
    texts = [VAULT]
    for number, row in enumerate(rows):
        name, _, parent = row.partition("/")
        texts.append(f'[[accounts]]\nname = "{name}"\nmanaged_by = "{parent}"\n')
        texts.append(f'api_key = "k{number}"\nvault_path = "p{number}"\n')
    return "".join(texts)


CONFIGURATIONS = {
    "malformed": ("[vault\n", "line 1", "TOML"),
    "unknown key": (f'{accounts("a")}\nvault_pth = "x"\n', "did you mean vault_path?", ""),
    "inline secret": (
        f'{accounts("a")}\n[vault.auth]\ntoken = "hvs.inline"\n',
        "a secret is never written into the configuration",
        "use token_file",
    ),
    "duplicate name": (accounts("a", "a"), "'a' is already that of accounts[0]", ""),
    "cyclic managed_by": (accounts("a/b", "b/a"), "is itself managed by another", ""),
    "no accounts": (VAULT, "accounts: none is configured", "add an [[accounts]] table"),
}


@pytest.mark.parametrize("kind", CONFIGURATIONS)
def test_a_bad_configuration_is_named(cli: CliFixture, kind: str) -> None:
    """Whatever is wrong in the file is said in one go, exit 2, before anything is begun."""
    text, message, hint = CONFIGURATIONS[kind]
    cli.config.write_text(text)
    done = cli.run("rotate-now", "--all")

    assert done.code == 2, done
    assert done.err.startswith(f"error: {cli.config}:")
    assert message in done.err
    assert hint in done.err
    assert "hvs.inline" not in done.err


def test_a_configuration_that_is_not_there(cli: CliFixture) -> None:
    """The missing file is named, and how to name another."""
    done = cli.run("--config", "/nowhere/config.toml", "rotate-now", "--all")

    refused(done, 2, "/nowhere/config.toml: there is no such file", "--config PATH")


def test_an_unknown_account(cli: CliFixture) -> None:
    """The nearest name is suggested, and the accounts named beside it are not begun with."""
    done = cli.run("rotate-now", "account-1", "acount-1")

    refused(done, 2, "no account 'acount-1' is configured", "did you mean account-1?")


# -- Vault. --------------------------------------------------------------------------------


def test_vault_is_unreachable(cli: CliFixture) -> None:
    """It is waited for as long as it may be; then that is a failure, for each account."""
    cli.world.vault.close()
    done = cli.run(
        "rotate-now", "account-1", "--json", environment={"ROTATOR_VAULT__PATIENCE": "1s"}
    )

    refused(done, 1, "Vault refuses connections", "vault.address")
    (report,) = done.json()
    assert (report["outcome"], report["error"]["code"]) == ("failed", "vault-not-ready")


#: Commands of every kind that need a server.
ASKING = (
    "rotate-now account-1 --dry-run",
    "status --refresh",
    "secrets list account-1",
    "account balance account-1",
    "adopt account-1 --from-vault",
)


@pytest.mark.parametrize("command", ASKING)
def test_a_server_that_is_away_is_no_bad_configuration(cli: CliFixture, command: str) -> None:
    """Whatever is asked of Vault or of Vonage: it failed (1), and may be tried again."""
    cli.world.vonage.faults.add(Fault("status", times=None))
    vonage = cli.run(*command.split())
    cli.world.vault.close()
    vault = cli.run(*command.split(), environment={"ROTATOR_VAULT__PATIENCE": "0s"})

    assert vonage.code == 1, vonage
    refused(vault, 1, "Vault refuses connections", "check vault.address and that Vault runs")


def test_vault_is_sealed(cli: CliFixture) -> None:
    """A sealed Vault is away until someone unseals it."""
    cli.world.vault.sealed = True
    done = cli.run("rotate-now", "account-1", "--json")

    refused(done, 1, "Vault is sealed", "unseal Vault")
    assert done.json()[0]["outcome"] == "failed"


def test_the_token_is_not_accepted(cli: CliFixture) -> None:
    """A token that Vault does not know is a failure."""
    cli.token_file.write_text("hvs.unknown")
    done = cli.run("rotate-now", "account-1")

    refused(done, 1, "Vault does not accept the token", "issue a new one")


def test_the_mount_is_not_there(cli: CliFixture) -> None:
    """A mount that Vault does not have is bad configuration."""
    cli.token_file.write_text(cli.world.vault.token)
    cli.config.write_text(cli.text.replace("[vault]\n", '[vault]\nmount = "kv"\n'))
    done = cli.run("rotate-now", "account-1")

    refused(done, 2, "no KV version 2 mount", "vault.mount")


def test_the_mount_is_version_1(cli: CliFixture) -> None:
    """A KV version 1 mount would take writes and keep no versions: refused before any."""
    answer = {"data": {"type": "kv", "path": "secret/", "options": {"version": "1"}}}
    cli.world.vault.faults.add(Fault("status", path="ui/mounts", status=200, body=answer))
    cli.token_file.write_text(cli.world.vault.token)
    cli.config.write_text(cli.text)
    done = cli.run("rotate-now", "account-1")

    refused(done, 2, "KV version 1", "enable-versioning")


ENTRIES: dict[str, tuple[Callable[[CliFixture], object], str, str]] = {
    "missing": (
        lambda cli: cli.world.vault.delete_latest("vonage/account-1"),
        "version 1 of vonage/account-1 was removed from Vault at",
        "vault kv undelete -versions=1",
    ),
    "without the field": (
        lambda cli: cli.entry(api_secret=None, password="x"),
        "no text in field api_secret",
        "secret_field",
    ),
    "of another api key": (
        lambda cli: cli.entry(api_key="ffff0000"),
        "has another text in field api_key than API key",
        "vault_path",
    ),
    "with a dead value": (
        lambda cli: cli.entry(api_secret="NotTheSecret1"),
        "Vonage refuses the value that Vault holds",
        "managed_by",
    ),
}


@pytest.mark.parametrize("kind", ENTRIES)
def test_the_entry_is_unusable(tmp_path: Path, sqlite_template: Path, kind: str) -> None:
    """An entry that rotator cannot vouch for is refused, and left as it is."""
    change, message, hint = ENTRIES[kind]
    with CliFixture(tmp_path, ledger=sqlite_template) as cli:
        change(cli)
        before = cli.snapshot()
        done = cli.run("rotate-now", "account-1", "--json")

        (report,) = done.json()
        assert done.code == 3
        assert report["outcome"] == "refused"
        assert message in report["error"]["message"]
        assert hint in report["error"]["hint"]
        assert cli.snapshot() == before


# -- The ledger. ---------------------------------------------------------------------------


def is_text(cli: CliFixture) -> None:
    """Put something else in the ledger's place."""
    cli.ledger.write_text("this is no database, but long enough to be read as one" * 100)


def is_newer(cli: CliFixture) -> None:
    """Let the ledger come from a version to come."""
    cli.sql("UPDATE alembic_version SET version_num = '9999'")


LEDGERS: dict[str, tuple[Callable[[CliFixture], None], str, str]] = {
    "no database": (is_text, "not a SQLite database", "ledger.url"),
    "newer": (is_newer, "9999", "newer version"),
}


@pytest.mark.parametrize("kind", LEDGERS)
def test_the_ledger_is_unusable(cli: CliFixture, kind: str) -> None:
    """Without a ledger nothing is begun: rotator would not know what it did."""
    change, message, hint = LEDGERS[kind]
    change(cli)
    done = cli.run("rotate-now", "account-1", "--json")

    refused(done, 2, message, hint)
    assert done.json()[0]["error"]["code"] == "ledger-unusable"


#: What is in the ledger's place; the error about it, and its hint.
PLACES: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a directory": (
        Path.mkdir,
        "{} cannot be opened or created: it is a directory",
        "a file in it",
    ),
    "a pipe": (os.mkfifo, "{} cannot be opened or created: it is not a file", "name a file"),
    "a text": (
        lambda path: path.write_text("this is no database\n"),
        "{} is not a SQLite database",
        "correct ledger.url, or move the file away",
    ),
    "a link to nowhere": (
        lambda path: path.symlink_to("gone/ledger.db"),
        "{} cannot be opened or created: its directory {parent}/gone does not exist",
        "make it with `mkdir -p {parent}/gone`, or correct ledger.url",
    ),
}
#: Every command that opens the ledger.
OPENING = (
    ("status",),
    ("status", "--json"),
    ("history",),
    ("ledger", "verify"),
    ("ledger", "verify", "--offline"),
    ("ledger", "export"),
    ("ledger", "backup", "./new.db"),
    ("db", "current"),
    ("db", "upgrade"),
    ("db", "copy", "--to", "sqlite:///new.db"),
    ("report", "--format", "json"),
    ("rotate-now", "account-1"),
    ("rotate-now", "account-1", "--dry-run"),
    ("resume",),
    ("adopt", "account-1", "--from-vault"),
    ("hold", "account-1", "--reason", "moving"),
    ("release", "account-1"),
    ("forget", "account-2"),
    ("secrets", "delete", "account-1", "3b8f0a52-1a6c-4f0e-9d6e-2f5f3c1f7a10", "--yes"),
    ("run",),
)


@pytest.mark.parametrize("kind", PLACES)
def test_something_else_is_in_the_ledgers_place(cli: CliFixture, kind: str) -> None:
    """Each command says what is wrong with which file and what to do, with one exit code."""
    change, message, hint = PLACES[kind]
    cli.ledger.unlink()
    change(cli.ledger)
    answers = {arguments: cli.run(*arguments) for arguments in OPENING}
    examined = cli.run("doctor")

    error = message.format(f"the ledger file {cli.ledger}", parent=cli.ledger.parent)
    for arguments, done in answers.items():
        assert (done.code, error in done.err) == (2, True), (arguments, done)
        assert hint.format(parent=cli.ledger.parent) in done.err
    assert (examined.code, examined.out.count(f"{error}  ")) == (1, 1)


def without_privileges() -> None:
    """Let even root be bound by a file's mode, from the next program on (prctl(2))."""
    for override in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        ctypes.CDLL(None).prctl(24, override, 0, 0, 0)  # PR_CAPBSET_DROP


@pytest.mark.parametrize("arguments", [("status",), ("ledger", "verify"), ("rotate-now", "--all")])
def test_the_ledger_may_not_be_read(cli: CliFixture, arguments: tuple[str, ...]) -> None:
    """A ledger of another user is named, with how to open it to this one."""
    cli.ledger.chmod(0)
    done = cli.run_anew(*arguments, preexec_fn=without_privileges)

    folder = cli.ledger.parent
    hint = f"directory (`chown --reference={folder} {cli.ledger}`)"
    refused(done, 2, f"{cli.ledger} cannot be opened or created", hint)


def test_the_folder_may_not_be_entered(cli: CliFixture) -> None:
    """The folder that keeps the user out is named, not the file, whose owner is the right one."""
    folder = cli.ledger.parent / "inner"
    (folder / "more").mkdir(parents=True)
    change = {"ROTATOR_LEDGER__URL": f"sqlite:///{folder}/more/ledger.db"}
    assert cli.run("status", environment=change).code == 0
    folder.chmod(0o600)
    done = cli.run_anew("status", env=cli.environment | change, preexec_fn=without_privileges)
    folder.chmod(0o700)

    refused(done, 2, f"this user may not enter {folder}", "run as a user who may")


def test_an_empty_file_is_a_new_ledger(cli: CliFixture) -> None:
    """As `touch` makes one, to choose its owner and mode."""
    cli.ledger.write_bytes(b"")
    done = cli.run("status")

    assert (done.code, done.err) == (0, "")
    assert cli.run("ledger", "verify").code == 0
    assert cli.run("db", "current").code == 0


def test_the_ledger_is_read_only(cli: CliFixture) -> None:
    """A ledger that this user may not write to is named as that."""
    cli.ledger.chmod(0o400)
    done = cli.run_anew("rotate-now", "account-1", "--json", preexec_fn=without_privileges)

    refused(done, 2, "is read-only", "write to the file")


def test_the_disk_is_full(cli: CliFixture) -> None:
    """Where the ledger cannot grow, nothing is begun, and an operator has to make room."""

    def no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))

    done = cli.run_anew("rotate-now", "account-1", preexec_fn=no_room)

    refused(done, 3, "full", "")


def test_the_newer_ledger_is_not_planned_with(cli: CliFixture) -> None:
    """A dry run does not read what it may not understand."""
    is_newer(cli)
    done = cli.run("rotate-now", "account-1", "--dry-run")

    refused(done, 2, "9999", "newer version")
