"""Rule 4 as entries show it: nothing is deleted that might be in use.

Each function returns, in words, how an entry breaks it; None where it does not. Its docstring is
the reason.
"""

from rotator.ledger.facts import number_in, text_in, time_of
from rotator.model import MOST_OFFSET, Step
from rotator.reporting.rules.past import LATE, Seen
from rotator.reporting.rules.words import grace_of, moment, secret, version_of


def secret_is_not_its_own(seen: Seen) -> str | None:
    """A rotation deletes what it replaced once that is verified, or what it made, if undone.

    To free a slot, it deletes what an earlier one left behind, or what the policy allows.
    """
    rotation, secret_id = seen.rotation, seen.secret_id
    if rotation is None:
        return None
    if secret_id is None:
        return "it does not say which secret is to be deleted"
    if seen.entry.step == Step.EVICT:
        is_known = seen.replay.is_expendable(secret_id) or seen.detail.get("is_foreign")
        return None if is_known else f"no rotation left {secret(secret_id)} behind"
    if secret_id == rotation.doomed_id:
        return None
    if rotation.abort_code or secret_id != rotation.predecessor_id:
        return f"the rotation neither replaced nor made {secret(secret_id)}"
    return f"{secret(secret_id)} is to be deleted, and the one that replaces it was not verified"


def secret_is_in_use(seen: Seen) -> str | None:
    """Neither what rotator put into Vault last, nor what an operator adopted, is deleted."""
    secret_id = seen.secret_id
    if seen.rotation is None or secret_id is None:
        return None
    if secret_id == seen.replay.adopted_id:
        return f"{secret(secret_id)} is to be deleted, and an operator adopted it"
    if secret_id == seen.past.current_id and not seen.detail.get("is_foreign"):
        return f"{secret(secret_id)} is to be deleted, and rotator put it into Vault last"
    return None


def slot_is_free(seen: Seen) -> str | None:
    """A slot is freed for what is still to be made: after its push, a rotation evicts nothing."""
    rotation = seen.rotation
    if rotation is None or rotation.vault_version is None:
        return None
    return f"{secret(seen.secret_id)} is to be deleted to free a slot, and the push is over"


def current_is_untried(seen: Seen) -> str | None:
    """Vault's value has just authenticated."""
    if seen.token is None or seen.rotation is None:
        return None
    tried_at, at = time_of(seen.detail.get("authenticated_at")), seen.at
    if tried_at is None or at is None:
        return "it does not say when Vault's value was seen to authenticate"
    is_recent = abs(at - tried_at) <= LATE
    return None if is_recent else f"Vault's value was seen to authenticate at {moment(tried_at)}"


def _is_of_predecessor(seen: Seen) -> bool:
    rotation = seen.rotation
    if rotation is None or seen.token is None:
        return False
    return seen.secret_id == rotation.predecessor_id


def grace_goes_on(seen: Seen) -> str | None:
    """The predecessor stays until its grace is over, or a shorter one that a person asks for."""
    rotation, grace = seen.rotation, number_in(seen.detail, "grace_seconds")
    if rotation is None or not _is_of_predecessor(seen) or rotation.verified_at is None:
        return None
    if grace is None:
        return "it does not say which grace the secret had"
    own, began_at, at = rotation.grace_seconds, rotation.verified_at, seen.at
    is_asked = seen.asked("grace_seconds", grace) or _is_leaked(seen)
    if own is not None and grace != own and (grace > own or not is_asked):
        return f"it states {grace_of(grace)} instead of {grace_of(own)}, and nobody asked for that"
    # Without a grace there is no end to be early for, though the clock was put back since.
    if not grace or at is None or (at - began_at).total_seconds() >= grace:
        return None
    return f"the secret is to be deleted, and {grace_of(grace)} began at {moment(began_at)}"


