"""A machine that rotator is installed on, with its servers at the machine's own loopback."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count

from rotator.sim import Environment, Exchange, Phase, SimAccount
from tests.acceptance.service import until
from tests.booted.machine import CHECKOUT, Machine
from tests.support import leaks

LEDGER = "sqlite:////var/lib/rotator/ledger.db"
UNIT = "rotator.service"
#: What a test waits for comes sooner than by the unit as it is installed.
BRISK = "[Service]\nRestartSec=100ms\n"


END_GRACES = """
from rotator.ledger.database import open_database
from tests.support.seeded_ledger import end_graces
end_graces(open_database("sqlite:////var/lib/rotator/ledger.db"))
"""


@dataclass(frozen=True, kw_only=True)
class Host:
    """The machine, and the world that it sees."""

    machine: Machine
    world: Environment

    # -- Setting up. -----------------------------------------------------------------------

    def install(self) -> None:
        """Install the units and a token."""
        self.machine.run(
            "install -d -m 0755 /etc/rotator && "
            f"cd {CHECKOUT} && install -m 0644 systemd/* ops/rotator-* /etc/systemd/system/ && "
            "systemctl daemon-reload && "
            "ln -sf /opt/rotator/bin/rotator /opt/rotator/bin/rotate-now /usr/local/bin/"
        )
        self.set_up()

    def set_up(self) -> None:
        """Write a token and the configuration."""
        self.machine.write("/etc/rotator/vault-token", self.world.vault.token)
        self.machine.run("chmod 0600 /etc/rotator/vault-token")
        self.configure()

    def configure(self, more: str = "", *, daemon: str = 'listen = ""', **policy: str) -> None:
        """Write the configuration; it polls every second."""
        policy = {"grace": "0s", "jitter": "0s", **policy}
        text = self.world.config(LEDGER, "$CREDENTIALS_DIRECTORY/vault-token", **policy)  # type: ignore[arg-type]
        text = text.replace('listen = ""', f'poll = "1s"\n{daemon}')
        self.machine.write("/etc/rotator/config.toml", f"{text}\n{more}")

    def drop_in(self, text: str, *, unit: str = UNIT, name: str = "test") -> None:
        """Add to a unit."""
        self.machine.write(f"/etc/systemd/system/{unit}.d/{name}.conf", text)
        self.machine.run("systemctl daemon-reload")

    def page(self) -> None:
        """Install a unit that a failed one may call: it leaves `/run/paged`."""
        unit = "[Service]\nType=oneshot\nExecStart=/usr/bin/touch /run/paged\n"
        self.machine.write("/etc/systemd/system/page.service", unit)

    # -- What there is to see. -------------------------------------------------------------

    @property
    def account(self) -> SimAccount:
        """The only account."""
        return self.world.accounts[0]

    def shows(self, name: str, unit: str = UNIT) -> str:
        """Return a property of a unit."""
        return self.machine.told(f"systemctl show --value -p {name} {unit}")

    def until_logged(self, text: str, unit: str = UNIT) -> None:
        """Wait for the journal of a unit to hold a text; a failure shows what it holds instead."""
        try:
            until(lambda: text in self.machine.journal(unit))
        except AssertionError as error:
            error.add_note(self.machine.journal(unit))
            raise

    def made(self) -> int:
        """Count the secrets that were made beside the first one."""
        return len(self.world.vonage.history(self.account.api_key)) - 1

    def until_rotated(self, times: int = 1) -> None:
        """Wait for the account to have been rotated, to the end of each rotation."""
        until(lambda: self.made() >= times and len(self._secrets()) == 1)
        until(lambda: '"phase": "healthy"' in self.machine.told("rotator status --json"), pause=0.5)

    def end_graces(self) -> None:
        """Let every grace be over, as if it had begun long ago."""
        # In the machine, as a path from out here would lead SQLite astray.
        self.machine.run("/opt/rotator/bin/python -", text=END_GRACES, folder=CHECKOUT)

    def check(self) -> None:
        """See that no rule was broken and no value shown."""
        values = [each.value for each in self.world.vonage.history(self.account.api_key)]
        texts = [self.machine.told("journalctl -q --no-pager -o cat")]
        assert not self.world.violations()
        assert not leaks.found(values, [self.account.api_key], texts)
        assert "Traceback" not in texts[0]

    def at_request(self, number: int, act: Callable[[], object]) -> list[Exchange]:
        """Call `act` when the `number`th request from now has arrived; list the request then."""
        met: list[Exchange] = []
        seen = count(1)

        def observe(phase: Phase, exchange: Exchange) -> None:
            if phase == "before" and next(seen) == number:
                met.append(exchange)
                act()

        for server in (self.world.vonage, self.world.vault):
            server.observers[:] = [observe]
        return met

    def _secrets(self) -> list[object]:
        return list(self.world.vonage.secrets(self.account.api_key))


@contextmanager
def host(
    age: timedelta = timedelta(days=90), install: Callable[[Machine], None] | None = None
) -> Iterator[Host]:
    """Yield a host with one account, whose secret is of that age; without `install`, as README."""
    machine = Machine()
    try:
        (install or _install)(machine)
        made: list[Environment] = []
        machine.within(lambda: made.append(_world(age)))
        try:
            yield Host(machine=machine, world=made[0])
        finally:
            # To end, a server calls itself.
            machine.within(made[0].close)
    finally:
        machine.close()


#: What pip installs of the project, below /opt/rotator; taken from one machine to the next.
_INSTALLED = "bin/rotator bin/rotate-now share lib/python3.11/site-packages/rotator*"
_copies: list[bytes] = []


def _install(machine: Machine) -> None:
    """Install rotator as README has it, once; later machines get a copy, which is quicker."""
    there = machine.path("/opt/rotator")
    if _copies:
        subprocess.run(["tar", "-x"], cwd=there, input=_copies[0], check=True)
        return
    machine.run(f"/opt/rotator/bin/pip install --quiet --no-deps --no-build-isolation {CHECKOUT}")
    packing = f"tar -c {_INSTALLED}"
    done = subprocess.run(["sh", "-c", packing], cwd=there, capture_output=True, check=True)
    _copies.append(done.stdout)


def _world(age: timedelta) -> Environment:
    return Environment.build(accounts=1, subaccounts=0, created_at=datetime.now(UTC) - age)
