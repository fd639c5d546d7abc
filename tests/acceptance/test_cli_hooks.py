"""Hooks, as the real commands call them."""

import json
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli_fixture import CliFixture
from tests.support.commands import ROOT
from tests.support.terminal import run_at_terminal
from tests.support.webhook_receiver import receiving, status


@pytest.fixture
def cli(tmp_path: Path, sqlite_template: Path) -> Iterator[CliFixture]:
    """One account with an empty ledger."""
    with CliFixture(tmp_path, ledger=sqlite_template) as cli:
        yield cli


def configure(cli: CliFixture, *hooks: dict[str, Any]) -> None:
    """Add hooks to the configuration; JSON's values are TOML's."""
    tables = [
        "\n".join(["[[hooks]]", *(f"{key} = {json.dumps(value)}" for key, value in hook.items())])
        for hook in hooks
    ]
    cli.config.write_text("\n".join([cli.text, *tables, ""]))


def gate(cli: CliFixture) -> dict[str, Any]:
    """Return a gate that is open once a file is there."""
    program = cli.folder / "gate"
    program.write_text(
        f"#!/bin/sh\n[ -e {cli.folder}/open ] && exit\necho 3 of 7 consumers >&2\nexit 1\n"
    )
    program.chmod(0o700)
    return {"on": ["gate"], "command": [str(program)]}


def test_rotate_now_tells_and_asks(cli: CliFixture) -> None:
    """A cron job needs no daemon: what it brings about is told when it ends."""
    with receiving() as receiver:
        configure(cli, {"on": ["pushed", "completed"], "url": receiver.url}, gate(cli))
        (cli.folder / "open").touch()
        done = cli.rotate()
        bodies = [json.loads(taken.body) for taken in receiver.taken]

    assert [body["event"] for body in bodies] == ["pushed", "completed"]
    assert [body["secret_id"] for body in bodies] == cli.secret_ids() * 2
    assert "hooks notified" in done.err
    assert "open: gate gate" in done.err
    assert not [value for value in cli.values() if value in str(receiver.taken)]


def test_a_shut_gate_is_shown_and_waited_for(cli: CliFixture) -> None:
    """In the table and the document, with its reason; then `resume` finishes."""
    configure(cli, gate(cli))
    first = cli.rotate("account-1", "--json")
    shown = cli.run("status")
    (account,) = cli.run("status", "--json").json()["accounts"]
    again = cli.run("rotate-now", "account-1")
    kept = cli.secret_ids()
    (cli.folder / "open").touch()
    resumed = cli.run("resume", "--json")

    assert first.json()[0]["outcome"] == "awaiting-deletion"
    assert "waiting for gate gate since " in shown.out
    assert "exit status 1: 3 of 7 consumers" in shown.out
    assert account["phase"] == "waiting"
    assert account["gate"]["name"] == "gate"
    assert account["gate"]["reason"] == "exit status 1: 3 of 7 consumers"
    assert again.code == 3
    assert "error: account-1: the last rotation waits for gate gate" in again.err
    assert len(kept) == 2
    assert resumed.json()[0]["outcome"] == "completed"
    assert len(cli.secret_ids()) == 1


def test_a_gate_is_heard_whoever_started_rotator(cli: CliFixture) -> None:
    """Who ignores the ends of its children hands that on, and each exit status would be 0."""
    configure(cli, gate(cli))
    done = cli.run_anew(
        "rotate-now",
        "account-1",
        "--json",
        preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN),
    )

    assert done.json()[0]["outcome"] == "awaiting-deletion"
    assert len(cli.secret_ids()) == 2


def test_a_leaked_secret_is_deleted_with_a_warning(cli: CliFixture) -> None:
    """`--compromised` asks no gate, and says so; the record says so as well."""
    configure(cli, gate(cli))
    done = cli.run("rotate-now", "account-1", "--compromised")
    history = cli.run("history", "account-1")

    assert done.code == 0
    assert done.err.startswith(
        "warning: account-1: not asked before the predecessor is deleted: gate gate\n"
    )
    assert "gates-skipped" in history.out
    assert len(cli.secret_ids()) == 1


