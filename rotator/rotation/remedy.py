"""The remedy that only Vault's history shows: an older version of the entry that still works."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice

from rotator.errors import RotatorError
from rotator.model import Account, Credential, State
from rotator.rotation import refusals
from rotator.rotation.credentials import own_credential
from rotator.rotation.dependencies import Dependencies
from rotator.rotation.observation import Observed, list_with
from rotator.rotation.older_versions import older_versions
from rotator.rotation.ports import Store, StoredCurrent
from rotator.rotation.steps.bookkeeping import Refuse

#: Most values of older versions that are tried at Vonage.
_TRIED = 3


def with_working_version(
    dependencies: Dependencies, account: Account, observed: Observed, action: Refuse
) -> Refuse:
    """Return the refusal with the hint to roll back, if consumers read a dead value, or none.

    That is if Vonage accepts an older version of the entry, which is tried when this is found
    first: its hint is kept as long as the cause is the same. Reads only; a version that is not
    there is passed over, and an outage leaves the hint as it is.
    """
    observation, present = observed.observation, observed.current
    if present is None or observation.current.authenticated_at:
        return action
    known, cause = observation.ledger.trouble, (State.BROKEN, action.code, action.why)
    if known and known.hint and (known.state, known.code, known.why) == cause:
        return replace(action, hint=known.hint)
    with suppress(RotatorError):
        for version, credential in islice(_older(dependencies.store, account, present), _TRIED):
            if list_with(dependencies, account, credential) is not None:
                return refusals.with_rollback(action, account, observation.rotation, version)
    return action


def _older(
    store: Store, account: Account, present: StoredCurrent
) -> Iterator[tuple[int, Credential]]:
    """Yield older versions of the entry with the credential in each, the newest first.

    Raises:
        StoreError: Vault cannot be asked.
    """
    for older in older_versions(store, account, present.entry.version):
        credential = own_credential(account, older)
        if credential and not older.entry.is_foreign and older.value != present.value:
            yield older.entry.version, credential
