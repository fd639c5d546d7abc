"""Where the explorations begin, and what may go wrong in each."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from rotator.ledger.deletions import Deletion
from rotator.model import Account, Freeze, Note, OnForeign, Request, Rotation, SecretValue, Step
from tests.model_checking.explore import LATER, Scenario
from tests.model_checking.operators import OPERATOR
from tests.model_checking.ports import PATIENCE
from tests.model_checking.process import Adopts, Asked, Bounds
from tests.model_checking.world import BEGIN, FIELD, Issued, Kept, World, when
from tests.support.samples import account, policy, rotation

NONE = timedelta(0)
GRACE = timedelta(seconds=200)
#: A clock that is wrong by so much is wrong, whatever delays there are.
DAYS = timedelta(days=3).total_seconds()
#: News that spreads more slowly than rotator is configured to wait.
SLOW = 3 * PATIENCE

FIRST = Issued(id="s#001", value="v#001", maker="rotator")
SECOND = Issued(id="s#002", value="v#002", maker="rotator")
FOREIGN = Issued(id="s#003", value="v#003", maker="outsider")


def kept(secret: Issued, rotation_id: str = "r#001") -> Kept:
    """Return the current entry as a rotation leaves it."""
    value = SecretValue(secret.value)
    note = Note(
        secret_id=secret.id,
        rotation_id=rotation_id,
        rotated_at=when(BEGIN),
        ledger_head="head",
        check=Note.check_of(value, secret_id=secret.id, rotation_id=rotation_id),
    )
    return Kept(value=secret.value, note=note, noted=secret.value)


def tidy(**more: Any) -> World:  # noqa: ANN401  # any of its facts
    """Return a world in which one secret lives, and Vault has it."""
    return replace(World(live=(FIRST,), current=(kept(FIRST),)), **more)


def beside(secret: Issued, replaced: Issued, rotation_id: str) -> Kept:
    """Return the current entry as a rotation leaves it that keeps what it replaced."""
    made, previous = kept(secret, rotation_id), SecretValue(replaced.value)
    note = made.note.keeping(previous, FIELD) if made.note else None
    return replace(
        made, note=note, previous=replaced.value, previous_noted=replaced.value, other="theirs"
    )


def undone(orphan: Issued) -> Rotation:
    """Return a rotation that failed and left a secret behind."""
    return _rotation(step=Step.ABORT, closed_at=when(BEGIN), new_id=orphan.id, outcome="failed")


def _replaced(old: Issued, new: Issued) -> Rotation:
    """Return a rotation that was completed while its predecessor lived on, or was restored."""
    rotation = _rotation(
        step=Step.COMPLETE,
        closed_at=when(BEGIN),
        new_id=new.id,
        vault_version=2,
        verified_at=when(BEGIN),
        outcome="completed",
    )
    return replace(rotation, predecessor_id=old.id)


def _rotation(**facts: Any) -> Rotation:  # noqa: ANN401  # of `Rotation`
    """Return a rotation without grace, begun when the world was."""
    usual = {"id": "r#002", "account": "account", "grace": NONE, "opened_at": when(BEGIN)}
    return rotation(**usual, predecessor_id=FIRST.id, **facts)


def pushed(**more: Any) -> World:  # noqa: ANN401  # any of its facts
    """Return a world in which a rotation has pushed, and goes on to delete the predecessor."""
    rotation = _rotation(
        step=Step.WAIT,
        sent_at=when(BEGIN),
        new_id=SECOND.id,
        vault_version=2,
        verified_at=when(BEGIN),
    )
    current = (kept(FIRST), kept(SECOND, rotation.id))
    world = tidy(live=(FIRST, SECOND), current=current, rotation=rotation, pushed=rotation.id)
    return replace(world, begun=BEGIN, **more)


def accounts(  # all by name
    *,
    grace: timedelta = NONE,
    managed_by: str = "",
    on_foreign: OnForeign = OnForeign.REFUSE,
    prove_deletion: bool = False,
    previous_field: str = "",
) -> dict[str, Account]:
    """Return the configured accounts."""
    one = account(
        "account",
        managed_by,
        vault_path="account",
        pending_path="pending/account",
        previous_field=previous_field,
        policy=policy(grace=grace, on_foreign=on_foreign, prove_deletion=prove_deletion),
    )
    return {"account": one, "parent": replace(one, name="parent", managed_by="")}


def found(on_foreign: OnForeign = OnForeign.REFUSE) -> dict[str, Account]:
    """Return two accounts, one of them discovered below the other."""
    both = accounts(managed_by="parent", on_foreign=on_foreign)
    return {**both, "account": replace(both["account"], discovered=True)}


ASKED = Asked()
RESUMED = Asked(request=Request(reason=None))
WAITED = Asked(wait=True)
TAKEN_OVER = Asked(request=Request(reason="asked", takes_over=True))
HURRIED = Asked(request=Request(reason="asked", grace=NONE, actor=OPERATOR))
SHORTENED = Asked(request=Request(reason="asked", grace=GRACE / 2))
ABANDONING = Asked(abandons=True)
#: What operators may adopt.
ADOPTIONS = (
    Asked(adopts=Adopts(number=0)),
    Asked(adopts=Adopts(number=1)),
    Asked(adopts=Adopts(number=0, names_it=True)),
    Asked(adopts=Adopts(number=1, names_it=True)),
    Asked(adopts=Adopts(number=0, from_vault=True)),
)
COMPROMISED = Asked(request=Request(reason="compromised", grace=NONE, actor=OPERATOR))

PLAIN = Scenario(
    name="a rotation without grace",
    worlds=(tidy(spread=PATIENCE),),
    accounts=accounts(),
    bounds=Bounds(stalls=True),
)
LATE = Scenario(
    name="a lost request that arrives late, if only in the next rotation",
    worlds=(tidy(lates=1),),
    accounts=accounts(),
    rotations=2,
)
UNREAD = Scenario(
    name="reads and the ledger fail, too",
    worlds=(tidy(),),
    accounts=accounts(),
    bounds=Bounds(ends=True),
)
REPLACED = Scenario(
    name="another process takes the lease",
    worlds=(tidy(),),
    accounts=accounts(),
    bounds=Bounds(faults=0, takeovers=1),
)
GRACEFUL = Scenario(
    name="a rotation with grace",
    worlds=(tidy(),),
    accounts=accounts(grace=GRACE),
    asked=(ASKED, RESUMED, WAITED),
)
HASTY = Scenario(
    name="a grace that is cut short",
    worlds=(tidy(),),
    accounts=accounts(grace=GRACE),
    asked=(ASKED, HURRIED),
)
LEAKED = Scenario(
    name="a value that leaked while its rotation waits",
    worlds=(tidy(),),
    accounts=accounts(grace=GRACE),
    asked=(ASKED, COMPROMISED),
    bounds=Bounds(faults=0),
    rotations=2,
)
UNNOTED = Scenario(
    name="the first rotation",
    worlds=(tidy(current=(replace(kept(FIRST), note=None, noted=None),)),),
    accounts=accounts(),
)
ORPHANED = Scenario(
    name="both slots taken, one by an orphan",
    worlds=(tidy(live=(FIRST, SECOND), closed=(undone(SECOND),)),),
    accounts=accounts(),
)
FULL = Scenario(
    name="both slots taken, one by a foreign secret",
    worlds=(tidy(live=(FIRST, FOREIGN)),),
    accounts=accounts(),
    may_refuse=True,
)
EVICTED = Scenario(
    name="both slots taken, one by a foreign secret that may be evicted",
    worlds=(tidy(live=(FIRST, FOREIGN)),),
    accounts=accounts(on_foreign=OnForeign.EVICT_OLDEST),
)
REJECTED = Scenario(
    name="values that Vonage rejects",
    worlds=(tidy(rejections=4),),
    accounts=accounts(),
)
SLUGGISH = Scenario(
    name="a new secret that is refused for too long",
    worlds=(tidy(spread=SLOW),),
    accounts=accounts(),
)
MANAGED = Scenario(
    name="a dead value and a parent's credential",
    worlds=(tidy(live=(FOREIGN,), spread=PATIENCE, harmed=frozenset({FIRST.value})),),
    accounts=accounts(managed_by="parent"),
)
FORGOTTEN = Scenario(
    name="a ledger that is lost",
    worlds=(tidy(losses=1),),
    accounts=accounts(),
    asked=(ASKED, TAKEN_OVER),
)
NEIGHBOUR = Scenario(
    name="another host's account of the same name, whose value is pending at the same path",
    worlds=(tidy(neighbours=1),),
    accounts=accounts(),
)
#: Every state of it is one of `TROUBLED`, which is explored instead; wrong rules show here sooner.
MEDDLED = Scenario(
    name="an outsider",
    worlds=(tidy(outsiders=1),),
    accounts=accounts(),
    bounds=Bounds(faults=0),
)
MEDDLED_FORGETFUL = Scenario(
    name="an outsider, and a Vault that keeps no version but the newest",
    worlds=(tidy(outsiders=1, keeps=1),),
    accounts=accounts(),
    bounds=Bounds(faults=0),
)
MEDDLED_GRACE = Scenario(
    name="an outsider during the grace",
    worlds=(tidy(outsiders=1, lingers=True, spread=PATIENCE),),
    accounts=accounts(grace=GRACE),
    bounds=Bounds(faults=0),
)
MEDDLED_UNNOTED = Scenario(
    name="an outsider before the first rotation",
    worlds=(
        tidy(
            current=(replace(kept(FIRST), note=None, noted=None),),
            outsiders=1,
            lingers=True,
            spread=PATIENCE,
        ),
    ),
    accounts=accounts(),
    bounds=Bounds(faults=0),
)
FALTERING = replace(PLAIN, name="two faults in one process", bounds=Bounds(faults=2, stalls=True))
SPREADING = Scenario(
    name="a lost request that arrives late, while news spreads slowly",
    worlds=(tidy(lates=1, spread=PATIENCE, lingers=True),),
    accounts=accounts(),
)
CONTESTED = Scenario(
    name="faults, and another process that takes the lease",
    worlds=(tidy(spread=PATIENCE),),
    accounts=accounts(),
    bounds=Bounds(takeovers=1),
)
TROUBLED = Scenario(
    name="an outsider, and faults",
    worlds=(tidy(outsiders=1),),
    accounts=accounts(),
)
BESIEGED = Scenario(
    name="two outsiders",
    worlds=(tidy(outsiders=2),),
    accounts=accounts(),
    bounds=Bounds(faults=0),
)
FORGETFUL = Scenario(
    name="a ledger that is lost, in a rotation with grace, while news spreads slowly",
    worlds=(tidy(losses=1, spread=PATIENCE),),
    accounts=accounts(grace=GRACE),
    asked=(ASKED, HURRIED, TAKEN_OVER),
)
RESTORED = Scenario(
    name="a ledger that is restored from a backup, after another rotation",
    worlds=(tidy(relapses=1),),
    accounts=accounts(grace=GRACE),
    bounds=Bounds(faults=0),
    rotations=2,
    asked=(ASKED, TAKEN_OVER),
)
FAILED_OVER = Scenario(
    name="a ledger that lacks its last commits, while news spreads slowly",
    worlds=(tidy(relapses=1, spread=PATIENCE),),
    accounts=accounts(),
    bounds=Bounds(faults=0),
    asked=(ASKED, TAKEN_OVER),
)
RESTORED_TROUBLED = Scenario(
    name="a ledger that is restored, and faults",
    worlds=(tidy(relapses=1),),
    accounts=accounts(),
)
STANDBY = Scenario(
    name="a standby of Vault that lags, and a ledger that is restored",
    worlds=(tidy(relapses=1, lags=1),),
    accounts=accounts(),
    bounds=Bounds(faults=0),
)
STANDBY_GRACE = Scenario(
    name="a standby of Vault that lags twice",
    worlds=(tidy(lags=2),),
    accounts=accounts(grace=GRACE),
    bounds=Bounds(faults=0),
    may_refuse=True,
)
ASTRAY = Scenario(
    name="a clock that jumps, while news spreads slowly",
    worlds=(tidy(jumps=1, spread=PATIENCE),),
    accounts=accounts(),
    bounds=Bounds(faults=0),
    may_refuse=True,
)
ASTRAY_GRACE = Scenario(
    name="a clock that jumps, and a grace",
    worlds=(tidy(jumps=1), tidy(jumps=1, astray=-1000.0), tidy(jumps=1, astray=1000.0)),
    accounts=accounts(grace=GRACE),
    asked=(ASKED, SHORTENED),
    bounds=Bounds(faults=0),
    may_refuse=True,
)
ASTRAY_DAYS = Scenario(
    name="a clock that is days off, and a grace",
    worlds=tuple(tidy(jumps=1, leap=DAYS, astray=astray) for astray in (0.0, DAYS, -DAYS)),
    accounts=accounts(grace=GRACE),
    asked=(ASKED, SHORTENED),
    bounds=Bounds(faults=0),
    later=2 * DAYS,
    may_refuse=True,
)
REMEMBERED = Scenario(
    name="lists that lag in both directions",
    worlds=(
        tidy(
            live=(FIRST, SECOND),
            closed=(undone(SECOND),),
            spread=PATIENCE,
            lingers=True,
            lists_revoked=True,
        ),
    ),
    accounts=accounts(),
)
REMEMBERED_STRANGER = Scenario(
    name="a list that shows a secret once more that was just deleted",
    worlds=(
        tidy(
            lingering=replace(FOREIGN, since=BEGIN),
            deletions=((FOREIGN.id, Deletion.DONE),),
            spread=PATIENCE,
            lists_revoked=True,
        ),
    ),
    accounts=accounts(),
    may_refuse=True,
)
PATIENT = Scenario(
    name="a parent's request that arrives late, if only in the next rotation",
    worlds=(tidy(live=(FOREIGN,), lates=1, is_patient=True, harmed=frozenset({FIRST.value})),),
    accounts=accounts(managed_by="parent"),
    rotations=2,
    may_refuse=True,
)
ADOPTED = Scenario(
    name="an operator who adopts a secret",
    worlds=(tidy(adoptions=1),),
    accounts=accounts(grace=GRACE),
    asked=(ASKED, *ADOPTIONS),
    bounds=Bounds(faults=0),
    may_refuse=True,
)
ADOPTED_LATE = Scenario(
    name="an operator who adopts a secret after a push, and requests that arrive late",
    worlds=(pushed(adoptions=1, lates=2, is_patient=True),),
    accounts=accounts(),
    asked=(ASKED, *ADOPTIONS),
    may_refuse=True,
)
ADOPTED_UNSEEN = Scenario(
    name="an operator who adopts one of two secrets, and a standby of Vault that lags",
    worlds=(tidy(live=(FIRST, FOREIGN), adoptions=1, lags=2),),
    accounts=accounts(on_foreign=OnForeign.EVICT_OLDEST),
    asked=(ASKED, ADOPTIONS[3]),
    bounds=Bounds(faults=0),
    may_refuse=True,
)
ADOPTED_REPLACED = Scenario(
    name="an operator who adopts a secret, and another process that takes the lease",
    worlds=(tidy(adoptions=1),),
    accounts=accounts(grace=GRACE),
    asked=(ASKED, *ADOPTIONS),
    bounds=Bounds(faults=0, takeovers=1),
    may_refuse=True,
)
ADOPTED_AGAIN = replace(
    ADOPTED,
    name="an operator who adopts a secret, and a standby of Vault that lags twice",
    worlds=(tidy(adoptions=1, lags=2),),
    accounts=accounts(),
)
ADOPTED_FORGOTTEN = Scenario(
    name="an operator who adopts a secret, and a ledger that is lost",
    worlds=(tidy(adoptions=1, losses=1),),
    accounts=accounts(grace=GRACE),
    asked=(ASKED, *ADOPTIONS),
    bounds=Bounds(faults=0),
    may_refuse=True,
)
ABANDONED = Scenario(
    name="an operator who forgets the account and abandons its rotation",
    worlds=(tidy(abandons=1),),
    accounts=accounts(grace=GRACE),
    asked=(ASKED, ABANDONING),
)
ENDING = Scenario(
    name="an entry of which Vault removes each version by itself",
    worlds=(
        tidy(ends=frozenset({"current"})),
        tidy(ends=frozenset({"pending"})),
        tidy(ends=frozenset({"current", "pending"}), current=(replace(kept(FIRST), ends=True),)),
        tidy(live=(FIRST, SECOND), closed=(undone(SECOND),), ends=frozenset({"pending"})),
    ),
    accounts=accounts(grace=GRACE),
    may_refuse=True,
)
ENDING_TROUBLED = Scenario(
    name="an entry that ends by itself, and a ledger that is restored",
    worlds=(
        tidy(ends=frozenset({"current"}), relapses=1),
        tidy(ends=frozenset({"pending"}), relapses=1),
    ),
    accounts=accounts(),
    bounds=Bounds(faults=0),
    may_refuse=True,
)
#: Larger bounds: more goes wrong at once.
LARGER = (
    FALTERING,
    SPREADING,
    CONTESTED,
    TROUBLED,
    BESIEGED,
    FORGETFUL,
)
GATED = Scenario(
    name="a gate that opens late",
    worlds=(tidy(gates=("gate",), shuts=2, has_hooks=True),),
    accounts=accounts(),
    asked=(ASKED, RESUMED, WAITED),
)
GATED_TWICE = Scenario(
    name="two gates and a grace",
    worlds=(tidy(gates=("one", "two"), shuts=2, has_hooks=True),),
    accounts=accounts(grace=GRACE),
    bounds=Bounds(faults=0),
)
GATED_REPLACED = replace(
    GATED_TWICE,
    name="two gates, and another process takes the lease",
    bounds=Bounds(faults=0, takeovers=1),
)
GATED_LEAKED = Scenario(
    name="a value that leaked while its rotation waits for a gate",
    worlds=(tidy(gates=("gate",), shuts=2),),
    accounts=accounts(),
    asked=(ASKED, COMPROMISED),
    bounds=Bounds(faults=0),
    rotations=2,
)
HELD = Scenario(
    name="an operator who holds and releases",
    worlds=(tidy(holds=2),),
    accounts=accounts(),
    bounds=Bounds(faults=0),
)
UNNOTED_ENTRY = replace(kept(FIRST), note=None, noted=None)
PROVED = Scenario(
    name="a deletion that is proved",
    worlds=(tidy(proves=True), tidy(proves=True, current=(UNNOTED_ENTRY,))),
    accounts=accounts(prove_deletion=True),
)
PROVED_SLOWLY = Scenario(
    name="a deletion that is proved, while news of it spreads slowly",
    worlds=(tidy(proves=True, spread=PATIENCE, lingers=True),),
    accounts=accounts(prove_deletion=True),
    bounds=Bounds(faults=0),
)
PROVED_GRACE = Scenario(
    name="a deletion that is proved, after a grace that is cut short, in two rotations",
    worlds=(tidy(proves=True),),
    accounts=accounts(grace=GRACE, prove_deletion=True),
    asked=(ASKED, HURRIED, COMPROMISED),
    bounds=Bounds(faults=0),
    rotations=2,
)
PROVED_MEDDLED = Scenario(
    name="a deletion that is proved, and an outsider",
    worlds=(
        tidy(proves=True, outsiders=1, lingers=True, spread=PATIENCE),
        tidy(proves=True, outsiders=1, current=(UNNOTED_ENTRY,)),
        tidy(proves=True, outsiders=1, keeps=1),
    ),
    accounts=accounts(grace=GRACE, prove_deletion=True),
    bounds=Bounds(faults=0),
)
PROVED_MANAGED = Scenario(
    name="a deletion that is proved, an outsider, and a parent's credential",
    worlds=(tidy(proves=True, outsiders=1, current=(UNNOTED_ENTRY,)),),
    accounts=accounts(managed_by="parent", prove_deletion=True),
    bounds=Bounds(faults=0),
)
PROVED_LATE = Scenario(
    name="a deletion that is proved, and a request that arrives late",
    worlds=(tidy(proves=True, lates=1, lingers=True, spread=PATIENCE, lists_revoked=True),),
    accounts=accounts(prove_deletion=True),
)
#: What was begun before it is met in it, at whatever step, and what is met in it then after it.
FREEZE = Freeze(since=when(BEGIN + LATER / 2), until=when(BEGIN + LATER * 3 / 2), reason="audit")


def frozen(grace: timedelta = NONE) -> dict[str, Account]:
    """Return the configured accounts, for which that freeze is configured."""
    return {
        name: replace(each, policy=replace(each.policy, freezes=(FREEZE,)))
        for name, each in accounts(grace=grace).items()
    }


FROZEN = Scenario(
    name="a change freeze",
    worlds=(tidy(freeze=FREEZE),),
    accounts=frozen(),
    asked=(ASKED, RESUMED),
    bounds=Bounds(faults=0),
)
FROZEN_GRACE = Scenario(
    name="a change freeze in which a grace ends, or is cut short",
    worlds=(tidy(freeze=FREEZE),),
    accounts=frozen(GRACE),
    asked=(ASKED, HURRIED),
    bounds=Bounds(faults=0),
)
FROZEN_LEAKED = Scenario(
    name="a value that leaked in a change freeze",
    worlds=(tidy(freeze=FREEZE),),
    accounts=frozen(),
    asked=(ASKED, COMPROMISED),
    bounds=Bounds(faults=0),
)
BARE = World(live=(FOREIGN,), current=())
FOUND = Scenario(
    name="a subaccount that was found, and a first secret",
    worlds=(replace(BARE, spread=PATIENCE),),
    accounts=found(),
    bounds=Bounds(stalls=True),
)
FOUND_SLUGGISH = Scenario(
    name="a first secret that is refused for too long",
    worlds=(replace(BARE, spread=SLOW),),
    accounts=found(),
    bounds=Bounds(faults=0, ends=True),
)
FOUND_LATE = Scenario(
    name="a first secret whose request arrives late",
    worlds=(replace(BARE, lates=1),),
    accounts=found(),
)
FOUND_FORGOTTEN = Scenario(
    name="a first secret and a ledger that is lost",
    worlds=(replace(BARE, losses=1),),
    accounts=found(),
    bounds=Bounds(faults=0, ends=True),
    asked=(ASKED, TAKEN_OVER),
)
FOUND_FULL = Scenario(
    name="a subaccount that was found with both slots taken",
    worlds=(replace(BARE, live=(FOREIGN, replace(FOREIGN, id="s#004", value="v#004"))),),
    accounts=found(on_foreign=OnForeign.EVICT_OLDEST),
    may_refuse=True,
)
FOUND_REPLACED = Scenario(
    name="another process takes the lease before a first secret is pushed",
    worlds=(BARE,),
    accounts=found(),
    bounds=Bounds(faults=0, takeovers=1),
)
FOUND_MEDDLED = Scenario(
    name="an outsider before a first secret",
    worlds=(replace(BARE, outsiders=1, lingers=True),),
    accounts=found(),
    bounds=Bounds(faults=0),
)
FOUND_RESTORED = Scenario(
    name="a first secret and a ledger that is restored",
    worlds=(replace(BARE, relapses=1),),
    accounts=found(OnForeign.EVICT_OLDEST),
    bounds=Bounds(faults=0),
    rotations=2,
)
BOTH = accounts(grace=GRACE, previous_field=FIELD)
OWN = replace(kept(FIRST), other="theirs")
KEPT = Scenario(
    name="the old value beside the new one",
    worlds=(tidy(current=(OWN,), lates=1),),
    accounts=BOTH,
)
KEPT_MEDDLED = Scenario(
    name="the old value beside the new one, and an outsider",
    worlds=(
        tidy(current=(OWN,), outsiders=1),
        tidy(current=(replace(OWN, previous="theirs"),), outsiders=1),
    ),
    accounts=BOTH,
    bounds=Bounds(faults=0),
    may_refuse=True,
)
KEPT_EVICTED = Scenario(
    name="an old value beside the current one, whose secret is to be evicted",
    worlds=(
        tidy(
            live=(SECOND, FIRST),
            current=(OWN, beside(SECOND, FIRST, "r#002")),
            closed=(_replaced(FIRST, SECOND),),
        ),
    ),
    accounts=BOTH,
)
KEPT_LEAKED = Scenario(
    name="an old value beside the new one, and one that leaked",
    worlds=(tidy(current=(OWN,)),),
    accounts=BOTH,
    asked=(ASKED, COMPROMISED),
    bounds=Bounds(faults=0),
    rotations=2,
)
KEPT_STANDBY = Scenario(
    name="the old value beside the new one, and a standby of Vault that lags",
    worlds=(tidy(current=(OWN,), lags=1),),
    accounts=BOTH,
    bounds=Bounds(faults=0),
    may_refuse=True,
)
KEPT_ADOPTED = Scenario(
    name="an operator who adopts a secret while the old value is beside the new one",
    worlds=(tidy(current=(OWN,), adoptions=1),),
    accounts=BOTH,
    asked=(ASKED, *ADOPTIONS),
    bounds=Bounds(faults=0),
    may_refuse=True,
)
ALL = (
    PLAIN,
    LATE,
    UNREAD,
    REPLACED,
    GRACEFUL,
    HASTY,
    LEAKED,
    UNNOTED,
    ORPHANED,
    FULL,
    EVICTED,
    REJECTED,
    SLUGGISH,
    MANAGED,
    FORGOTTEN,
    NEIGHBOUR,
    MEDDLED_FORGETFUL,
    MEDDLED_GRACE,
    MEDDLED_UNNOTED,
    GATED,
    GATED_TWICE,
    GATED_REPLACED,
    GATED_LEAKED,
    HELD,
    PROVED,
    PROVED_SLOWLY,
    PROVED_GRACE,
    PROVED_MEDDLED,
    PROVED_MANAGED,
    PROVED_LATE,
    FROZEN,
    FROZEN_GRACE,
    FROZEN_LEAKED,
    FOUND,
    FOUND_SLUGGISH,
    FOUND_LATE,
    FOUND_FORGOTTEN,
    FOUND_FULL,
    FOUND_REPLACED,
    FOUND_MEDDLED,
    FOUND_RESTORED,
    RESTORED,
    RESTORED_TROUBLED,
    FAILED_OVER,
    STANDBY,
    STANDBY_GRACE,
    ASTRAY,
    ASTRAY_GRACE,
    ASTRAY_DAYS,
    REMEMBERED,
    REMEMBERED_STRANGER,
    ENDING,
    ENDING_TROUBLED,
    PATIENT,
    ADOPTED,
    ADOPTED_LATE,
    ADOPTED_UNSEEN,
    ADOPTED_REPLACED,
    ADOPTED_AGAIN,
    ADOPTED_FORGOTTEN,
    ABANDONED,
    KEPT,
    KEPT_MEDDLED,
    KEPT_EVICTED,
    KEPT_LEAKED,
    KEPT_STANDBY,
    KEPT_ADOPTED,
    *LARGER,
)
