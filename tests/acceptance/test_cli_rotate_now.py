"""`rotate-now` and `resume`, as the real process."""

import json
import signal
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rotator.cli.actor import login_name
from rotator.ledger.database import open_database
from rotator.ledger.writer import LedgerWriter
from rotator.sim import Exchange, Fault
from tests.support.cli_fixture import CliFixture

KEYS = {
    "account",
    "rotation_id",
    "outcome",
    "old_secret_id",
    "new_secret_id",
    "vault_version",
    "delete_due_at",
    "old_secret_dead_at",
    "dead_after",
    "error",
    "hooks",
}


@pytest.fixture
def cli(tmp_path: Path, sqlite_template: Path) -> Iterator[CliFixture]:
    """One account, whose rotations have no grace, and an empty ledger."""
    with CliFixture(tmp_path, ledger=sqlite_template) as cli:
        yield cli


def creates(exchange: Exchange) -> bool:
    """Whether Vonage is asked to make a secret."""
    return exchange.method == "POST"


# -- What it does. -------------------------------------------------------------------------


def test_it_rotates_and_says_so(cli: CliFixture) -> None:
    """The old secret is replaced, each step has a line, and the result is a table."""
    (old,) = cli.secret_ids()
    done = cli.rotate("account-1")

    (new,) = cli.secret_ids()
    assert new != old
    assert not cli.world.violations()
    table = [line.split() for line in done.out.splitlines()]
    assert table[1] == ["account-1", "completed", old, new, "2", "-"]
    assert f"account-1  create    new secret created (id {new})" in done.err
    assert "account-1  verify    verified in Vault as version 2" in done.err


