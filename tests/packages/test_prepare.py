"""What the slow suites share: made once, and not taken for made when it could not be."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support import debian
from tests.support.commands import ROOT

#: Stands for debootstrap: it leaves a half-made folder as long as the file `offline` is there.
_DEBOOTSTRAP = """#!/bin/sh
for folder; do :; done
echo called >>calls
mkdir -p "$folder/var/cache/apt" "$folder/var/log" && touch "$folder/half"
test ! -e offline && sleep 0.2 && touch "$folder/whole"
"""


def test_processes_that_want_the_same_base_wait_for_one_that_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A base that could not be made is not kept; the next two that want it make it once."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    program = tmp_path / "bin" / "debootstrap"
    program.parent.mkdir()
    program.write_text(_DEBOOTSTRAP)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    offline = tmp_path / "offline"
    offline.touch()
    with pytest.raises(AssertionError):
        debian.base(tmp_path)
    assert not (tmp_path / "build" / "image-base" / "base.tar").exists()
    offline.unlink()
    with ThreadPoolExecutor(max_workers=2) as threads:
        made = set(threads.map(debian.base, [tmp_path, tmp_path]))

    assert [path.exists() for path in made] == [True]
    assert (tmp_path / "calls").read_text().splitlines() == ["called"] * 2
