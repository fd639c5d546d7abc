"""A terminal of a certain size, for commands that draw on one."""

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator, Mapping, Sequence

from tests.support.cli_fixture import CommandResult


def run_at_terminal(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    columns: int = 80,
    interrupt_at: str | None = None,
) -> CommandResult:
    """Run a command at a terminal to its end; return all that it wrote there as its output.

    With `interrupt_at`, Ctrl-C is pressed once that text is shown.
    """
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    process = subprocess.Popen(
        command,
        env=dict(environment),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    shown = b""
    try:
        for chunk in chunks(controller):
            shown += chunk
            if interrupt_at and interrupt_at.encode() in shown:
                interrupt_at = None
                os.killpg(process.pid, signal.SIGINT)
    finally:
        os.close(controller)
        process.wait(60)
    text = shown.decode().replace("\r\n", "\n")
    return CommandResult(code=process.returncode, out=text, err="")


def lead_terminal(
    command: Sequence[str], environment: Mapping[str, str]
) -> tuple[subprocess.Popen[bytes], int]:
    """Start a command as the leader of its own terminal; return it and the terminal's other end.

    If that is closed, the command gets SIGHUP, even where the tests run below nohup.
    """
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", "env", "--default-signal=HUP", *command],
        env=dict(environment),
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    return process, controller


def read_until(controller: int, text: str) -> None:
    """Read from a terminal until `text` is shown."""
    shown = b""
    while text.encode() not in shown:
        shown += os.read(controller, 65536)


def chunks(controller: int) -> Iterator[bytes]:
    """Return what is written at the other end, as it comes, until all have closed it."""
    try:
        while chunk := os.read(controller, 65536):
            yield chunk
    except OSError:  # Linux's way to say that the other end is closed
        pass
