import base64
import io
import json
import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

import pytest
import structlog

from rotator.cli import output
from rotator.model import Credential, SecretValue
from rotator.telemetry.logging import _NOISY, configure

VALUE = "Hunter2Hunter2"
#: No `SecretValue` holds it, so that nothing but the name of its field tells what it is.
TYPED = "Swordf1shSwordf1sh"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where log lines go for the length of a test; afterwards logging is as before."""
    root, level = logging.root.handlers[:], logging.root.level
    levels = {name: logging.getLogger(name).level for name in _NOISY}
    # Or configuring would close those of pytest.
    logging.root.handlers = []
    yield io.StringIO()
    logging.root.handlers, logging.root.level = root, level
    for name, noisy in levels.items():
        logging.getLogger(name).setLevel(noisy)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def fail() -> NoReturn:
    """Fail, and be talkative."""
    raise ZeroDivisionError(VALUE)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """Read what was logged."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_both_kinds_of_loggers_write_json_lines(stream: io.StringIO) -> None:
    """Events of structlog and of the standard library look the same."""
    configure("info", stream)
    structlog.get_logger("x").info("pushed", account="a", vault_version=2)
    logging.getLogger("y").warning("slow: %s", "disk")

    ours, theirs = lines(stream)
    assert ours["event"] == "pushed"
    assert (ours["account"], ours["vault_version"], ours["level"]) == ("a", 2, "info")
    assert (theirs["event"], theirs["level"]) == ("slow: disk", "warning")
    assert ours.keys() - {"account", "vault_version"} == theirs.keys()


def test_the_level_is_a_floor(stream: io.StringIO) -> None:
    """What is below the level is not written, by whomever."""
    configure("warning", stream)
    structlog.get_logger("x").info("chatter")
    logging.getLogger("y").info("chatter")

    assert not lines(stream)


def test_libraries_that_chatter_are_kept_quiet(stream: io.StringIO) -> None:
    """At debug level the HTTP clients still say nothing of their own."""
    configure("debug", stream)
    logging.getLogger("httpx").info("GET https://host/path")
    logging.getLogger("urllib3.connectionpool").debug("path")

    assert not lines(stream)


@pytest.mark.parametrize(
    "field",
    [
        {"secret": TYPED},
        {"api_secret": TYPED},
        {"new-value": TYPED},
        {"Authorization": f"Basic {TYPED}"},
        {"vault_token": TYPED},
        {"body": {"password": TYPED}},
        {"bodies": [{"password": TYPED}]},
        {"thing": SecretValue(VALUE)},
        {"things": [SecretValue(VALUE)]},
        {"thing": Credential(api_key="k", secret=SecretValue(VALUE))},
        {"thing": io.StringIO(TYPED)},
    ],
)
def test_values_are_masked(stream: io.StringIO, field: dict[str, Any]) -> None:
    """A value that got into an event by mistake does not get out."""
    configure("debug", stream)
    structlog.get_logger("x").info("oops", **field)

    assert lines(stream)[0]["event"] == "oops"
    assert VALUE not in stream.getvalue()
    assert TYPED not in stream.getvalue()


def test_what_names_a_secret_is_not_masked(stream: io.StringIO) -> None:
    """Ids, files and numbers are what a log is for."""
    facts = {"secret_id": "s-1", "token_file": "/t", "fencing_token": 7, "value": None}
    configure("debug", stream)
    structlog.get_logger("x").info("seen", **facts)

    assert lines(stream)[0].items() >= facts.items()


def test_an_exception_is_named_only(stream: io.StringIO) -> None:
    """Neither its text nor its traceback is written."""
    configure("debug", stream)
    try:
        fail()
    except ZeroDivisionError as error:
        structlog.get_logger("x").exception("oops")
        structlog.get_logger("x").info("oops", exc_info=error)
        logging.getLogger("y").exception("oops")

    assert [line["exception"] for line in lines(stream)] == ["ZeroDivisionError"] * 3
    assert VALUE not in stream.getvalue()
    assert "Traceback" not in stream.getvalue()


def test_a_terminal_gets_lines_for_people(stream: io.StringIO) -> None:
    """On a terminal events are not JSON, and masked all the same."""
    stream.isatty = lambda: True  # type: ignore[method-assign]
    configure("info", stream)
    structlog.get_logger("x").info("pushed", secret=VALUE)

    assert "pushed" in stream.getvalue()
    assert not stream.getvalue().startswith("{")
    assert VALUE not in stream.getvalue()


@pytest.mark.parametrize(("value", "is_coloured"), [("1", False), ("", True)])
def test_a_terminal_is_coloured_unless_no_color_is_set(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch, *, value: str, is_coloured: bool
) -> None:
    """As for the states of accounts."""
    monkeypatch.setenv("NO_COLOR", value)
    stream.isatty = lambda: True  # type: ignore[method-assign]
    configure("info", stream)
    structlog.get_logger("x").info("pushed")

    assert ("\x1b[" in stream.getvalue()) is is_coloured


def test_a_terminal_is_not_told_what_to_do(stream: io.StringIO) -> None:
    """A text of one word is shown as it is, but for what a terminal obeys."""
    stream.isatty = lambda: True  # type: ignore[method-assign]
    configure("info", stream)
    structlog.get_logger("x").info("a\x1b]0;b\x07", reason="x\x9b2J\u202ey\nz", listed=["\x1b"])
    logging.getLogger("other").warning("c\x1b[8m")
    # What is left is the renderer's own colours.
    left = re.sub(r"\x1b\[\d+m", "", stream.getvalue())

    assert left.count("\n") == 2
    assert all(line.isprintable() for line in left.splitlines())
    assert "\x1b[8m" not in stream.getvalue()