def gate_is_not_open(seen: Seen) -> str | None:
    """Every gate has just opened; where the secret leaked, it is recorded that none counts."""
    gates, past = text_in(seen.detail, "gates"), seen.past
    if not _is_of_predecessor(seen):
        return None
    known = past.gates if past.gates_token == seen.token else None
    if known != gates and gates is None:
        return f"it names no gates, and {known} had just been found open or skipped"
    if known != gates:
        return f"it names gates {gates}, and {known or 'none'} had just been found open or skipped"
    if gates is None:
        return None
    is_recent = past.gates_at and seen.at and abs(seen.at - past.gates_at) <= LATE
    return None if is_recent else f"gates {gates} were found open at {moment(past.gates_at)}"


def gates_are_skipped(seen: Seen) -> str | None:
    """Gates are skipped only for a secret that leaked, as a person says."""
    is_leaked = _is_leaked(seen) or not seen.is_full
    return None if is_leaked else "no entry says who asked for that because of a leak"


def _is_leaked(seen: Seen) -> bool:
    is_leaked = seen.rotation is not None and seen.rotation.reason == "compromised"
    return is_leaked or seen.asked("reason", "compromised")


def undone_after_push(seen: Seen) -> str | None:
    """A rotation that may have pushed only goes forward: consumers may use its secret."""
    rotation = seen.rotation
    if rotation is None:
        return None
    if rotation.abort_code:
        return "the rotation is undone already"
    return None if rotation.is_unread else "the rotation is undone, and may have pushed its secret"


def another_is_proved(seen: Seen) -> str | None:
    """After the deletion of the predecessor, its value is tried until it is refused once."""
    rotation = seen.rotation
    if rotation is None:
        return None
    if seen.secret_id != rotation.predecessor_id:
        replaced = secret(rotation.predecessor_id)
        return f"it is about {secret(seen.secret_id)}, and the rotation replaced {replaced}"
    is_over = rotation.dead_at is not None
    return f"it was refused at {moment(rotation.dead_at)} already" if is_over else None


# -- The verification, on which the deletion of the predecessor rests. -------------------------


def push_is_unverified(seen: Seen) -> str | None:
    """What is verified was pushed: that version, or a later one that has the same value."""
    rotation, version = seen.rotation, number_in(seen.detail, "vault_version")
    if rotation is None:
        return None
    if rotation.verified_at:
        return f"it was verified at {moment(rotation.verified_at)} already"
    if rotation.vault_version is None:
        return "it verifies what no entry says was pushed"
    if version is not None and version >= rotation.vault_version:
        return None
    pushed = version_of(rotation.vault_version)
    return f"it verifies {version_of(version)} of Vault's entry, and {pushed} was pushed"


def grace_is_another(seen: Seen) -> str | None:
    """The grace that a verification begins is the rotation's, unless a person asks for another."""
    rotation, grace = seen.rotation, number_in(seen.detail, "grace_seconds")
    if rotation is None or rotation.grace_seconds is None or not seen.is_full:
        return None
    if grace == rotation.grace_seconds or seen.asked("grace_seconds", grace):
        return None
    return f"{grace_of(grace)} begins instead of {grace_of(rotation.grace_seconds)}"


def grace_begins_early(seen: Seen) -> str | None:
    """A grace begins when it is recorded, or later by as much as a clock may be behind."""
    began_at, at = time_of(seen.detail.get("verified_at")), seen.at
    if began_at is None or at is None or "verified_at" not in seen.detail:
        return None
    is_right = -LATE <= began_at - at <= MOST_OFFSET
    return None if is_right else f"its grace begins at {moment(began_at)}"


def grace_is_redated(seen: Seen) -> str | None:
    """A grace is dated anew only where its beginning comes from a clock that was ahead."""
    rotation, at = seen.rotation, seen.at
    began_at = rotation.verified_at if rotation else None
    if seen.entry.step != Step.VERIFY or at is None:
        return None
    if began_at and began_at - at > MOST_OFFSET - LATE:
        return None
    return f"its grace is dated anew, and had begun at {moment(began_at)}"


def completed_unverified(seen: Seen) -> str | None:
    """A rotation is completed once its secret was verified; its predecessor is expendable then."""
    rotation = seen.rotation
    if rotation is None or seen.detail.get("outcome") != "completed" or rotation.verified_at:
        return None
    return "the rotation is completed, and its secret was not verified"
