"""What must hold before anything is done to an account: that it is what the ledger has it as."""

from rotator import refusals
from rotator.actions import Refuse
from rotator.journal import Journal
from rotator.model import Account
from rotator.ports import Memory
from rotator.protocol import moved


def refusal(account: Account, memory: Memory, journal: Journal) -> Refuse | None:
    """Refuse an account that is another one's, or not the one its open rotation was opened for.

    Else the ledger has it from now on as it is configured.

    Raises:
        LeaseLost: another process works on the account.
        LedgerError: the ledger cannot be written.
    """
    if action := moved(account, memory.rotation):
        return action
    if memory.identity == account.identity:
        return None
    other = journal.register(account.identity)
    return refusals.account_taken(account, other.name, other.what, other.which) if other else None
