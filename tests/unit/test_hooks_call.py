import hashlib
import hmac
import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rotator.errors import Stopping
from rotator.hooks.call import Caller
from rotator.hooks.check import findings
from rotator.hooks.message import Message
from rotator.model import SecretValue
from rotator.notice import Event, Format, Hook, Notice
from tests.harness.receiver import Answer, Receiver, receiving, status

NOW = datetime(2026, 11, 24, 7, 28, tzinfo=UTC)
NOTICE = Notice(
    id="n1",
    event=Event.PUSHED,
    account="sms",
    at=NOW,
    rotation_id="r1",
    secret_id="new",
    old_secret_id="old",
    vault_version=5,
)
MESSAGE = Message(notice=NOTICE, mount="secret", path="vonage/sms")
#: Short, as every test that waits for it waits that long.
SHORT = timedelta(seconds=1)

Script = Callable[[str], tuple[str, ...]]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Write a shell script; give the command that runs it in its folder."""

    def write(text: str) -> tuple[str, ...]:
        path = tmp_path / "hook"
        path.write_text(f"#!/bin/sh\ncd {tmp_path}\n{text}\n")
        path.chmod(0o700)
        return (str(path),)

    return write


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Give a web server."""
    with receiving() as made:
        yield made


def call(
    message: Message = MESSAGE,
    environ: dict[str, str] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    **hook: Any,  # noqa: ANN401  # of `Hook`
) -> object:
    """Call a hook once; give why it failed."""
    usual: dict[str, Any] = {"name": "h", "on": frozenset({Event.PUSHED}), "timeout": SHORT}
    caller = Caller(environ=environ or {}, should_stop=should_stop)
    return caller.call(Hook(**(usual | hook)), message, at=NOW)


# -- Commands. -----------------------------------------------------------------------------


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
        "ROTATOR_VAULT_MOUNT": "secret",
        "ROTATOR_VAULT_PATH": "vonage/sms",
        "ROTATOR_VAULT_VERSION": "5",
        "ROTATOR_CODE": "",
        "ROTATOR_REASON": "",
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
        (r"printf 'red \033[31m\n' >&2; exit 1", "exit status 1: red  [31m"),
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
            "commit 3f8586e0123456789abcdef0123456789abcdef0",
            "commit 3f8586e0123456789abcdef0123456789abcdef0",
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
    tmp_path: Path, script: Script
) -> None:
    """Its whole process group ends, whoever in it ignores signals."""
    reason = call(command=script("trap '' TERM\necho busy >&2\nsleep 600 & echo $! > child\nwait"))
    child = int((tmp_path / "child").read_text())

    assert reason == "timed out after 1 s, and was killed: busy"
    assert _ends(child)


