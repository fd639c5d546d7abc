"""Where the explorations begin."""

from datetime import timedelta

from rotator.model import Account, Note, OnForeign, Policy, Request, Rotation, SecretValue, Step
from tests.exploration.explore import Scenario
from tests.exploration.process import Asked, Bounds
from tests.exploration.world import BEGIN, Issued, Kept, World, when
from rotator.model import PendingEntry
from tests.exploration.world import Staged

GRACE = timedelta(seconds=200)
NONE = timedelta(0)

FIRST = Issued(id="s#001", value="v#001", maker="rotator")
SECOND = Issued(id="s#002", value="v#002", maker="rotator")
FOREIGN = Issued(id="s#003", value="v#003", maker="outsider")


def kept(secret: Issued, rotation_id: str = "r#000") -> Kept:
    """Give the current entry as a rotation leaves it."""
    value = SecretValue(secret.value)
    check = Note.check_of(value, secret_id=secret.id, rotation_id=rotation_id)
    note = Note(
        secret_id=secret.id,
        rotation_id=rotation_id,
        rotated_at=when(BEGIN),
        ledger_head="head",
        check=check,
    )
    return Kept(value=secret.value, note=note, noted=secret.value)


def account(
    *, grace: timedelta = NONE, managed_by: str = "", on_foreign: OnForeign = OnForeign.REFUSE
) -> dict[str, Account]:
    """Give the configured accounts."""
    policy = Policy(
        every=timedelta(days=30),
        cron=None,
        timezone="UTC",
        jitter=NONE,
        grace=grace,
        max_age=timedelta(days=45),
        length=25,
        on_foreign=on_foreign,
    )
    return {
        name: Account(
            name=name,
            api_key="abcd1234",
            vault_path=name,
            pending_path=f"pending/{name}",
            secret_field="api_secret",
            key_field="api_key",
            managed_by=managed_by if name == "account" else "",
            policy=policy,
        )
        for name in ("account", "parent")
    }


def failed(orphan: Issued) -> Rotation:
    """Give a rotation that was undone before its new secret was deleted."""
    return Rotation(
        id="r#009",
        account="account",
        reason="asked",
        step=Step.ABORT,
        predecessor_id=FIRST.id,
        grace=NONE,
        opened_at=when(BEGIN),
        closed_at=when(BEGIN),
        new_id=orphan.id,
        outcome="failed",
    )


def tidy(**more: object) -> World:
    """Give a world in which one secret lives, and Vault holds it."""
    return World(live=(FIRST,), current=(kept(FIRST),), **more)  # type: ignore[arg-type]


PLAIN = Scenario(name="plain", worlds=(tidy(spread=80.0, lates=1),), accounts=account())
