"""`forget`, what it is for, and `rotate-now --take-over`, as the real process."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotator.cli.actor import login_name
from tests.support.cli_fixture import CliFixture

NEW_NAME = ('name = "account-1"', 'name = "sms-prod"')
PENDING = "rotator/pending/account-1"
VALUE = "BegunElsewhere1"


@pytest.fixture(autouse=True)
def without_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be who the commands are run by, who do not get this environment."""
    monkeypatch.delenv("SUDO_USER", raising=False)


@pytest.fixture
def cli(tmp_path: Path, sqlite_template: Path) -> Iterator[CliFixture]:
    """One account with an empty ledger."""
    with CliFixture(tmp_path, ledger=sqlite_template) as cli:
        yield cli


@pytest.fixture
def waiting(tmp_path: Path, sqlite_template: Path) -> Iterator[CliFixture]:
    """One account whose rotation waits in its grace."""
    with CliFixture(tmp_path, ledger=sqlite_template, policy={"grace": "1h"}) as cli:
        cli.rotate()
        yield cli


def rename(cli: CliFixture) -> None:
    """Change the account's name in the configuration."""
    cli.config.write_text(cli.text.replace(*NEW_NAME))


def test_a_renamed_account_goes_on_once_the_old_name_is_forgotten(cli: CliFixture) -> None:
    """Until then nothing is done under the new one, and the refusal says how to go on."""
    cli.rotate()
    rename(cli)
    planned = cli.run("rotate-now", "sms-prod", "--dry-run", "--json")
    refused = cli.run("rotate-now", "sms-prod", "--json")
    forgot = cli.run("forget", "account-1")
    rotated = cli.run("rotate-now", "sms-prod")
    back = cli.run("rotate-now", "sms-prod", environment={"ROTATOR_CONFIG": str(cli.config)})
    history = cli.run("history", "account-1")

    assert [done.json()[0]["error"]["code"] for done in (planned, refused)] == ["account-taken"] * 2
    assert (planned.code, refused.code) == (3, 3)
    assert "is that of account account-1 already" in refused.json()[0]["error"]["message"]
    assert (forgot.code, forgot.out, forgot.err) == (
        0,
        "account-1 is forgotten: its API key and Vault path are free for another name\n",
        "",
    )
    assert (rotated.code, back.code) == (0, 0)
    assert f"forgotten   by={login_name()} from=" in history.out
    assert cli.run("ledger", "verify", "--offline").code == 0


def test_an_open_rotation_is_not_forgotten_by_mistake(waiting: CliFixture) -> None:
    """It is ended only where that is said, and the record has it."""
    refused = waiting.run("forget", "account-1")
    ended = waiting.run("forget", "account-1", "--abandon", "--json")
    status = waiting.run("status", "--json").json()["accounts"][0]

    assert refused.code == 3
    assert "a rotation of account-1 is open, at step wait" in refused.err
    assert "--abandon ends it where it is" in refused.err
    assert ended.code == 0
    assert ended.json() == {"account": "account-1", "abandoned": status["last_rotation"]["id"]}
    assert "was ended at step wait" in ended.err
    assert "account-1 is still configured, and the next run takes it up again" in ended.err
    assert status["last_rotation"]["outcome"] == "failed"
    assert status["state"] == "healthy"
    assert "closed" in waiting.run("history", "account-1").out


def test_only_what_the_ledger_has_is_forgotten(cli: CliFixture) -> None:
    """A name that was never worked under is a mistake, and makes no account."""
    done = cli.run("forget", "account-2")

    assert done.code == 2
    assert "the ledger has no account 'account-2'" in done.err
    assert "account-2" not in cli.run("history").out


def stage(cli: CliFixture, **owner: str) -> None:
    """Leave a pending entry as another host does that was killed then."""
    account = cli.world.accounts[0]
    (secret,) = cli.world.vonage.secrets(account.api_key)
    entry = {
        "value": VALUE,
        "rotation_id": "6d0f5f0e-7c1c-4d5e-9a53-0d9f6a2b7c11",
        "listed": [secret.id],
        "predecessor_id": secret.id,
        "api_key": account.api_key,
        "issuer": "127.0.0.1",
        "vault_path": f"secret/{account.vault_path}",
        "ledger_id": "0f6f2c9c-2f7d-4a41-8a55-3b5f0a1f7d20",
    }
    cli.world.vault.write(PENDING, entry | owner)


def test_what_another_ledger_began_is_taken_over_by_order_alone(cli: CliFixture) -> None:
    """Without it nothing is done; with it, that very value is the account's."""
    stage(cli)
    refused = cli.run("rotate-now", "account-1")
    planned = cli.run("rotate-now", "account-1", "--take-over", "--dry-run")
    taken = cli.run("rotate-now", "account-1", "--take-over", "--json")
    current = cli.world.vault.read(cli.world.accounts[0].vault_path) or {}

    assert refused.code == 3
    assert "of a rotation that this ledger does not know" in refused.err
    assert "hint: nothing was changed; let the other host finish it" in refused.err
    assert "`rotator rotate-now account-1 --take-over`" in refused.err
    assert (planned.code, taken.code) == (0, 0)
    assert taken.json()[0]["outcome"] == "completed"
    assert current["api_secret"] == VALUE


@pytest.mark.parametrize(
    ("owner", "message"),
    [
        ({"api_key": "efgh5678"}, "for another API key than"),
        ({"issuer": "api.example.com"}, "for another API host than 127.0.0.1"),
        ({"vault_path": "secret/another"}, "for another Vault path than secret/"),
    ],
)
def test_what_is_pending_for_another_account_stays(
    cli: CliFixture, owner: dict[str, str], message: str
) -> None:
    """Not even an order has it used; and what it says of itself is not shown."""
    stage(cli, **owner)
    before = cli.world.vault.read(PENDING)
    refused = cli.run("rotate-now", "account-1", "--take-over", "--json")

    (report,) = refused.json()
    assert refused.code == 3
    assert report["error"]["code"] == "pending-foreign"
    assert message in report["error"]["message"]
    assert next(iter(owner.values())) not in json.dumps(report)
    assert cli.world.vault.read(PENDING) == before
    assert len(cli.world.vonage.secrets(cli.world.accounts[0].api_key)) == 1