def _ends(pid: int) -> bool:
    """Whether a process is over soon: init may take a moment to bury it."""
    deadline = time.monotonic() + 10
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
    tmp_path: Path, script: Script, trap: str
) -> None:
    """It is told to, and killed if it does not; neither success nor failure is reported."""
    began = time.monotonic()
    with pytest.raises(Stopping):
        call(
            command=script(f"{trap}\nsleep 600 & echo $! > child\nwait; wait"),
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
    assert str(call(command=script("yes >&2"))).startswith("timed out after 1 s, and was killed")


def test_a_command_that_is_not_there_fails(tmp_path: Path) -> None:
    """So does one that is no program."""
    (tmp_path / "text").write_text("x")

    assert call(command=("/no/such/program",)) == "it cannot be run: no such file or directory"
    assert call(command=(str(tmp_path / "text"),)) == "it cannot be run: permission denied"


def test_an_odd_id_is_fit_for_an_environment(tmp_path: Path, script: Script) -> None:
    """A rotation id may come from Vault, and hold anything."""
    odd = Message(
        notice=Notice(id="n", event=Event.DRIFT, account="sms", at=NOW, rotation_id="a\0b\nc"),
        mount="secret",
        path="",
    )
    reason = call(odd, command=script('printf %s "$ROTATOR_ROTATION_ID" > told'))

    assert reason is None
    assert (tmp_path / "told").read_text() == "a b c"


# -- Web addresses. ------------------------------------------------------------------------


def test_a_webhook_posts_json(receiver: Receiver) -> None:
    """Path and query are those of the address; the event stands in a header, too."""
    reason = call(url=f"{receiver.url}/hook?a=b")
    [taken] = receiver.taken

    assert reason is None
    assert taken.path == "/hook?a=b"
    assert taken.headers["Content-Type"] == "application/json"
    assert taken.headers["Rotator-Event"] == "pushed"
    assert taken.headers["Rotator-Delivery"] == "n1"
    assert "Rotator-Signature" not in taken.headers
    assert json.loads(taken.body) == {
        "event": "pushed",
        "id": "n1",
        "account": "sms",
        "at": "2026-11-24T07:28:00Z",
        "rotation_id": "r1",
        "secret_id": "new",
        "old_secret_id": "old",
        "vault_mount": "secret",
        "vault_path": "vonage/sms",
        "vault_version": 5,
        "code": None,
        "reason": None,
    }


def test_a_body_is_signed_with_the_key_and_the_time(receiver: Receiver, tmp_path: Path) -> None:
    """A receiver that knows the key can check both; the line end of the file is no part of it."""
    (tmp_path / "key").write_text("k3y\n")
    call(url=receiver.url, secret_file=tmp_path / "key")
    [taken] = receiver.taken
    seconds, _, digest = taken.headers["Rotator-Signature"].partition(",v1=")
    signed = seconds.removeprefix("t=").encode() + b"." + taken.body

    assert seconds == f"t={int(NOW.timestamp())}"
    assert digest == hmac.new(b"k3y", signed, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (status(200), None),
        (status(204), None),
        (status(400), "answered 400"),
        (status(500), "answered 500"),
        (status(503), "answered 503"),
    ],
)
def test_a_webhook_succeeds_by_its_status(
    receiver: Receiver, answer: Answer, reason: str | None
) -> None:
    """Anything but 2xx is a failure."""
    receiver.answer = answer

    assert call(url=receiver.url) == reason
    assert len(receiver.taken) == 1


def test_a_redirect_is_never_followed(receiver: Receiver) -> None:
    """The body stays with the host that is configured."""
    with receiving() as other:
        receiver.answer = status(307, Location=f"{other.url}/")

        assert call(url=receiver.url) == "answered 307, and no redirect is followed"
        assert other.taken == []


@pytest.mark.parametrize("way", ["hang", "drip"])
def test_a_server_that_does_not_answer_is_given_up(receiver: Receiver, way: str) -> None:
    """In time, even if it sends a byte now and then."""
    receiver.answer = getattr(receiver, way)

    assert call(url=receiver.url) == "timed out after 1 s"


@pytest.mark.parametrize("way", ["hang", "drip"])
def test_a_server_is_given_up_when_rotator_ends(receiver: Receiver, way: str) -> None:
    """Though it may have got all of it."""
    receiver.answer = getattr(receiver, way)
    with pytest.raises(Stopping):
        call(
            url=receiver.url,
            timeout=timedelta(minutes=5),
            should_stop=lambda: bool(receiver.taken),
        )

    assert len(receiver.taken) == 1


def test_a_dropped_connection_is_a_failure(receiver: Receiver) -> None:
    """What is not answered did not arrive, for all that is known."""
    receiver.answer = receiver.drop

    assert call(url=receiver.url) == "no usable answer came (RemoteDisconnected)"


def test_an_address_that_nobody_listens_at_is_a_failure() -> None:
    """The reason does not repeat the address."""
    with receiving() as gone:
        pass

    assert call(url=f"{gone.url}/T0KEN") == "the connection was refused"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://no-such-host.invalid/T0KEN", "its host is not found"),
        ("https://a..b/T0KEN", "its address cannot be used"),
    ],
)
def test_an_address_that_leads_nowhere_is_a_failure(url: str, reason: str) -> None:
    """Likewise."""
    assert call(url=url) == reason


def test_a_server_without_tls_is_a_failure(receiver: Receiver) -> None:
    """Nothing is sent to one that cannot prove who it is."""
    reason = call(url=receiver.url.replace("http:", "https:"))

    assert reason == "no usable answer came (SSLError)"
    assert receiver.taken == []


