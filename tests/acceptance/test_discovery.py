import json
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rotator.sim import Environment
from tests.acceptance.service import Service, get, service, until

KEYS = ("bbbb0001", "bbbb0002")
LISTEN = 'listen = "127.0.0.1:0"'


@pytest.fixture
def run(ledger_url: str, tmp_path: Path) -> Iterator[Service]:
    """Yield a service whose one configured account has subaccounts that nobody configured."""
    world = Environment.build(
        accounts=1, subaccounts=0, created_at=datetime.now(UTC) - timedelta(days=1)
    )
    parent = world.accounts[0].api_key
    for key in KEYS:
        world.vonage.add_account(key, f"First0Secret{key}", parent=parent, name=f"shop-{key}")
    world.vonage.add_account("cccc0001", "First0SecretOfTest", parent=parent, name="test-1")
    with service(world, tmp_path, ledger_url, LISTEN) as made:
        text = made.config.read_text().replace("[daemon]\n", '[daemon]\ndiscover_check = "1s"\n')
        made.config.write_text(
            f'{text}\n[[discover]]\nparent = "account-1"\nvault_path = "vonage/{{api_key}}"\n'
            'exclude = ["test-*"]\n'
        )
        yield made


def completed(run: Service, name: str) -> bool:
    """Whether the account's last rotation came to its end."""
    (record,) = run.queries.accounts([name])
    return bool(record.last_rotation and record.last_rotation.outcome == "completed")


def standings(run: Service) -> dict[str, dict[str, object]]:
    """Ask `status`."""
    done = run.run("status", "--json")
    return {each["name"]: each for each in json.loads(done.stdout)["accounts"]}


@pytest.mark.parametrize("kind", ["sqlite"])
def test_subaccounts_appear_by_themselves(run: Service) -> None:
    """Each gets a first secret in Vault, and the one it had is kept and reported."""
    process = run.start()
    until(lambda: all(completed(run, key) for key in KEYS))
    until(lambda: run.queries.accounts([KEYS[0]])[0].seen_at)
    added = "bbbb0003"
    run.world.vonage.add_account(added, "First0SecretLater", parent=run.world.accounts[0].api_key)
    until(lambda: completed(run, added))
    known = standings(run)
    again = run.run("rotate-now", KEYS[0], "--json")
    assert run.stop(process) == 0

    assert known.keys() == {"account-1", *KEYS, added}
    for key in (*KEYS, added):
        entry = run.world.vault.read(f"vonage/{key}")
        assert entry is not None
        assert entry["api_key"] == key
        assert run.world.vonage.authenticates(key, entry["api_secret"])
        assert len(run.world.vonage.secrets(key)) == 2
        assert known[key]["current_secret_id"] == entry["rotator"]["secret_id"]
    # Both slots are taken, and whose the other secret is, is for an operator to say.
    assert again.returncode == 3, again
    assert json.loads(again.stdout)[0]["error"]["code"] == "foreign-secret"
    assert not run.world.vault.read("vonage/cccc0001")
    assert len(run.world.vonage.history("cccc0001")) == 1
    assert run.run("ledger", "verify", "--offline").returncode == 0


@pytest.mark.parametrize("kind", ["sqlite"])
def test_what_is_suspended_or_gone_is_held(run: Service) -> None:
    """And released when it is back; both are in the record, and shown in `status`."""
    process = run.start()
    until(lambda: all(completed(run, key) for key in KEYS))
    suspended, gone = KEYS
    parent = run.world.accounts[0].api_key
    run.world.vonage.suspend(suspended)
    run.world.vonage.move(gone, None)
    until(lambda: all(record.hold for record in run.queries.accounts(KEYS)))
    held = standings(run)
    refused = run.run("rotate-now", suspended, "--json")
    run.world.vonage.suspend(suspended, suspended=False)
    run.world.vonage.move(gone, parent)
    until(lambda: not any(record.hold for record in run.queries.accounts(KEYS)))
    assert run.stop(process) == 0

    assert "suspended this subaccount" in str(held[suspended]["hold"])
    assert "does not list" in str(held[gone]["hold"])
    assert json.loads(refused.stdout)[0]["error"]["code"] == "held"
    events = [entry.event for entry in run.queries.history(suspended, limit=100)]
    assert [event for event in events if event in {"discovered", "held", "released"}] == [
        "discovered",
        "held",
        "released",
    ]


@pytest.mark.parametrize("kind", ["sqlite"])
def test_what_is_found_is_shown(run: Service) -> None:
    """On the page and in the metrics of a daemon that was started before, also after a reload."""
    process = run.start()
    url = run.url()

    def shown() -> set[str]:
        accounts = get(f"{url}/api/status").json()["accounts"]
        return {each["name"] for each in accounts}

    until(lambda: shown() == {"account-1", *KEYS})
    run.world.vonage.add_account(
        "bbbb0003", "First0SecretLater", parent=run.world.accounts[0].api_key
    )
    until(lambda: "bbbb0003" in shown())
    process.send_signal(signal.SIGHUP)
    until(lambda: run.logged('"reloaded"'))
    until(lambda: "bbbb0003" in shown())
    metrics = get(f"{url}/metrics").text
    page = get(f"{url}/accounts/bbbb0003")
    assert run.stop(process) == 0

    assert 'rotator_account_held{account="bbbb0003"} 0.0' in metrics
    assert page.status_code == 200
