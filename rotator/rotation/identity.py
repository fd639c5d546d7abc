"""Check of an account's identity against the ledger, before anything is done to it."""

from rotator.model import Account
from rotator.rotation import refusals
from rotator.rotation.ports import AccountState, Claimant, Ledger
from rotator.rotation.protocol.waiting import altered, moved
from rotator.rotation.session import LedgerSession
from rotator.rotation.steps.bookkeeping import Refuse


def register(account: Account, state: AccountState, session: LedgerSession) -> Refuse | None:
    """Record the account's identity as configured now, or return a refusal.

    Refused are an account whose api key or path is another's, one that has changed since its open
    rotation began, and one whose rows in the ledger contradict its entries.

    Raises:
        LeaseLost: another process works on the account.
        LedgerError: the ledger cannot be written.
    """
    if (action := _unfit(account, state)) or state.identity == account.identity:
        return action
    return _taken(account, session.register(account.identity))


def check(account: Account, state: AccountState, ledger: Ledger) -> Refuse | None:
    """Return the refusal that `register` would return, without writing anything.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    if (action := _unfit(account, state)) or state.identity == account.identity:
        return action
    return _taken(account, ledger.claimant(account.name, account.identity))


def _unfit(account: Account, state: AccountState) -> Refuse | None:
    return altered(account, state) or moved(account, state.rotation)


def _taken(account: Account, other: Claimant | None) -> Refuse | None:
    return refusals.account_taken(account, other.name, other.what, other.which) if other else None