# -- The last line of defence. -------------------------------------------------------------


def _in_context() -> None:
    with structlog.contextvars.bound_contextvars(note=VALUE):
        structlog.get_logger("x").info("oops")


def _in_exception() -> None:
    try:
        fail()
    except ZeroDivisionError:
        logging.getLogger("urllib3").exception("oops %s", VALUE, stack_info=True)


PLANTS: dict[str, Callable[[], object]] = {
    "event": lambda: structlog.get_logger("x").info(f"made {VALUE}"),
    "field": lambda: structlog.get_logger("x").info("oops", note=VALUE),
    "field's name": lambda: structlog.get_logger("x").info("oops", **{VALUE: 1}),
    "list": lambda: structlog.get_logger("x").info("oops", notes=[[VALUE]]),
    "mapping": lambda: structlog.get_logger("x").info("oops", notes={VALUE: {VALUE: VALUE}}),
    "bytes": lambda: structlog.get_logger("x").info("oops", note=VALUE.encode()),
    "exception as field": lambda: structlog.get_logger("x").info("oops", note=ValueError(VALUE)),
    "url": lambda: structlog.get_logger("x").info("oops", url=f"https://h/?s={quote(VALUE)}"),
    "basic": lambda: structlog.get_logger("x").info(
        "oops", header="Basic " + base64.b64encode(f"abcd1234:{VALUE}".encode()).decode()
    ),
    "context": _in_context,
    "exception": _in_exception,
    "argument": lambda: logging.getLogger("hvac").warning("body: %s", {"data": VALUE}),
    "text": lambda: logging.getLogger("hvac").warning(f"body: {VALUE}"),  # noqa: G004  # as some do
    "logger's name": lambda: logging.getLogger(VALUE).warning("oops"),
    "extra": lambda: logging.getLogger("hvac").warning("oops", extra={"note": VALUE}),
    "warning": lambda: warnings.warn(VALUE, DeprecationWarning, stacklevel=1),
}


@pytest.mark.parametrize("is_terminal", [False, True])
@pytest.mark.parametrize("place", PLANTS)
def test_no_value_in_memory_is_ever_written(
    stream: io.StringIO, place: str, *, is_terminal: bool
) -> None:
    """Wherever it was planted, and for people as for programs: the line is there, the value not."""
    stream.isatty = lambda: is_terminal  # type: ignore[method-assign]
    secret = SecretValue(VALUE)
    configure("debug", stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        # Entering restored the way out that warnings had before.
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        PLANTS[place]()
    encoded = base64.b64encode(VALUE.encode()).decode()[:-4]

    assert stream.getvalue().count("\n") >= 1
    assert VALUE not in stream.getvalue()
    assert encoded not in stream.getvalue()
    assert secret.reveal() == VALUE


@pytest.mark.parametrize(
    "name",
    ["apscheduler", "httpx", "hvac", "urllib3", "sqlalchemy", "alembic", "asyncio", "uvicorn"],
)
def test_libraries_write_lines_like_ours(stream: io.StringIO, name: str) -> None:
    """What they warn of is one line with the account that is worked on; their chatter is none."""
    configure("info", stream)
    with structlog.contextvars.bound_contextvars(account="a", rotation_id="r", step="push"):
        logging.getLogger(f"{name}.part").info("chatter")
        logging.getLogger(f"{name}.part").warning("slow: %s", "disk")

    (line,) = lines(stream)
    assert line["event"] == "slow: disk"
    assert (line["account"], line["rotation_id"], line["step"]) == ("a", "r", "push")


# -- The journal. --------------------------------------------------------------------------


@pytest.mark.parametrize("is_journal", [True, False])
def test_the_journal_is_told_how_grave_a_line_is(
    stream: io.StringIO, tmp_path: Path, *, is_journal: bool
) -> None:
    """Where standard error is the journal's, each line begins with its priority."""
    with (tmp_path / "journal").open("w+") as file:
        status = os.fstat(file.fileno())
        inode = status.st_ino if is_journal else status.st_ino + 1
        configure("debug", file, {"JOURNAL_STREAM": f"{status.st_dev}:{inode}"})
        for level in ("debug", "info", "warning", "error", "critical"):
            getattr(structlog.get_logger("x"), level)("event")
        file.seek(0)
        written = file.read().splitlines()

    expected = ["<7>{", "<6>{", "<4>{", "<3>{", "<2>{"] if is_journal else 5 * ["{"]
    assert [line.partition("{")[0] + "{" for line in written] == expected
    assert not stream.getvalue()


@pytest.mark.parametrize("is_journal", [True, False])
def test_the_journal_is_told_how_grave_what_people_read_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_journal: bool
) -> None:
    """An error and its hint are errors there, and not just information."""
    with (tmp_path / "journal").open("w+") as file:
        status = os.fstat(file.fileno())
        inode = status.st_ino if is_journal else status.st_ino + 1
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{inode}")
        monkeypatch.setattr(sys, "stderr", file)
        output.complain("it failed", "mend it")
        output.say("warning: look", level="warning")
        output.say("done")
        file.seek(0)
        written = file.read()

    expected = "<3>error: it failed\n<3>hint: mend it\n<4>warning: look\n<6>done\n"
    assert written == (expected if is_journal else re.sub("<.>", "", expected))


def test_a_stream_without_a_file_is_no_journal(stream: io.StringIO) -> None:
    """Nor one that is none: lines have no priority there."""
    configure("info", stream, {"JOURNAL_STREAM": "1:2"})
    structlog.get_logger("x").info("event")

    assert stream.getvalue().startswith("{")
