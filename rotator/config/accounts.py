"""`[[accounts]]`, and what must hold between an account, the others and the tables beside them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Self
from urllib.parse import urlsplit

from rotator.config.duration import format_duration
from rotator.config.kind import ApiKey, FieldName, Name, VaultPath
from rotator.config.policy import PolicyTable
from rotator.config.problem import Problem, did_you_mean
from rotator.config.vault import Vault
from rotator.config.vonage import Vonage
from rotator.model import Account, Policy

_UNIQUE = ("name", "api_key", "vault_path")


class AccountTable(PolicyTable):
    """`[[accounts]]`: one account, with the keys of its policy that differ."""

    name: Name
    api_key: ApiKey
    vault_path: VaultPath
    secret_field: FieldName = "api_secret"  # noqa: S105  # a field's name
    key_field: FieldName = "api_key"
    #: Name of the parent account; "" for none.
    managed_by: str = ""


@dataclass(frozen=True, kw_only=True)
class Place:
    """A table, and how a problem in it is located."""

    #: Its path, as in TABLES.
    table: str
    #: With the index, where it is one of several.
    path: str
    #: Says which account an index means.
    note: str = ""

    def key(self, *names: str) -> str:
        """Locate a key of the table, or the table itself."""
        return ".".join((self.path, *names)) + self.note


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A valid account's table and its place."""

    place: Place
    table: AccountTable


def policy_of(table: PolicyTable, default: Policy) -> Policy:
    """Give a policy: what the table sets, the rest from the default.

    `every` and `cron` take each other's place.
    """
    given = table.given()
    if "every" in given or "cron" in given:
        default = replace(default, every=None, cron=None)
    return replace(default, **given)


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where all accounts are: at which issuer, and below what in Vault."""

    #: Host of Vonage's API.
    issuer: str
    #: The mount, behind the namespace if there is one.
    mount: str
    pending_prefix: str

    @classmethod
    def of(cls, vonage: Vonage, vault: Vault) -> Self:
        """Return what the two tables say."""
        return cls(
            issuer=urlsplit(vonage.api_url).hostname or "",
            mount=f"{vault.namespace}/{vault.mount}".strip("/"),
            pending_prefix=vault.pending_prefix,
        )


def account_of(table: AccountTable, default: Policy, site: Site) -> Account:
    """Give the account that a table describes."""
    return Account(
        name=table.name,
        api_key=table.api_key,
        issuer=site.issuer,
        mount=site.mount,
        vault_path=table.vault_path,
        pending_path=f"{site.pending_prefix}/{table.name}",
        secret_field=table.secret_field,
        key_field=table.key_field,
        managed_by=table.managed_by,
        policy=policy_of(table, default),
    )


def policy_problems(place: Place, table: PolicyTable, policy: Policy) -> Iterator[Problem]:
    """Find what cannot work in a policy, if this table has a part in it."""
    given = table.given()
    if policy.every is None:
        return
    every = format_duration(policy.every)
    if policy.grace >= policy.every and given.keys() & {"every", "grace"}:
        grace = format_duration(policy.grace)
        yield Problem(
            where=place.key("grace" if "grace" in given else "every"),
            what=f"grace ({grace}) is not less than every ({every}), so rotations would overlap",
        )
    if policy.max_age < policy.every and given.keys() & {"every", "max_age"}:
        max_age = format_duration(policy.max_age)
        yield Problem(
            where=place.key("max_age" if "max_age" in given else "every"),
            what=f"max_age ({max_age}) is less than every ({every}), "
            "so the account would always be overdue",
        )


def account_problems(
    accounts: Iterable[Placed], parents: Mapping[str, object], vault: Vault | None
) -> Iterator[Problem]:
    """Find what is wrong between accounts.

    `parents` has `managed_by` by name for every account of the file, whether valid or not;
    `vault` is None where it is not valid.
    """
    seen: dict[tuple[str, str], Placed] = {}
    for account in accounts:
        yield from _repeated(account, seen)
        yield from _fields(account)
        yield from _parent(account, parents)
        if vault is not None:
            path = account.table.vault_path
            yield from with_mount(account.place, path, vault.mount)
            yield from among_pending(account.place, path, vault.pending_prefix)


def _repeated(account: Placed, seen: dict[tuple[str, str], Placed]) -> Iterator[Problem]:
    for key in _UNIQUE:
        value: str = getattr(account.table, key)
        first = seen.setdefault((key, value), account)
        if first is not account:
            what = f"{value!r} is already that of {first.place.key()}"
            yield Problem(where=account.place.key(key), what=what)


def _fields(account: Placed) -> Iterator[Problem]:
    if account.table.secret_field == account.table.key_field:
        where = account.place.key("secret_field")
        yield Problem(where=where, what="is the same field as key_field")


def _parent(account: Placed, parents: Mapping[str, object]) -> Iterator[Problem]:
    name, parent = account.table.name, account.table.managed_by
    if not parent:
        return
    what = (
        f"{parent!r} is the account itself" if parent == name else parent_problem(parent, parents)
    )
    if what:
        hint = 'name another account of this file that has no parent itself, or "" for none'
        yield Problem(where=account.place.key("managed_by"), what=what, hint=hint)


def parent_problem(parent: str, parents: Mapping[str, object]) -> str | None:
    """Say why an account cannot be a parent; `parents` as in `account_problems`."""
    if parent not in parents:
        return f"{parent!r} is not configured{did_you_mean(parent, parents)}"
    if parents[parent]:
        return f"{parent!r} is itself managed by another; Vonage has one level of subaccounts"
    return None


def with_mount(place: Place, path: str, mount: str) -> Iterator[Problem]:
    """Find a path as policies have it, with the mount and `data` in front."""
    prefix = f"{mount}/data/"
    if path.startswith(prefix):
        yield Problem(
            where=place.key("vault_path"),
            what=f"{path!r} begins with the mount, which vault.mount names already",
            hint=f"write {path.removeprefix(prefix)}",
        )


def among_pending(place: Place, path: str, prefix: str) -> Iterator[Problem]:
    """Find a path where rotator writes and deletes."""
    if lies_within(path, prefix):
        yield Problem(
            where=place.key("vault_path"),
            what=f"{path!r} lies within vault.pending_prefix ({prefix!r}), "
            "where rotator writes and deletes",
        )


def lies_within(path: str, prefix: str) -> bool:
    """Whether `path` is `prefix`, or below it."""
    return f"{path}/".startswith(f"{prefix}/")
