"""Debian's base system, which machines and images for the tests are made from."""

import os
import subprocess
from pathlib import Path

from tests.support.commands import ROOT
from tests.support.wheels import locked

_ARCHIVE = Path("build/image-base/base.tar")


def base(root: Path = ROOT) -> Path:
    """Return its archive; it is made where it is missing, by one process while others wait."""
    archive = root / _ARCHIVE
    archive.parent.mkdir(parents=True, exist_ok=True)
    with locked(archive.with_name("lock")):
        # Not as a part of the make that runs the tests.
        environment = {key: value for key, value in os.environ.items() if "MAKE" not in key}
        command = ["make", "--directory", str(root), str(_ARCHIVE)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
    return archive
