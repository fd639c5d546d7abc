import os
import stat
import threading
from pathlib import Path

import pytest

from rotator.cli.file import write_whole


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """Who has the old one open reads on in it; its mode stays, and no draft is left behind."""
    path = tmp_path / "report"
    path.write_text("old")
    path.chmod(0o640)
    with path.open() as reader:
        write_whole(path, "new")

        assert reader.read() == "old"
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_has_the_mode_of_the_umask(tmp_path: Path) -> None:
    """As any file that a command makes."""
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "open", "x")
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "open").stat().st_mode) == 0o640


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """What it leads to is written, there or not."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder/report")
    for text in ("first", "second"):
        write_whole(tmp_path / "link", text)

        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "folder" / "report").read_text() == text


def test_a_pipe_is_written_through(tmp_path: Path) -> None:
    """It is a pipe afterwards, and who reads it has the text."""
    path, read = tmp_path / "pipe", list[str]()
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: read.append(path.read_text()))
    reader.start()
    write_whole(path, "through")
    reader.join()

    assert read == ["through"]
    assert stat.S_ISFIFO(path.stat().st_mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a device")
def test_a_device_stays_a_device(tmp_path: Path) -> None:
    """Root's command does not put a file in its place."""
    path = tmp_path / "null"
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    write_whole(path, "nowhere")

    assert stat.S_ISCHR(path.stat().st_mode)


@pytest.mark.parametrize("name", ["/dev/fd/{}", "/proc/self/fd/{}", "{link}"])
def test_a_descriptor_by_name_is_that_descriptor(tmp_path: Path, name: str) -> None:
    """A file that it leads to is gone on with, from where it is, and is the same file."""
    path, link = tmp_path / "log", tmp_path / "link"
    path.write_text("before\n")
    with path.open("a") as file:
        link.symlink_to(f"/dev/fd/{file.fileno()}")
        write_whole(Path(name.format(file.fileno(), link=link)), "text\n")
        file.write("after\n")

    assert path.read_text() == "before\ntext\nafter\n"
    assert not path.is_symlink()


def test_links_in_a_circle_are_an_error(tmp_path: Path) -> None:
    """They lead nowhere."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        write_whole(tmp_path / "a", "x")


def test_no_draft_is_left_behind(tmp_path: Path) -> None:
    """A text that cannot be written leaves the old file as it was."""
    path = tmp_path / "report"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "\ud800")

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
