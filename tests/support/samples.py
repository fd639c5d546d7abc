"""An account, its policy and a rotation as most tests want them: a test names what it is about."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from rotator.model import Account, Actor, OnForeign, Policy, Rotation, Step
from rotator.rotation import schedule

#: A person who runs a command.
ANN = Actor(by="ann", host="there")

#: A Monday.
NOW = datetime(2026, 11, 23, 7, 28, tzinfo=UTC)


def policy(**changes: Any) -> Policy:  # noqa: ANN401  # of `Policy`
    """Return a policy: every 30 days, with a grace of one, and nothing by chance."""
    usual = Policy(
        every=timedelta(days=30),
        cron=None,
        timezone="UTC",
        jitter=timedelta(),
        grace=timedelta(hours=24),
        max_age=timedelta(days=45),
        length=25,
        on_foreign=OnForeign.REFUSE,
    )
    return replace(usual, **changes)


def account(name: str = "sms", managed_by: str = "", **changes: Any) -> Account:  # noqa: ANN401  # of `Account`
    """Return an account, with paths of its name."""
    usual = Account(
        name=name,
        api_key="abcd1234",
        issuer="api.nexmo.com",
        mount="secret",
        vault_path=f"vonage/{name}",
        pending_path=f"rotator/pending/{name}",
        secret_field="api_secret",
        key_field="api_key",
        managed_by=managed_by,
        policy=policy(),
    )
    return replace(usual, **changes)


def scheduled(name: str = "sms", *, zone: str = "UTC", **times: Any) -> Account:  # noqa: ANN401  # of `Policy`
    """Return an account that is rotated at such times only."""
    return account(name, policy=policy(**{"every": None, "timezone": zone, **times}))


def next_due(account: Account, created_at: datetime) -> datetime:
    """Return when an account is due that has a schedule."""
    due_at = schedule.next_due(account, created_at)
    assert due_at
    return due_at


def rotation(**changes: Any) -> Rotation:  # noqa: ANN401  # of `Rotation`
    """Return the rotation `r1` of `sms`, which was just requested."""
    usual = Rotation(
        id="r1",
        account="sms",
        reason="asked",
        step=Step.OPEN,
        predecessor_id="old",
        grace=timedelta(hours=24),
        opened_at=NOW,
    )
    return replace(usual, **changes)
