"""The daemon's unit under a booted systemd: its start, reload, stalls, deaths and end."""

import pytest

from tests.acceptance.service import until
from tests.booted.host import BRISK, UNIT, Host
from tests.booted.pages import OPERATIONS, other

#: The first test to boot a machine downloads what it is made of.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
#: The timer's unit of the only account.
TIMED = "rotator-rotate-now@account-1.service"


def start(host: Host) -> None:
    """Start the daemon's unit; systemd waits until it is ready."""
    host.machine.run(f"systemctl start {UNIT}")


def test_it_starts_rotates_and_ends(ready: Host) -> None:
    """It is ready once it works, reads its credential, and ends in time without being killed."""
    start(ready)
    assert ready.shows("ActiveState") == "active"
    ready.until_rotated()
    ready.machine.run(f"systemctl stop {UNIT}")

    assert ready.shows("Result") == "success"
    assert ready.shows("NRestarts") == "0"
    assert ready.machine.told("stat -L -c %a /var/lib/rotator/ledger.db") == "600"
    assert ready.machine.told("stat -c %U /run/rotator") != "root"


def test_an_end_between_two_steps_is_no_end_of_the_rotation(ready: Host) -> None:
    """Stopped in the middle of a rotation, the next start goes on with it."""
    met = ready.at_request(5, lambda: ready.machine.run(f"systemctl stop --no-block {UNIT}"))
    start(ready)
    until(lambda: met)
    until(lambda: ready.shows("ActiveState") == "inactive")
    assert ready.shows("Result") == "success"
    start(ready)
    ready.until_rotated()

    assert ready.made() == 1


@pytest.mark.parametrize("number", [6, 10])
def test_killed_at_a_request_it_goes_on_by_itself(ready: Host, number: int) -> None:
    """Systemd starts it again, and the same rotation comes to its end."""
    ready.drop_in(BRISK)
    met = ready.at_request(number, lambda: ready.machine.run(f"systemctl kill -s KILL {UNIT}"))
    start(ready)
    until(lambda: met)
    ready.until_rotated()

    assert ready.made() == 1
    assert ready.shows("NRestarts") == "1"


def test_the_timer_s_unit_killed_at_each_request_goes_on(ready: Host) -> None:
    """The same by the unit that rotates once: started again, it ends that one and rotates."""
    ready.drop_in(f"[Unit]\nStartLimitBurst=1000\n{BRISK}", unit=TIMED)

    def kill() -> object:
        return ready.machine.run(f"systemctl kill -s KILL {TIMED}")

    for runs, number in enumerate(range(2, 40, 3), 1):
        met = ready.at_request(number, kill)
        ready.machine.run(f"systemctl start {TIMED}", check=False)
        ready.machine.until(f"systemctl is-active {TIMED} | grep -q '^inactive'")
        ready.until_rotated(runs)
        if not met:
            break

    assert number > 10
    assert runs <= ready.made() < 2 * runs


def test_the_timer_s_unit_is_tried_again_and_given_up(ready: Host) -> None:
    """What fails is tried six times in all; then the unit has failed, and OnFailure= is called.

    Vonage being away is such a failure, and over with the next try.
    """
    ready.drop_in(BRISK, unit=TIMED)
    ready.machine.within(ready.world.vonage.close)
    ready.machine.run(f"systemctl start --no-block {TIMED}")
    until(lambda: ready.shows("NRestarts", TIMED) != "0")
    ready.machine.within(ready.world.vonage.start)
    ready.until_rotated()

    ready.page()
    failing = "ExecStart=\nExecStart=/bin/false\n"
    ready.drop_in(f"[Unit]\nOnFailure=page.service\n{BRISK}{failing}", unit=TIMED)
    ready.machine.run(f"systemctl reset-failed {TIMED}; systemctl start {TIMED}", check=False)
    ready.machine.until("test -e /run/paged")
    assert ready.shows("ActiveState", TIMED) == "failed"
    assert ready.machine.journal(TIMED).count("Failed with result 'exit-code'") > 5


def test_what_stands_still_is_killed_and_leaves_no_core(ready: Host) -> None:
    """The watchdog ends it, it starts again, and no image of its memory is anywhere.

    Where the kernel writes core dumps to the folder of the process, another process that is
    treated alike leaves one there.
    """
    generous = "LimitCORE=\nLimitCORE=infinity\nWorkingDirectory=/var/lib/rotator\n"
    ready.drop_in(f"{BRISK}WatchdogSec=3s\n{generous}")
    start(ready)
    ready.until_rotated()
    before = ready.shows("MainPID")
    ready.machine.run(f"kill -STOP {before}")
    until(lambda: ready.shows("MainPID") not in (before, "0"))
    until(lambda: ready.shows("ActiveState") == "active")
    assert "Watchdog timeout" in ready.machine.journal()

    ready.machine.run(f"kill -ABRT {ready.shows('MainPID')}")
    until(lambda: ready.shows("NRestarts") == "2")
    assert "core" not in ready.machine.told("ls /var/lib/rotator/")
    ready.machine.run(
        "mkdir /tmp/cores; systemd-run -q --wait -p LimitCORE=infinity "
        "-p WorkingDirectory=/tmp/cores python3 -c 'import os; os.abort()'",
        check=False,
    )
    pattern = ready.machine.told("cat /proc/sys/kernel/core_pattern")
    left = ready.machine.told("ls /tmp/cores")
    assert bool(left) is not pattern.startswith(("|", "/"))


