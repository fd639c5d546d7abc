"""`secrets list|show|create|delete`, as the real process."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotator.sim import Exchange, Fault, Phase
from tests.support.cli_fixture import CliFixture
from tests.support.terminal import run_at_terminal

VALUE = "Brought0ByHand"


@pytest.fixture
def cli(tmp_path: Path, sqlite_template: Path) -> Iterator[CliFixture]:
    """One account with one secret, and a grace that outlasts every test."""
    with CliFixture(tmp_path, ledger=sqlite_template, policy={"grace": "1d"}) as cli:
        yield cli


def events(cli: CliFixture) -> list[str]:
    """Return the events of the ledger's entries about manual operations."""
    rows = cli.sql(
        "SELECT event FROM entry WHERE rotation_id IS NULL AND event != 'registered' "
        "AND detail NOT LIKE '%rotate%' ORDER BY seq"
    )
    return [event for (event,) in rows]


def test_list_tells_what_each_secret_is(cli: CliFixture) -> None:
    """In a grace there is a predecessor and a current secret, the oldest first."""
    cli.rotate()
    table, document = (
        cli.run("secrets", "list", "account-1"),
        cli.run("secrets", "list", "account-1", "--json").json(),
    )

    rows = [line.split() for line in table.out.splitlines()[1:]]
    assert [(row[0], row[-1]) for row in rows] == list(
        zip(cli.secret_ids(), ["predecessor", "current"], strict=True)
    )
    assert document.keys() == {"account", "api_key", "secrets"}
    assert document["secrets"][0].keys() == {"id", "created_at", "role", "origin"}


def test_list_tells_who_made_a_foreign_secret(cli: CliFixture) -> None:
    """Once a look has asked Vonage's Audit API, in the words that `status` has; it asks nobody."""
    audited = {"ROTATOR_VONAGE__AUDIT": "true"}
    cli.world.vonage.audit_names_secrets = True
    cli.run("rotate-now", "account-1", "--grace", "0s")
    foreign = cli.world.vonage.add_secret(cli.account.api_key, VALUE)
    made = "made in Vonage's dashboard by operator@example.com, from 192.0.2.10 (GB), at 20"
    before = cli.run("secrets", "list", "account-1", "--json", environment=audited).json()
    status = cli.run("status", "--refresh", "--json", environment=audited).json()
    after = cli.run("secrets", "list", "account-1", "--json").json()
    table = cli.run("secrets", "list", "account-1").out
    report = cli.run("report", "--format", "json").json()
    asked = [each for each in cli.world.vonage.exchanges if "audit" in each.path]
    origins = {secret["id"]: secret["origin"] for secret in after["secrets"]}

    assert [secret["origin"] for secret in before["secrets"]] == [None, None]
    assert f"secret {foreign} was {made}" in status["accounts"][0]["why"]
    assert origins.pop(foreign).startswith(made)
    assert list(origins.values()) == [None]
    assert f"foreign: {made}" in table
    assert report["accounts"][0]["sightings"][0]["origin"].startswith(made)
    assert f"secret {foreign} was {made}" in cli.run("status").out.replace("\n", " ")
    assert len(asked) == 1


def test_show_is_about_one(cli: CliFixture) -> None:
    """One secret is shown by its id; an id that Vonage does not know is a failure."""
    (only,) = cli.secret_ids()
    shown, missing = (
        cli.run("secrets", "show", "account-1", secret_id, "--json") for secret_id in (only, "no")
    )

    assert shown.json()["id"] == only
    assert shown.json()["role"] == "current"
    assert missing.code == 1


def test_create_sends_a_value_once_and_records_it(cli: CliFixture) -> None:
    """The value comes from standard input, works at Vonage, and is shown nowhere."""
    done = cli.run(
        "--log-level", "debug", "secrets", "create", "account-1", "--from-file", "-", text=VALUE
    )

    _, new = cli.secret_ids()
    assert done.code == 0, done
    assert done.out == f"created secret {new} of account-1\n"
    assert cli.world.vonage.authenticates(cli.account.api_key, VALUE)
    assert VALUE not in done.err
    assert events(cli) == ["requested", "intent", "done"]
    assert cli.sql("SELECT lease_owner FROM account") == [(None,)]


