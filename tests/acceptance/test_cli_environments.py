"""The real command in processes that are set up in an odd way."""

import resource
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.cli_fixture import CliFixture

BARE = {"PYTHONOPTIMIZE": "2", "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture
def cli(tmp_path: Path, sqlite_template: Path) -> Iterator[CliFixture]:
    """Yield a desk with two dozen accounts."""
    with CliFixture(tmp_path, ledger=sqlite_template, accounts=24) as cli:
        yield cli


@pytest.mark.parametrize(
    "arguments",
    [
        ("rotate-now", "--help"),
        *(
            pytest.param(each, marks=pytest.mark.slow)
            for each in (("--help",), ("status", "nobody"))
        ),
        pytest.param(("secrets", "list", "account-1"), marks=pytest.mark.slow),
    ],
    ids=" ".join,
)
def test_python_keeps_no_docstrings(cli: CliFixture, arguments: tuple[str, ...]) -> None:
    """With PYTHONOPTIMIZE=2, of a container say, all is said as ever."""
    cli.world.vault.sealed = True
    usual = cli.run_anew(*arguments)
    bare = cli.run_anew(*arguments, env=cli.environment | BARE)

    assert (bare.code, bare.out, bare.err) == (usual.code, usual.out, usual.err)
    assert "this is a bug" not in bare.err


@pytest.mark.slow
def test_a_rotation_without_docstrings(cli: CliFixture) -> None:
    """And all is done as ever."""
    environment = cli.environment | BARE
    rotated = cli.run_anew("rotate-now", "account-1", "--json", env=environment)
    examined = cli.run_anew("doctor", "--json", env=environment)

    assert (rotated.code, rotated.json()[0]["outcome"]) == (0, "completed")
    assert "this is a bug" not in examined.out + examined.err


@pytest.mark.parametrize("count", [5, 7, 32])
def test_there_are_few_descriptors(cli: CliFixture, count: int) -> None:
    """What can be done is done, the rest is told account by account, in one document."""
    text = cli.config.read_text()
    cli.config.write_text(text.replace("[daemon]", "[daemon]\nconcurrency = 24", 1))
    done = cli.run_anew("rotate-now", "--all", "--json", preexec_fn=partial(limit, count))
    outcomes = [each["outcome"] for each in done.json()]
    errors = [each["error"] for each in done.json() if each["error"]]

    assert len(outcomes) == 24
    assert (done.code == 0) == (set(outcomes) == {"completed"})
    assert all("too many open files" in error["message"].lower() for error in errors)
    assert all("LimitNOFILE" in error["hint"] for error in errors)
    assert "this is a bug" not in done.out + done.err


def limit(count: int) -> None:
    """Let this process open so many files and no more."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))
