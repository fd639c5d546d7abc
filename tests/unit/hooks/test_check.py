from pathlib import Path

from rotator.doctor.hooks import fault
from rotator.model.notification import Event, Hook
from tests.unit.hooks.calling import Script


def test_what_is_wrong_with_hooks_is_seen_without_calling_them(
    tmp_path: Path, script: Script
) -> None:
    """A program that is missing or may not be executed, a file that cannot be read."""
    (tmp_path / "text").write_text("x")
    on = frozenset({Event.PUSHED})
    hooks = [
        Hook(name="good", on=on, command=script("touch called")),
        Hook(name="gone", on=on, command=("/no/such/program",)),
        Hook(name="text", on=on, command=(str(tmp_path / "text"),)),
        Hook(name="web", on=on, url="https://example.com"),
        Hook(name="file", on=on, url_file=tmp_path / "url"),
    ]
    problems = {hook.name: found and found[0] for hook in hooks for found in [fault(hook)]}

    assert problems == {
        "good": None,
        "gone": "/no/such/program is not a file",
        "text": f"{tmp_path / 'text'} may not be executed",
        "web": None,
        "file": "its url_file cannot be read: no such file or directory",
    }
    assert not (tmp_path / "called").exists()
