"""`doctor`, as the real process: what is well, and each thing that may be wrong, with its cure."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from rotator.doctor import clock, systemd, vault
from rotator.sim import Fault
from rotator.vault.inquiry import Token
from tests.acceptance.desk import Desk

if TYPE_CHECKING:
    from rotator.wiring import Wiring

#: What README grants, and nothing more.
POLICY = {
    "secret/data/vonage/*": ["create", "read", "update"],
    "secret/data/rotator/pending/*": ["create", "read", "update"],
    "secret/metadata/rotator/pending/*": ["delete"],
}


def let_in(desk: Desk, policy: dict[str, list[str]]) -> None:
    """Give rotator a token with this policy."""
    desk.token_file.write_text(desk.world.vault.issue_token(policies=policy))


@pytest.fixture
def desk(tmp_path: Path, sqlite_template: Path) -> Iterator[Desk]:
    """One account that was rotated, with the policy of README and private files."""
    with Desk(tmp_path, ledger=sqlite_template, policy={"grace": "1d"}) as desk:
        desk.rotate()
        desk.ledger.chmod(0o600)
        desk.token_file.chmod(0o600)
        let_in(desk, POLICY)
        yield desk


def examined(desk: Desk) -> tuple[int, dict[str, dict[str, Any]]]:
    """Give the exit code and the checks that are not well, by their name."""
    done = desk.run("doctor", "--json")
    return done.code, {row["check"]: row for row in done.json() if row["verdict"] != "ok"}


def test_all_is_well(desk: Desk) -> None:
    """With README's policy nothing fails, each thing that was looked at has a row, and stays."""
    before, entries = desk.snapshot(), desk.sql("SELECT * FROM entry")
    done, document = desk.run("doctor"), desk.run("doctor", "--json").json()

    rows = {row["check"] for row in document if row["verdict"] == "ok"}
    assert done.code == 0, done
    assert rows >= {
        *("configuration", "secret file", "clock", "ledger revision", "append-only triggers"),
        *("chain", "vault reachable", "vault sealed", "vault token", "vault mount"),
        *("check-and-set", "vault policy", "credential", "slots", "rotation", "systemd"),
    }
    old, new = desk.secret_ids()
    (slots,) = [row["finding"] for row in document if row["check"] == "slots"]
    assert slots.startswith("2 of 2 used: ")
    assert f"{old} predecessor" in slots
    assert f"{new} current" in slots
    assert done.out.splitlines()[0].split() == ["verdict", "check", "about", "finding", "cure"]
    assert (desk.snapshot(), desk.sql("SELECT * FROM entry")) == (before, entries)


def without(path: str, capability: str) -> Callable[[Desk], None]:
    """Take one capability out of README's policy."""

    def take(desk: Desk) -> None:
        kept = [each for each in POLICY[path] if each != capability]
        let_in(desk, POLICY | {path: kept})

    return take


def revoke_all(desk: Desk) -> None:
    """Revoke what Vault holds."""
    desk.world.vonage.revoke(desk.account.api_key, desk.secret_ids()[1])


def drop_trigger(desk: Desk) -> None:
    """Make the ledger changeable."""
    desk.sql("DROP TRIGGER entry_no_update")


def tamper(desk: Desk) -> None:
    """Change an entry."""
    drop_trigger(desk)
    desk.sql("UPDATE entry SET event = 'refused' WHERE seq = 2")


def seal(desk: Desk) -> None:
    """Seal Vault."""
    desk.world.vault.sealed = True


