import contextlib
import itertools
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import pytest
from sqlalchemy import Engine, text

from rotator.cli import main, output
from rotator.cli.commands import config
from rotator.cli.context import CommandContext
from rotator.cli.signals import Interrupted, install
from rotator.errors import ConfigError, RotatorError
from rotator.ledger import database as database_module
from rotator.ledger.database import open_database, reading, writing
from tests.support.commands import forked

Raise = Callable[[BaseException], None]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Raise:
    """Let every command that reads the configuration fail in a certain way."""

    def fail_with(error: BaseException) -> None:
        def settings(_session: CommandContext, **_options: bool) -> NoReturn:
            raise error

        monkeypatch.setattr(CommandContext, "configured", settings)

    return fail_with


def test_an_error_is_a_message_a_hint_and_a_code(
    failing: Raise, capsys: pytest.CaptureFixture[str]
) -> None:
    """What, then what to do; nothing on standard output."""
    failing(ConfigError("it is wrong", hint="correct it"))

    assert main.run("rotator", ["config", "check"]) == 2
    assert capsys.readouterr() == ("", "error: it is wrong\nhint: correct it\n")


def test_an_unforeseen_error_is_named_but_not_quoted(
    failing: Raise, capsys: pytest.CaptureFixture[str]
) -> None:
    """Never a traceback, never the exception's text: it may be a value."""
    failing(ZeroDivisionError("hunter2"))

    assert main.run("rotator", ["config", "check"]) == 1
    out, err = capsys.readouterr()
    assert err.startswith(
        "error: unexpected ZeroDivisionError in rotator.cli.commands.config:check\nhint: "
    )
    assert "hunter2" not in out + err


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_is_no_error(
    failing: Raise, capsys: pytest.CaptureFixture[str], signum: int, code: int
) -> None:
    """Who stops a command is told that it may simply be run again."""
    failing(Interrupted(signum))

    assert main.run("rotator", ["config", "check"]) == code
    assert capsys.readouterr().err == "interrupted; nothing is lost, `rotator resume` goes on\n"


def test_an_end_of_input_is_no_answer(failing: Raise, capsys: pytest.CaptureFixture[str]) -> None:
    """Where a question could not be answered, nothing was done."""
    failing(EOFError())

    assert main.run("rotator", ["config", "check"]) == 1
    assert capsys.readouterr().err == "nothing was done\n"


