"""The rules that a rotation never breaks, checked from outside around every request."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from rotator.ledger.chain import Entry
from rotator.model import Account
from rotator.sim import Environment, Exchange, Phase, VaultSimulator, VonageSimulator

System = Literal["vonage", "vault"]
#: Fields of the current entry that are rotator's to change.
_OURS = frozenset({"api_key", "api_secret", "rotator"})


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One request, as it is seen from outside."""

    #: Counts from 1 over both systems.
    number: int
    system: System
    exchange: Exchange = field(repr=False)

    def __str__(self) -> str:
        """Return the request's number, system, method and path."""
        return f"{self.number} {self.system} {self.exchange.method} {self.exchange.path}"


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One account at one moment, values included."""

    ids: frozenset[str]
    #: Values of the live secrets.
    live: frozenset[str]
    current: Mapping[str, Any] | None
    version: int
    #: Vault's value authenticates now, or did so because a revocation has not spread yet.
    works: bool
    pending: Mapping[str, Any] | None
    #: Values in all versions of the current entry that can be read.
    kept: frozenset[str]
    #: Every value that was ever a secret's.
    issued: frozenset[str] = field(compare=False)

    @property
    def value(self) -> str:
        """The value that consumers read."""
        return str((self.current or {}).get("api_secret", ""))

    @property
    def others(self) -> dict[str, Any]:
        """The fields that no configuration makes rotator's."""
        fields = self.current or {}
        return {name: value for name, value in fields.items() if name not in _OURS}

    @property
    def pending_value(self) -> str:
        """The value at the pending path."""
        return str((self.pending or {}).get("value", ""))


