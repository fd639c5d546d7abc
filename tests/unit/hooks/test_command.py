"""Hooks that are commands: what they are told, how they fail, and how they end."""

import os
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from rotator.errors import Stopping
from rotator.hooks.command import Owner
from rotator.hooks.payload import Payload
from rotator.model import SecretValue
from rotator.model.notification import Event, Notification
from tests.unit.hooks.calling import NOW, PATIENT, SHORT, Script, call

#: Starts a child, and names it once it is there.
IN_THE_BACKGROUND = "sleep 600 & echo $! > part; mv part child"


def test_a_command_is_told_by_a_clean_environment(tmp_path: Path, script: Script) -> None:
    """PATH, LANG and what there is to tell, and nothing else of rotator's own."""
    environ = {
        "PATH": "/bin:/usr/bin",
        "LANG": "C.UTF-8",
        "VAULT_TOKEN": "s.token",
        "ROTATOR_LEDGER__URL": "sqlite:////x",
        "HOME": "/root",
    }
    reason = call(command=script("env > told"), environ=environ)
    told = dict(line.split("=", 1) for line in (tmp_path / "told").read_text().splitlines())

    assert reason is None
    assert {
        name: text for name, text in told.items() if name not in ("PWD", "OLDPWD", "_", "SHLVL")
    } == {
        "PATH": "/bin:/usr/bin",
        "LANG": "C.UTF-8",
        "ROTATOR_EVENT": "pushed",
        "ROTATOR_ID": "n1",
        "ROTATOR_ACCOUNT": "sms",
        "ROTATOR_AT": "2026-11-24T07:28:00Z",
        "ROTATOR_ROTATION_ID": "r1",
        "ROTATOR_SECRET_ID": "new",
        "ROTATOR_OLD_SECRET_ID": "old",
        "ROTATOR_VAULT_NAMESPACE": "team",
        "ROTATOR_VAULT_MOUNT": "secret",
        "ROTATOR_VAULT_PATH": "vonage/sms",
        "ROTATOR_VAULT_VERSION": "5",
        "ROTATOR_CODE": "",
        "ROTATOR_REASON": "",
        "ROTATOR_STATE": "",
        "ROTATOR_HINT": "",
        "ROTATOR_SINCE": "",
        "ROTATOR_TRIES": "",
        "ROTATOR_NEXT_TRY_AT": "",
        "ROTATOR_CONSUMERS": "",
        "ROTATOR_CONVERGED": "",
        "ROTATOR_BEHIND": "",
        "ROTATOR_COMPONENT": "",
        "ROTATOR_HOST": "",
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("exit 0", None),
        ("echo all is lost; exit 0", None),
        ("exit 3", "exit status 3"),
        (
            "echo out; echo no consumer answers >&2; echo more >&2; exit 3",
            "exit status 3: no consumer answers",
        ),
        ("kill -9 $$", "killed by signal 9"),
        (
            r"printf 'red \033[31m\n' >&2; exit 1",
            "exit status 1: red \N{REPLACEMENT CHARACTER}[31m",
        ),
        (r"printf 'caf\351\n' >&2; exit 1", "exit status 1: caf\N{REPLACEMENT CHARACTER}"),
    ],
)
def test_a_command_succeeds_by_its_exit_status(
    script: Script, text: str, reason: str | None
) -> None:
    """If it fails, the first line of its standard error says why, fit to be printed."""
    assert call(command=script(text)) == reason


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("+ curl -u abcd1234:Xy7pQ2mN8vB4kL1zR5tW9cD3f", "+ curl -u abcd1234:***"),
        ("Authorization: Basic YWJjZDEyMzQ6WHk3cFEybU44", "Authorization: Basic ***"),
        ("authorization: bearer abc.def-1", "authorization: bearer ***"),
        ("X-Vault-Token: hvs.CAESIJ_x-1", "X-Vault-Token: ***"),
        ("token s.AbCdEfGhIjKlMnOpQrStUvWx gone", "token *** gone"),
        ("jwt eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln", "jwt ***"),
        ("GET https://user:pa55word@host/path failed", "GET https://user:***@host/path failed"),
        ('{"api_secret": "hunter2hunter2"}', '{"api_secret": "***"}'),
        ("api_secret=hunter2hunter2&api_key=abcd1234", "api_secret=***&api_key=abcd1234"),
        ("DB_PASSWORD='hunter2hunter2'", "DB_PASSWORD='***'"),
        # What helps to find out what is wrong.
        ("token: permission denied", "token: permission denied"),
        (
            "secret_id=3b8f0a52-1a6c-4f0e-9d6e-2f5f3c1f7a10 is not there",
            "secret_id=3b8f0a52-1a6c-4f0e-9d6e-2f5f3c1f7a10 is not there",
        ),
        (
            "consumer-7f9c8d6b5-x2x4z: 3 of 7 at /srv/Shop1",
            "consumer-7f9c8d6b5-x2x4z: 3 of 7 at /srv/Shop1",
        ),
        (
            "commit 3f8586e9a1b2c3d4e5f60718293a4b5c6d7e8f90",
            "commit 3f8586e9a1b2c3d4e5f60718293a4b5c6d7e8f90",
        ),
    ],
)
def test_what_looks_like_a_secret_is_masked(script: Script, said: str, kept: str) -> None:
    """Also what rotator has not in memory: a hook reads from Vault by itself."""
    (program,) = script("")
    Path(program).write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{said}\nEND\nexit 1\n")

    assert call(command=(program,)) == f"exit status 1: {kept}"


