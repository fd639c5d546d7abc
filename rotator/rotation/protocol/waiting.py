"""Decisions from the ledger alone, which cost no call to Vonage or Vault."""

from datetime import datetime, timedelta

from rotator.model import LONGEST_GATE_WAIT, MOST_OFFSET, Account, Request, Rotation, ShutGate, Step
from rotator.rotation import refusals, window
from rotator.rotation.ports import AccountState
from rotator.rotation.steps.bookkeeping import Refuse
from rotator.rotation.steps.retire import effective_grace

#: First wait before a shut gate is asked again.
FIRST_GATE_WAIT = timedelta(minutes=1)


def altered(account: Account, state: AccountState) -> Refuse | None:
    """Refuse to work by rows of the ledger that contradict its entries.

    The next entries are made from these rows, and would come to say the same.
    """
    if state.hold_fault:
        return refusals.hold_altered(account.name, state.hold_fault)
    fault = state.chain_fault or state.rotation_fault
    return refusals.rows_altered(fault) if fault else None


def moved(account: Account, rotation: Rotation | None) -> Refuse | None:
    """Refuse to continue a rotation that was opened for another api key, issuer or path."""
    if rotation is None or rotation.identity in (None, account.identity):
        return None
    return refusals.account_changed(account, rotation.identity)


def waits_until(
    account: Account, rotation: Rotation | None, request: Request, now: datetime
) -> datetime | None:
    """Return the time until which there is nothing to do but wait; None where there is more."""
    if rotation is not None and rotation.verified_at:
        if rotation.step is not Step.WAIT or is_misdated(rotation, now):
            return None
        return deletion_due_at(account, rotation, rotation.verified_at, request, now)
    return closed_until(account, rotation, request, now) if _may_rest(rotation, request) else None


def _may_rest(rotation: Rotation | None, request: Request) -> bool:
    """Return whether an unverified rotation may wait for a window, as nothing is in transit."""
    if rotation is None:
        return request.reason is not None
    if rotation.abort_code:
        return rotation.new_id is not None
    return not (rotation.sent_at or rotation.new_id or rotation.vault_version)


def is_misdated(rotation: Rotation, now: datetime) -> bool:
    """Return whether the recorded start of the grace is later than any plausible clock could be."""
    return rotation.verified_at is not None and rotation.verified_at > now + MOST_OFFSET


def closed_until(
    account: Account, rotation: Rotation | None, request: Request, now: datetime
) -> datetime | None:
    """Return when work may begin or go on; None where it may now.

    A closed window puts off what nobody asked for, a change freeze all but what replaces a leaked
    secret.
    """
    reasons = (request.reason, rotation.reason if rotation else None)
    if window.LEAKED in reasons:
        return None
    is_by_hand = any(reason in window.BY_HAND for reason in reasons)
    opening = (window.thaws_at if is_by_hand else window.opens_at)(account.policy, now)
    return opening if opening > now else None


def deletion_due_at(
    account: Account, rotation: Rotation, verified_at: datetime, request: Request, now: datetime
) -> datetime:
    """Return when the predecessor may be deleted: after its grace, or a shorter one asked for now.

    It is in a window, unless an operator asked for no grace, and in no change freeze, unless the
    secret leaked.
    """
    grace = effective_grace(rotation, request)
    is_asked = rotation.reason in window.BY_HAND or request.grace is not None
    if grace or not is_asked:
        return window.opens_at(account.policy, max(verified_at + grace, now))
    thawing = window.thaws_at(account.policy, now)
    is_frozen = thawing > now and not skips_gates(rotation, request)
    return thawing if is_frozen else min(verified_at, now)


def skips_gates(rotation: Rotation, request: Request) -> bool:
    """Return whether gates are skipped: a leaked secret must go, whatever still uses it."""
    return window.LEAKED in (rotation.reason, request.reason)


def wants_proof(account: Account, rotation: Rotation, request: Request) -> bool:
    """Return whether the predecessor's value is tried until Vonage refuses it."""
    return account.policy.prove_deletion or skips_gates(rotation, request)


def gate_retry_at(rotation: Rotation, gate: ShutGate, now: datetime) -> datetime:
    """Return when to ask a gate again: after as long as it has been shut, so ever more rarely."""
    waiting = rotation.waiting
    since = waiting.shut_since if waiting and waiting.gate == gate.name else None
    wait = now - since if since else FIRST_GATE_WAIT
    return now + min(max(wait, FIRST_GATE_WAIT), LONGEST_GATE_WAIT)
