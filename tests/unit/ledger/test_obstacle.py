"""What keeps a ledger's file from being opened, other than the file itself."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from rotator.ledger import file


@pytest.mark.parametrize("is_there", [True, False])
def test_nobody_can_write_to_a_read_only_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_there: bool
) -> None:
    """No other owner of the file would help; a unit's `ProtectSystem=` looks the same."""
    if is_there:
        (tmp_path / "ledger.db").touch()
    shut = SimpleNamespace(f_flag=os.ST_RDONLY)
    monkeypatch.setattr(os, "statvfs", lambda _folder: shut)
    found = file.obstacle(tmp_path / "ledger.db")

    assert found is not None
    assert found[0] == f"the file system of {tmp_path} is read-only"
    assert "`ReadWritePaths=`" in found[1]


def test_the_outermost_folder_that_is_closed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is below it cannot be seen, and so may not be blamed."""
    shut = tmp_path / "shut"
    (shut / "more").mkdir(parents=True)
    monkeypatch.setattr(os, "access", lambda path, _mode: not path.is_relative_to(shut))
    found = file.obstacle(shut / "more" / "ledger.db")

    assert found == (
        f"this user may not enter {shut}",
        "run as a user who may, or let this one enter",
    )


def test_a_usual_file_has_none(tmp_path: Path) -> None:
    """Nor has one that is still to be created."""
    (tmp_path / "ledger.db").touch()

    assert file.obstacle(tmp_path / "ledger.db") is None
    assert file.obstacle(tmp_path / "new.db") is None


def test_what_is_in_its_place_is_named(tmp_path: Path) -> None:
    """Be it there, or where its directory should be."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "text").write_text("")

    for path, why in (
        (tmp_path, "it is a directory"),
        (tmp_path / "pipe", "it is not a file"),
        (tmp_path / "text" / "ledger.db", f"{tmp_path / 'text'} is not a directory"),
        (tmp_path / "none" / "ledger.db", f"its directory {tmp_path / 'none'} does not exist"),
    ):
        found = file.obstacle(path)
        assert found
        assert found[0] == why