def test_another_machine_is_called_through_the_proxy(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is shown its own password, and not what is sent."""
    monkeypatch.setenv("https_proxy", receiver.url.replace("//", "//user:pa%20ss@"))
    receiver.answer = status(403)
    reason = call(url="https://example.com/T0KEN")
    [taken] = receiver.taken

    assert reason == "the proxy does not let it through"
    assert taken.path == "example.com:443"
    assert taken.headers["Proxy-Authorization"] == "Basic dXNlcjpwYSBzcw=="
    assert "T0KEN" not in str(taken)


def test_a_proxy_is_not_asked_for_what_is_exempt(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As NO_PROXY has it."""
    monkeypatch.setenv("https_proxy", receiver.url)
    monkeypatch.setenv("no_proxy", "no-such-host.invalid")

    assert call(url="https://no-such-host.invalid") == "its host is not found"
    assert receiver.taken == []


def test_an_address_may_stand_in_a_file(tmp_path: Path) -> None:
    """What is wrong with the file is said, and nothing of what it holds."""
    file = tmp_path / "url"
    missing = call(url_file=file)
    file.write_text("")
    empty = call(url_file=file)
    file.write_text("http://example.com/T0KEN")
    plain = call(url_file=file)
    file.write_bytes(b"\xff")
    garbled = call(url_file=file)

    assert missing == "its url_file cannot be read: no such file or directory"
    assert empty == "its url_file is empty"
    assert plain == "its url_file holds no https address"
    assert garbled == "its url_file is not UTF-8"


def test_a_key_that_is_missing_sends_nothing(receiver: Receiver, tmp_path: Path) -> None:
    """An unsigned body would be refused, or worse, believed."""
    reason = call(url=receiver.url, secret_file=tmp_path / "key")

    assert reason == "its secret_file cannot be read: no such file or directory"
    assert receiver.taken == []


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Event.PUSHED, "sms: a new secret is in Vault, at secret/vonage/sms version 5"),
        (Event.COMPLETED, "sms: rotated: secret old is deleted, new took its place"),
        (Event.GATE, "sms: may secret old be deleted?"),
        (
            Event.REFUSED,
            "sms: rotation refused, an operator must decide: a &lt;b&gt; &amp; c (odd)",
        ),
        (Event.OVERDUE, "sms: overdue: a &lt;b&gt; &amp; c"),
    ],
)
def test_slack_gets_a_sentence(receiver: Receiver, event: Event, text: str) -> None:
    """As {"text": …}, with what Slack would read as markup escaped."""
    notice = Notice(**vars(NOTICE) | {"event": event, "code": "odd", "reason": "a <b> & c"})
    message = Message(notice=notice, mount="secret", path="vonage/sms")
    assert call(message, url=receiver.url, format=Format.SLACK) is None

    assert json.loads(receiver.taken[0].body) == {"text": text}


def test_every_event_has_a_sentence() -> None:
    """Also where nothing is known but the event itself."""
    for event in Event:
        notice = Notice(id="n", event=event, account="sms", at=NOW)

        assert Message(notice=notice, mount="m", path="").text().startswith("sms: ")


# -- Looking at them. ----------------------------------------------------------------------


def test_what_is_wrong_with_hooks_is_seen_without_calling_them(
    tmp_path: Path, script: Script
) -> None:
    """A program that is missing or may not be executed, a file that cannot be read."""
    (tmp_path / "text").write_text("x")
    on = frozenset({Event.PUSHED})
    hooks = [
        Hook(name="good", on=on, command=script("touch called")),
        Hook(name="gone", on=on, command=("/no/such/program",)),
        Hook(name="text", on=on, command=(str(tmp_path / "text"),)),
        Hook(name="web", on=on, url="https://example.com"),
        Hook(name="file", on=on, url_file=tmp_path / "url"),
    ]
    problems = {finding.hook.name: finding.problem for finding in findings(hooks)}

    assert problems == {
        "good": None,
        "gone": "/no/such/program is no file",
        "text": f"{tmp_path / 'text'} may not be executed",
        "web": None,
        "file": "its url_file cannot be read: no such file or directory",
    }
    assert not (tmp_path / "called").exists()