@pytest.mark.parametrize(
    "part", ["secret-", "secret-id-", "eyJ-", "a-", "token=", "://a:", "Bearer "]
)
def test_what_is_said_over_and_over_is_read_quickly(script: Script, part: str) -> None:
    """However a hook repeats itself, nobody else has to wait for what it said to be masked."""
    (program,) = script("")
    Path(program).write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{part * 4096}\nEND\nexit 1\n")
    before = time.thread_time()
    reason = call(command=(program,))

    assert str(reason).startswith("exit status 1: ")
    assert time.thread_time() - before < 1


def test_a_value_is_masked_before_the_line_is_cut(script: Script) -> None:
    """Half a value at the end of what is kept would be nobody's."""
    value = SecretValue("Xy7pQ2mN8vB4kL1zR5tW9cD3f")
    reason = call(command=script(f"echo '{'x ' * 95}{value.reveal()}' >&2; exit 1"))

    assert reason == f"exit status 1: {'x ' * 95}***"


def test_arguments_meet_no_shell(tmp_path: Path, script: Script) -> None:
    """What a shell would obey arrives as it is written."""
    command = script('printf "%s\\n" "$@" > told')
    assert call(command=(*command, "$HOME; touch x", "*")) is None

    assert (tmp_path / "told").read_text() == "$HOME; touch x\n*\n"
    assert not (tmp_path / "x").exists()