def test_a_hook_that_fails_is_shown_and_tried_again(cli: CliFixture) -> None:
    """It fails the command and no rotation; `resume` tries it again when it is time."""
    with receiving() as receiver:
        receiver.answer = status(500)
        configure(cli, {"name": "chat", "on": ["pushed"], "url": f"{receiver.url}/T0KEN"})
        rotated = cli.run("rotate-now", "account-1", "--json")
        waiting = cli.run("resume", "--json")
        shown = cli.run("status")
        (account,) = cli.run("status", "--json").json()["accounts"]
        cli.sql("UPDATE delivery SET retry_at = '2020-01-01 00:00:00.000000'")
        failed = cli.run("resume")
        cli.sql("UPDATE delivery SET retry_at = '2020-01-01 00:00:00.000000'")
        again = cli.run("resume", "--json")
        receiver.answer = status(200)
        cli.sql("UPDATE delivery SET retry_at = '2020-01-01 00:00:00.000000'")
        resumed = cli.run("resume", "--json")
        (well,) = cli.run("status", "--json").json()["accounts"]
        history = cli.run("history", "account-1", "--json")

    events = {entry["event"]: entry for entry in history.json()}
    codes = [done.code for done in (rotated, waiting, failed, again, resumed)]
    assert codes == [1, 0, 1, 1, 0]
    reports = [done.json()[0] for done in (rotated, waiting, again, resumed)]
    assert [report["outcome"] for report in reports] == ["completed", "idle", "idle", "idle"]
    assert [report["hooks"] for report in reports] == [
        [{"hook": "chat", "event": "pushed", "outcome": outcome, "reason": reason}]
        for outcome, reason in [
            ("failed", "answered 500"),
            ("pending", "answered 500"),
            ("failed", "answered 500"),
            ("delivered", None),
        ]
    ]
    assert failed.out == "nothing to resume\n"
    assert "hook chat fails (pushed, tried 1 time): answered 500" in shown.out
    assert [each["hook"] for each in account["undelivered"]] == ["chat"]
    assert account["undelivered"][0]["reason"] == "answered 500"
    assert (
        "note: account-1: hook chat (pushed) failed and is tried again: answered 500" in failed.err
    )
    assert well["undelivered"] == []
    assert events["undelivered"]["detail"]["why"] == "answered 500"
    assert events["delivered"]["detail"]["attempts"] == 4
    everything = [rotated, waiting, shown, failed, again, resumed, history]
    assert not [done for done in everything if "T0KEN" in done.out + done.err]


def test_a_hook_that_may_fail_fails_no_command(cli: CliFixture) -> None:
    """The timer's unit runs the command again where it fails, and would rotate again."""
    unit = (ROOT / "systemd" / "rotator-rotate-now@.service").read_text()
    [line] = re.findall(r"^ExecStart=/opt/rotator/bin/rotator (.*)$", unit, re.MULTILINE)
    with receiving() as receiver:
        receiver.answer = status(500)
        configure(cli, {"name": "chat", "on": ["pushed"], "url": receiver.url})
        done = cli.run(*line.replace("%i", "account-1").split(), "--json")

    (report,) = done.json()
    assert [hook["outcome"] for hook in report["hooks"]] == ["failed"]
    assert done.code == 0


def test_a_refusal_is_told_once(cli: CliFixture) -> None:
    """However often it is tried; as a message that Slack takes."""
    with receiving() as receiver:
        configure(cli, {"on": ["refused", "drift"], "url": receiver.url, "format": "slack"})
        cli.world.vonage.add_secret(cli.account.api_key, "MadeByHand1")
        codes = [cli.run("rotate-now", "account-1").code for _ in range(2)]
        [taken] = receiver.taken

    assert codes == [3, 3]
    assert json.loads(taken.body).keys() == {"text"}
    assert b"account-1 is unmanaged (since " in taken.body
    assert b". Do: " in taken.body


def test_an_alert_at_pagerduty_is_resolved_once_it_is_over(cli: CliFixture) -> None:
    """What triggered it has the key that resolves it, through ledger and outbox."""
    key = cli.folder / "routing-key"
    key.write_text("R0ut1ng")
    with receiving() as receiver:
        alerts = {"url": receiver.url, "format": "pagerduty", "routing_key_file": str(key)}
        configure(cli, {"on": ["refused", "drift", "recovered"], **alerts})
        cli.rotate()
        foreign = cli.world.vonage.add_secret(cli.account.api_key, "MadeByHand1")
        refused = cli.run("rotate-now", "account-1")
        cli.world.vonage.revoke(cli.account.api_key, foreign)
        done = cli.run("rotate-now", "account-1")
        events = [json.loads(taken.body) for taken in receiver.taken]

    assert (refused.code, done.code) == (3, 0)
    assert [event["event_action"] for event in events] == ["trigger", "resolve"]
    assert {event["dedup_key"] for event in events} == {"rotator: account-1: rotation"}
    assert {event["routing_key"] for event in events} == {"R0ut1ng"}
    assert foreign in events[0]["payload"]["summary"]
    assert "R0ut1ng" not in refused.out + refused.err + done.out + done.err


def test_config_check_warns_of_what_cannot_be_called(cli: CliFixture) -> None:
    """The configuration is usable all the same: the program may be elsewhere."""
    configure(cli, {"on": ["pushed"], "command": ["/no/such/program"]})
    done = cli.run("config", "check")

    assert done.code == 0
    assert done.err == (
        "warning: hook program: /no/such/program is not a file\n"
        "hint: install it, or correct `command`\n"
    )


def test_config_check_warns_of_a_trigger_without_a_key(cli: CliFixture) -> None:
    """A daemon would not start; the key may be for it alone to read."""
    trigger = '[trigger]\nlisten = "127.0.0.1:0"\nsecret_file = "no-key"'
    configure(cli, {"on": ["pushed"], "command": ["/bin/true"]})
    cli.config.write_text(f"{cli.config.read_text()}\n{trigger}\n")
    done = cli.run("config", "check")

    assert done.code == 0
    assert done.err == (
        f"warning: trigger.secret_file: '{cli.folder / 'no-key'}' cannot be read: no such file or "
        "directory\nhint: create the file, and let rotator's user read it\n"
    )


