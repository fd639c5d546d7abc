"""Hooks that are programs, and a rotation fixture that runs them."""

from pathlib import Path
from typing import Any

from rotator.model.notification import Event, Hook
from tests.support.rotation_fixture import RotationFixture


class HookScript:
    """A hook's program: it records its calls, and fails while a file exists."""

    def __init__(self, folder: Path, name: str, *events: Event) -> None:
        """Write it; it succeeds."""
        self.calls_file, self.shut_file = folder / f"{name}-calls", folder / f"{name}-shut"
        program = folder / name
        program.write_text(
            "#!/bin/sh\n"
            'echo "$ROTATOR_EVENT $ROTATOR_SECRET_ID $ROTATOR_OLD_SECRET_ID"'
            f" >> {self.calls_file}\n"
            f"env >> {folder / 'environments'}\n"
            f"[ ! -e {self.shut_file} ] || {{ cat {self.shut_file} >&2; exit 1; }}\n"
        )
        program.chmod(0o700)
        self.hook = Hook(name=name, on=frozenset(events), command=(str(program),))

    def shut(self, why: str = "still in use") -> None:
        """Make it fail from now on."""
        self.shut_file.write_text(f"{why}\n")

    def open(self) -> None:
        """Make it succeed from now on."""
        self.shut_file.unlink()

    @property
    def calls(self) -> list[str]:
        """Its calls: event, new secret's id, old secret's id."""
        return self.calls_file.read_text().splitlines() if self.calls_file.exists() else []


def fixture_with_hooks(folder: Path, *scripts: HookScript, **setting: Any) -> RotationFixture:  # noqa: ANN401  # of `FixtureOptions`
    """Return a rotation fixture with these hooks."""
    return RotationFixture(folder, hooks=tuple(script.hook for script in scripts), **setting)
