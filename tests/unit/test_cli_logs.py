import io
import json
import logging
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest
import structlog

from rotator import logs
from rotator.model import Credential, SecretValue

VALUE = "Hunter2Hunter2"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where log lines go for the length of a test; afterwards logging is as before."""
    root, level = logging.root.handlers[:], logging.root.level
    levels = {name: logging.getLogger(name).level for name in logs._NOISY}
    # Or configuring would close those of pytest.
    logging.root.handlers = []
    yield io.StringIO()
    logging.root.handlers, logging.root.level = root, level
    for name, noisy in levels.items():
        logging.getLogger(name).setLevel(noisy)
    structlog.reset_defaults()


def fail() -> NoReturn:
    """Fail, and be talkative."""
    raise ZeroDivisionError(VALUE)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """Read what was logged."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_both_kinds_of_loggers_write_json_lines(stream: io.StringIO) -> None:
    """Events of structlog and of the standard library look the same."""
    logs.configure("info", stream)
    structlog.get_logger("x").info("pushed", account="a", vault_version=2)
    logging.getLogger("y").warning("slow: %s", "disk")

    ours, theirs = lines(stream)
    assert ours["event"] == "pushed"
    assert (ours["account"], ours["vault_version"], ours["level"]) == ("a", 2, "info")
    assert (theirs["event"], theirs["level"]) == ("slow: disk", "warning")
    assert ours.keys() - {"account", "vault_version"} == theirs.keys()


def test_the_level_is_a_floor(stream: io.StringIO) -> None:
    """What is below the level is not written, by whomever."""
    logs.configure("warning", stream)
    structlog.get_logger("x").info("chatter")
    logging.getLogger("y").info("chatter")

    assert not lines(stream)


def test_libraries_that_chatter_are_kept_quiet(stream: io.StringIO) -> None:
    """At debug level the HTTP clients still say nothing of their own."""
    logs.configure("debug", stream)
    logging.getLogger("httpx").info("GET https://host/path")
    logging.getLogger("urllib3.connectionpool").debug("path")

    assert not lines(stream)


@pytest.mark.parametrize(
    "field",
    [
        {"secret": VALUE},
        {"api_secret": VALUE},
        {"new-value": VALUE},
        {"Authorization": f"Basic {VALUE}"},
        {"vault_token": VALUE},
        {"body": {"password": VALUE}},
        {"bodies": [{"password": VALUE}]},
        {"thing": SecretValue(VALUE)},
        {"things": [SecretValue(VALUE)]},
        {"thing": Credential(api_key="k", secret=SecretValue(VALUE))},
        {"thing": io.StringIO(VALUE)},
    ],
)
def test_values_are_masked(stream: io.StringIO, field: dict[str, Any]) -> None:
    """A value that got into an event by mistake does not get out."""
    logs.configure("debug", stream)
    structlog.get_logger("x").info("oops", **field)

    assert lines(stream)[0]["event"] == "oops"
    assert VALUE not in stream.getvalue()


def test_what_names_a_secret_is_not_masked(stream: io.StringIO) -> None:
    """Ids, files and numbers are what a log is for."""
    facts = {"secret_id": "s-1", "token_file": "/t", "fencing_token": 7, "value": None}
    logs.configure("debug", stream)
    structlog.get_logger("x").info("seen", **facts)

    assert lines(stream)[0].items() >= facts.items()


def test_an_exception_is_named_only(stream: io.StringIO) -> None:
    """Neither its text nor its traceback is written."""
    logs.configure("debug", stream)
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
    logs.configure("info", stream)
    structlog.get_logger("x").info("pushed", secret=VALUE)

    assert "pushed" in stream.getvalue()
    assert not stream.getvalue().startswith("{")
    assert VALUE not in stream.getvalue()
