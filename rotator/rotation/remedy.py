"""The remedy that only Vault's history shows: an older version of the entry that still works."""

from dataclasses import replace

from rotator.errors import RotatorError
from rotator.model import Account, State
from rotator.rotation import refusals
from rotator.rotation.dependencies import Dependencies
from rotator.rotation.observation import Observed, list_with, own_credential
from rotator.rotation.steps.bookkeeping import Refuse

#: Older versions that are tried: each costs a read and a request to Vonage.
_TRIED = 3


def with_working_version(
    dependencies: Dependencies, account: Account, observed: Observed, action: Refuse
) -> Refuse:
    """Return the refusal with the hint to roll back, if consumers read a dead value, or none.

    That is if Vonage accepts an older version of the entry, which is tried when this is found
    first: its hint is kept as long as the cause is the same. Reads only; what cannot be read leaves
    the hint as it is.
    """
    observation, present = observed.observation, observed.current
    if present is None or observation.current.authenticated_at:
        return action
    known = observation.ledger.trouble
    if known and known.hint and (known.state, known.code) == (State.BROKEN, action.code):
        return replace(action, hint=known.hint)
    try:
        for version in range(present.entry.version - 1, 0, -1)[:_TRIED]:
            older = dependencies.store.read_version(account, version)
            credential = own_credential(account, older)
            if credential is None or older.entry.is_foreign or older.value == present.value:
                continue
            if list_with(dependencies, account, credential) is not None:
                return refusals.with_rollback(action, account, version)
    except RotatorError:
        # Removed, or not readable now: the other remedies stay.
        pass
    return action