@dataclass(kw_only=True)
class InvariantMonitor:
    """Checks every account before and after each request, and keeps the violations."""

    world: Environment
    accounts: Mapping[str, Account]
    #: Returns an account's ledger entries.
    entries: Callable[[str], list[Entry]]
    #: Violations that a test's external actors make unavoidable, by their text.
    excused: set[str] = field(default_factory=set)
    #: Called before each request; may change the world or add a fault for this request.
    before: list[Callable[[Seen], None]] = field(default_factory=list)
    #: Called after each request took effect and before its answer is sent.
    after: list[Callable[[Seen], None]] = field(default_factory=list)
    #: Ids of secrets that external actors created, which rotator may never delete.
    foreign: set[str] = field(default_factory=set)
    requests: list[Seen] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    #: Values of the secrets whose deletion was sent, by rotator or anybody.
    doomed: set[str] = field(default_factory=set)
    _snapshots: dict[int, dict[str, Snapshot]] = field(default_factory=dict)
    _numbers: dict[int, Seen] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Observe both simulators."""
        self.world.vonage.observers.append(partial(self._see, "vonage"))
        self.world.vault.observers.append(partial(self._see, "vault"))

    def simulator(self, seen: Seen) -> VonageSimulator | VaultSimulator:
        """Return the simulator that got a request."""
        return self.world.vonage if seen.system == "vonage" else self.world.vault

    def snapshot(self, account: Account) -> Snapshot:
        """Look at one account."""
        vonage, vault = self.world.vonage, self.world.vault
        secrets = vonage.secrets(account.api_key)
        current = vault.read(account.vault_path)
        value = str((current or {}).get(account.secret_field, ""))
        return Snapshot(
            ids=frozenset(secret.id for secret in secrets),
            live=frozenset(secret.value for secret in secrets),
            current=current,
            version=vault.current_version(account.vault_path),
            works=vonage.authenticates(account.api_key, value),
            pending=vault.read(account.pending_path),
            kept=frozenset(
                str(version.data.get(account.secret_field))
                for version in vault.versions(account.vault_path)
                if version.data is not None
            ),
            issued=frozenset(secret.value for secret in vonage.history(account.api_key)),
        )

    def _see(self, system: System, phase: Phase, exchange: Exchange) -> None:
        key = id(exchange)
        if phase == "before":
            seen = Seen(number=len(self.requests) + 1, system=system, exchange=exchange)
            self.requests.append(seen)
            self._numbers[key] = seen
            for action in tuple(self.before):
                action(seen)
            self._check_intent(seen)
            self._doom(seen)
            self._snapshots[key] = {
                name: self.snapshot(account) for name, account in self.accounts.items()
            }
            return
        seen, earlier = self._numbers[key], self._snapshots.pop(key)
        for name, account in self.accounts.items():
            for wrong in self._wrong(seen, earlier[name], self.snapshot(account)):
                self.violations.append(f"{seen}: {name}: {wrong}")
        for action in tuple(self.after):
            action(seen)

    # -- No value beside the current one is that of a secret whose deletion was sent. -------

    def _doom(self, seen: Seen) -> None:
        for name, account in self.accounts.items():
            if _steps_of(seen, account) == {"delete", "evict"}:
                secret_id = seen.exchange.path.rpartition("/")[2]
                history = self.world.vonage.history(account.api_key)
                self.doomed |= {secret.value for secret in history if secret.id == secret_id}
                for wrong in self._left_beside(self.snapshot(account)):
                    self.violations.append(f"{seen}: {name}: {wrong}")

    def _left_beside(self, now: Snapshot) -> list[str]:
        left = {value for value in now.others.values() if isinstance(value, str)} & self.doomed
        wrong = "the value of a secret that is being deleted is in the entry"
        return [wrong] if left and wrong not in self.excused else []

    # -- No effect without a committed intent. ---------------------------------------------

    def _check_intent(self, seen: Seen) -> None:
        for name, account in self.accounts.items():
            steps = _steps_of(seen, account)
            if not steps:
                continue
            entries = self.entries(name)
            last = entries[-1] if entries else None
            step = _intended(last) if last else None
            if step not in steps:
                told = f"{last.event} {last.step}" if last else "nothing"
                self.violations.append(f"{seen}: {name}: not intended; the ledger says {told}")
            elif last and step in ("delete", "evict"):
                secret_id = seen.exchange.path.rpartition("/")[2]
                if f'"secret_id":"{secret_id}"' not in last.detail:
                    self.violations.append(f"{seen}: {name}: another deletion was intended")

    # -- What one request did to one account. ----------------------------------------------

    def _wrong(self, seen: Seen, earlier: Snapshot, now: Snapshot) -> list[str]:
        gone = earlier.ids - now.ids
        checks = {
            "the value in Vault stopped working": earlier.works and not now.works,
            "the secret in Vault was deleted": earlier.value in earlier.live
            and now.value not in now.live,
            f"{len(now.ids)} secrets": not 1 <= len(now.ids) <= 2 and now.ids != earlier.ids,
            "a foreign secret was deleted": bool(gone & self.foreign),
            "a secret vanished unasked": any(
                not seen.exchange.path.endswith(f"/secrets/{secret_id}") for secret_id in gone
            ),
            "a secret was made that is nowhere in Vault": bool(now.live - earlier.live)
            and now.pending_value not in now.live - earlier.live,
            "the only copy of a live secret was lost": earlier.pending_value in earlier.live
            and earlier.pending_value in now.live
            and earlier.pending_value not in now.kept | {now.pending_value},
            **_wrong_push(earlier, now),
        }
        found = [wrong for wrong, is_so in checks.items() if is_so and wrong not in self.excused]
        return found + self._left_beside(now)


def _wrong_push(earlier: Snapshot, now: Snapshot) -> dict[str, bool]:
    if now.version == earlier.version:
        return {}
    return {
        "a value was pushed that does not work": not now.works,
        "a value was pushed that is not the pending one": now.value
        not in (now.pending_value, earlier.value),
        "a push changed fields that are not ours": earlier.current is not None
        and _foreign(earlier) != _foreign(now),
    }


def _foreign(snapshot: Snapshot) -> dict[str, Any]:
    """Return the fields that are not rotator's: none that has the value of a secret."""
    return {
        name: value
        for name, value in snapshot.others.items()
        if not isinstance(value, str) or value not in snapshot.issued
    }


def _intended(last: Entry) -> str | None:
    """Return the step whose intent the last entry is; None for no intent."""
    if last.event != "intent":
        return None
    # By hand, it belongs to no rotation.
    is_by_hand = last.step is None and '"operation":"delete"' in last.detail
    return "delete" if is_by_hand else last.step


def _steps_of(seen: Seen, account: Account) -> frozenset[str]:
    """Return the steps that a request may belong to; none if it changes nothing of the account."""
    method, path = seen.exchange.method, seen.exchange.path
    secrets = f"/accounts/{account.api_key}/secrets"
    effects = {
        ("vonage", "POST", path == secrets): {"create"},
        ("vonage", "DELETE", path.startswith(f"{secrets}/")): {"delete", "evict"},
        ("vault", "POST", path == f"/v1/secret/data/{account.pending_path}"): {"stage"},
        ("vault", "POST", path == f"/v1/secret/data/{account.vault_path}"): {"push", "withdraw"},
        ("vault", "POST", path == f"/v1/secret/destroy/{account.pending_path}"): {"clear"},
    }
    return frozenset(effects.get((seen.system, method, True), ()))
