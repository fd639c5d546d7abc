"""`status`, as the real process."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.cli_fixture import CliFixture

KEYS = {
    "name",
    "api_key",
    "phase",
    "state",
    "code",
    "why",
    "since",
    "tries",
    "next_try_at",
    "hint",
    "conditions",
    "secret_ids",
    "current_secret_id",
    "current_since",
    "next_due_at",
    "overdue",
    "hold",
    "freeze",
    "gate",
    "asked_for",
    "undelivered",
    "last_rotation",
}
ROTATION_KEYS = {
    "id",
    "reason",
    "step",
    "outcome",
    "opened_at",
    "closed_at",
    "old_secret_id",
    "new_secret_id",
    "vault_version",
    "delete_due_at",
    "old_secret_dead_at",
    "dead_after",
    "error_code",
}


@pytest.fixture
def cli(tmp_path: Path, sqlite_template: Path) -> Iterator[CliFixture]:
    """One account with an empty ledger."""
    with CliFixture(tmp_path, ledger=sqlite_template) as cli:
        yield cli


def test_it_asks_only_the_ledger(cli: CliFixture) -> None:
    """An account that was never seen is unmanaged, and neither Vonage nor Vault is asked."""
    done = cli.run("status", "--check")

    assert done.out.splitlines()[1].split()[:3] == ["account-1", "unmanaged", "-"]
    assert not cli.world.vonage.exchanges
    assert not cli.world.vault.exchanges
    assert done.code == 1


def test_json_has_the_promised_keys(cli: CliFixture) -> None:
    """After a rotation the document tells the current secret and how it came about."""
    cli.rotate()
    document = cli.run("status", "--json").json()

    (account,) = document["accounts"]
    assert document.keys() == {"accounts", "daemons", "silent"}
    assert account.keys() == KEYS
    assert account["last_rotation"].keys() == ROTATION_KEYS
    assert account["state"] == account["phase"] == "healthy"
    assert account["secret_ids"] == [account["current_secret_id"]] == cli.secret_ids()
    assert account["last_rotation"]["new_secret_id"] == account["current_secret_id"]
    assert account["last_rotation"]["outcome"] == "completed"
    assert account["overdue"] is False


def test_refresh_looks_first(cli: CliFixture) -> None:
    """`--refresh` learns the current secret, its age and when it is due, and keeps that."""
    cli.run("status", "--refresh")
    (account,) = cli.run("status", "--json").json()["accounts"]

    assert account["state"] == account["phase"] == "healthy"
    assert [account["current_secret_id"]] == cli.secret_ids()
    assert account["next_due_at"] is not None
    assert cli.sql("SELECT lease_owner FROM account") == [(None,)]


def test_refresh_does_not_move_a_due_time(cli: CliFixture) -> None:
    """When an account is due follows its secret's age; another time in its row is put right."""

    def due_at() -> str:
        (account,) = cli.run("status", "--json").json()["accounts"]
        return str(account["next_due_at"])

    cli.rotate()
    recorded = due_at()
    cli.run("status", "--refresh")
    seen = due_at()
    cli.sql("UPDATE account SET next_due_at = '2030-01-01 00:00:00.000000'")
    cli.run("status", "--refresh")

    assert [seen, due_at()] == [recorded, recorded]


def test_what_is_broken_is_named(cli: CliFixture) -> None:
    """A secret that was revoked in the dashboard breaks consumers, and fails the check."""
    cli.rotate()
    cli.world.vonage.add_secret(cli.account.api_key, "MadeByHand1")
    revoked = cli.secret_ids()[0]
    cli.world.vonage.revoke(cli.account.api_key, revoked)
    done = cli.run("status", "--refresh", "--check")

    assert done.out.splitlines()[1].split()[1] == "broken"
    assert (
        f"Vonage refuses secret {revoked}, as if someone else had revoked it: consumers read a "
        "secret that does not work (current-refused, since 2"
    ) in done.out
    assert "\n\naccount-1 is broken: `rotator adopt account-1` puts a working secret" in done.out
    assert done.code == 1


def test_what_cannot_be_seen_is_shown_as_recorded(tmp_path: Path, sqlite_template: Path) -> None:
    """One account that Vault denies is an error of its own; the table is there for all."""
    with CliFixture(tmp_path, ledger=sqlite_template, accounts=2) as cli:
        rules = {"secret/data/vonage/account-2": ["read"], "secret/data/rotator/*": ["read"]}
        cli.token_file.write_text(cli.world.vault.issue_token(policies=rules))
        done = cli.run("status", "--refresh")

        rows = [line.split()[:2] for line in done.out.splitlines()[1:3]]
        assert rows == [["account-1", "unmanaged"], ["account-2", "healthy"]]
        assert done.err.startswith("error: account-1: Vault denied permission")
        assert done.code == 1


