"""What a person is asked at the terminal. Where there is no answer, nothing is done."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from rotator.cli import output
from rotator.cli.stop import Stopped, Unanswered
from rotator.redaction import printable


def confirm(question: str) -> None:
    """Go on only after a yes.

    Raises:
        typer.Abort: the answer is no, or there is none.
    """
    with _asked():
        while True:
            sys.stderr.write(f"{printable(question)} [y/N]: ")
            sys.stderr.flush()
            answer = sys.stdin.readline()
            if not answer:
                raise EOFError
            if answer.strip().lower() in {"y", "yes"}:
                return
            if answer.strip().lower() in {"", "n", "no"}:
                raise typer.Abort
            output.say("answer y or n")


def blind(prompt: str) -> str:
    """Give what is typed without being shown.

    Raises:
        typer.Abort: nothing is.
    """
    from getpass import getpass  # noqa: PLC0415  # nobody else needs it

    with _asked():
        return getpass(prompt)


@contextmanager
def _asked() -> Iterator[None]:
    """End the line of the question where the answer does not."""
    try:
        yield
    except (EOFError, UnicodeDecodeError):
        # What is no text is no answer either, and it would be read again and again.
        output.say("")
        raise typer.Abort from None
    except Stopped as stopped:
        output.say("")
        raise Unanswered(stopped.signum) from None