def test_the_first_signal_asks_and_the_second_kills(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first, each signal does what it does to any process, but for a hangup.

    A closed terminal causes several of those.
    """
    handlers: dict[int, object] = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: None,
        signal.SIGHUP: None,
    }
    monkeypatch.setattr(signal, "getsignal", handlers.get)
    monkeypatch.setattr(signal, "signal", handlers.__setitem__)
    install()
    asked = handlers[signal.SIGHUP]
    assert callable(asked)
    with pytest.raises(Interrupted) as caught:
        asked(signal.SIGHUP, None)

    again = handlers.pop(signal.SIGHUP)
    assert callable(again)
    again(signal.SIGHUP, None)

    assert caught.value.exit_code == 129
    assert set(handlers.values()) == {signal.SIG_DFL}


def test_an_ignored_signal_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command in the background of a shell is not stopped by the Ctrl-C of another."""
    handlers: dict[int, object] = {signal.SIGINT: signal.SIG_IGN, signal.SIGTERM: signal.SIG_DFL}
    monkeypatch.setattr(signal, "getsignal", handlers.get)
    monkeypatch.setattr(signal, "signal", handlers.__setitem__)
    install()

    assert handlers[signal.SIGINT] is signal.SIG_IGN
    assert handlers[signal.SIGTERM] is not signal.SIG_DFL


def test_a_hangup_stays_ignored_after_another_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `nohup` started and SIGTERM ends is not killed by a closed terminal meanwhile."""
    handlers: dict[int, object] = {signal.SIGHUP: signal.SIG_IGN}
    monkeypatch.setattr(signal, "getsignal", handlers.get)
    monkeypatch.setattr(signal, "signal", handlers.__setitem__)
    install()
    asked = handlers[signal.SIGTERM]
    assert callable(asked)
    with pytest.raises(Interrupted):
        asked(signal.SIGTERM, None)

    assert handlers[signal.SIGHUP] is signal.SIG_IGN


@pytest.fixture
def signals() -> Iterator[None]:
    """Let no signal be ignored, as SIGHUP is below nohup; restore what they did afterwards."""
    of = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
    before = {signum: signal.signal(signum, signal.SIG_DFL) for signum in of}
    yield
    for signum, handler in before.items():
        signal.signal(signum, handler)


def made_in(folder: Path) -> Engine:
    """Make a ledger's database with one empty table."""
    made = open_database(f"sqlite:///{folder}/ledger.db")
    with writing(made) as connection:
        connection.execute(text("CREATE TABLE t (n)"))
    return made


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    """Yield a ledger's database with one empty table."""
    made = made_in(tmp_path)
    yield made
    made.dispose()


def rows(database: Engine) -> int:
    """Count what is committed."""
    with reading(database) as connection:
        return int(connection.execute(text("SELECT count(*) FROM t")).scalar_one())


def write(database: Engine) -> None:
    """Insert a row."""
    with writing(database) as connection:
        connection.execute(text("INSERT INTO t VALUES (1)"))


class Interruption:
    """A signal that comes before a certain instruction of how transactions begin and end."""

    def __init__(self, at: int, comes: Callable[[], object]) -> None:
        self._left, self._comes = at, comes
        self._files = {database_module.__file__, contextlib.__file__, signal.__file__, __file__}
        self.has_come = False

    def __enter__(self) -> None:
        self._before = sys.gettrace()
        # Python 3.12 tells of no instruction unless some frame wants that by now.
        sys._getframe().f_trace_opcodes = True
        sys.settrace(self._trace)

    def __exit__(self, *_error: object) -> None:
        sys.settrace(self._before)

    def _trace(self, frame: FrameType, event: str, _argument: object) -> Any:  # noqa: ANN401
        if frame.f_code.co_filename not in self._files:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode" and not self.has_come:
            self._left -= 1
            if self._left < 0:
                self.has_come = True
                self._comes()
        return self._trace


def be_interrupted_everywhere(folder: Path, *, to_this_thread: bool) -> None:
    """Write once for each instruction of a transaction, with a signal right before it."""
    database = made_in(folder)
    other = ThreadPoolExecutor(1)
    other.submit(int).result()  # begun while no signal is held off
    send = partial(signal.raise_signal, signal.SIGTERM)
    comes = send if to_this_thread else lambda: other.submit(send).result()
    written = interrupted = 0
    for at in itertools.count():
        for signum in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
            signal.signal(signum, signal.SIG_DFL)
        install()
        interruption = Interruption(at, comes)
        try:
            with interruption:
                write(database)
        except Interrupted:
            interrupted += 1
            assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
            other.submit(write, database).result(timeout=60)
            written += 1
        assert rows(database) in {written, written + 1}
        written = rows(database)
        if not interruption.has_come:
            break
    other.shutdown()
    assert interrupted == at > 100


@pytest.mark.parametrize("to_this_thread", [True, False])
def test_a_signal_leaves_no_turn_behind(tmp_path: Path, *, to_this_thread: bool) -> None:
    """Whenever it comes: who releases a lease on the way out does not wait for it for ever.

    The kernel may give it to another thread; Python handles it in the main one all the same. In a
    process of its own, as an exception between any two instructions may leave Python's own state
    behind, such as the error that is being handled.
    """
    process = forked(partial(be_interrupted_everywhere, to_this_thread=to_this_thread), tmp_path)
    process.join(timeout=100)

    assert process.exitcode == 0


@pytest.mark.usefixtures("signals")
def test_who_cannot_wait_for_a_transaction_kills(database: Engine) -> None:
    """The second signal ends the process within a transaction, too."""
    install()
    with writing(database):
        ending = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
        assert ending <= signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with pytest.raises(Interrupted):
        signal.raise_signal(signal.SIGTERM)
    with writing(database):
        assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.usefixtures("signals")
def test_what_takes_long_can_be_interrupted(database: Engine) -> None:
    """A migration or a copy ends at once, and undone."""
    install()
    try:
        with writing(database, is_long=True) as connection:
            connection.execute(text("INSERT INTO t VALUES (1)"))
            signal.raise_signal(signal.SIGTERM)
            pytest.fail("it was not interrupted")
    except Interrupted:
        pass

    assert rows(database) == 0


def test_output_that_is_not_taken_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A result that could not be written is not passed over, nor tried again at the end."""
    with open("/dev/full", "w", buffering=1) as full:  # noqa: PTH123  # a device
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(RotatorError) as caught:
            output.write("x")

    assert caught.value.message == "standard output cannot be written: no space left on device"


def test_a_value_given_as_an_argument_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    """The shell has it already, a log need not."""
    assert main.run("rotator", ["secrets", "create", "a", "Hunter2Hunter2"]) == 2
    assert "Hunter2" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rotate"], "no such command 'rotate'"),
        (["ledger", "burn"], "no such command 'burn'"),
        (["rotate-now"], "no account is named"),
        (["rotate-now", "a", "--all"], "both names and --all are given"),
        (["rotate-now", "a", "--grace"], "option '--grace' requires an argument"),
        (["rotate-now", "a", "--grace", "5"], "--grace: '5' is not a duration"),
        (["rotate-now", "a", "--grace=-5s"], "--grace: '-5s' is not a duration"),
        (["rotate-now", "a", "--compromised", "--grace", "1h"], "--compromised leaves no grace"),
        (["history", "--limit", "0"], "invalid value for '--limit'"),
        (["history", "--limit", "x"], "invalid value for '--limit'"),
        (["history", "a", "b"], "got unexpected extra argument"),
        (["--log-level", "loud", "status"], "invalid value for '--log-level': 'loud' is not one"),
        (["status", "--jsno"], "no such option: --jsno"),
        (["secrets", "list"], "missing argument 'NAME'"),
        (["secrets", "show", "a"], "missing argument 'ID'"),
        (["sim", "--accounts", "0"], "invalid value for '--accounts'"),
        (["sim", "--latency", "5"], "--latency: '5' is not a duration"),
        (["--config"], "option '--config' requires an argument"),
    ],
)
def test_misuse_is_exit_2_with_a_hint(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is wrong with a command line is said before anything is read."""
    code = main.run("rotator", arguments)

    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {message}")
    assert err.splitlines()[1].startswith("hint: ")


def test_the_contradiction_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A grace of nothing is what `--compromised` means anyway."""
    missing = str(tmp_path / "config.toml")
    arguments = ["--config", missing, "rotate-now", "a", "--compromised", "--grace", "0s"]

    assert main.run("rotator", arguments) == 2
    assert "there is no such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        "rotate-now",
        "resume",
        "status",
        "history",
        "ledger verify",
        "ledger export",
        "secrets list",
        "secrets show",
        "secrets create",
        "secrets delete",
        "config check",
        "config show",
        "config schema",
        "db current",
        "db upgrade",
        "sim",
    ],
)
def test_every_command_shows_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` ends with command lines to begin with."""
    assert main.run("rotator", [*command.split(), "--help"]) == 0
    assert f"$ rotator {command}" in capsys.readouterr().out


def test_the_program_of_its_own_speaks_of_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """`rotate-now --help` is not about `rotator`."""
    assert main.run("rotate-now", ["--help"]) == 0
    assert "$ rotate-now --all --json" in capsys.readouterr().out


def test_plain_columns_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    """Where there is no terminal, a table can be cut by columns."""
    output.table(("a", "bb"), [("long", "x"), ("s", "\x1b[2J")])

    assert capsys.readouterr().out == "a     bb\nlong  x\ns     �[2J\n"


def test_settings_are_written_as_toml() -> None:
    """Tables in tables and lists of tables have headers of their own."""
    shown = {"vault": {"mount": "m", "auth": {"method": "t"}}, "accounts": [{"n": 1}, {"n": 2}]}

    assert "\n".join(config._tables(shown)) == (
        '[vault]\nmount = "m"\n[vault.auth]\nmethod = "t"\n[[accounts]]\nn = 1\n[[accounts]]\nn = 2'
    )
