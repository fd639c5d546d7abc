"""Each account at Vonage: credential, slots, roles of its secrets, and what is wrong with it."""

from collections.abc import Iterator
from datetime import UTC, datetime

from rotator.application import Application
from rotator.doctor import check
from rotator.doctor.check import CheckResult, bad, broken, doubtful, fine
from rotator.errors import RotatorError
from rotator.model import Account, OnForeign, Trouble
from rotator.model.rotation import SecretRole
from rotator.reporting.text import moment
from rotator.reporting.verification import HEAD_HINT, verify_ledger
from rotator.rotation import refusals, window
from rotator.rotation.observation import Observation
from rotator.rotation.reconciler import Reconciler

_SLOTS = 2


def checks(application: Application) -> Iterator[CheckResult]:
    """Check every account as `rotator status --refresh` does; nothing is recorded."""
    reconciler = application.reconciler(ledger=application.ledger.dry_run_writer)
    for account in application.settings.accounts:
        try:
            yield from _account(application, reconciler, account)
        except RotatorError as error:
            yield broken("account", account.name, error)
    if application.clients.vonage.last_date is not None:
        yield check.clock_check("vonage", application.clients.vonage.last_date)


def _account(
    application: Application, reconciler: Reconciler, account: Account
) -> Iterator[CheckResult]:
    observation, trouble = reconciler.examine(account)
    yield from _head(application, account, observation)
    yield from credential(account, observation, trouble)
    yield from slots(account, observation, trouble)
    yield from _audit(reconciler, account)
    yield from previous(account, observation)
    if hold := observation.ledger.hold:
        refusal = refusals.held(account, hold)
        yield doubtful("hold", account.name, refusal.why, refusal.hint or "")
    if freeze := window.freeze_at(account.policy, datetime.now(UTC)):
        what = f"a change freeze is on until {moment(freeze.until)}: {freeze.reason}"
        yield doubtful("freeze", account.name, what, "it ends by itself")
    if trouble:
        yield bad("rotation", account.name, f"{trouble.state}: {trouble.why}", trouble.hint)
    else:
        yield fine("rotation", account.name, "nothing would refuse it")


def _audit(reconciler: Reconciler, account: Account) -> Iterator[CheckResult]:
    """Report where Vonage does not say who made the account's foreign secrets."""
    error = reconciler.origins.errors.get(account.name) if reconciler.origins else None
    if error:
        finding = f"who made its foreign secrets is not known: {error.message}"
        yield doubtful("audit", account.name, finding, error.hint or "")


def _head(
    application: Application, account: Account, observation: Observation
) -> Iterator[CheckResult]:
    """Compare the record with the entry in Vault's note, if there is a note."""
    note = observation.current.entry.note if observation.current.entry else None
    if note is None or application.ledger.revision() is None:
        return
    verification = verify_ledger(
        application.ledger.existing_reader, account.name, account, anchor=note.ledger_head
    )
    if verification.vault_fault:
        yield bad("chain head", account.name, verification.vault_fault, HEAD_HINT)
    elif verification.vault == "matches":
        yield fine("chain head", account.name, "has the entry that Vault's note names")


def credential(
    account: Account, observation: Observation, trouble: Trouble | None
) -> Iterator[CheckResult]:
    """Check that Vault's value authenticates, unless what is wrong is reported already."""
    if observation.current.authenticated_at:
        yield fine("credential", account.name, "the value in Vault authenticates")
    elif trouble is None:
        what = "is refused" if observation.current.entry else "is not there yet"
        yield doubtful(
            "credential",
            account.name,
            f"the value in Vault {what}; another credential works",
            f"`rotator rotate-now {account.name}` makes a secret that does",
        )


def previous(account: Account, observation: Observation) -> Iterator[CheckResult]:
    """Check that rotator can keep a replaced value where the configuration wants it."""
    entry, name = observation.current.entry, account.previous_field
    if entry and entry.is_previous_taken:
        yield doubtful(
            "previous field",
            account.name,
            f"field {name} of the Vault entry is not rotator's: it stays, and no old value is kept",
            "remove the field from the entry, or set `previous_field` to another name",
        )


def slots(
    account: Account, observation: Observation, trouble: Trouble | None
) -> Iterator[CheckResult]:
    """Check which secrets occupy the account's slots, if Vonage lists them.

    Where something else is wrong, that comes first: which secret is foreign may follow from it.
    """
    if observation.listing.secrets is None:
        return
    roles = {
        secret.id: SecretRole.of(
            secret.id,
            current_id=observation.current_secret_id,
            opened=observation.rotation,
            expendable_ids=observation.ledger.expendable_ids,
        )
        for secret in observation.listing.secrets
    }
    listed = ", ".join(f"{id_} {known}" for id_, known in sorted(roles.items()))
    finding = f"{len(roles)} of {_SLOTS} used: {listed}"
    for secret_id, words in observation.ledger.seen.origins.items():
        finding += f"; {secret_id} was {words}" if secret_id in roles else ""
    foreign = [secret_id for secret_id, role in roles.items() if role is SecretRole.FOREIGN]
    is_known = SecretRole.CURRENT in roles.values() and observation.current.authenticated_at
    # Otherwise any of them may be what consumers use.
    is_spare = is_known and observation.ledger.adopted_id not in foreign
    if foreign and observation.pending.entry and not trouble:
        hint = "delete none: a value is pending in Vault, and one of them may be its secret"
        yield doubtful("slots", account.name, finding, hint)
    elif trouble or not foreign or not is_spare:
        yield fine("slots", account.name, finding)
    elif account.policy.on_foreign is OnForeign.EVICT_OLDEST:
        hint = 'the next rotation deletes what is foreign: `on_foreign = "evict-oldest"`'
        yield doubtful("slots", account.name, finding, hint)
    else:
        hint = f"if nothing uses it, `rotator secrets delete {account.name} {foreign[0]}`"
        yield doubtful("slots", account.name, finding, hint)
