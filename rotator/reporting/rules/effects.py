"""Rules 2, 3 and 8 as entries show them: what precedes an effect, and who may have one.

Each function returns, in words, how an entry breaks a rule; None where it does not. Its docstring
is the reason.
"""

from rotator.ledger.facts import identity_in, number_in
from rotator.model import Step
from rotator.reporting.rules.past import Seen
from rotator.reporting.rules.words import grace_of, secret, version_of
from rotator.rotation.window import BY_HAND

#: What a person does with a secret by hand.
_BY_HAND = ("adopt", "create", "delete")
_UNASKED = "no entry says who asked for it"

# -- Rule 8: one writer, and check-and-set against what was read. -----------------------------


def token_falls(seen: Seen) -> str | None:
    """Each claim takes the next fencing token: one that falls is of a process that was replaced."""
    if seen.token is None or seen.token >= seen.past.least_token:
        return None
    return (
        f"it has fencing token {seen.token}, and {seen.past.least_token} or more was to come: "
        "another process had taken over"
    )


def token_is_missing(seen: Seen) -> str | None:
    """What has no token is of an older version, whose process took one all the same.

    While an upgrade rolls on, both versions work on one ledger.
    """
    past = seen.past
    if seen.token is None or past.token is None or past.unfenced is None:
        return None
    if seen.token > past.token + 1:
        return None
    return (
        f"it has fencing token {seen.token}, so that entry {past.unfenced}, which has none, is of "
        f"no process: {past.token} is the last before it"
    )


def session_has_begun(seen: Seen) -> str | None:
    """What a person asks for is the first entry under its lease."""
    if seen.token is None or seen.token != seen.past.token:
        return None
    return f"it is asked for under fencing token {seen.token}, which earlier entries have"


def another_is_open(seen: Seen) -> str | None:
    """An account has one open rotation at most."""
    open_id = seen.past.open_id
    return f"rotation {open_id} is open, and another one is opened" if open_id else None


def rotation_is_not_open(seen: Seen) -> str | None:
    """Only the open rotation has effects, and a person who does something by hand."""
    id_ = seen.entry.rotation_id
    if id_ is None:
        is_by_hand = seen.operation or seen.detail.get("by")
        return None if is_by_hand else "it is of no rotation"
    return f"rotation {id_} is not open" if id_ != seen.past.open_id else None


def account_is_another(seen: Seen) -> str | None:
    """A rotation is opened for what the account is by its newest registration."""
    known, opened = seen.replay.identity, identity_in(seen.detail)
    if known is None or opened is None or not seen.is_full:
        return None
    different = [
        f"{what} {new}, and the account has {own}" for what, new, own in opened.differences(known)
    ]
    return f"it is opened for {'; for '.join(different)}" if different else None


def base_is_older(seen: Seen) -> str | None:
    """A rotation writes over what rotator wrote last, or over something newer.

    Or where nothing is, once somebody removed the whole entry: that write replaces none.
    """
    over, written = number_in(seen.detail, "over"), seen.past.written
    if not over or over >= written or seen.rotation is None:
        # By hand, also over an entry that was restored.
        return None
    return f"it writes over version {over} of Vault's entry, and rotator had written {written}"


def version_is_not_next(seen: Seen) -> str | None:
    """With check-and-set, what was written is the version after the one that was read."""
    intent, version = seen.past.intent, number_in(seen.detail, "vault_version")
    over = number_in(intent.detail, "over") if intent else None
    if over is None or version == over + 1 or seen.entry.step not in (Step.PUSH, Step.WITHDRAW):
        return None
    return f"it wrote {version_of(version)} of Vault's entry, and its check-and-set stated {over}"


# -- Rule 3: no effect without a committed intent; its outcome after. --------------------------


