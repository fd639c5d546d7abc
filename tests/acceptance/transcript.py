"""Transcripts: what an operator types and is answered, in files that read like a terminal.

A file begins with `# ` and its title. A line that begins with `$ ` is a command for the shell,
what follows is its output, then, in brackets, an exit code other than 0. Lines that begin with
`# ` after an empty one are notes. `<id>` and the like stand for what differs from run to run; in
a command, `<id>` is the secret id that was shown last. All commands of a file work on one
simulator with three accounts; `account-2.secret` holds that account's secret, `new.secret` a new
value.

`python -m tests.acceptance.transcript` writes the output in every file anew.
"""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from pathlib import Path
from typing import Self

from rotator.cli.actor import login_name

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "tests" / "transcripts").glob("*.txt"))
#: A command that hangs is a failure.
PATIENCE = 60
_ID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_TIME = r"(\d{4}-\d\d-\d\d)[T ]\d\d:\d\d(:\d\d(\.\d+)?)?( UTC|Z)?"
_AGE = r"\d{1,2}[sm]\b( \d{1,2}s\b)?"
#: What differs from run to run, in the order in which it is looked for.
_VARYING = (
    (r"http://127\.0\.0\.1:\d+", "<url>"),
    (_ID, "<id>"),
    ("[0-9a-f]{64}", "<hash>"),
    (r"\b[0-9a-f]{8}\b", "<id>"),
    # Ages and the like; not the durations that somebody wrote.
    (rf"(?<=  ){_AGE}|(?<=for ){_AGE}|{_AGE}(?= ago)", "<age>"),
    (r"(?<=none -> )\d{4}", "<revision>"),
    (r"(?<=^rotator )\d+\.\d+\.\d+", "<version>"),
)
#: Other times are examples in a hint.
_NOW = timedelta(days=60)


class Terminal:
    """A folder with a configuration for a simulator of its own, and a shell in it."""

    def __init__(self, folder: Path) -> None:
        """Start the simulator."""
        self.folder = folder
        for program, function in (("rotator", "main"), ("rotate-now", "rotate_now")):
            start = f"from rotator.cli.main import {function}; {function}()"
            script = f'#!/bin/sh\nexec {sys.executable} -c "{start}" "$@"\n'
            (folder / program).write_text(script)
            (folder / program).chmod(0o755)
        self._environment = {
            "PATH": f"{folder}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "ROTATOR_CONFIG": "config.toml",
        }
        self._simulator = subprocess.Popen(
            [folder / "rotator", "sim", "--write-config", "config.toml"],
            cwd=folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._simulator.stdout
        told = json.loads(self._simulator.stdout.readline())
        self.values = [account["api_secret"] for account in told["accounts"]]
        self._keys = {account["api_key"]: account["name"] for account in told["accounts"]}
        self._id = ""
        self.values.append("Seventeen17Letters")
        for name, value in (("account-2", self.values[1]), ("new", self.values[-1])):
            (folder / f"{name}.secret").write_text(value)
            (folder / f"{name}.secret").chmod(0o600)

    def __enter__(self) -> Self:
        """Return self, for a `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the simulator."""
        self._simulator.terminate()
        self._simulator.communicate()

    def answer(self, command: str) -> str:
        """Run a command; give its output, with signs for what varies, and its exit code."""
        done = subprocess.run(
            ["sh", "-c", command.replace("<id>", self._id)],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        output = done.stdout
        assert "Traceback" not in output, output
        assert not any(value in output for value in self.values), command
        self._id = [self._id, *re.findall(_ID, output)][-1]
        code = f"[{done.returncode}]\n" if done.returncode else ""
        return _aligned(self._same_each_time(output)) + code

    def _same_each_time(self, output: str) -> str:
        text = output.replace(str(self.folder), "<folder>")
        for key, name in self._keys.items():
            text = text.replace(key, f"<key of {name}>")
        text = text.replace(f"({login_name()})", "(<login>)")
        for key, found, sign in (
            ("by", login_name(), "<login>"),
            ("from", socket.gethostname(), "<host>"),
        ):
            # As in the history, in JSON, and while a rotation goes on.
            text = re.sub(rf'(\b{key}(=|": ?"| )){re.escape(found)}\b', rf"\1{sign}", text)
            # And in a sheet.
            text = re.sub(rf",{re.escape(found)}(?=,)", f",{sign}", text)
        text = re.sub(_TIME, _time, text)
        for pattern, sign in _VARYING:
            text = re.sub(pattern, sign, text, flags=re.MULTILINE)
        return text


def replayed(text: str, folder: Path) -> str:
    """Run all commands of a transcript; give it anew, as they answer now."""
    parts: list[str] = []
    with Terminal(folder) as terminal:
        for line in outline(text):
            if line.startswith("$ "):
                answer = terminal.answer(line.removeprefix("$ "))
                parts.append(f"{line}\n{answer.rstrip()}\n")
            else:
                parts.append(f"{line}\n")
    # A note stands above its command, and everything else by itself.
    title, *others = parts
    return f"{title}\n" + re.sub(r"^(# .*\n)\n", r"\1", "\n".join(others), flags=re.MULTILINE)


def outline(text: str) -> Iterator[str]:
    """Yield the lines of a transcript that are not output."""
    before = ""
    is_note = True
    for line in text.splitlines():
        is_note = line.startswith("# ") and (not before or is_note)
        if is_note or line.startswith("$ "):
            yield line
        before = line


def _time(found: re.Match[str]) -> str:
    day = datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
    return "<time>" if abs(day - datetime.now(UTC)) < _NOW else found[0]


def _aligned(output: str) -> str:
    """Set columns anew, as signs are not as wide as what they stand for."""
    lines: list[str] = []
    table: list[list[str]] = []
    for line in [*output.splitlines(), ""]:
        cells = re.split(" {2,}", line)
        is_row = len(cells) > 1 and re.match(r"[^\s│╭╰]", line)
        if table and (not is_row or len(cells) > len(table[0])):
            lines += _columns(table)
            table = []
        if is_row:
            table.append(cells)
        else:
            lines.append(line)
    return "".join(f"{line}\n" for line in lines[:-1])


def _columns(rows: list[list[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip_longest(*rows, fillvalue="")]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        yield "  ".join(cells).rstrip()


if __name__ == "__main__":
    for file in FILES:
        with tempfile.TemporaryDirectory() as name:
            file.write_text(replayed(file.read_text(), Path(name)))