def test_create_checks_the_value_first(cli: CliFixture) -> None:
    """A value that Vonage would not take is not sent, and not repeated."""
    file = cli.folder / "value"
    file.write_text("tooweakbutlong\n")
    done = cli.run("secrets", "create", "account-1", "--from-file", str(file))

    assert done.code == 2
    assert "Vonage would not accept the value" in done.err
    assert "tooweakbutlong" not in done.err
    assert not cli.world.vonage.exchanges


def test_create_tells_what_became_of_a_lost_answer(cli: CliFixture) -> None:
    """An answer that was lost is recorded as unknown, and the value is not sent again."""
    cli.world.vonage.faults.add(Fault("drop-after", method="POST"))
    done = cli.run("secrets", "create", "account-1", "--from-file", "-", text=VALUE)

    posts = [seen for seen in cli.world.vonage.exchanges if seen.method == "POST"]
    assert done.code == 1
    assert len(posts) == 1
    assert events(cli) == ["requested", "intent", "unknown"]


def test_create_does_not_take_the_last_slot_from_a_rotation(cli: CliFixture) -> None:
    """With two secrets there is no room, which is found without asking for it."""
    cli.rotate()
    done = cli.run("secrets", "create", "account-1", "--from-file", "-", text=VALUE)

    assert done.code == 1
    assert "already has the two secrets" in done.err
    assert events(cli) == ["requested", "not-begun"]


def test_delete_refuses_what_may_be_in_use(cli: CliFixture) -> None:
    """What Vault holds and what a rotation owns stay, unless forced; the only one stays anyway.

    The hint is what is right for each, and never what Vonage would refuse.
    """
    (only,) = cli.secret_ids()
    last = cli.run("secrets", "delete", "account-1", only, "--yes")
    forced = cli.run("secrets", "delete", "account-1", only, "--yes", "--force")
    cli.rotate()
    before = cli.snapshot()
    old, new = (
        cli.run("secrets", "delete", "account-1", each, "--yes") for each in cli.secret_ids()
    )

    assert (last.code, forced.code, old.code, new.code) == (3, 3, 3, 3)
    assert last.err == forced.err
    assert "the account's only one, which Vonage always keeps" in last.err
    assert "hint: `rotator rotate-now account-1` makes another one" in last.err
    assert "--force" not in last.err
    assert "is in its grace" in old.err
    assert "hint: `rotator rotate-now account-1 --grace 0s` ends the grace now" in old.err
    assert "the one that Vault holds" in new.err
    assert "hint: `rotator rotate-now account-1` replaces it first; --force" in new.err
    assert cli.snapshot() == before


def test_delete_records_what_it_refuses_at_a_terminal(cli: CliFixture) -> None:
    """Where it would ask first, it asks nothing, and who asked is in the ledger all the same."""
    cli.rotate()
    old, _ = cli.secret_ids()
    command = [sys.executable, "-m", "rotator", "secrets", "delete", "account-1", old[:8]]
    done = run_at_terminal(command, cli.environment | {"TERM": "xterm"})

    assert done.code == 3
    assert "is in its grace" in done.out
    assert f"delete secret {old}" not in done.out
    assert events(cli) == ["requested", "not-begun"]
    [(detail,)] = cli.sql(
        "SELECT detail FROM entry WHERE event = 'requested' AND detail LIKE '%delete%'"
    )
    assert old in detail


def test_delete_removes_a_foreign_secret_and_records_it(cli: CliFixture) -> None:
    """A secret that nobody uses is deleted on request; nobody is there to be asked."""
    cli.rotate("account-1", "--grace", "0s")
    foreign = cli.world.vonage.add_secret(cli.account.api_key, VALUE)
    unasked = cli.run("secrets", "delete", "account-1", foreign)
    done = cli.run("secrets", "delete", "account-1", foreign, "--yes")

    assert (unasked.code, done.code) == (2, 0), done
    assert done.out == f"deleted secret {foreign} of account-1\n"
    assert foreign not in cli.secret_ids()
    assert events(cli) == ["requested", "secret-appeared", "intent", "done"]


