"""What a process does to the files of a folder, and when it sends: recorded by strace."""

import ctypes
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.disk import Disk, Resize, Write, name_of

STRACE = shutil.which("strace")
#: Every call that changes a file or a name, or could; and those by which requests are sent.
_CALLS = (
    "open,openat,creat,close,dup,dup2,dup3,mmap,"
    "write,writev,pwrite64,pwritev,pwritev2,truncate,ftruncate,fallocate,"
    "sendfile,copy_file_range,splice,fsync,fdatasync,sync_file_range,sync,syncfs,"
    "link,linkat,unlink,unlinkat,rename,renameat,renameat2,symlink,symlinkat,sendto,sendmsg"
)
_PR_SET_PTRACER, _ANYBODY = 0x59616D61, -1
#: A call that fails, and is seen by who traces.
_NOWHERE = -1


@dataclass(frozen=True, kw_only=True)
class Call:
    """One system call that succeeded, or a mark."""

    name: str
    arguments: str = field(repr=False)
    result: int

    @property
    def descriptor(self) -> int:
        """The descriptor that it is about; of a mapping, only one that writes to the file."""
        if self.name == "mmap":
            found = re.search(r"MAP_SHARED\b.*, (-?\d+), \w+$", self.arguments)
        else:
            found = re.match(r"(-?\d+)(?:, |$)", self.arguments)
        return int(found[1]) if found else _NOWHERE

    @property
    def last(self) -> int:
        """Its last argument: the offset of a write, the new size of a file."""
        return int(self.arguments.rpartition(", ")[2])

    @property
    def texts(self) -> list[bytes]:
        """Its arguments that are texts or bytes."""
        found = re.findall(r'"((?:\\x[0-9a-f]{2})*)"', self.arguments)
        return [bytes.fromhex(each.replace("\\x", "")) for each in found]


def wait_until_traced() -> None:
    """Wait until somebody traces this process, whoever it is."""
    ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_ulong(_ANYBODY), 0, 0, 0)
    while "TracerPid:\t0\n" in Path("/proc/self/status").read_text():
        time.sleep(0.001)


def mark(text: str) -> None:
    """Leave a mark among this process's calls."""
    with suppress(OSError):
        os.write(_NOWHERE, text.encode())


def trace(pid: int, output: Path) -> subprocess.Popen[bytes]:
    """Trace a process that waits for it, and its threads; it ends with them."""
    assert STRACE
    return subprocess.Popen(
        # Every text whole, in hexadecimal.
        [
            STRACE,
            "-f",
            "-xx",
            "-s",
            "1000000",
            "-o",
            output,
            "-e",
            f"trace={_CALLS}",
            "-p",
            str(pid),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def calls(output: Path) -> Iterator[Call]:
    """Yield what was traced, in its order: what is sent when it begins, else what is done."""
    begun: dict[str, str] = {}
    for line in output.read_text().splitlines():
        pid, _, text = line.partition(" ")
        text = text.strip()
        if text.endswith("<unfinished ...>"):
            begun[pid] = text.removesuffix("<unfinished ...>").strip()
            if begun[pid].startswith("send"):
                yield _call(f"{begun.pop(pid)}) = 0")
            continue
        if resumed := re.match(r"<\.\.\. \w+ resumed>(.*)", text):
            if pid not in begun:
                continue
            text = begun.pop(pid) + resumed[1]
        if re.match(r"\w+\(", text):
            call = _call(text)
            if call.result >= 0 or call.name == "mark":
                yield call


def _call(text: str) -> Call:
    found = re.fullmatch(r"(\w+)\((.*)\)\s+= (-?\d+|\?|0x[0-9a-f]+).*", text)
    assert found, text[:200]
    name, arguments, result = found.groups()
    if name == "write" and arguments.startswith(f"{_NOWHERE},"):
        name = "mark"
    number = -1 if result == "?" else int(result, 0)
    return Call(name=name, arguments=arguments, result=number)


class Playback:
    """A disk on which the calls of a process are repeated.

    SQLite's shared memory is left out: it is never synced, and made anew by who comes first.
    """

    def __init__(self, folder: Path, disk: Disk) -> None:
        """Repeat what was done to the files of `folder`, which `disk` begins with."""
        self.disk, self._folder = disk, str(folder)
        #: Files by descriptor; None for the folder itself.
        self._open: dict[int, int | None] = {}

    def play(self, call: Call) -> bool:
        """Repeat one call; return whether it concerned the folder."""
        match call.name:
            case "open" | "openat" | "creat":
                return self._opened(call)
            case "unlink" | "unlinkat":
                return self._unlinked(self._names(call)[0])
            case "rename" | "renameat" | "renameat2" | "link" | "linkat" | "symlink":
                return self._named(call)
        if call.descriptor not in self._open:
            return False
        if call.name == "close":
            self._open.pop(call.descriptor)
            return False
        self._done(call, self._open[call.descriptor])
        return True

    def _done(self, call: Call, number: int | None) -> None:
        if number is None:
            assert call.name in {"fsync", "fdatasync"}, call.name
            self.disk.sync_names()
            return
        file = self.disk.files[number]
        match call.name:
            case "pwrite64":
                data = call.texts[0][: call.result]
                file.changes.append(Write(offset=call.last, data=data))
            case "ftruncate":
                file.changes.append(Resize(size=call.last))
            case "fsync" | "fdatasync":
                file.sync()
            case _:
                raise AssertionError(call.name)

    def _opened(self, call: Call) -> bool:
        path = call.texts[0].decode()
        if path == self._folder:
            self._open[call.result] = None
        name = self._name(path)
        if name is None:
            return False
        is_new = name not in self.disk.names
        self._open[call.result] = number = self.disk.create(name)
        if is_truncated := "O_TRUNC" in call.arguments:
            self.disk.files[number].changes.append(Resize(size=0))
        return is_new or is_truncated

    def _unlinked(self, name: str | None) -> bool:
        if name is None:
            return False
        self.disk.unlink(name)
        return True

    def _named(self, call: Call) -> bool:
        old, new = self._names(call)
        if old is None and new is None:
            return False
        assert old is not None, "from another folder"
        assert new is not None, "to another folder"
        if call.name.startswith("rename"):
            self.disk.rename(old, new)
        else:
            self.disk.link(new, self.disk.names[old])
        return True

    def _names(self, call: Call) -> list[str | None]:
        return [self._name(text.decode()) for text in call.texts]

    def _name(self, path: str) -> str | None:
        name = name_of(path, self._folder)
        return None if name is None or name.endswith("-shm") else name
