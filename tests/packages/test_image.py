"""The container image: built, and run as a numeric user on a read-only root."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rotator import own_version
from rotator.ledger.database import open_database
from rotator.sim import Environment
from tests.acceptance.service import OLD, until
from tests.packages import containers
from tests.support import leaks
from tests.support.commands import ROOT
from tests.support.seeded_ledger import end_graces

#: The first test to build the image downloads what it is made of.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
MEBIBYTE = 1024 * 1024
#: In the container: what a hook leaves behind, adopted by process 1.
_ORPHAN = "/var/lib/rotator/orphan"
_HOOK = f"setsid sh -c 'sleep 0.2; echo ended >{_ORPHAN}' >/dev/null 2>&1 &"
#: An engine sets HOME by the user's name or guesses it; this is without.
_HOMELESS = json.dumps(["env", "-u", "HOME"])

#: What the image is asked of itself, as one JSON document.
_QUESTIONS = """
import json, os, pathlib, shutil, subprocess, sys
from importlib.metadata import distributions

def refusal(attempt, *arguments):
    try:
        attempt(*arguments)
    except OSError as error:
        return error.strerror

program = pathlib.Path("/tmp/program")
program.write_text("#!/bin/sh\\n")
program.chmod(0o700)
installed = pathlib.Path(sys.prefix, "lib/python3.11/site-packages")
sources = [path for path in installed.rglob("*.py")]
print(json.dumps({
    "ids": [os.getuid(), os.getgid()],
    "home": os.environ.get("HOME"),
    "root": refusal(pathlib.Path("/file").write_text, ""),
    "installation": refusal(pathlib.Path(sys.prefix, "file").write_text, ""),
    "program": refusal(subprocess.run, [program]),
    "packages": {each.name.lower().replace("_", "-"): each.version for each in distributions()},
    "bill": json.loads(next(installed.glob("vonage_rotator-*.dist-info/sboms/*")).read_text()),
    "tools": [each for each in ("pip", "pip3", "gcc", "cc", "make") if shutil.which(each)],
    "uncompiled": [str(path) for path in sources
                   if not any((path.parent / "__pycache__").glob(path.stem + ".*.pyc"))],
    "checkout": [str(path) for name in (".git", "tests", "config.toml", "pyproject.toml")
                 for path in pathlib.Path("/").glob(name)],
}))
"""


@pytest.fixture(autouse=True)
def _engine() -> None:
    """Skip the tests where no container can be built and run."""
    if isinstance(why_not := containers.engine(), str):
        pytest.skip(why_not)


@pytest.fixture
def state() -> Iterator[Path]:
    """Yield where the volume of the ledger is."""
    with containers.volume() as path:
        yield path


def test_the_image_says_what_it_is() -> None:
    """Labels, user, commands and signals; and only the last layer is rotator's own, a small one."""
    found = containers.inspected()
    config, labels = found["Config"], found["Config"]["Labels"]
    history = json.loads(containers.run("history", "--format=json", containers.image()).stdout)
    own, dependencies, python, _base = [each["size"] for each in history if each["size"]]

    assert config["User"] == "10001:10001"
    assert (config["Entrypoint"], config["Cmd"]) == (["rotator"], ["run"])
    assert config["StopSignal"] in ("SIGTERM", "15")
    assert found["Healthcheck"]["Test"] == ["CMD", "rotator", "health"]
    title = "org.opencontainers.image."
    assert labels[f"{title}title"] == "rotator"
    assert labels[f"{title}version"] == own_version()
    assert labels[f"{title}licenses"] == "Apache-2.0"
    assert labels[f"{title}base.name"] == "debian:bookworm-slim"
    assert re.fullmatch("([0-9a-f]{40})?", labels[f"{title}revision"])
    created = datetime.fromisoformat(labels[f"{title}created"])
    assert created <= datetime.now(UTC)
    # No label of an earlier build, whose layers are taken again.
    assert created >= containers.asked_at() or "RELEASE" in os.environ
    assert {each.partition("=")[0] for each in config["Env"]} == {"PATH", "PYTHONDONTWRITEBYTECODE"}
    assert own < 10 * MEBIBYTE
    assert dependencies < 100 * MEBIBYTE
    assert python < 60 * MEBIBYTE


def test_what_is_inside() -> None:
    """Nothing can be written or installed, and the bill of materials is what is installed."""
    options = [f"--entrypoint={_HOMELESS}", "--rm", "--network=none"]
    done = containers.run(
        *containers.started(*options, command=("/opt/rotator/bin/python", "-c", _QUESTIONS))
    )
    told = json.loads(done.stdout)
    packages, bill = told.pop("packages"), told.pop("bill")
    listed = {each["name"].lower(): each["version"] for each in bill["components"]}

    assert packages == {**listed, "vonage-rotator": own_version()}
    assert bill == json.loads((ROOT / "ops" / "sbom.cdx.json").read_text())
    assert told == {
        "ids": [10001, 10001],
        "home": None,
        "root": "Read-only file system",
        "installation": "Read-only file system",
        "program": "Permission denied",
        "tools": [],
        "uncompiled": [],
        "checkout": [],
    }