def test_a_command_past_its_time_is_killed_with_its_children(
    tmp_path: Path, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its whole process group ends, whoever in it ignores signals."""
    was_there: list[bool] = [False]

    def clock() -> float:
        """Stand still until what it said before its child was there has been read, too."""
        was_there.append((tmp_path / "child").exists())
        return 3600.0 if was_there[-2] else 0.0

    monkeypatch.setattr(
        "rotator.hooks.command.time", SimpleNamespace(monotonic=clock, sleep=time.sleep)
    )
    reason = call(
        command=script(f"trap '' TERM\necho busy >&2\n{IN_THE_BACKGROUND}\nwait"), timeout=SHORT
    )
    child = int((tmp_path / "child").read_text())

    assert reason == "timed out after 1 s, and was killed: busy"
    assert _ends(child)


def _ends(pid: int) -> bool:
    """Whether a process is over soon: init may take a moment to bury it."""
    deadline = time.monotonic() + PATIENT.total_seconds()
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state in "ZX":
            return True
        os.sched_yield()
    return False


@pytest.mark.parametrize("trap", ["trap 'echo bye > told; exit' TERM", "trap '' TERM"])
def test_a_command_is_ended_with_its_children_when_rotator_ends(
    tmp_path: Path, script: Script, monkeypatch: pytest.MonkeyPatch, trap: str
) -> None:
    """It is told to, and killed if it does not; neither success nor failure is reported."""
    # Who ends by itself gets all the time that it may need.
    monkeypatch.setattr("rotator.hooks.command._TERM_SECONDS", 60.0 if "bye" in trap else 1.0)
    began = time.monotonic()
    with pytest.raises(Stopping):
        call(
            command=script(f"{trap}\n{IN_THE_BACKGROUND}\nwait; wait"),
            timeout=timedelta(minutes=5),
            should_stop=(tmp_path / "child").exists,
        )
    took = time.monotonic() - began

    assert took < 30
    assert (tmp_path / "told").exists() is ("bye" in trap)
    assert _ends(int((tmp_path / "child").read_text()))


def test_what_a_command_leaves_behind_is_not_waited_for(tmp_path: Path, script: Script) -> None:
    """A child in the background that holds its standard error open delays nothing."""
    began = time.monotonic()
    reason = call(
        command=script("sleep 600 & echo $! > child\nexit 0"), timeout=timedelta(seconds=60)
    )
    took = time.monotonic() - began
    os.kill(int((tmp_path / "child").read_text()), 9)

    assert reason is None
    assert took < 30


@pytest.mark.parametrize("stream", ["1", "2"])
def test_huge_output_is_bounded(script: Script, stream: str) -> None:
    """100 MB are taken, so that the command can end, and 200 characters are kept."""
    reason = call(
        command=script(f"head -c 100000000 /dev/zero | tr '\\0' x >&{stream}; exit 4"),
        timeout=timedelta(seconds=60),
    )

    assert reason == ("exit status 4" if stream == "1" else f"exit status 4: {'x' * 200}")


def test_output_without_end_is_cut_off(script: Script) -> None:
    """Somebody who never stops talking is stopped in time."""
    reason = call(command=script("yes >&2"), timeout=SHORT)

    assert str(reason).startswith("timed out after 1 s, and was killed")


def test_a_command_that_is_not_there_fails(tmp_path: Path) -> None:
    """So does one that is no program."""
    (tmp_path / "text").write_text("x")

    assert call(command=("/no/such/program",)) == "it cannot be run: no such file or directory"
    assert call(command=(str(tmp_path / "text"),)) == "it cannot be run: permission denied"


def test_an_odd_id_is_fit_for_an_environment(tmp_path: Path, script: Script) -> None:
    """A rotation id may come from Vault, and hold anything."""
    odd = Payload(
        notification=Notification(
            id="n", event=Event.DRIFT, account="sms", at=NOW, rotation_id="a\0b\nc"
        ),
        mount="secret",
        path="",
    )
    reason = call(odd, command=script('printf %s "$ROTATOR_ROTATION_ID" > told'))

    assert reason is None
    assert (tmp_path / "told").read_text() == "a\N{REPLACEMENT CHARACTER}b c"


# -- Whose process it is. ------------------------------------------------------------------

#: Reads nothing but what everyone may, and writes where it is told to.
IDENTITY = "id -u; id -g; id -G"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs as someone else")


def identity(command: str, file: Path | None) -> list[str]:
    """Run a hook that names whom it runs as; `file` is the ledger's."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o777)
        reason = call(command=("/bin/sh", "-c", f"({command}) > {folder}/told"), ledger_file=file)

        assert reason is None
        return (Path(folder) / "told").read_text().split()


@needs_root
def test_a_hook_of_root_runs_as_the_ledger_s_owner(tmp_path: Path) -> None:
    """What root calls by hand has no more power than what the daemon calls."""
    ledger = tmp_path / "ledger.db"
    ledger.touch()
    os.chown(ledger, 64001, 64002)

    assert identity(IDENTITY, ledger) == ["64001", "64002", "64002"]


@needs_root
@pytest.mark.parametrize("there", [True, False])
def test_a_hook_runs_as_rotator_does(tmp_path: Path, *, there: bool) -> None:
    """A ledger of root's, one that is on a server, or none yet: nobody else is known."""
    ledger = tmp_path / "ledger.db"
    if there:
        ledger.touch()

    assert identity("id -u", ledger) == identity("id -u", None) == ["0"]


def test_an_ordinary_user_s_hook_is_that_user_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose the ledger is changes nothing for one who may not become someone else."""
    ledger = tmp_path / "ledger.db"
    ledger.touch()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert Owner.of(ledger) is None
