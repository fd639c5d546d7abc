"""Each account at Vonage: credential, slots, roles of its secrets, and refusals to expect."""

from collections.abc import Iterator

from rotator.application import Application
from rotator.doctor import check
from rotator.doctor.check import CheckResult, bad, broken, doubtful, fine
from rotator.errors import RotatorError
from rotator.model import Account, Problem, Request
from rotator.model.rotation import SecretRole
from rotator.reporting.verification import CHAIN_HINT, verify_ledger
from rotator.rotation.observation import Observation
from rotator.rotation.reconciler import Reconciler

_SLOTS = 2


def checks(application: Application) -> Iterator[CheckResult]:
    """Check every account with the rules of a dry run."""
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
    result, _, observation = reconciler.dry_run(account, Request(reason="asked"))
    if observation is None:
        problem = result.error or Problem(code=RotatorError.code, message="not seen", hint=None)
        yield bad("account", account.name, problem.message, problem.hint)
        return
    yield from _head(application, account, observation)
    yield _credential(account, observation)
    yield from slots(account, observation)
    # Waiting in the grace is normal.
    if result.error is None or result.error.code == "in-grace":
        yield fine("rotation", account.name, "nothing would refuse it")
    elif result.error.code == "held":
        yield doubtful(
            "rotation", account.name, result.error.message, result.error.hint or "release it"
        )
    else:
        yield bad("rotation", account.name, result.error.message, result.error.hint)


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
        yield bad("chain head", account.name, verification.vault_fault, CHAIN_HINT)
    elif verification.vault == "matches":
        yield fine("chain head", account.name, "has the entry that Vault's note names")


def _credential(account: Account, observation: Observation) -> CheckResult:
    if observation.current.authenticated_at:
        return fine("credential", account.name, "the value in Vault authenticates")
    if observation.listing.secrets is not None:
        return doubtful(
            "credential",
            account.name,
            "the value in Vault is refused; another credential works",
            f"`rotator rotate-now {account.name}` or `rotator adopt {account.name}`",
        )
    return bad(
        "credential",
        account.name,
        "Vonage accepts no credential that Vault has",
        f"`rotator adopt {account.name}` puts a working secret into Vault",
    )


def slots(account: Account, observation: Observation) -> Iterator[CheckResult]:
    """Check which secrets occupy the account's slots, if Vonage lists them."""
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
    if SecretRole.FOREIGN in roles.values():
        hint = f"see `rotator secrets list {account.name}`; delete it if nothing uses it"
        if observation.pending.entry:
            hint = "delete none: a value is pending in Vault, and one of them may be its secret"
        yield doubtful("slots", account.name, finding, hint)
    else:
        yield fine("slots", account.name, finding)