def test_what_waits_for_no_consumer_is_warned_of(cli: CliFixture) -> None:
    """By `config check` and `doctor`, in a line with the page that helps; neither fails for it."""
    bare = cli.run("config", "check"), cli.run("doctor", "--json")
    configure(cli, gate(cli))
    with_gate = cli.run("config", "check"), cli.run("doctor", "--json")

    assert bare[0].code == with_gate[0].code == 0
    assert bare[0].err.startswith("warning: account-1: no gate and no `pushed` hook: ")
    assert bare[0].err.endswith("; see docs/consumers.md\n")
    assert bare[0].err.count("\n") == 1
    assert with_gate[0].err == ""
    verdicts = [
        [row["verdict"] for row in done.json()["checks"] if row["check"] == "consumers"]
        for done in (bare[1], with_gate[1])
    ]
    assert verdicts == [["warning"], ["ok"]]


def test_a_first_rotation_at_a_terminal_warns_where_no_consumer_is_waited_for(
    cli: CliFixture,
) -> None:
    """Once: not in a pipe, not where a hook waits, and not when the account was rotated before."""
    warning = "warning: account-1: no gate and no `pushed` hook"
    command = [sys.executable, "-m", "rotator", "rotate-now", "account-1"]
    environment = cli.environment | {"TERM": "xterm"}
    text = cli.config.read_text()
    configure(cli, {"on": ["pushed"], "command": ["/bin/true"]})
    waiting = run_at_terminal(command, environment).out
    cli.ledger.unlink()
    cli.config.write_text(text)
    first, second = (run_at_terminal(command, environment).out for _ in range(2))
    cli.ledger.unlink()
    piped = cli.run("rotate-now", "account-1").err

    assert warning in first
    assert not [each for each in (waiting, second, piped) if warning in each]


def test_a_dry_run_names_hooks_and_gates(cli: CliFixture) -> None:
    """And calls nobody, nor makes a ledger."""
    configure(cli, gate(cli), {"on": ["pushed"], "command": ["/no/such/program"]})
    cli.ledger.unlink()
    done = cli.run("rotate-now", "account-1", "--dry-run")

    assert done.code == 0
    assert "hooks   tell of the new secret" in done.out
    assert "gates   ask gate" in done.out
    assert not cli.ledger.exists()


# -- Trying hooks. -------------------------------------------------------------------------


def test_hooks_are_tried(cli: CliFixture) -> None:
    """Each is called with a marked event, whatever it subscribes to, and nothing is recorded."""
    told = cli.folder / "told"
    program = cli.folder / "reload"
    program.write_text(
        f'#!/bin/sh\necho "$ROTATOR_EVENT $ROTATOR_ACCOUNT" >> {told}\necho fine >&2\n'
    )
    program.chmod(0o700)
    with receiving() as receiver:
        chat = {"name": "chat", "on": ["failed"], "url": f"{receiver.url}/T0KEN"}
        configure(cli, chat, {"on": ["pushed"], "command": [str(program)]})
        done = cli.run("hooks", "test")
        [taken] = receiver.taken
    body = json.loads(taken.body)

    assert done.code == 0
    assert [line.split() for line in done.out.splitlines()] == [
        ["hook", "test", "answer"],
        ["chat", "ok", "answered", "204"],
        ["reload", "ok", "exit", "status", "0:", "fine"],
    ]
    assert (body["event"], body["account"]) == ("test", "account-1")
    assert body["reason"] == "a test; nothing has happened"
    assert told.read_text() == "test account-1\n"
    assert "T0KEN" not in done.out + done.err
    assert cli.run("history", "--json").json() == []


def test_a_hook_that_fails_is_found(cli: CliFixture) -> None:
    """With its reason, and an exit code for scripts; a gate's answer is not used."""
    with receiving() as receiver:
        receiver.answer = status(500)
        configure(cli, {"name": "chat", "on": ["failed"], "url": receiver.url}, gate(cli))
        every = cli.run("hooks", "test", "--json")
        (cli.folder / "open").touch()
        one = cli.run("hooks", "test", "gate")

    assert every.code == 1
    assert every.json() == {
        "hooks": [
            {"name": "chat", "outcome": "failed", "answer": "answered 500", "gate": False},
            {
                "name": "gate",
                "outcome": "failed",
                "answer": "exit status 1: 3 of 7 consumers",
                "gate": True,
            },
        ]
    }
    assert every.err == "note: hook gate is a gate; its answer to a test is not used\n"
    assert one.code == 0
    assert len(receiver.taken) == 1


def test_a_hook_that_is_not_configured_is_bad_usage(cli: CliFixture) -> None:
    """And without hooks there is nothing to try."""
    none = cli.run("hooks", "test")
    configure(cli, {"name": "chat", "on": ["failed"], "url": "https://example.com/"})
    unknown = cli.run("hooks", "test", "chta")

    assert (none.code, unknown.code) == (0, 2)
    assert none.err == "no hook is configured\n"
    assert unknown.err == "error: no hook 'chta' is configured\nhint: configured are chat\n"
