"""Starts rotator commands as processes that can be killed, many a second.

Run as a process of its own: it imports what the command imports, once, and forks for every
command. A child runs the very `main` that the console script runs. It is asked for by a JSON
line on standard input, `{"argv": […], "output": PATH, "commit": N, "when": "before"|"after"}`;
the answers are `{"pid": …}` and, at its end, `{"status": …}` as `os.waitstatus_to_exitcode`
gives it. With `commit`, the child kills itself right before or after its Nth commit to the
ledger: the one place that nobody outside the process can see.
"""

import json
import os
import signal
import sys
from itertools import count
from typing import Any

import alembic.command
import hvac
import psycopg
import sqlalchemy.dialects.postgresql.psycopg
import typer
from sqlalchemy.engine.default import DefaultDialect

import rotator.engine
import rotator.ledger.book
import rotator.vault
import rotator.vonage
import rotator.wiring
from rotator.cli.main import main

#: Imported for the forks to find loaded.
PRELOADED = (alembic, hvac, psycopg, sqlalchemy, typer, rotator)


def run(order: dict[str, Any]) -> None:
    """Be the command that `order` asks for; never returns."""
    with open(order["output"], "ab") as output:  # noqa: PTH123  # what dup2 needs
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    sys.argv = ["rotator", *order["argv"]]
    if order.get("commit"):
        kill_at_commit(order["commit"], order["when"])
    code = 1
    try:
        main()
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.stdout.flush()
        os._exit(code)


def kill_at_commit(number: int, when: str) -> None:
    """Have this process kill itself around its commit of that number, counted from 1."""
    commits = count(1)
    commit = DefaultDialect.do_commit

    def killing(dialect: DefaultDialect, connection: Any) -> None:  # noqa: ANN401  # any driver's
        is_it = next(commits) == number
        if is_it and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        commit(dialect, connection)  # type: ignore[no-untyped-call]
        if is_it:
            os.kill(os.getpid(), signal.SIGKILL)

    DefaultDialect.do_commit = killing  # type: ignore[method-assign]


def serve() -> None:
    """Fork for each line on standard input until there are no more."""
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            run(json.loads(line))
        answer({"pid": pid})
        answer({"status": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])})


def answer(document: dict[str, int]) -> None:
    """Print one line."""
    print(json.dumps(document), flush=True)  # noqa: T201  # the protocol of this process


if __name__ == "__main__":
    serve()