def outcome_has_no_intent(seen: Seen) -> str | None:
    """The intent is committed before the effect, and nothing of that process in between."""
    intent = seen.past.intent
    if not seen.is_effect:
        return None
    if intent is None or intent.is_over:
        return "it is an outcome without an intent before it"
    if intent.differs(seen):
        return f"it is not the outcome of the intent in entry {intent.seq}"
    return None


def outcome_is_missing(seen: Seen) -> str | None:
    """A process records what became of an effect before it does anything else."""
    intent = seen.past.intent
    token = number_in(intent.detail, "fencing_token") if intent else None
    if intent is None or token is None or token != seen.token:
        return None
    return f"no entry has the outcome of the intent in entry {intent.seq}"


def nobody_asked_for_it(seen: Seen) -> str | None:
    """What is done by hand, a person has asked for under the same lease."""
    if seen.entry.rotation_id is not None or seen.token is None:
        return None
    # Before a deletion, the replaced value is removed from Vault, whichever secret that is.
    is_withdrawal = seen.entry.step == Step.WITHDRAW
    operation = "delete" if is_withdrawal else seen.operation
    if seen.asked_by_hand(operation, None if is_withdrawal else seen.secret_id):
        return None
    return f"no entry says who asked to {operation} a secret" if operation in _BY_HAND else _UNASKED


def opening_is_unasked(seen: Seen) -> str | None:
    """A rotation that a person asks for begins with who that is."""
    reason = seen.detail.get("reason")
    is_asked = reason not in BY_HAND or seen.token is None or seen.asked("reason", reason)
    return None if is_asked else _UNASKED


def another_is_probed(seen: Seen) -> str | None:
    """What authenticates before the push is the secret that the rotation made, if it knows that."""
    rotation = seen.rotation
    if rotation is None or seen.secret_id == rotation.new_id:
        return None
    made = "no entry says which one the rotation made"
    if rotation.new_id:
        made = f"the rotation made {secret(rotation.new_id)}"
    return f"it is about {secret(seen.secret_id)}, and {made}"


def request_is_missing(seen: Seen) -> str | None:
    """What a rotation is opened for changes only where somebody asks for it."""
    reason, grace = seen.detail.get("reason"), seen.detail.get("grace_seconds")
    rotation = seen.rotation
    if not seen.is_full or rotation is None:
        return None
    # What leaked once stays marked as that, whatever is asked for next.
    reasons = ("asked", "compromised") if rotation.reason == "compromised" else (reason,)
    if not seen.asked("reason", *reasons):
        return _UNASKED
    # A request through the trigger because of a leak ends the grace, and does not say so.
    is_leak = bool(seen.past.triggers) and grace == 0 and reason == "compromised"
    if grace == rotation.grace_seconds or is_leak or seen.asked("grace_seconds", grace):
        return None
    return f"it begins {grace_of(grace)}, and no entry says who asked for that"


# -- Rule 2: a value is durable in Vault before Vonage hears of it, and is never lost. ---------


def value_is_not_staged(seen: Seen) -> str | None:
    """What is sent or pushed is the value that was read at the pending path.

    That of a ledger that was restored may have been written there by what it has lost.
    """
    if seen.operation or seen.token is None:
        return None
    version, staged = number_in(seen.detail, "pending_version"), seen.past.staged_version
    if version is not None and version >= staged:
        return None
    return f"it states {version_of(version)} of the pending entry, and {staged} was written"


def secret_is_unknown(seen: Seen) -> str | None:
    """A value is pushed once the id of its secret is known, which its note names."""
    rotation = seen.rotation
    if rotation is None or rotation.new_id:
        return None
    return "no entry says which secret was made"


def value_is_cleared_early(seen: Seen) -> str | None:
    """The pending value stays until the current entry has it, or the rotation is undone."""
    rotation = seen.rotation
    if rotation is None:
        return None
    is_kept = rotation.verified_at is None and rotation.abort_code is None
    return (
        "the pending value is to be removed, and was not verified in its place" if is_kept else None
    )
