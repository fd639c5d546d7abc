"""Each account at Vonage: credential, slots, roles of its secrets, and refusals to expect."""

from collections.abc import Iterator

from rotator.application import Application
from rotator.doctor import check
from rotator.doctor.check import CheckResult, bad, broken, doubtful, fine
from rotator.errors import RotatorError
from rotator.model import Account, Problem, Request
from rotator.rotation.observation import Observation
from rotator.rotation.reconciler import Reconciler

_SLOTS = 2


def checks(application: Application) -> Iterator[CheckResult]:
    """Check every account with the rules of a dry run."""
    engine = application.engine(ledger=application.present_book)
    for account in application.settings.accounts:
        try:
            yield from _account(application, engine, account)
        except RotatorError as error:
            yield broken("account", account.name, error)
    if application.vonage.last_date is not None:
        yield check.clock_check("vonage", application.vonage.last_date)


def _account(
    application: Application, engine: Reconciler, account: Account
) -> Iterator[CheckResult]:
    report, _, world = engine.dry_run(account, Request(reason="asked"))
    if world is None:
        problem = report.error or Problem(code=RotatorError.code, message="not seen", hint=None)
        yield bad("account", account.name, problem.message, problem.hint)
        return
    yield from _head(application, account, world)
    yield _credential(account, world)
    yield from slots(account, world)
    # Waiting in the grace is normal.
    if report.error is None or report.error.code == "in-grace":
        yield fine("rotation", account.name, "nothing would refuse it")
    elif report.error.code == "held":
        yield doubtful(
            "rotation", account.name, report.error.message, report.error.hint or "release it"
        )
    else:
        yield bad("rotation", account.name, report.error.message, report.error.hint)


def _head(application: Application, account: Account, world: Observation) -> Iterator[CheckResult]:
    """Compare the record with the entry in Vault's note, if there is a note."""
    note = world.current.entry.note if world.current.entry else None
    if note is None or application.revision() is None:
        return
    verdict = application.present_queries.verify(account.name, anchor=note.ledger_head)
    if verdict.has_anchor is False:
        yield bad(
            "chain head",
            account.name,
            "the ledger lacks the entry that Vault's note names",
            "it was rewritten, cut off or replaced: compare it with a backup, and restore that",
        )
    elif verdict.has_anchor:
        yield fine("chain head", account.name, "has the entry that Vault's note names")


def _credential(account: Account, world: Observation) -> CheckResult:
    if world.current.authenticated_at:
        return fine("credential", account.name, "the value in Vault authenticates")
    if world.listing.secrets is not None:
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


def slots(account: Account, world: Observation) -> Iterator[CheckResult]:
    """Check which secrets occupy the account's slots, if Vonage lists them."""
    if world.listing.secrets is None:
        return
    roles = {secret.id: role(world, secret.id) for secret in world.listing.secrets}
    listed = ", ".join(f"{id_} {known}" for id_, known in sorted(roles.items()))
    finding = f"{len(roles)} of {_SLOTS} used: {listed}"
    if "foreign" in roles.values():
        cure = f"see `rotator secrets list {account.name}`; delete it if nothing uses it"
        if world.pending.entry:
            cure = "delete none: a value is pending in Vault, and one of them may be its secret"
        yield doubtful("slots", account.name, finding, cure)
    else:
        yield fine("slots", account.name, finding)


def role(world: Observation, secret_id: str) -> str:
    """Return rotator's role for a listed secret."""
    rotation = world.rotation
    if secret_id == world.current_secret_id:
        return "current"
    if rotation and secret_id == rotation.predecessor_id:
        return "predecessor"
    if rotation and secret_id == rotation.new_id:
        return "new"
    return "orphan" if secret_id in world.ledger.expendable_ids else "foreign"
