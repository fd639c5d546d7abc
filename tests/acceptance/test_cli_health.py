"""`rotator health`, by which a container's health check asks the daemon."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.service import Build, building
from tests.support.cli_fixture import CliFixture
from tests.support.scripted_server import ScriptedServer, reply

TOKEN = "a-token-for-who-reads-the-page"


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    """Yield a builder of a world with one account, and of a service in it."""
    with building(tmp_path, f"sqlite:///{tmp_path}/ledger.db") as build:
        yield build


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[CliFixture]:
    """Yield a desk without a daemon."""
    with CliFixture(tmp_path) as cli:
        yield cli


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that nothing listens at."""
    with socket.create_server((host, 0)) as listening:
        return int(listening.getsockname()[1])


def listening_at(cli: CliFixture, listen: str) -> dict[str, str]:
    """Return the environment in which the daemon would listen at an address."""
    token = cli.folder / "listen-token"
    token.write_text(TOKEN)
    return {
        "ROTATOR_DAEMON__LISTEN": listen,
        "ROTATOR_DAEMON__LISTEN_TOKEN_FILE": str(token),
    }


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "0.0.0.0", "[::]", "localhost", "a socket"],  # noqa: S104  # with a token
)
def test_a_daemon_is_healthy_until_it_ends(build: Build, tmp_path: Path, host: str) -> None:
    """Wherever it listens, and without its token."""
    token = tmp_path / "listen-token"
    token.write_text(TOKEN)
    listen = f"unix:{tmp_path}/http.sock" if host == "a socket" else f"{host}:{free_port()}"
    run = build(daemon=f'listen = "{listen}"\nlisten_token_file = "{token}"')
    daemon = run.start()
    run.url()
    alive = run.run("health")
    run.stop(daemon)
    ended = run.run("health")

    assert (alive.returncode, alive.stdout, alive.stderr) == (
        0,
        f"ok: the daemon answers at {listen}\n",
        "",
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"error: no daemon answers at {listen}: ")
    assert "\nhint: " in ended.stderr


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (reply(503), "the daemon at {} is not well: /healthz answers 503"),
        (reply(421), "the daemon at {} is not well: /healthz answers 421"),
        (b"SSH-2.0-server\r\n", "no daemon answers at {}: not by HTTP"),
        (b"", "no daemon answers at {}: "),
        (reply(200, b"<!DOCTYPE html>"), "what answers at {} is not the daemon"),
    ],
)
def test_an_answer_that_is_not_ok_is_unhealthy(cli: CliFixture, answer: bytes, said: str) -> None:
    """Such as that of a daemon whose scheduler has ended, or of another program."""
    with ScriptedServer() as server:
        server.replies = [answer]
        listen = server.url.removeprefix("http://")
        done = cli.run("health", environment=listening_at(cli, listen))

    assert (done.code, done.out) == (1, "")
    assert said.format(listen) in done.err
    assert [line.split(b"\r\n")[0] for line in server.requests] == [b"GET /healthz HTTP/1.1"]
    assert not any(TOKEN.encode() in request for request in server.requests)


def test_a_daemon_that_hangs_is_unhealthy_soon(cli: CliFixture) -> None:
    """It accepts the connection, and answers nothing in time."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listen = f"127.0.0.1:{listening.getsockname()[1]}"
        done = cli.run("health", environment=listening_at(cli, listen))

    assert (done.code, done.out) == (1, "")
    assert f"no daemon answers at {listen}: nothing within 5 s\n" in done.err


def test_without_a_page_the_daemon_cannot_be_asked(cli: CliFixture) -> None:
    """Which is a mistake in the configuration, and not the daemon's end."""
    done = cli.run("health", environment={"ROTATOR_DAEMON__LISTEN": ""})

    assert (done.code, done.out) == (2, "")
    assert done.err.startswith('error: daemon.listen is "": the daemon cannot be asked\nhint: ')