def test_json_is_one_document_with_the_promised_keys(cli: CliFixture) -> None:
    """`--json` prints the document alone, and standard error stays empty."""
    (old,) = cli.secret_ids()
    done = cli.run("rotate-now", "account-1", "--grace", "1h", "--json")

    (report,) = done.json()
    assert report.keys() == KEYS
    assert report["outcome"] == "awaiting-deletion"
    assert [report["old_secret_id"], report["new_secret_id"]] == cli.secret_ids()
    assert report["old_secret_id"] == old
    assert report["error"] is None
    due = datetime.strptime(report["delete_due_at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert 3500 < (due - datetime.now(UTC)).total_seconds() < 3600
    assert (done.code, done.err) == (0, "")


def test_a_leaked_secret_is_proved_dead(cli: CliFixture) -> None:
    """The document says since when, and the progress says so as well; else nothing is tried."""
    (plain,) = cli.run("rotate-now", "account-1", "--json").json()
    before = len(cli.world.vonage.exchanges)
    (leaked,) = cli.run("rotate-now", "account-1", "--compromised", "--json").json()
    calls = len(cli.world.vonage.exchanges) - before
    done = cli.run("rotate-now", "account-1", "--compromised")

    assert (plain["old_secret_dead_at"], plain["dead_after"]) == (None, None)
    assert leaked["old_secret_dead_at"].endswith("Z")
    assert leaked["dead_after"] in range(60)
    assert calls == 5
    assert "account-1  prove     Vonage refuses the old secret (id " in done.err


def test_it_is_a_program_of_its_own(cli: CliFixture) -> None:
    """The console script `rotate-now` takes the global options itself."""
    elsewhere = cli.folder / "elsewhere.toml"
    cli.config.rename(elsewhere)
    arguments = ["account-1", "--config", str(elsewhere), "--log-level", "debug"]
    done = cli.run(*arguments, program="rotate-now")

    assert done.code == 0, done
    assert "completed" in done.out
    assert '"event": "vault call"' in done.err


def test_children_come_before_their_parent(tmp_path: Path, sqlite_template: Path) -> None:
    """`--all` rotates subaccounts first, and reports in the order of the file."""
    with CliFixture(tmp_path, ledger=sqlite_template, accounts=2, subaccounts=2) as cli:
        reports = cli.run("rotate-now", "--all", "--json").json()

        made = [seen.path.split("/")[2] for seen in cli.world.vonage.exchanges if creates(seen)]
        first, _, *children = cli.api_keys()
        assert [report["account"] for report in reports] == [
            account.name for account in cli.world.accounts
        ]
        assert all(made.index(child) < made.index(first) for child in children)
        assert not cli.world.violations()


def test_one_account_does_not_stop_another(tmp_path: Path, sqlite_template: Path) -> None:
    """An account that is refused leaves the others alone, and decides the exit code."""
    with CliFixture(tmp_path, ledger=sqlite_template, accounts=3) as cli:
        cli.entry(api_secret=None)
        done = cli.run("rotate-now", "account-3", "account-1", "account-2", "account-3")

        rows = [line.split()[:2] for line in done.out.splitlines()[1:]]
        assert rows == [
            ["account-3", "completed"],
            ["account-1", "refused"],
            ["account-2", "completed"],
        ]
        assert "error: account-1: the Vault entry vonage/account-1 has no text" in done.err
        assert "else set `secret_field`" in done.err
        assert done.code == 3


def test_wait_goes_through_the_grace(cli: CliFixture) -> None:
    """`--wait` returns when the old secret is gone."""
    done = cli.run("rotate-now", "account-1", "--grace", "1s", "--wait")

    assert "completed" in done.out
    assert "waiting until" in done.err
    assert len(cli.secret_ids()) == 1


def test_compromised_leaves_no_grace(tmp_path: Path, sqlite_template: Path) -> None:
    """`--compromised` deletes at once, whatever the policy, and the record says why."""
    with CliFixture(tmp_path, ledger=sqlite_template, policy={"grace": "1d"}) as cli:
        done = cli.run("rotate-now", "account-1", "--compromised", "--json")

        assert done.json()[0]["outcome"] == "completed"
        assert cli.sql("SELECT reason, grace_seconds FROM rotation") == [("compromised", 0)]


def test_compromised_names_what_else_may_have_leaked(tmp_path: Path, sqlite_template: Path) -> None:
    """A secret that rotator does not know is listed for a decision, in the dry run as well."""
    with CliFixture(tmp_path, ledger=sqlite_template) as cli:
        cli.rotate()
        foreign = cli.world.vonage.add_secret(cli.account.api_key, "MadeByHand1")
        refused = cli.run("rotate-now", "account-1", "--compromised")
        cli.config.write_text(cli.text.replace("[policy]", '[policy]\non_foreign="evict-oldest"'))
        cli.world.vonage.revoke(cli.account.api_key, foreign)
        clean = cli.run("rotate-now", "account-1", "--compromised")

        warning = (
            f"secret {foreign} (foreign) still works and may have leaked, too; `rotator secrets"
        )
        assert (refused.code, warning in refused.err) == (3, True)
        assert (clean.code, "warning: " in clean.err) == (0, False)


def test_a_rotation_in_its_grace_is_not_rotated_again(
    tmp_path: Path, sqlite_template: Path
) -> None:
    """Asked again, it is refused and says until when; `--grace 0s` ends the wait."""
    with CliFixture(tmp_path, ledger=sqlite_template, policy={"grace": "1d"}) as cli:
        cli.rotate()
        again = cli.run("rotate-now", "account-1", "--json")
        ended = cli.run("rotate-now", "account-1", "--grace", "0s", "--json")

        assert again.code == 3
        assert again.json()[0]["error"]["code"] == "in-grace"
        assert (ended.code, ended.json()[0]["outcome"]) == (0, "completed")
        assert len(cli.secret_ids()) == 1


def test_a_busy_account_is_left_alone(cli: CliFixture) -> None:
    """While another process holds the lease, the command says so and exits with 75."""
    before = cli.snapshot()
    database = open_database(f"sqlite:///{cli.ledger}")
    LedgerWriter(database, lease_seconds=60).claim("account-1", datetime.now(UTC))
    done = cli.run("rotate-now", "account-1", "--json")
    database.dispose()

    assert (done.code, done.json()[0]["outcome"]) == (75, "busy")
    assert cli.snapshot() == before


def test_a_failure_is_one(cli: CliFixture) -> None:
    """A Vonage that fails for good ends in exit 1, with the code for programs."""
    cli.world.vonage.faults.add(Fault("status", method="POST", status=403, times=None))
    done = cli.run("rotate-now", "account-1", "--json")

    (report,) = done.json()
    assert done.code == 1
    assert (report["outcome"], report["error"]["code"]) == ("failed", "forbidden")
    assert report["error"].keys() == {"code", "message", "hint"}


# -- The dry run. --------------------------------------------------------------------------


def test_a_dry_run_tells_everything_and_changes_nothing(tmp_path: Path) -> None:
    """The plan has the predecessor and why, each step's target and the calls."""
    with CliFixture(tmp_path, policy={"grace": "1d"}) as cli:
        (old,) = cli.secret_ids()
        before = cli.snapshot()
        done = cli.run("rotate-now", "account-1", "--dry-run")

        assert done.code == 0, done
        assert f"replaces secret {old}: the only one, and Vault's value authenticates" in done.out
        assert "push    write it to secret/vonage/account-1 in Vault, check-and-set version 1" in (
            done.out
        )
        assert "(grace 1d)" in done.out
        assert f"delete secret {old} at Vonage" in done.out
        assert "calls to Vonage: 5" in done.out
        assert cli.snapshot() == before
        assert not cli.ledger.exists()


def test_a_dry_run_takes_no_lease(cli: CliFixture) -> None:
    """On a ledger that is there, the dry run reads and leaves no trace."""
    cli.rotate()
    before = cli.sql("SELECT * FROM account"), cli.sql("SELECT count(*) FROM entry")
    done = cli.run("rotate-now", "--all", "--dry-run", "--json")

    (report,) = done.json()
    assert (report["outcome"], report["new_secret_id"]) == ("planned", None)
    assert [report["old_secret_id"]] == cli.secret_ids()
    assert report["plan"]["predecessor"]["secret_id"] == report["old_secret_id"]
    assert report["plan"]["steps"][3]["path"] == "secret/vonage/account-1"
    assert before == (cli.sql("SELECT * FROM account"), cli.sql("SELECT count(*) FROM entry"))


def test_a_dry_run_foresees_a_refusal(tmp_path: Path, sqlite_template: Path) -> None:
    """What would be refused is refused in the dry run, with the same exit code."""
    with CliFixture(tmp_path, ledger=sqlite_template, policy={"grace": "1d"}) as cli:
        cli.rotate()
        done = cli.run("rotate-now", "account-1", "--dry-run")

        (report,) = cli.run("rotate-now", "account-1", "--dry-run", "--json").json()

        assert done.code == 3
        assert "error: account-1: the last rotation waits in its grace until" in done.err
        assert done.out == ""
        assert (report["error"]["code"], report["plan"]["steps"][0]["step"]) == ("in-grace", "wait")


# -- Being stopped. ------------------------------------------------------------------------


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_after_the_present_step(cli: CliFixture, signum: signal.Signals) -> None:
    """The step under way is finished, the lease released, and `resume` does the rest."""
    done = cli.signalled(signum, creates, "rotate-now", "account-1")
    lease = cli.sql("SELECT lease_owner FROM account")
    resumed = cli.run("resume")

    assert done.code == 128 + signum
    assert done.err.endswith("interrupted; nothing is lost, `rotator resume` goes on\n")
    assert (done.out, lease) == ("", [(None,)])
    assert (resumed.code, "completed" in resumed.out) == (0, True)
    assert len(cli.secret_ids()) == 1
    assert not cli.world.violations()


def test_a_signal_ends_a_wait_at_once(cli: CliFixture) -> None:
    """Nobody has to wait out an hour's grace to stop a command that does."""
    with cli.started("rotate-now", "account-1", "--grace", "1h", "--wait") as process:
        while "waiting until" not in (cli.folder / "err").read_text():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)

    assert cli.ended(process).code == 143
    assert cli.sql("SELECT lease_owner FROM account") == [(None,)]


# -- `resume`. -----------------------------------------------------------------------------


def test_resume_without_anything_open(cli: CliFixture) -> None:
    """There is nothing to resume, and `--json` says so by an empty list."""
    done, as_json = cli.run("resume"), cli.run("resume", "--json")

    assert (done.code, done.out) == (0, "nothing to resume\n")
    assert (as_json.code, as_json.json()) == (0, [])


def test_resume_respects_a_grace(tmp_path: Path, sqlite_template: Path) -> None:
    """A rotation in its grace is reported as waiting, others are left out."""
    with CliFixture(tmp_path, ledger=sqlite_template, accounts=2, policy={"grace": "1d"}) as cli:
        cli.rotate("account-2")
        reports = cli.run("resume", "--json").json()

        assert [(report["account"], report["outcome"]) for report in reports] == [
            ("account-2", "awaiting-deletion")
        ]
        assert reports[0].keys() == KEYS


def test_resume_warns_of_what_will_stop_a_rotation_after_its_grace(
    tmp_path: Path, sqlite_template: Path
) -> None:
    """Consumers still read a working secret, so it waits, and is not refused yet."""
    with CliFixture(tmp_path, ledger=sqlite_template, policy={"grace": "1d"}) as cli:
        path = cli.account.vault_path
        cli.rotate("account-1")
        quiet = cli.run("resume")
        cli.world.vault.write(path, {"api_secret": cli.account.api_secret})
        done, as_json = cli.run("resume"), cli.run("resume", "--json")

        assert (quiet.code, quiet.err) == (0, "")
        assert done.code == 0
        assert "awaiting-deletion" in done.out
        assert "warning: account-1: " in done.err
        assert "hint: nothing was deleted at Vonage; " in done.err
        assert [each["outcome"] for each in as_json.json()] == ["awaiting-deletion"]


def test_resume_only_what_is_named(tmp_path: Path, sqlite_template: Path) -> None:
    """Named accounts alone are carried on."""
    with CliFixture(tmp_path, ledger=sqlite_template, accounts=2, policy={"grace": "1d"}) as cli:
        cli.rotate("account-2")
        done = cli.run("resume", "account-1")

        assert done.out == "nothing to resume\n"


# -- Who asks, and what it cuts off. -------------------------------------------------------


def requests(cli: CliFixture) -> list[dict[str, object]]:
    """Return the facts of each request in the record."""
    rows = cli.sql("SELECT detail FROM entry WHERE event = 'requested' ORDER BY account, seq")
    return [json.loads(detail) for (detail,) in rows]


def test_who_asks_is_in_the_record(cli: CliFixture) -> None:
    """Who is named and why; without a name, who logged in and from which host."""
    cli.rotate("account-1", "--actor", "ann", "--reason", "incident 42", "--compromised")
    cli.rotate("account-1")

    [named, nameless] = requests(cli)
    assert named == {
        "operation": "rotate",
        "reason": "compromised",
        "grace_seconds": 0,
        "fencing_token": 1,
        "by": "ann",
        "from": named["from"],
        "because": "incident 42",
    }
    assert socket.gethostname() in str(named["from"])
    assert (nameless["by"], "because" in nameless) == (login_name(), False)
    assert cli.run("ledger", "verify").code == 0


def test_a_dry_run_is_no_request(cli: CliFixture) -> None:
    """It writes nothing, whoever runs it."""
    cli.run("rotate-now", "account-1", "--dry-run", "--actor", "ann")

    assert requests(cli) == []


@pytest.mark.parametrize(
    ("grace", "words"), [("30d", "grace (30d)"), ("720h", "grace (30d)"), ("31d", "grace (31d)")]
)
def test_a_grace_that_no_configuration_may_have_is_refused(
    cli: CliFixture, grace: str, words: str
) -> None:
    """In the words of `config check`, before anything is changed."""
    before = cli.snapshot()
    refused = cli.run("rotate-now", "account-1", "--grace", grace)
    cli.config.write_text(cli.text.replace('grace = "0s"', f'grace = "{grace}"'))
    checked = cli.run("config", "check")

    what = f"{words} is not less than every (30d), so rotations would overlap"
    assert (refused.code, checked.code) == (2, 2)
    assert f"error: --grace: account-1: {what}" in refused.err
    assert what in checked.err
    assert cli.snapshot() == before


@pytest.mark.parametrize(
    ("option", "answer"),
    [
        (("--grace", "0s"), "y"),
        (("--compromised",), "y"),
        (("--compromised",), "n"),
        (("--compromised",), "--yes"),
    ],
)
def test_several_accounts_lose_their_grace_only_after_a_yes(
    tmp_path: Path, sqlite_template: Path, option: tuple[str, ...], answer: str
) -> None:
    """On a terminal, what stops working is shown first, with its role; a script says `--yes`."""
    policy = {"grace": "1d"}
    with CliFixture(tmp_path, ledger=sqlite_template, accounts=2, policy=policy) as cli:
        cli.rotate("account-1")
        old, new = cli.secret_ids()
        (other,) = cli.secret_ids(cli.world.accounts[1])
        before = cli.snapshot()
        given = ("--yes",) if answer == "--yes" else ()
        done = cli.answered(f"{answer}\n", "rotate-now", "--all", *option, *given)

        losses = [
            f"account-1: secret {old} (predecessor) loses its grace, which lasts until ",
            f"account-1: secret {new} (current) is deleted as soon as a new one is in Vault",
            "account-2: the current secret is deleted as soon as a new one is in Vault",
        ]
        shown = [loss in done.err for loss in losses]
        assert ("rotate these 2 accounts without a grace? [y/N]: " in done.err) is (answer in "yn")
        assert shown == ([False] * 3 if given else [True, option[0] == "--compromised", True])
        assert (done.code, cli.snapshot() == before) == ((1, True) if answer == "n" else (0, False))
        assert (other in cli.secret_ids(cli.world.accounts[1])) is (answer == "n")


def test_one_account_and_a_script_are_not_asked(tmp_path: Path, sqlite_template: Path) -> None:
    """Who names one account on a terminal means it, and without a terminal nobody can answer."""
    with CliFixture(tmp_path, ledger=sqlite_template, accounts=2) as cli:
        named = cli.answered("", "rotate-now", "account-1", "--compromised")
        script = cli.run("rotate-now", "--all", "--compromised")

        assert (named.code, script.code) == (0, 0), (named, script)
        assert "[y/N]" not in named.err + script.err
