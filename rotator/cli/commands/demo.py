"""`rotator demo`: a complete rotation on one machine, with nothing installed.

Simulated servers on loopback and a ledger in a temporary folder; the rest is the product: each
command shown runs as its own process, and is really killed.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rotator.cli import output
from rotator.cli.signals import Interrupted, wait_while

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rotator.sim import Environment, Exchange, Phase

#: Slow enough to watch the steps, in seconds.
LATENCY = 0.05
#: Number of entries of a rotation that was killed once.
_STEPS = "14"
#: Characters of a line where the terminal has as many.
_WIDTH = 88


def demo() -> None:
    """See a whole rotation on this machine: lost answers, a kill -9, and the record of it.

    Needs no configuration: Vonage and Vault are simulated, all else is the product. On a terminal
    it ends with the status page, which is served until Ctrl-C.
    """
    from rotator.sim import Environment  # noqa: PLC0415  # other commands do without

    with (
        Environment.build(
            accounts=2, subaccounts=1, latency=LATENCY, vault_latency=LATENCY
        ) as environment,
        tempfile.TemporaryDirectory(prefix="rotator-demo-") as folder,
    ):
        Demo(environment, Path(folder)).run()


class Demo:
    """The acts of the demo, in one simulated environment."""

    def __init__(self, environment: "Environment", folder: Path) -> None:
        """Write the configuration for `environment` into `folder`."""
        token_file = folder / "vault.token"
        token_file.touch(mode=0o600)
        token_file.write_text(environment.vault.token)
        self._environment = environment
        self._config = folder / "config.toml"
        self._config.write_text(
            environment.config(f"sqlite:///{folder / 'ledger.db'}", token_file, grace="0s")
        )

    def run(self) -> None:
        """Play all acts."""
        self._plain()
        self._lost_answers()
        self._killed()
        self._record()
        _say(
            'That was the product itself, on simulated servers. For real: "From zero to '
            'a first rotation" in README.md, five steps from here to your own Vonage and Vault.'
        )
        if sys.stdout.isatty():
            self._serve()
        else:
            _say(
                "The same is on a page, which `rotator run` serves, by default at "
                "http://127.0.0.1:9470/. On a terminal, `rotator demo` ends by showing it."
            )

    def _plain(self) -> None:
        _say(
            "Two accounts and a subaccount, each with one secret at Vonage and its value in Vault. "
            "All three are rotated: subaccount before its parent, old secrets deleted at once."
        )
        self._rotator("rotate-now", "--all")

    def _lost_answers(self) -> None:
        from rotator.sim import Fault  # noqa: PLC0415  # other commands do without

        first, second = self._environment.accounts[0], self._environment.accounts[1]
        _say(
            f"Again, and now answers get lost. Vonage makes {first.name}'s secret but the "
            f"connection drops before it can send the id; Vault stores {second.name}'s value but "
            "never says so. rotator does not know, looks, and goes on: no second secret is made."
        )
        self._environment.vonage.faults.add(
            Fault("drop-after", method="POST", path=f"/accounts/{first.api_key}/secrets")
        )
        self._environment.vault.faults.add(
            Fault("drop-after", method="POST", path=f"/data/{second.vault_path}")
        )
        self._rotator("rotate-now", first.name, second.name)

    def _killed(self) -> None:
        account = self._environment.accounts[1]
        _say(
            f"Now the worst moment: kill -9 when Vonage has just made {account.name}'s new secret. "
            "The value exists once in the world, and no one was told its id."
        )
        self._kill_after_create(account.name, account.api_key)
        listed = len(self._environment.vonage.secrets(account.api_key))
        output.write("")
        _say(f"killed; Vonage now lists {listed} secrets, and rotator never got the answer")
        _say("The value is safe at Vault's pending path, so a new process just goes on:")
        self._rotator("resume")

    def _record(self) -> None:
        _say("What the ledger knows, the steps of the rotation that was killed, and its proof:")
        self._rotator("status")
        self._rotator("history", self._environment.accounts[1].name, "--limit", _STEPS)
        self._rotator("ledger", "verify")
        violations = self._environment.violations()
        _say("; ".join(violations) or "seen from outside: every Vault value authenticates")

    def _serve(self) -> None:
        """Serve the status page until Ctrl-C."""
        with self._process("--log-level", "info", "run") as daemon:
            reader = threading.Thread(target=_name_page, args=(daemon.stderr or (),), daemon=True)
            reader.start()
            try:
                wait_while(reader.is_alive)
            except Interrupted:
                output.write("")
            finally:
                # Before the pipe is closed, which waits for its reader.
                daemon.kill()
                reader.join()

    def _kill_after_create(self, name: str, api_key: str) -> None:
        with self._started("rotate-now", name) as process:

            def kill(phase: "Phase", exchange: "Exchange") -> None:
                is_create = exchange.method == "POST" and exchange.api_key == api_key
                if phase == "after" and is_create:
                    os.kill(process.pid, signal.SIGKILL)

            self._environment.vonage.observers.append(kill)
        self._environment.vonage.observers.remove(kill)

    def _rotator(self, *arguments: str) -> None:
        with self._started(*arguments) as process:
            pass
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, process.args)
        output.write("")

    @contextmanager
    def _started(self, *arguments: str) -> "Iterator[subprocess.Popen[str]]":
        """Start a command; print the steps that it reports until it ends.

        They come through a pipe, so that each step stays visible as a line of its own.
        """
        output.write(f"$ rotator {' '.join(arguments)}")
        output.flush()
        with self._process(*arguments) as process:
            yield process
            for line in process.stderr or ():
                output.say(line.rstrip())

    def _process(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a command that ends at the latest when the `with` block of its process ends."""
        command = [sys.executable, "-m", "rotator.cli.dependent", "--config", str(self._config)]
        environment = os.environ | {"ROTATOR_DAEMON__LISTEN": "127.0.0.1:0"}
        return subprocess.Popen(
            [*command, *arguments],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )


def _say(text: str) -> None:
    width = min(_WIDTH, output.terminal_width()) if sys.stdout.isatty() else _WIDTH
    output.write(f"{output.folded(text, width)}\n")
    output.flush()


def _name_page(log: "Iterable[str]") -> None:
    """Print the page's address; read the log to its end, as a full pipe would stop the daemon."""
    for line in log:
        if url := _url_in(line):
            _say(f"The page is at {url}, Ctrl-C ends.")


def _url_in(line: str) -> str | None:
    """Return the page's address if that is what a line of the daemon's log is about."""
    with suppress(ValueError):
        entry = json.loads(line)
        return str(entry["url"]) if entry.get("event") == "serving" else None
    return None