def test_overdue_fails_the_check(tmp_path: Path, sqlite_template: Path) -> None:
    """A due time that has passed is told, and fails the check alone."""
    made_at = datetime.now(UTC) - timedelta(days=40)
    with CliFixture(tmp_path, ledger=sqlite_template, created_at=made_at) as cli:
        refreshed = cli.run("status", "--refresh")
        checked, plain = cli.run("status", "account-1", "--check"), cli.run("status", "--json")

    assert "a rotation is due and has not begun" in checked.out
    assert (refreshed.code, checked.code, plain.code) == (0, 1, 0)
    assert plain.json()["accounts"][0]["overdue"] is True


def test_an_unknown_name_is_bad_usage(cli: CliFixture) -> None:
    """The nearest configured name is suggested."""
    done = cli.run("status", "account-2")

    assert done.code == 2
    assert done.err.endswith("hint: did you mean account-1?\n")


# -- Daemons, and hooks that are not notified. ---------------------------------------------


POLLS = (
    "INSERT INTO daemon (host, version, started_at, polled_at, poll_seconds) SELECT 'h1', '1', "
    "at, at, 15 FROM (SELECT strftime('%Y-%m-%d %H:%M:%S.000000', 'now', '-20 seconds') AS at)"
)
HAS = "UPDATE daemon SET outages = '{}'"
#: Some time ago.
STOPS = (
    "UPDATE daemon SET polled_at = strftime('%Y-%m-%d %H:%M:%S.000000', 'now', '-5 minutes')",
    "UPDATE delivery SET at = strftime('%Y-%m-%d %H:%M:%S.000000', 'now', '-2 hours')",
)


def test_it_says_that_no_daemon_polls(cli: CliFixture) -> None:
    """Which is a failed check; without any daemon, timers may do the work."""
    cli.rotate()
    none = cli.run("status", "--check")
    cli.sql(POLLS)
    lives = cli.run("status", "--check", "--json")
    cli.sql(STOPS[0])
    dead, shown = cli.run("status", "--check"), cli.run("status", "--json")
    timers = cli.run("status", "--check", "--no-daemon")

    assert [done.code for done in (none, lives, dead, shown, timers)] == [0, 0, 1, 0, 0]
    assert none.err == lives.err == timers.err == ""
    assert "warning: no daemon has polled since 20" in dead.err
    assert "where timers rotate instead, give `rotator status`" in dead.err
    assert "the option `--no-daemon`\n" in dead.err
    assert [lives.json()["silent"], shown.json()["silent"]] == [False, True]
    assert [each["host"] for each in shown.json()["daemons"]] == ["h1"]


def test_what_a_daemon_cannot_use_fails_the_check(cli: CliFixture) -> None:
    """Whether or not one is expected to poll; programs find it, too, and its end is the end."""
    cli.rotate()
    cli.sql(POLLS)
    outage: dict[str, object] = {
        "code": "vault-sealed",
        "why": "Vault is sealed",
        "hint": "unseal it",
        "told": [],
    }
    outage |= {"since": "2026-11-24T06:28:00+00:00", "over_at": None}
    cli.sql(HAS.format(json.dumps({"vault": outage})))
    away = [cli.run("status", "--check"), cli.run("status", "--check", "--no-daemon")]
    outages = cli.run("status", "--json").json()["daemons"][0]["outages"]
    examined = cli.run("doctor", "--no-daemon", "--json").json()["checks"]
    outage |= {"back_at": "2026-11-24T06:29:00+00:00"}
    cli.sql(HAS.format(json.dumps({"vault": outage})))
    back = cli.run("status", "--check")

    text = "Vault cannot be used on h1 (since 2026-11-24 06:28 UTC): Vault is sealed (vault-sealed)"
    assert [done.err for done in away] == [f"warning: {text}\nhint: unseal it\n"] * 2
    assert [done.code for done in (*away, back)] == [1, 1, 0]
    assert outages["vault"]["code"] == "vault-sealed"
    assert [(each["finding"], each["cure"]) for each in examined if each["check"] == "outage"] == [
        (text, "unseal it")
    ]


def test_a_hook_that_is_not_notified_for_an_hour_fails_the_check(cli: CliFixture) -> None:
    """A failure that is younger may pass by itself."""
    hook = '[[hooks]]\nname = "chat"\non = ["completed"]\nurl = "http://127.0.0.1:1/"\n'
    cli.config.write_text(f"{cli.text}\n{hook}")
    cli.run("rotate-now", "account-1")
    young = cli.run("status", "--check")
    cli.sql(STOPS[1])
    old = cli.run("status", "--check")

    assert (young.code, old.code) == (0, 1)
    assert "warning" not in young.err
    assert old.err.startswith(
        "warning: account-1: hook chat has not been notified of completed for 2h"
    )
    assert "\nhint: `rotator hooks test chat` shows" in old.err
