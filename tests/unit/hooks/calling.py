"""Calling a hook once."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rotator.hooks.payload import Payload
from rotator.hooks.runner import HookRunner
from rotator.model.notification import Event, Hook, Notification

NOW = datetime(2026, 11, 24, 7, 28, tzinfo=UTC)
NOTICE = Notification(
    id="n1",
    event=Event.PUSHED,
    account="sms",
    at=NOW,
    rotation_id="r1",
    secret_id="new",
    old_secret_id="old",
    vault_version=5,
)
MESSAGE = Payload(notification=NOTICE, namespace="team", mount="secret", path="vonage/sms")
#: Longer than anything takes that is not to be given up.
PATIENT = timedelta(seconds=60)
#: Short, as every test that waits for it waits that long.
SHORT = timedelta(seconds=1)

Script = Callable[[str], tuple[str, ...]]


def call(
    message: Payload = MESSAGE,
    environ: dict[str, str] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    ledger_file: Path | None = None,
    at: datetime = NOW,
    **hook: Any,  # noqa: ANN401  # of `Hook`
) -> str | None:
    """Call a hook once; give why it failed."""
    usual: dict[str, Any] = {"name": "h", "on": frozenset({Event.PUSHED}), "timeout": PATIENT}
    runner = HookRunner(environ=environ or {}, should_stop=should_stop, ledger_file=ledger_file)
    return runner.run(Hook(**(usual | hook)), message, at=at).reason