@pytest.mark.parametrize("user", ["10001:10001", "1000620000:0"])
def test_any_numeric_user_can_keep_a_ledger(state: Path, tmp_path: Path, user: str) -> None:
    """The image's own, and one without a name, of group 0, as OpenShift gives it."""
    with Environment.build(accounts=1, subaccounts=0) as world:
        options = configured(world, tmp_path, state)
        done = containers.run(
            *containers.started(
                *(f"--user={user}", f"--entrypoint={_HOMELESS}", "--rm", *options),
                command=("rotator", "db", "upgrade"),
            )
        )
    owner = (state / "ledger.db").stat()

    assert done.stdout.startswith("none -> ")
    assert f"{owner.st_uid}:0" in (user, "10001:0")
    assert owner.st_mode & 0o777 == 0o600


def test_a_container_rotates_reaps_reloads_and_goes_on(state: Path, tmp_path: Path) -> None:
    """Killed while an account waits for its deletion, its successor on the volume deletes."""
    world = Environment.build(accounts=1, subaccounts=0, created_at=datetime.now(UTC) - OLD)
    with world:
        options = configured(world, tmp_path, state)
        assert health_without_daemon(options) == 1
        with container(*options) as first:
            until(lambda: outcome(first, "phase") == "waiting")
            rotation = outcome(first, "last_rotation")
            until((state / "orphan").exists)
            until(lambda: processes(first) == ["rotator", "rotator"])
            healthy = containers.run("healthcheck", "run", first, check=False)
            containers.run("kill", "--signal=HUP", first)
            until(lambda: '"reloaded"' in logged(first))
            containers.run("kill", "--signal=KILL", first)
            containers.run("wait", first)
            texts = [logged(first)]
        database = open_database(f"sqlite:///{state}/ledger.db")
        end_graces(database)
        database.dispose()
        with container(*options) as second:
            until(lambda: outcome(second, "phase") == "healthy")
            after = outcome(second, "last_rotation")
            containers.run("kill", "--signal=TERM", second)
            code = containers.run("wait", second).stdout.strip()
            texts.append(logged(second))
        [account] = world.accounts
        values = [secret.value for secret in world.vonage.history(account.api_key)]

        assert healthy.returncode == 0, healthy
        assert code == "0"
        assert (rotation["id"], "completed") == (after["id"], after["outcome"])
        assert len(values) == 2
        assert not world.violations()
        assert not leaks.found(values, [], texts)
        assert "Traceback" not in "".join(texts)


def configured(world: Environment, folder: Path, state: Path) -> list[str]:
    """Write a configuration and a credential; return the options that mount them and the volume."""
    text = world.config(
        "sqlite:////var/lib/rotator/ledger.db",
        "/run/secrets/vault-token",
        grace="1h",
        jitter="0s",
    )
    listen = 'poll = "1s"\nlisten = "unix:/var/lib/rotator/http.sock"'
    hook = f'[[hooks]]\non = ["pushed"]\ncommand = {json.dumps(["/bin/sh", "-c", _HOOK])}\n'
    for name, content in (
        ("config.toml", text.replace('listen = ""', listen) + f"\n\n{hook}"),
        ("token", world.vault.token),
    ):
        (folder / name).write_text(content)
        (folder / name).chmod(0o444)
    folder.chmod(0o755)
    return [
        # The simulators are on the loopback out here.
        "--network=host",
        f"--volume={folder}/config.toml:/etc/rotator/config.toml:ro",
        f"--volume={folder}/token:/run/secrets/vault-token:ro",
        f"--volume={state.parent.name}:/var/lib/rotator",
    ]


@contextmanager
def container(*options: str) -> Iterator[str]:
    """Yield the id of a container that runs the daemon; it is removed at the end."""
    name = containers.run(*containers.started("--detach", *options)).stdout.strip()
    try:
        yield name
    finally:
        containers.run("rm", "--force", "--time=0", name)


def health_without_daemon(options: list[str]) -> int:
    """Return the exit code of the health check where no daemon runs."""
    arguments = containers.started("--rm", *options, command=("health",))
    return containers.run(*arguments, check=False).returncode


def outcome(name: str, key: str) -> Any:  # noqa: ANN401  # a document's
    """Return what `rotator status` in the container has of the account under a key."""
    done = containers.run("exec", name, "rotator", "status", "--json", check=False)
    if done.returncode:
        return None
    [account] = json.loads(done.stdout)["accounts"]
    return account[key]


def logged(name: str) -> str:
    """Return the log of a container."""
    done = containers.run("logs", name)
    return done.stdout + done.stderr


def processes(name: str) -> list[str]:
    """Return the names of all processes in a container, zombies among them, but not this look's."""
    look = """
    for each in /proc/[0-9]*; do
        [ $each = /proc/$$ ] || { read name <$each/comm && echo $name; } 2>/dev/null
    done
    """
    return containers.run("exec", name, "sh", "-c", look, check=False).stdout.split()
