"""The simulators in a process of their own, as real servers would be, and what they count."""

import json
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROTATOR = [sys.executable, "-m", "rotator"]


@dataclass(frozen=True, kw_only=True)
class Servers:
    """Both simulators, running, with a configuration that leads to them."""

    #: What `rotator sim` prints when it is ready.
    ready: dict[str, Any]
    config: Path
    #: Of the process that both are.
    pid: int

    def requests(self) -> tuple[int, int]:
        """Count the requests that Vonage and Vault have received."""
        return _count(self.ready["vonage_url"]), _count(self.ready["vault_url"])


@contextmanager
def servers(
    vonage: str, vault: str, *, accounts: int = 1, propagation: str = "0ms"
) -> Iterator[Servers]:
    """Run `rotator sim` with these latencies (`50ms`) and so many accounts."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.toml"
        command = [*ROTATOR, "sim", "--accounts", str(accounts), "--subaccounts", "0"]
        command += ["--latency", vonage, "--vault-latency", vault, "--propagation", propagation]
        command += ["--write-config", str(config)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            if process.stdout is None:
                raise RuntimeError
            try:
                ready = json.loads(process.stdout.readline())
                yield Servers(ready=ready, config=config, pid=process.pid)
            finally:
                process.terminate()


def _count(url: str) -> int:
    with urllib.request.urlopen(f"{url}/_sim/exchanges") as answer:  # noqa: S310  # loopback
        return len(json.load(answer))