WRONG: dict[str, tuple[Callable[[Desk], object], str, str, str]] = {
    "open file": (
        lambda desk: desk.token_file.chmod(0o644),
        *("secret file", "mode 0644, open to others", "chmod 600 "),
    ),
    "no token file": (
        lambda desk: desk.config.write_text(desk.text.replace('/token"', '/nowhere"')),
        *("secret file", "no such file", "correct vault.auth.token_file"),
    ),
    "no trigger": (
        drop_trigger,
        *("append-only triggers", "missing: entry_no_update", "backup"),
    ),
    "changed entry": (tamper, *("chain", "entry 2 was changed", "backup")),
    "newer ledger": (
        lambda desk: desk.sql("UPDATE alembic_version SET version_num = '9999'"),
        *("ledger revision", "9999", "newer version"),
    ),
    "Vault away": (
        lambda desk: desk.world.vault.close(),
        *("vault reachable", "Vault refuses connections", "vault.address"),
    ),
    "sealed": (seal, *("vault sealed", "Vault is sealed", "unseal it")),
    "no Vault": (
        lambda desk: desk.world.vault.faults.add(Fault("garbage", path="sys/health", times=None)),
        *("vault reachable", "is not one of Vault's", "vault.address"),
    ),
    "unknown token": (
        lambda desk: desk.token_file.write_text("hvs.unknown"),
        *("vault token", "Vault", ""),
    ),
    "no update": (
        without("secret/data/vonage/*", "update"),
        *("vault policy", "update is not granted", 'path "secret/data/vonage/account-1"'),
    ),
    "no delete": (
        without("secret/metadata/rotator/pending/*", "delete"),
        *("vault policy", "delete is not granted", 'capabilities = ["delete"]'),
    ),
    "dead value": (
        revoke_all,
        *("credential", "accepts no credential", "`rotator adopt account-1`"),
    ),
    "Vonage away": (
        lambda desk: desk.world.vonage.close(),
        *("account", "no connection to Vonage", "vonage.api_url"),
    ),
    "changed value": (
        lambda desk: desk.entry(rotator=None),
        *("rotation", "changed or removed the Vault entry", "vault kv rollback"),
    ),
    "bad configuration": (
        lambda desk: desk.config.write_text("[vault\n"),
        *("configuration", "line 1", "TOML"),
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_fails_and_has_a_cure(desk: Desk, kind: str) -> None:
    """The check that is about it fails, with what to do, and so does the command."""
    change, check, finding, cure = WRONG[kind]
    change(desk)
    code, checks = examined(desk)

    assert code == 1
    assert checks[check]["verdict"] == "failed"
    assert finding in checks[check]["finding"], checks
    assert cure in (checks[check]["cure"] or ""), checks


def test_what_may_be_meant_is_a_warning(desk: Desk) -> None:
    """A file that its group may read, a stranger's secret and no `create` are worth a look."""
    desk.run("rotate-now", "account-1", "--grace", "0s")
    without("secret/data/vonage/*", "create")(desk)
    desk.token_file.chmod(0o640)
    desk.world.vonage.add_secret(desk.account.api_key, "MadeByHand1")
    _, checks = examined(desk)

    assert checks["vault policy"]["finding"] == "create is not granted"
    assert {checks[check]["verdict"] for check in ("vault policy", "secret file", "slots")} == {
        "warning"
    }
    assert " foreign" in checks["slots"]["finding"]


@pytest.mark.parametrize(
    ("token", "verdict"),
    [
        (Token(ttl=None, is_renewable=False, policies=("root",)), "warning"),
        (Token(ttl=None, is_renewable=False, policies=("rotator",)), "ok"),
        (Token(ttl=3600, is_renewable=True, policies=("rotator",)), "ok"),
        (Token(ttl=3600, is_renewable=False, policies=("rotator",)), "warning"),
        (Token(ttl=864000, is_renewable=False, policies=("rotator",)), "ok"),
    ],
)
def test_a_token_that_ends_soon_is_told(token: Token, verdict: str) -> None:
    """One that may do anything, or ends within a day and cannot be renewed, is worth a look."""
    assert vault._token(token).verdict.value == verdict


@pytest.mark.parametrize(
    ("shown", "verdict"),
    [
        (None, "ok"),
        ({"LoadState": "not-found", "ActiveState": "inactive"}, "ok"),
        ({"LoadState": "loaded", "ActiveState": "active", "SubState": "running"}, "ok"),
        ({"LoadState": "loaded", "ActiveState": "failed", "SubState": "failed"}, "failed"),
        ({"LoadState": "loaded", "ActiveState": "inactive", "SubState": "dead"}, "warning"),
    ],
)
def test_the_unit_is_found_in_its_state(
    monkeypatch: pytest.MonkeyPatch, shown: dict[str, str] | None, verdict: str
) -> None:
    """A unit that failed is a failure; one that is not installed is not."""
    monkeypatch.setattr(systemd, "shown", lambda: shown)
    (check,) = systemd.checks(cast("Wiring", None))

    assert check.verdict.value == verdict


def test_systemd_is_asked_for_the_unit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What systemctl prints is read; where it fails or is not there, systemd is not here."""
    program = tmp_path / "systemctl"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    program.write_text('#!/bin/sh\necho "$1 $2"\necho ActiveState=active\n')
    program.chmod(0o755)
    found = systemd.shown()
    program.write_text("#!/bin/sh\nexit 1\n")
    failed = systemd.shown()
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))

    assert found
    assert found["ActiveState"] == "active"
    assert "show rotator.service" in found
    assert failed is None
    assert systemd.shown() is None


def test_a_hook_is_a_program_that_can_be_run(desk: Desk) -> None:
    """A command that is not there fails; none is called."""
    hook = '\n[[hooks]]\non = ["pushed"]\ncommand = ["%s"]\n'
    desk.config.write_text(desk.text + hook % "/bin/sh" + hook % "/nowhere/hook")
    done = desk.run("doctor", "--json")

    rows = [row for row in done.json() if row["check"] == "hook"]
    assert [row["verdict"] for row in rows] == ["ok", "failed"]
    assert rows[1]["finding"] == "/nowhere/hook is no file"
    assert done.code == 1


def test_a_ledger_that_is_not_there_is_not_made(desk: Desk) -> None:
    """Before the first rotation there is none, which is no failure."""
    desk.run("rotate-now", "account-1", "--grace", "0s")
    desk.ledger.unlink()
    code, checks = examined(desk)

    assert (code, checks["ledger revision"]["verdict"]) == (0, "warning")
    assert not desk.ledger.exists()


@pytest.mark.parametrize(
    ("date", "verdict"),
    [
        ("Mon, 23 Nov 2026 07:28:20 GMT", "ok"),
        ("Mon, 23 Nov 2026 07:28:31 GMT", "failed"),
        ("Mon, 23 Nov 2026 07:27:29 GMT", "failed"),
        ("yesterday", "warning"),
        (None, "warning"),
    ],
)
def test_a_clock_that_is_off_is_told(date: str | None, verdict: str) -> None:
    """More than half a minute between this machine and a server is a failure."""
    now = datetime(2026, 11, 23, 7, 28, tzinfo=UTC)

    assert clock.check("vault", date, now).verdict.value == verdict


def test_a_server_whose_clock_is_off_is_told(desk: Desk) -> None:
    """The Date header of both servers is what the clock is compared with."""
    desk.world.vault._clock = lambda: 0
    desk.world.vonage._clock = lambda: 0
    done = desk.run("doctor", "--json")

    off = {row["about"] for row in done.json() if row["check"] == "clock"}
    assert off == {"vault", "vonage"}
    assert done.code == 1
