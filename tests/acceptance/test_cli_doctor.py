"""`doctor`: what is well, and each thing that may be wrong, with its cure."""

import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from rotator.application import Application
from rotator.config import load
from rotator.doctor import CheckResult, examined, systemd, vault
from rotator.doctor import accounts as doctor_accounts
from rotator.doctor.check import clock_check
from rotator.model import Request
from rotator.sim import Fault
from rotator.vault import TokenInfo
from tests.support import leaks
from tests.support.cli_fixture import CliFixture

#: What README grants, and nothing more.
POLICY = {
    "secret/data/vonage/*": ["create", "read", "update"],
    "secret/data/rotator/pending/*": ["create", "read", "update"],
    "secret/destroy/rotator/pending/*": ["update"],
}
#: So that consumers are waited for.
GATE = '[[hooks]]\non = ["gate"]\ncommand = ["/bin/true"]\n'


def let_in(cli: CliFixture, policy: dict[str, list[str]]) -> None:
    """Write a token with this policy for rotator."""
    cli.token_file.write_text(cli.world.vault.issue_token(policies=policy))


@pytest.fixture
def cli(tmp_path: Path, sqlite_template: Path) -> Iterator[CliFixture]:
    """One account that was rotated, with the policy of README and private files."""
    with CliFixture(tmp_path, ledger=sqlite_template, policy={"grace": "1d"}) as cli:
        cli.text += GATE
        cli.config.write_text(cli.text)
        # By this process: what is examined is what a rotation leaves, not the command.
        with wired(cli) as application:
            (account,) = application.settings.accounts
            application.reconciler().attempt(account, Request(reason="asked"))
        cli.ledger.chmod(0o600)
        cli.token_file.chmod(0o600)
        let_in(cli, POLICY)
        yield cli


def wired(cli: CliFixture) -> Application:
    """Build rotator from the desk's configuration, as the command does."""
    return Application(load(cli.config, {}), {}, is_hasty=True)


def checked(cli: CliFixture) -> dict[str, CheckResult]:
    """Examine in this process; give the checks that are not well, by their name."""
    with wired(cli) as application:
        checks = list(examined(application))
    secret = [value for value in cli.values() if value]
    assert not leaks.found(secret, cli.api_keys(), map(repr, checks)), checks
    return {check.name: check for check in checks if check.verdict != "ok"}


def test_all_is_well(cli: CliFixture) -> None:
    """With README's policy nothing fails, each thing that was looked at has a row, and stays."""
    before, entries = cli.snapshot(), cli.sql("SELECT * FROM entry")
    done, whole = cli.run("doctor"), cli.run("doctor", "--all")
    report = cli.run("doctor", "--json").json()
    document = report["checks"]

    rows = {row["check"] for row in document if row["verdict"] == "ok"}
    assert done.code == 0, done
    assert done.out == f"everything is ready: {len(document)} checks\n"
    assert (report["verdict"], report["ready"]) == (done.out.strip(), True)
    assert rows >= {
        *("configuration", "secret file", "clock", "ledger revision", "append-only triggers"),
        *(
            "chain",
            "rows",
            "vault reachable",
            "vault sealed",
            "vault login",
            "vault token",
            "vault mount",
        ),
        *(
            "check-and-set",
            "vault policy",
            "chain head",
            "credential",
            "slots",
            "rotation",
            "systemd",
        ),
    }
    old, new = cli.secret_ids()
    (slots,) = [row["finding"] for row in document if row["check"] == "slots"]
    assert slots.startswith("2 of 2 used: ")
    assert f"{old} predecessor" in slots
    assert f"{new} current" in slots
    first, _, header, *lines = whole.out.splitlines()
    assert first == done.out.strip()
    assert header.split() == ["verdict", "check", "about", "finding", "cure"]
    assert len(lines) == len(document)
    assert (cli.snapshot(), cli.sql("SELECT * FROM entry")) == (before, entries)


def without(path: str, capability: str) -> Callable[[CliFixture], None]:
    """Take one capability out of README's policy."""

    def take(cli: CliFixture) -> None:
        kept = [each for each in POLICY[path] if each != capability]
        let_in(cli, POLICY | {path: kept})

    return take


