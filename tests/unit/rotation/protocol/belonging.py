"""Whose things are: what is pending for others, and what a rotation was opened for."""

from dataclasses import replace

from rotator.model import Identity, Request, Step
from rotator.rotation.steps.bookkeeping import Abort, Close
from rotator.rotation.steps.issue import Create
from rotator.rotation.steps.prepare import Open, Stage
from rotator.rotation.steps.publish import Clear
from rotator.rotation.steps.retire import Delete
from tests.unit.rotation.protocol.after_push import GRACE_OVER, VERIFIED
from tests.unit.rotation.protocol.facts import ACCOUNT, HOLD, PENDING, ROTATION, Facts, table

HERE, ELSEWHERE = "this ledger", "another ledger"
IDENTITY = ACCOUNT.identity
#: What this account's own rotation stages with this ledger.
OURS = replace(
    PENDING,
    api_key=IDENTITY.api_key,
    issuer=IDENTITY.issuer,
    vault_path=IDENTITY.vault_path,
    ledger_id=HERE,
)
THEIRS = replace(OURS, api_key="efgh5678", rotation_id="r9", ledger_id=ELSEWHERE)
UNKNOWN = replace(OURS, rotation_id="r9", ledger_id=ELSEWHERE)
OLDER = replace(PENDING, rotation_id="r9")
TAKING_OVER = Request(reason="asked", takes_over=True)
LATER = Request(reason=None, takes_over=True)
STAGE_OLD = Stage(listed_ids=frozenset({"old"}))
RECOVER = Open(predecessor_id="old", recovered_id="r9")

#: No rotation is open, and something is pending that this ledger does not know.
FOUND_PENDING = table(
    Facts().but(pending=UNKNOWN, pending_is_unrecorded=True, ledger_id=HERE),
    ({}, "pending-unknown"),
    ({"request": TAKING_OVER}, RECOVER),
    ({"hold": HOLD, "request": TAKING_OVER}, "held"),
    # What this ledger lost, as it was restored, and what an older version left behind.
    ({"pending__ledger_id": HERE}, RECOVER),
    ({"pending": OLDER}, RECOVER),
    # A leftover of a rotation that this ledger has closed.
    ({"pending_is_unrecorded": False}, Open(predecessor_id="old")),
    # Another account's is not touched, whoever knows the rotation and whatever is said.
    ({"pending": THEIRS}, "pending-foreign"),
    ({"pending": THEIRS, "request": TAKING_OVER}, "pending-foreign"),
    ({"pending": THEIRS, "pending_is_unrecorded": False}, "pending-foreign"),
    ({"pending__issuer": "api.example.com"}, "pending-foreign"),
    ({"pending__vault_path": "secret/vonage/other"}, "pending-foreign"),
    ({"pending": replace(OLDER, vault_path="other/vonage/sms")}, "pending-foreign"),
)

#: A rotation is open that has sent nothing.
STAGING_OVER = table(
    Facts().but(rotation=ROTATION, pending=UNKNOWN, pending_is_unrecorded=True, ledger_id=HERE),
    ({}, "pending-unknown"),
    ({"pending__ledger_id": HERE}, "pending-unknown"),
    ({"pending": OLDER}, "pending-unknown"),
    # What is taken over is not written over: this rotation makes room for that one.
    ({"request": TAKING_OVER}, Abort(code="taken-over")),
    ({"request": LATER}, Abort(code="taken-over")),
    ({"pending_is_unrecorded": False}, STAGE_OLD),
    ({"pending": THEIRS}, "pending-foreign"),
    ({"pending": THEIRS, "request": TAKING_OVER}, "pending-foreign"),
    ({"pending": THEIRS, "pending_is_unrecorded": False}, "pending-foreign"),
    ({"pending": OURS, "pending_is_unrecorded": False}, Create()),
    # Even under the rotation's own id.
    ({"pending": replace(THEIRS, rotation_id="r1")}, "pending-foreign"),
)

SENT = table(
    Facts().but(rotation=replace(ROTATION, sent_at=ROTATION.opened_at), pending=UNKNOWN),
    ({"pending_is_unrecorded": True}, "pending-unknown"),
    ({"pending_is_unrecorded": True, "request": TAKING_OVER}, Abort(code="pending-lost")),
    ({"pending": THEIRS}, "pending-foreign"),
)

#: What is being undone, or was pushed, leaves what is another's where it is.
LEAVING = [
    *table(
        Facts().but(
            rotation=replace(ROTATION, abort_code="overtaken", step=Step.ABORT), pending=OURS
        ),
        ({"pending_version": 3}, Clear(upto=3)),
        ({"pending": UNKNOWN}, Close(error_code="overtaken")),
        ({"pending": replace(THEIRS, rotation_id="r1")}, Close(error_code="overtaken")),
    ),
    *table(
        VERIFIED,
        ({"pending": OURS}, Clear(upto=3)),
    ),
    *table(
        GRACE_OVER,
        ({"pending": THEIRS}, Delete(secret_id="old")),
        ({"pending": replace(THEIRS, rotation_id="r1")}, Delete(secret_id="old")),
        ({"pending": UNKNOWN, "pending_is_unrecorded": True}, Delete(secret_id="old")),
    ),
]


def _opened_for(**changes: str) -> Identity:
    return replace(IDENTITY, **changes)


#: The configuration was edited while a rotation is open.
EDITED = [
    row
    for base in (
        Facts().but(rotation=ROTATION),
        Facts().but(rotation=ROTATION, pending=OURS, request=Request(reason=None)),
        Facts().but(rotation=ROTATION, hold=HOLD),
        VERIFIED,
        GRACE_OVER,
        GRACE_OVER.but(request=TAKING_OVER),
    )
    for row in table(
        base,
        ({"rotation__identity": _opened_for(api_key="efgh5678")}, "account-changed"),
        ({"rotation__identity": _opened_for(issuer="api.example.com")}, "account-changed"),
        ({"rotation__identity": _opened_for(vault_path="secret/old")}, "account-changed"),
        ({"rotation__identity": _opened_for(pending_path="secret/p/sms")}, "account-changed"),
    )
]
UNEDITED = table(
    Facts().but(rotation=ROTATION),
    ({"rotation__identity": IDENTITY}, STAGE_OLD),
    ({"rotation__identity": None}, STAGE_OLD),
)
BELONGING = [*FOUND_PENDING, *STAGING_OVER, *SENT, *LEAVING, *EDITED, *UNEDITED]