def test_its_memory_is_no_other_process_s_business(ready: Host) -> None:
    """Neither a hook, which runs as the same user, nor a debugger of that user reads it."""
    start(ready)
    pid = ready.shows("MainPID")

    owner = ready.machine.told(f"stat -c '%U' /proc/{pid}/mem")
    assert (owner, ready.machine.told(f"ps -o user= {pid}")) == ("root", "rotator")
    assert ready.machine.run(f"runuser -u rotator -- cat /proc/{pid}/maps", check=False).returncode


def test_a_reload_takes_over_what_is_good_and_fails_otherwise(ready: Host) -> None:
    """`systemctl reload` says so, the journal says why, and the daemon goes on as it was."""
    start(ready)
    ready.configure(every="20d")
    ready.machine.run(f"systemctl reload {UNIT}")
    ready.until_logged('"reloaded"')
    ready.until_rotated()
    pid = ready.shows("MainPID")
    ready.configure(every="soon")
    done = ready.machine.run(f"systemctl reload {UNIT}", check=False)

    assert done.returncode == 1
    assert (ready.shows("ActiveState"), ready.shows("MainPID")) == ("active", pid)
    errors = ready.machine.told(f"journalctl -q --no-pager -o cat -p err -u {UNIT}")
    assert "error: /etc/rotator/config.toml: policy.every: 'soon' is not a duration" in errors
    assert "hint: " in errors


def test_a_reload_finds_credentials_that_nothing_names(ready: Host) -> None:
    """Systemd shows them to the service alone; what looks first takes them for being there."""
    proof = {"role_id": "rotator-role", "secret_id": "Secret0IdOfTheService"}
    ready.world.vault.allow_login("approle/login", proof)
    drop_in = other(OPERATIONS, "Credentials under systemd", "ini")[0]
    slack = "LoadCredential=slack-url:/etc/rotator/slack-url\n"
    ready.drop_in(f"{drop_in}{slack}", name="credentials")
    ready.configure('[[hooks]]\non = ["drift"]\nurl_file = "$CREDENTIALS_DIRECTORY/slack-url"\n')
    ready.machine.write("/etc/rotator/slack-url", "https://hooks.example.com/x")
    ready.machine.run("chmod 0600 /etc/rotator/slack-url")
    for name, value in proof.items():
        ready.machine.write(f"/etc/rotator/vault-{name.replace('_', '-')}", value)
    path = ready.machine.path("/etc/rotator/config.toml")
    lines = [line for line in path.read_text().splitlines() if "token_file" not in line]
    path.write_text("\n".join(lines).replace('method = "token"', 'method = "approle"'))
    start(ready)
    ready.machine.run(f"systemctl reload {UNIT}")
    ready.until_logged('"reloaded"')
    ready.until_rotated()

    assert ready.shows("ActiveState") == "active"
    assert "warning: hook" not in ready.machine.journal()


def test_bad_configuration_at_start_is_no_loop(ready: Host) -> None:
    """It fails at once, tells whom OnFailure= names, and its reason is an error in the journal."""
    ready.drop_in(f"[Unit]\nOnFailure=page.service\n{BRISK}")
    ready.page()
    ready.configure("[nonsense]\n")
    assert ready.machine.run(f"systemctl start {UNIT}", check=False).returncode == 1
    ready.machine.until("test -e /run/paged")

    assert (ready.shows("Result"), ready.shows("NRestarts")) == ("exit-code", "0")
    errors = ready.machine.told(f"journalctl -q --no-pager -o cat -p err -u {UNIT}")
    assert "error: /etc/rotator/config.toml: nonsense: unknown" in errors


def test_a_start_that_comes_to_nothing_is_given_up_in_the_end(ready: Host) -> None:
    """A credential that is not there, tried again and again, is a failed unit at last."""
    ready.drop_in(BRISK)
    ready.machine.run(f"rm /etc/rotator/vault-token; systemctl start {UNIT}", check=False)
    until(lambda: ready.shows("ActiveState") == "failed")

    assert ready.shows("NRestarts") == "30"


def test_servers_that_are_away_are_waited_for(ready: Host) -> None:
    """Without Vault and Vonage it starts and stays; once they are there, it rotates."""
    # By default it has a minute's patience before it says so.
    ready.drop_in("[Service]\nEnvironment=ROTATOR_VAULT__PATIENCE=1s\n")
    ready.machine.within(ready.world.close)
    start(ready)
    ready.until_logged('"away"')
    ready.machine.within(ready.world.vonage.start)
    ready.machine.within(ready.world.vault.start)
    ready.until_rotated()

    assert ready.shows("NRestarts") == "0"
