"""`account balance|top-up|callbacks` and `subaccounts list`, as the real process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rotator.sim import Fault
from tests.support.cli_fixture import CliFixture

URL = "https://example.com/inbound"


@pytest.fixture
def cli(tmp_path: Path, sqlite_template: Path) -> Iterator[CliFixture]:
    """A parent and its subaccount."""
    with CliFixture(tmp_path, ledger=sqlite_template, subaccounts=1) as cli:
        yield cli


def recorded(cli: CliFixture) -> list[str]:
    """Return event and detail of the ledger's entries about manual operations."""
    rows = cli.sql("SELECT event, detail FROM entry WHERE event != 'registered' ORDER BY seq")
    return [f"{event} {detail}" for event, detail in rows]


def test_balances_are_shown_against_their_minimum(cli: CliFixture) -> None:
    """All accounts, or those named; what is under `min_balance` is marked."""
    text = cli.text.replace('name = "account-1"\n', 'name = "account-1"\nmin_balance = 20\n')
    cli.config.write_text(text)
    table, document = (
        cli.run("account", "balance"),
        cli.run("account", "balance", "account-1", "--json").json(),
    )

    rows = [line.split() for line in table.out.splitlines()[1:]]
    assert rows == [
        ["account-1", "10.28", "no", "20", "LOW"],
        ["account-1-sub-1", "10.28", "no", "-", "-"],
    ]
    assert document == [
        {
            "account": "account-1",
            "balance": 10.28,
            "auto_reload": False,
            "min_balance": 20.0,
            "low": True,
            "error": None,
        }
    ]


def test_one_balance_that_cannot_be_read_leaves_the_others(cli: CliFixture) -> None:
    """A dead value is named, the other balance is shown, and the command fails."""
    cli.entry(api_secret="NotTheSecret1")
    done = cli.run("account", "balance", "--json")

    dead, other = done.json()
    assert done.code == 1
    assert (dead["balance"], dead["error"]["code"]) == (None, "credential-refused")
    assert other["balance"] == 10.28
    assert done.err.startswith("error: account-1: ")


def test_a_top_up_spends_once_and_is_recorded(cli: CliFixture) -> None:
    """With --yes it is asked for once; the record has it, without the payment's reference."""
    cli.world.vonage.auto_reload = True
    done = cli.run("account", "top-up", "account-1", "--transaction", "8ef2447e6960", "--yes")

    assert (done.code, done.out) == (0, "topped up account-1, which had 10.28 EUR\n")
    assert cli.world.vonage.balance(cli.account.api_key) == 20.28
    assert [line.split()[0] for line in recorded(cli)] == ["requested", "intent", "done"]
    assert "8ef2447e6960" not in "".join(recorded(cli))


def test_a_top_up_asks_first(cli: CliFixture) -> None:
    """Who does not say yes spends nothing; where nobody can be asked, neither."""
    cli.world.vonage.auto_reload = True
    arguments = ("account", "top-up", "account-1", "--transaction", "1")
    no, unasked = cli.answered("n\n", *arguments), cli.run(*arguments)
    before = cli.world.vonage.balance(cli.account.api_key)
    yes = cli.answered("y\n", *arguments, "--json")

    assert (no.code, unasked.code) == (1, 2)
    assert "its balance is 10.28 EUR; charge account-1's payment method now?" in no.err
    assert before == 10.28
    assert yes.json() == {"account": "account-1", "topped_up": True, "balance_before": 10.28}


def test_a_top_up_whose_answer_is_lost_is_not_repeated(cli: CliFixture) -> None:
    """What became of the money is to be looked up; the record says that it is not known."""
    cli.world.vonage.auto_reload = True
    cli.world.vonage.faults.add(Fault("drop-after", method="POST"))
    done = cli.run("account", "top-up", "account-1", "--transaction", "1", "--yes")

    assert done.code == 1
    assert "hint: it may have been charged: compare `rotator account balance account-1`" in done.err
    assert cli.world.vonage.balance(cli.account.api_key) == 20.28
    assert [line.split()[0] for line in recorded(cli)] == ["requested", "intent", "unknown"]


def test_a_top_up_without_auto_reload_says_so(cli: CliFixture) -> None:
    """Vonage's refusal comes with what has to be done first."""
    done = cli.run("account", "top-up", "account-1", "--transaction", "1", "--yes")

    assert done.code == 1
    assert "hint: Vonage tops up only where auto-reload is enabled" in done.err
    assert [line.split()[0] for line in recorded(cli)] == ["requested", "intent", "rejected"]


def test_callbacks_are_read_set_and_unset(cli: CliFixture) -> None:
    """One is changed without touching the other; the record does not name a URL."""
    callbacks = ("account", "callbacks", "account-1")
    urls = ("--inbound", URL, "--delivery", f"{URL}2")
    all_set = cli.run(*callbacks, *urls, "--forward-method", "POST_JSON")
    cli.run(*callbacks, "--no-inbound")
    read = cli.run(*callbacks, "--json")
    unset = cli.run(*callbacks, "--no-forward-method", "--json")

    assert [line.rsplit(maxsplit=1) for line in all_set.out.splitlines()[1:]] == [
        ["inbound", URL],
        ["delivery", f"{URL}2"],
        ["forward method", "POST_JSON"],
    ]
    document = {"account": "account-1", "inbound": None, "delivery": f"{URL}2"}
    assert read.json() == document | {"forward_method": "POST_JSON"}
    assert unset.json() == document | {"forward_method": None}
    assert [line.split()[0] for line in recorded(cli)] == ["requested", "intent", "done"] * 3
    assert URL not in "".join(recorded(cli))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--inbound", ""), "--inbound is empty"),
        (("--delivery", URL, "--no-delivery"), "--delivery and --no-delivery are both given"),
        (("--forward-method", "POST_JSON", "--no-forward-method"), "are both given"),
        (
            ("--forward-method", "PUT"),
            "'PUT' is not one of 'GET_QUERY_PARAMS'",
        ),
        (("--inbound", "ftp://example.com"), "a callback is a URL of http or https"),
    ],
)
def test_a_callback_that_is_none_changes_nothing(
    cli: CliFixture, arguments: tuple[str, ...], message: str
) -> None:
    """An empty variable does not unset what works, and no other nonsense is sent."""
    before = cli.snapshot()
    done = cli.run("account", "callbacks", "account-1", *arguments)

    assert done.code == 2
    assert message in done.err
    assert cli.snapshot() == before


def test_subaccounts_are_listed_with_their_names_here(cli: CliFixture) -> None:
    """Each subaccount says under which name it is configured, or that it is not."""
    child = cli.world.accounts[1]
    cli.config.write_text(cli.text.replace('"account-1-sub-1"', '"my-child"'))
    table, document = (
        cli.run("subaccounts", "list", "account-1"),
        cli.run("subaccounts", "list", "account-1", "--json").json(),
    )

    (row,) = (line.split() for line in table.out.splitlines()[1:])
    assert (row[0], row[-1]) == (child.api_key, "my-child")
    (listed,) = document["subaccounts"]
    assert (listed["api_key"], listed["configured_as"]) == (child.api_key, "my-child")
    assert listed["suspended"] is False
