"""Manual operations on an account's secrets, under the same lease and record as a rotation.

Each account has one writer, so the lease is taken first and the account observed under it. No
effect happens without a committed intent, so that the record distinguishes a secret made by hand
from an unexplained one.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import TypeVar

from rotator.errors import CredentialRefused, Refused, RotatorError, SecretNotFound
from rotator.model import Account, Actor, Credential, Hold, Rotation, Secret, Step, Written
from rotator.model.rotation import SecretRole
from rotator.model.secret import whole_id
from rotator.rotation import identity
from rotator.rotation.dependencies import Dependencies
from rotator.rotation.observation import Observed, observe, require_unchanged
from rotator.rotation.ports import BeforeSend, LastLook, NewEntry, StoredCurrent
from rotator.rotation.result import snapshot_of
from rotator.rotation.session import LedgerSession

Done = TypeVar("Done")


@dataclass(frozen=True, kw_only=True)
class AccountSecrets:
    """An account's secrets as Vonage lists them, and what rotator knows of each."""

    account: Account
    #: Oldest first; among secrets made in the same second, the one in Vault comes last.
    secrets: tuple[Secret, ...]
    credential: Credential
    #: Vault's current entry; None where there is none.
    current: StoredCurrent | None
    #: What rotator last wrote there.
    written: Written
    #: Id of the secret that Vault's value certainly is; None where unsure.
    current_secret_id: str | None
    #: Whether Vonage has just accepted Vault's value.
    is_live: bool
    #: The open rotation.
    rotation: Rotation | None
    expendable_ids: frozenset[str]
    #: Id of an adopted secret that no rotation has replaced since; it is, or was, in Vault.
    adopted_id: str | None = None
    #: When Vault removes its value on its own; None for never.
    ends_at: datetime | None = None
    #: Who made secrets that rotator did not, in words, by id.
    origins: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, account: Account, observed: Observed) -> "AccountSecrets":
        """Return the secrets of `account` that were observed.

        Raises:
            CredentialRefused: Vonage accepted no credential, so that nothing could be observed.
        """
        observation = observed.observation
        if observed.credential is None or observation.listing.secrets is None:
            raise CredentialRefused(
                f"Vonage refuses every credential that rotator has for {account.name}",
                hint=f"`rotator adopt {account.name}` puts a working secret into Vault; or set "
                "`managed_by`",
            )
        current_id, entry = observation.current_secret_id, observation.current.entry
        by_age = sorted(
            observation.listing.secrets,
            key=lambda one: (one.created_at, one.id == current_id, one.id),
        )
        return cls(
            account=account,
            secrets=tuple(by_age),
            credential=observed.credential,
            current=observed.current,
            written=observation.ledger.written,
            current_secret_id=current_id,
            is_live=observation.current.authenticated_at is not None,
            rotation=observation.rotation,
            expendable_ids=observation.ledger.expendable_ids,
            adopted_id=observation.ledger.adopted_id,
            ends_at=entry.ends_at if entry else None,
            origins=observation.ledger.seen.origins,
        )

    def whole_id(self, given: str) -> str:
        """Return the id that `given` is, or begins; raises as `model.secret.whole_id`."""
        return whole_id(given, (secret.id for secret in self.secrets))

    def role(self, secret_id: str) -> SecretRole:
        """Return what rotator knows a secret as."""
        return SecretRole.of(
            secret_id,
            current_id=self.current_secret_id,
            opened=self.rotation,
            expendable_ids=self.expendable_ids,
        )

    def require_quiet(self) -> None:
        """Refuse to add a secret that an open rotation would take for its own or a foreign one."""
        if self.rotation and self.rotation.verified_at is None:
            raise Refused(
                f"a rotation of {self.account.name} is open, at step {self.rotation.step}",
                code="rotation-open",
                hint="`rotator resume` continues it; try again after that",
            )

    def require_deletable(self, secret_id: str, *, force: bool) -> None:
        """Refuse to delete a secret that may be in use, unless the operator is certain."""
        name = self.account.name
        if secret_id not in {secret.id for secret in self.secrets}:
            raise SecretNotFound(
                f"{name} has no secret of that id", hint=f"see `rotator secrets list {name}`"
            )
        if len(self.secrets) == 1:
            raise Refused(
                f"secret {secret_id} is the account's only one, which Vonage always keeps",
                code="unsafe-delete",
                hint=f"`rotator rotate-now {name}` makes another one, and deletes this one then",
            )
        if (danger := self._danger(secret_id)) and not force:
            why, instead = danger
            hint = "; ".join(filter(None, (instead, "--force deletes it all the same")))
            raise Refused(why, code="unsafe-delete", hint=hint)

    def _danger(self, secret_id: str) -> tuple[str, str | None] | None:
        """Return the reason not to delete a secret by hand, and what to do; None for no reason."""
        name, rotation = self.account.name, self.rotation
        if secret_id == self.current_secret_id:
            why = f"secret {secret_id} is the one that Vault holds: consumers use it"
            return why, f"`rotator rotate-now {name}` replaces it first"
        if self.current_secret_id is None:
            why = f"which secret Vault holds is not certain, so {secret_id} may be in use"
            return why, f"`rotator adopt {name} --secret-id ID` records which one it is"
        if not self.is_live:
            why = "Vonage refuses the value that Vault holds"
            why = f"{why}, so {secret_id} may be what still works"
            return why, f"`rotator adopt {name}` writes a working one there"
        if self.ends_at:
            why = f"Vault removes its value by itself at {self.ends_at:%Y-%m-%d %H:%M} UTC"
            return why, "unset `delete_version_after` of the entry and its mount"
        if secret_id == self.adopted_id:
            why = f"secret {secret_id} was adopted last: a standby of Vault that lags may hide it"
            return why, None
        if rotation and secret_id in (rotation.predecessor_id, rotation.new_id):
            if rotation.verified_at:
                why = f"secret {secret_id} is in its grace, and the open rotation deletes it then"
                return why, f"`rotator rotate-now {name} --grace 0s` ends the grace now"
            why = "belongs to an open rotation, which deletes it when it is time"
            return f"secret {secret_id} {why}", f"`rotator resume {name}` carries it on"
        return None