def test_delete_takes_a_replaced_value_out_of_vault_first(cli: CliFixture) -> None:
    """In its grace, the old value is beside the new one for consumers that try both."""
    text = cli.config.read_text()
    kept = text.replace("[[accounts]]\n", '[[accounts]]\nprevious_field = "past"\n')
    cli.config.write_text(kept)
    cli.rotate()
    beside: list[bool] = []
    path = cli.account.vault_path

    def watch(phase: Phase, exchange: Exchange) -> None:
        if exchange.method == "DELETE" and phase == "before":
            beside.append("past" in (cli.world.vault.read(path) or {}))

    was_kept = "past" in (cli.world.vault.read(path) or {})
    cli.world.vonage.observers.append(watch)
    done = cli.run("secrets", "delete", "account-1", cli.secret_ids()[0], "--yes", "--force")

    assert was_kept
    assert done.code == 0
    assert beside == [False]


def test_delete_when_uncertain_needs_force(cli: CliFixture) -> None:
    """Without a note nobody knows which of two secrets Vault holds."""
    foreign = cli.world.vonage.add_secret(cli.account.api_key, VALUE)
    refused = cli.run("secrets", "delete", "account-1", foreign, "--yes")
    forced = cli.run("secrets", "delete", "account-1", foreign, "--yes", "--force")

    assert (refused.code, forced.code) == (3, 0)
    assert "is not certain" in refused.err
    assert foreign not in cli.secret_ids()


def test_what_is_done_is_told_to_programs(cli: CliFixture) -> None:
    """The id of what was made or deleted stands in one document."""
    made = cli.run(
        "secrets", "create", "account-1", "--from-file", "-", "--json", text=VALUE
    ).json()
    deletion = ("secrets", "delete", "account-1", made["secret_id"], "--yes", "--force", "--json")
    gone = cli.run(*deletion).json()

    assert made.keys() == {"account", "secret_id", "created_at"}
    assert gone == {"account": "account-1", "secret_id": made["secret_id"], "deleted": True}
    assert made["secret_id"] not in cli.secret_ids()


def test_the_beginning_of_an_id_is_enough(cli: CliFixture) -> None:
    """As tables show it; what is recorded and printed is the whole one."""
    cli.rotate()
    cli.world.vonage.audit_names_secrets = True
    cli.run("rotate-now", "account-1", "--grace", "0s")
    foreign = cli.world.vonage.add_secret(cli.account.api_key, VALUE)
    shown = cli.run("secrets", "show", "account-1", foreign[:8], "--json")
    short = cli.run("secrets", "delete", "account-1", foreign[:3], "--yes")
    done = cli.run("secrets", "delete", "account-1", foreign[:8], "--yes", "--json")
    recorded = cli.sql("SELECT detail FROM entry WHERE event = 'done' AND detail LIKE '%operator%'")

    assert shown.json()["id"] == foreign
    assert short.code == 2
    assert foreign in short.err
    assert done.json()["secret_id"] == foreign
    assert foreign not in cli.secret_ids()
    assert foreign in str(recorded)


def test_what_was_wrong_is_over_once_the_secret_in_the_way_is_deleted(cli: CliFixture) -> None:
    """`status` says so at once, not at the next look of a daemon."""
    cli.rotate("--all", "--grace", "0s")
    foreign = cli.world.vonage.add_secret(cli.account.api_key, "MadeByHand1")
    cli.run("status", "--refresh")
    (wrong,) = cli.run("status", "--json").json()["accounts"]
    cli.run("secrets", "delete", cli.account.name, foreign, "--force", "--yes")
    (mended,) = cli.run("status", "--json").json()["accounts"]

    assert (wrong["state"], mended["state"]) == ("drifted", "healthy")


def test_a_value_in_the_place_of_an_id_is_not_repeated(cli: CliFixture) -> None:
    """Neither by the command nor in the record."""
    value = cli.world.accounts[0].api_secret
    done = cli.run("secrets", "delete", cli.account.name, value, "--yes")

    assert done.code == 1
    assert "has no secret of that id" in done.err
    assert value not in done.out + done.err + cli.run("history", "--json").out
