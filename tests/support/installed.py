"""A rotation with an installed rotator: on this machine, in a container or on a guest."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def rotate(program: list[str], folder: str) -> dict[str, Any]:
    """Rotate a simulated account with a command and its own simulators; return what it answers.

    `program` is what stands before the arguments of rotator. `folder` is one that it may write to,
    as it is called there.
    """
    config = f"{folder}/simulated.toml"
    with simulators(program, config):
        command = [*program, "--config", config, "rotate-now", "account-1", "--grace", "0s"]
        done = subprocess.run(
            [*command, "--yes", "--json"], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        (answer,) = json.loads(done.stdout)
        verified = subprocess.run(
            [*program, "--config", config, "ledger", "verify"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert verified.returncode == 0, verified.stderr
    return dict(answer)


@contextmanager
def simulators(program: list[str], config: str) -> Iterator[dict[str, Any]]:
    """Run the simulators until the end of the block; yield what they say once they are ready."""
    command = [*program, "sim", "--accounts", "1", "--subaccounts", "0", "--write-config", config]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()
            process.wait(30)