@dataclass(frozen=True, kw_only=True)
class ManualOperation:
    """Manual changes of an account's secrets, under its lease."""

    dependencies: Dependencies
    account: Account
    session: LedgerSession
    #: What is done, as the record calls it.
    operation: str
    #: The account's hold when the lease was taken.
    hold: Hold | None

    def observe(self) -> AccountSecrets:
        """Observe the account as it is now, and record what others did to its secrets."""
        observed = observe(self.dependencies, self.account)
        view = AccountSecrets.of(self.account, observed)
        self.session.is_stale = True
        self.session.commit(None, snapshot_of(self.account, observed.observation), last=False)
        return view

    def perform(
        self,
        effect: Callable[[BeforeSend], Done],
        secret_id: str | None = None,
        *,
        seen: AccountSecrets | None = None,
    ) -> Done:
        """Record that the operation is about to be tried, try it, and record the outcome.

        `effect` receives the last look, which it must call right before sending. If the operation
        was decided on because of what was `seen` in Vault, Vault must still hold that.

        Raises:
            LeaseLost: this process was paused so long that another may be working on the account.
            Withdrawn: nothing was sent, because an operator changed the hold or Vault changed
                meanwhile.
            RotatorError: it failed, or its outcome is unknown.
        """

        def send(look: LastLook) -> Done:
            return effect(partial(look, also=self._unchanged(seen)) if seen else look)

        def done(result: Done) -> None:
            made = result.id if isinstance(result, Secret) else secret_id
            self._record("done", secret_id=made)

        def missed(event: str, error: RotatorError) -> None:
            self._record(event, secret_id=secret_id, code=error.code)

        intend = partial(self._record, "intent", secret_id=secret_id)
        return self.session.perform(send, hold=self.hold, intend=intend, done=done, missed=missed)

    def withdraw(self, seen: AccountSecrets, secret_id: str) -> AccountSecrets:
        """Remove the replaced value from Vault before a deletion; return what is seen then.

        Not before that of the secret in Vault: the replaced one may be all that still works.

        Raises:
            RotatorError: as `perform`; nothing may be deleted.
        """
        current = seen.current
        field = current.entry.previous if current else None
        if current is None or field is None or secret_id == seen.current_secret_id:
            return seen
        store, facts = self.dependencies.store, {"by": "operator", "field": field}

        def record(event: str, written: Written | None = None, **detail: str | int) -> None:
            detail = {**facts, **detail}
            entry = NewEntry(event=event, step=Step.WITHDRAW, detail=detail, written=written)
            self.session.entries.append(entry)
            self.session.commit(None, None, last=False)

        stored, written = self.session.perform(
            lambda look: store.withdraw_previous(self.account, current, before_send=look),
            hold=self.hold,
            intend=partial(record, "intent", over=current.entry.version),
            done=lambda result: record("done", result[1], vault_version=result[1].version),
            missed=lambda event, error: record(event, code=error.code),
        )
        return replace(seen, current=stored, written=written)

    def _unchanged(self, seen: AccountSecrets) -> BeforeSend:
        store, account = self.dependencies.store, self.account
        return partial(require_unchanged, store, account, seen.current, seen.written)

    def _record(self, event: str, **detail: str | None) -> None:
        known = {key: value for key, value in detail.items() if value is not None}
        facts = {"by": "operator", "operation": self.operation, **known}
        self.session.entries.append(NewEntry(event=event, step=None, detail=facts))
        self.session.commit(None, None, last=False)


@contextmanager
def manual_operation(
    dependencies: Dependencies,
    account: Account,
    operation: str,
    *,
    actor: Actor,
    named: str | None = None,
) -> Iterator[ManualOperation]:
    """Take the account's lease for a `with` block, and record first what `actor` asks for.

    `named` is the secret that it is about, as the person named it: its id, or the beginning of it.
    Recorded is the id that Vonage lists. If nothing is done in the block because of an error, so is
    that.

    Raises:
        Busy: another process is working on the account.
        Refused: another account in the ledger has this name, api key or path.
        RotatorError: the secret cannot be looked for.
    """
    lease = dependencies.ledger.claim(account.name, dependencies.now())
    try:
        session = dependencies.session(lease)
        state = session.begin()
        secret_id, failed = None, None
        try:
            secret_id = _listed_id(dependencies, account, named) if named else None
        except RotatorError as error:
            failed = error
        with session.asked_for(NewEntry.requested(actor, operation, secret_id=secret_id)):
            if refusal := identity.register(account, state, session):
                raise refusal.error()
            if failed:
                # Observing again would take as long, and end as this did.
                raise failed
            yield ManualOperation(
                dependencies=dependencies,
                account=account,
                session=session,
                operation=operation,
                hold=state.hold,
            )
    finally:
        dependencies.ledger.release(lease)


def _listed_id(dependencies: Dependencies, account: Account, named: str) -> str | None:
    """Return the id of the secret that a person named; None where no list shows one.

    What was typed in the place of an id may be a value.

    Raises:
        RotatorError: the account cannot be observed.
    """
    view = AccountSecrets.of(account, observe(dependencies, account))
    with suppress(RotatorError):
        secret_id = view.whole_id(named)
        return secret_id if secret_id in {secret.id for secret in view.secrets} else None
    return None
