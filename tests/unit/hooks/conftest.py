"""Hooks that can be called."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.webhook_receiver import WebhookReceiver, receiving
from tests.unit.hooks.calling import Script


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Write a shell script; give the command that runs it in its folder."""

    def write(text: str) -> tuple[str, ...]:
        path = tmp_path / "hook"
        path.write_text(f"#!/bin/sh\ncd {tmp_path}\n{text}\n")
        path.chmod(0o700)
        return (str(path),)

    return write


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    """Yield a web server."""
    with receiving() as made:
        yield made