def revoke_all(cli: CliFixture) -> None:
    """Revoke what Vault holds."""
    cli.world.vonage.revoke(cli.account.api_key, cli.secret_ids()[1])


def drop_trigger(cli: CliFixture) -> None:
    """Make the ledger changeable."""
    cli.sql("DROP TRIGGER entry_no_update")


def tamper(cli: CliFixture) -> None:
    """Change an entry."""
    drop_trigger(cli)
    cli.sql("UPDATE entry SET event = 'refused' WHERE seq = 2")


def cut_off(cli: CliFixture) -> None:
    """Take the last entries away, so that the chain is whole without them."""
    cli.sql("DROP TRIGGER entry_no_delete")
    cli.sql("DELETE FROM entry WHERE seq > 3")
    ((head,),) = cli.sql("SELECT hash FROM entry WHERE seq = 3")
    cli.sql("UPDATE account SET chain_seq = 3, chain_head = ?", head)


def seal(cli: CliFixture) -> None:
    """Seal Vault."""
    cli.world.vault.sealed = True


WRONG: dict[str, tuple[Callable[[CliFixture], object], str, str, str]] = {
    "open file": (
        lambda cli: cli.token_file.chmod(0o644),
        *("secret file", "mode 0644, open to others", "`chmod 600 "),
    ),
    "no token file": (
        lambda cli: cli.config.write_text(cli.text.replace('/token"', '/nowhere"')),
        *("secret file", "no such file", "correct vault.auth.token_file"),
    ),
    "no trigger": (
        drop_trigger,
        *("append-only triggers", "missing: entry_no_update", "backup"),
    ),
    "changed entry": (tamper, *("chain", "entry 2 was changed", "backup")),
    "changed row": (
        lambda cli: cli.sql("UPDATE account SET hold_reason = 'because', held_by = 'eve'"),
        *("rows", "the entries say that nobody holds it", "correct the row"),
    ),
    "cut ledger": (cut_off, *("chain head", "lacks the entry that Vault's note names", "backup")),
    "newer ledger": (
        lambda cli: cli.sql("UPDATE alembic_version SET version_num = '9999'"),
        *("ledger revision", "9999", "newer version"),
    ),
    "Vault away": (
        lambda cli: cli.world.vault.close(),
        *("vault reachable", "Vault refuses connections", "vault.address"),
    ),
    "sealed": (seal, *("vault sealed", "Vault is sealed", "unseal it")),
    "not initialised": (
        lambda cli: cli.world.vault.faults.add(
            Fault(
                "status",
                path="sys/health",
                status=501,
                body={"initialized": False, "sealed": True, "version": "2.0"},
                times=None,
            )
        ),
        *("vault sealed", "Vault is not initialised", "initialise it"),
    ),
    "no Vault": (
        lambda cli: cli.world.vault.faults.add(Fault("garbage", path="sys/health", times=None)),
        *("vault reachable", "is not one of Vault's", "vault.address"),
    ),
    "no token in its file": (
        lambda cli: cli.token_file.write_text(""),
        *("vault login", "is empty", "write it to vault.auth.token_file"),
    ),
    "unknown token": (
        lambda cli: cli.token_file.write_text("hvs.unknown"),
        *("vault login", "does not accept the token", ""),
    ),
    "no update": (
        without("secret/data/vonage/*", "update"),
        *("vault policy", "update is not granted", 'path "secret/data/vonage/account-1"'),
    ),
    "no destroying": (
        without("secret/destroy/rotator/pending/*", "update"),
        *(
            "vault policy",
            "update is not granted",
            'path "secret/destroy/rotator/pending/account-1"',
        ),
    ),
    "dead value": (
        revoke_all,
        *("rotation", "broken: Vonage refuses secret ", "`rotator adopt account-1`"),
    ),
    "Vonage away": (
        lambda cli: cli.world.vonage.close(),
        *("account", "no connection to Vonage", "vonage.api_url"),
    ),
    "changed value": (
        lambda cli: cli.entry(rotator=None),
        *("rotation", "someone else changed the Vault entry", "vault kv rollback"),
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_fails_and_has_a_cure(cli: CliFixture, kind: str) -> None:
    """The check that is about it fails, with what to do."""
    change, name, finding, cure = WRONG[kind]
    change(cli)
    check = checked(cli)[name]

    assert check.verdict == "failed"
    assert finding in check.finding
    assert cure in (check.hint or "")


def test_what_is_wrong_fails_the_command(cli: CliFixture) -> None:
    """It exits with 1, and each row of its document has the finding and the cure."""
    seal(cli)
    shown, done = cli.run("doctor"), cli.run("doctor", "--json")
    checks = len(done.json()["checks"])
    (row,) = [row for row in done.json()["checks"] if row["check"] == "vault sealed"]

    assert (shown.code, done.code) == (1, 1)
    first, _, header, *rows = shown.out.splitlines()
    assert first == f"1 problem and 1 warning in {checks} checks" == done.json()["verdict"]
    assert header.startswith("verdict")
    assert [line.split()[0] for line in rows] == ["failed", "warning"]
    assert done.json()["ready"] is False
    assert row == {
        "check": "vault sealed",
        "about": "",
        "verdict": "failed",
        "finding": "Vault is sealed",
        "cure": "unseal it",
    }


def test_a_bad_configuration_is_a_finding(cli: CliFixture) -> None:
    """Without a configuration there is nothing else to look at."""
    cli.config.write_text("[vault\n")
    done = cli.run("doctor", "--json")
    (row,) = done.json()["checks"]

    assert done.code == 1
    assert (row["check"], row["verdict"]) == ("configuration", "failed")
    assert "line 1" in row["finding"]
    assert "TOML" in row["cure"]


def test_what_may_be_meant_is_a_warning(cli: CliFixture) -> None:
    """A file that its group may read, a stranger's secret and no `create` are worth a look."""
    cli.run("secrets", "delete", "account-1", cli.secret_ids()[0], "--force", "--yes")
    without("secret/data/vonage/*", "create")(cli)
    cli.token_file.chmod(0o640)
    cli.world.vonage.add_secret(cli.account.api_key, "MadeByHand1")
    checks = checked(cli)

    assert checks["vault policy"].finding == "create is not granted"
    assert {checks[name].verdict for name in ("vault policy", "secret file", "slots")} == {
        "warning"
    }
    assert " foreign" in checks["slots"].finding


def without_entry(cli: CliFixture) -> None:
    """Configure a path where Vault has no entry."""
    cli.config.write_text(cli.text.replace('"vonage/account-1"', '"vonage/to-come"'))


def second_secret(cli: CliFixture) -> None:
    """Make a secret in the dashboard."""
    cli.world.vonage.add_secret(cli.account.api_key, "MadeByHand1")


def dead_value(cli: CliFixture) -> None:
    """Put a value into Vault that never worked."""
    cli.entry(api_secret="NotTheSecret1")


def nothing(cli: CliFixture) -> None:
    """Leave it as it is."""


#: What may be there before an account is adopted, and the command that is advised.
NEVER_ADOPTED: dict[str, tuple[Callable[[CliFixture], object], str | None]] = {
    "the value works": (nothing, None),
    "no entry": (without_entry, "rotator adopt account-1"),
    "no field": (lambda cli: cli.entry(api_secret=None), "rotator adopt account-1"),
    "dead value": (dead_value, "rotator adopt account-1"),
    "two secrets": (second_secret, "rotator adopt account-1 --from-vault --secret-id ID"),
}


@pytest.mark.parametrize("kind", NEVER_ADOPTED)
def test_an_account_that_was_never_adopted_is_to_be_adopted(tmp_path: Path, kind: str) -> None:
    """That is advised once, in the words of `status`; no deletion is, nor a refused rotation."""
    change, command = NEVER_ADOPTED[kind]
    with CliFixture(tmp_path) as cli:
        change(cli)
        with wired(cli) as application:
            examined_checks = list(doctor_accounts.checks(application))
        wrong = [check for check in examined_checks if check.verdict != "ok"]
        cli.run("status", "--refresh")
        (told,) = cli.run("status", "--json").json()["accounts"]
        planned = cli.run("rotate-now", "account-1", "--dry-run")

    assert planned.code == (3 if command else 0)
    assert [check.name for check in wrong] == (["rotation"] if command else [])
    assert not any("secrets delete" in (check.hint or "") for check in examined_checks)
    for check in wrong:
        assert f"`{command}`" in (check.hint or "")
        assert "rotate-now" not in (check.hint or "")
        assert (check.finding, check.hint) == (f"{told['state']}: {told['why']}", told["hint"])


def test_one_cause_is_one_row_however_many_accounts_it_concerns(tmp_path: Path) -> None:
    """For people; a program gets every check."""
    with CliFixture(tmp_path, accounts=5) as cli:
        for account in cli.world.accounts:
            dead = {"api_key": account.api_key, "api_secret": "NotTheSecret1"}
            cli.world.vault.write(account.vault_path, dead)
        shown, whole = cli.run("doctor"), cli.run("doctor", "--json").json()["checks"]

    (row,) = [line for line in shown.out.splitlines() if " rotation " in line]
    assert row.split()[:7] == ["failed", "rotation", "account-1,", "account-2", "and", "3", "more"]
    assert "`rotator adopt NAME`" in row
    assert len([each for each in whole if each["check"] == "rotation"]) == 5


def test_a_dead_value_that_a_rotation_replaces(tmp_path: Path) -> None:
    """With the parent's credential `rotate-now` is the cure, and it works."""
    with CliFixture(tmp_path, subaccounts=1) as cli:
        child = cli.world.accounts[1]
        cli.world.vault.write(
            child.vault_path, {"api_key": child.api_key, "api_secret": "Dead12345"}
        )
        with wired(cli) as application:
            (wrong,) = [
                check for check in doctor_accounts.checks(application) if check.verdict != "ok"
            ]
        rotated = cli.run("rotate-now", child.name)

    assert f"`rotator rotate-now {child.name}`" in (wrong.hint or "")
    assert rotated.code == 0


def test_what_is_wrong_shows_through_a_hold(cli: CliFixture) -> None:
    """A held account is a warning; a dead value is a problem all the same, reported once."""
    cli.run("hold", "account-1", "--reason", "moving")
    revoke_all(cli)
    with wired(cli) as application:
        wrong = {
            check.name: check.verdict.value
            for check in doctor_accounts.checks(application)
            if check.verdict != "ok"
        }

    assert wrong == {"hold": "warning", "rotation": "failed"}


def test_a_version_that_works_is_named_before_and_after_status(cli: CliFixture) -> None:
    """The cure is the same whether or not what is wrong is in the ledger already."""
    revoke_all(cli)
    before = checked(cli)["rotation"]
    cli.run("status", "--refresh")
    after = checked(cli)["rotation"]

    assert before == after
    assert "`vault kv rollback -version=1 secret/vonage/account-1`" in (after.hint or "")


def standing(seconds: float, *, renewable: bool = False, policy: str = "rotator") -> TokenInfo:
    """Return Vault's facts about a token; 0 seconds for one that does not expire."""
    return TokenInfo.model_validate(
        {
            "expire_time": "2026-11-23T00:00:00Z" if seconds else None,
            "renewable": renewable,
            "type": "service",
            "policies": (policy,),
            "ttl": seconds,
            "creation_ttl": seconds,
        }
    )


@pytest.mark.parametrize(
    ("token", "method", "verdict"),
    [
        (standing(0, policy="root"), "token", "warning"),
        (standing(0), "token", "ok"),
        (standing(3600, renewable=True), "token", "ok"),
        (standing(3600), "token", "warning"),
        (standing(864000), "token", "ok"),
        (standing(3600), "approle", "ok"),
        (None, "token", "warning"),
    ],
)
def test_a_token_that_ends_soon_is_told(token: TokenInfo | None, method: str, verdict: str) -> None:
    """One that may do anything, or that nobody renews or replaces within a day, is worth a look."""
    assert vault._token(token, method).verdict.value == verdict


def test_what_a_token_has_left_is_in_words() -> None:
    """As every duration for people: `3d`, not Python's `3 days, 0:00:00`."""
    assert vault._token(standing(3 * 86400), "token").finding == "3d left, not renewable"
    assert vault._token(standing(3661, renewable=True), "token").finding == "1h 1m left, renewable"


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
    monkeypatch.setattr(systemd, "unit_properties", lambda: shown)
    (check,) = systemd.checks(cast("Application", None), expects_daemon=True)

    assert check.verdict.value == verdict


POLLED = (
    "INSERT INTO daemon (host, version, started_at, polled_at, poll_seconds) SELECT 'h1', '1', "
    "at, at, 15 FROM (SELECT strftime('%Y-%m-%d %H:%M:%S.000000', 'now', '-{}') AS at)"
)


def test_it_says_that_no_daemon_polls(cli: CliFixture) -> None:
    """In the verdict and as a problem, in the words of `status`; unless timers rotate."""
    cli.sql(POLLED.format("5 minutes"))
    silent, status = cli.run("doctor", "--json"), cli.run("status")
    timers = cli.run("doctor", "--no-daemon")
    cli.sql("DELETE FROM daemon")
    cli.sql(POLLED.format("20 seconds"))
    lives = cli.run("doctor", "--json").json()["checks"]

    document = silent.json()
    (problem,) = [each for each in document["checks"] if each["verdict"] == "failed"]
    assert silent.code == 1
    assert document["verdict"] == f"1 problem in {len(document['checks'])} checks; no daemon polls"
    assert problem["check"] == "daemon"
    assert f"warning: {problem['finding']}\nhint: {problem['cure']}\n" in status.err
    assert timers.code == 0
    assert [(each["about"], each["verdict"]) for each in lives if each["check"] == "daemon"] == [
        ("h1", "ok")
    ]


def test_a_unit_that_stands_is_well_where_no_daemon_is_expected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Timers rotate; one that failed is none of those."""
    found = {"LoadState": "loaded", "ActiveState": "inactive", "SubState": "dead"}
    monkeypatch.setattr(systemd, "unit_properties", lambda: found)
    (check,) = systemd.checks(cast("Application", None), expects_daemon=False)

    assert check.verdict.value == "ok"


@pytest.mark.parametrize(
    ("modes", "closed", "cure"),
    [
        ({}, None, ""),
        ({"opt": 0o750, "opt/rotator": 0o750}, "opt", "chmod -R a+rX"),
        ({"opt/rotator": 0o750}, "opt/rotator", "chmod -R a+rX"),
        ({"etc/config.toml": 0o640}, "etc/config.toml", "chmod a+rX"),
        ({"etc": 0o750}, "etc", "chmod a+rX"),
    ],
)
def test_what_the_service_s_user_may_not_read_is_found(
    modes: dict[str, int], closed: str | None, cure: str
) -> None:
    """Files that root made under a closed umask: the cure opens no credential."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for path in ("opt", "etc"):
            (folder / path).mkdir(mode=0o755)
        for path in ("opt/rotator", "etc/config.toml"):
            (folder / path).touch(mode=0o755)
        for path, mode in modes.items():
            (folder / path).chmod(mode)
        found = {
            "DynamicUser": "yes",
            "SupplementaryGroups": "",
            "Environment": f"A=b ROTATOR_CONFIG={folder}/etc/config.toml",
            "ExecStart": f"{{ path={folder}/opt/rotator ; argv[]={folder}/opt/rotator run }}",
        }
        checks = list(systemd._readable(found))
        failed = [check for check in checks if check.verdict.value == "failed"]

        expected = [f"{cure} {folder}/{closed}"] if closed else []
        assert [check.hint for check in failed] == expected
        assert len(checks) == 2
        assert list(systemd._readable(found | {"DynamicUser": "no"})) == []
        assert list(systemd._readable(found | {"SupplementaryGroups": "vonage"})) == []


def test_systemd_is_asked_for_the_unit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What systemctl prints is read; where it fails or is not there, systemd is not here."""
    program = tmp_path / "systemctl"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    program.write_text('#!/bin/sh\necho "$1 $2"\necho ActiveState=active\n')
    program.chmod(0o755)
    found = systemd.unit_properties()
    program.write_text("#!/bin/sh\nexit 1\n")
    failed = systemd.unit_properties()
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))

    assert found
    assert found["ActiveState"] == "active"
    assert "show rotator.service" in found
    assert failed is None
    assert systemd.unit_properties() is None


def test_a_hook_is_a_program_that_can_be_run(cli: CliFixture) -> None:
    """A command that is not there fails; none is called."""
    hook = '\n[[hooks]]\non = ["pushed"]\ncommand = ["%s"]\n'
    cli.config.write_text(cli.text + hook % "/bin/sh" + hook % "/nowhere/hook")
    done = cli.run("doctor", "--json")

    rows = [row for row in done.json()["checks"] if row["check"] == "hook"]
    assert [row["verdict"] for row in rows] == ["ok", "ok", "failed"]  # the gate is the first
    assert rows[2]["finding"] == "/nowhere/hook is not a file"
    assert done.code == 1


def test_a_ledger_that_is_not_there_is_not_made(cli: CliFixture) -> None:
    """Before the first rotation there is none, which is no failure."""
    cli.world.vonage.revoke(cli.account.api_key, cli.secret_ids()[0])
    cli.ledger.unlink()
    checks = checked(cli)

    assert {check.verdict for check in checks.values()} == {"warning"}
    assert checks["ledger revision"].finding == "there is no ledger yet"
    assert not cli.ledger.exists()


def test_a_ledger_that_may_not_be_looked_at_is_no_bug(cli: CliFixture) -> None:
    """Also where not even whether it is there can be told, as for a user who is not the daemon's.

    By a name that is too long: root may look into every folder.
    """
    text = cli.config.read_text()
    missing = f"/{'x' * 300}/ledger.db"
    cli.config.write_text(text.replace(str(cli.ledger), missing))
    examined = cli.run("doctor", "--json")
    tried = cli.run("rotate-now", cli.account.name, "--dry-run")

    rows = [row for row in examined.json()["checks"] if row["check"] == "ledger revision"]
    assert [(row["verdict"], row["finding"]) for row in rows] == [
        ("failed", f"the ledger file {missing} cannot be opened or created")
    ]
    assert (tried.code, tried.err.split("\n")[0]) == (
        2,
        f"error: the ledger file {missing} cannot be opened or created",
    )


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

    assert clock_check("vault", date, now).verdict.value == verdict


def test_a_server_whose_clock_is_off_is_told(cli: CliFixture) -> None:
    """The Date header of both servers is what the clock is compared with."""
    cli.world.vault._clock = lambda: 0
    cli.world.vonage._clock = lambda: 0
    done = cli.run("doctor", "--json")

    off = {row["about"] for row in done.json()["checks"] if row["check"] == "clock"}
    assert off == {"vault", "vonage"}
    assert done.code == 1


def test_who_made_a_foreign_secret_is_told(cli: CliFixture) -> None:
    """With `audit` alone, and recorded nowhere; also where Vonage does not say it."""
    cli.run("rotate-now", "account-1", "--grace", "0s")
    cli.world.vonage.add_secret(cli.account.api_key, "Brought0ByHand")
    audited = cli.config.read_text().replace("[vonage]", "[vonage]\naudit = true")
    entries = cli.sql("SELECT * FROM entry")
    silent = checked(cli)
    cli.config.write_text(audited)
    told = checked(cli)
    cli.world.vonage.not_audited.add(cli.account.api_key)
    refused = checked(cli)
    cli.world.vonage.not_audited.clear()
    cli.world.vonage.faults.add(Fault("status", path="/beta/audit/", status=503))
    unanswered = checked(cli)

    assert "operator@example.com" not in repr(silent)
    assert "operator@example.com" in told["rotation"].finding
    assert "audit" not in told
    assert "not provisioned" in refused["audit"].finding
    assert "set `audit = false` in [vonage]" in (refused["audit"].hint or "")
    assert "HTTP 503" in unanswered["audit"].finding
    assert cli.sql("SELECT * FROM entry") == entries
