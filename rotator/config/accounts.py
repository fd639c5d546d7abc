"""`[[accounts]]`, and the rules between an account, the others and the related tables."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator

from rotator.config.errors import ConfigProblem, InvalidValue, did_you_mean
from rotator.config.sections import VaultSettings, VonageSettings
from rotator.config.types import (
    ApiKey,
    FieldName,
    Name,
    Some,
    Table,
    VaultPath,
    cron_expression,
    duration,
    within,
)
from rotator.model import Account, OnForeign, Policy
from rotator.model.generation import MAX_LENGTH, MIN_LENGTH
from rotator.model.times import format_duration
from rotator.rotation import window


def _timezone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ValueError, LookupError, OSError):
        meant = did_you_mean(text, sorted(available_timezones()))
        hint = "write an IANA name, as Europe/Berlin or UTC"
        raise InvalidValue(f"is no time zone{meant}", hint=hint) from None
    return text


def _on_foreign(value: object) -> OnForeign:
    for known in OnForeign:
        if value == known:
            return known
    raise InvalidValue(f"is not one of {', '.join(OnForeign)}")


def _windows(value: object) -> tuple[str, ...] | None:
    """Accept one window or a list; none, an empty text or an empty list means always."""
    if value is None:
        return None
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise InvalidValue("is neither text nor a list of texts", hint=_HOW_TO_WRITE_WINDOWS)
    texts = [" ".join(text.lower().split()) for text in texts if text.strip()]
    for text in texts:
        try:
            window.parse(text)
        except ValueError as error:
            rule = str(error) if isinstance(value, str) else f"has {text[:40]!r}, which {error}"
            raise InvalidValue(rule, hint=_HOW_TO_WRITE_WINDOWS) from None
    return tuple(texts)


_HOW_TO_WRITE_WINDOWS = 'write "sun 02:00-05:00" or "mon-fri 22:00-04:00", or a list of such'


def _euros(value: object) -> Decimal | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidValue("is not a number")
    # A fraction is converted through its text: 0.1 is not 0.1000000000000000055.
    euros = Decimal(value if isinstance(value, int) else str(value))
    if not euros.is_finite():
        raise InvalidValue("is not a finite number")
    return within(Decimal(0), _MOST_EUROS)(euros)


#: More than any account's balance.
_MOST_EUROS = Decimal(1_000_000_000)


class PolicyTable(Table):
    """`[policy]`, and the same keys in an account: None where the key is missing."""

    every: Annotated[timedelta | None, BeforeValidator(duration), Some] = None
    cron: Annotated[str | None, AfterValidator(cron_expression)] = None
    timezone: Annotated[str | None, AfterValidator(_timezone)] = None
    jitter: Annotated[timedelta | None, BeforeValidator(duration)] = None
    grace: Annotated[timedelta | None, BeforeValidator(duration)] = None
    max_age: Annotated[timedelta | None, BeforeValidator(duration)] = None
    length: Annotated[int | None, AfterValidator(within(MIN_LENGTH, MAX_LENGTH))] = None
    on_foreign: Annotated[OnForeign | None, BeforeValidator(_on_foreign)] = None
    window: Annotated[tuple[str, ...] | None, BeforeValidator(_windows)] = None
    #: None: the balance is not checked.
    min_balance: Annotated[Decimal | None, BeforeValidator(_euros)] = None

    def given(self) -> dict[str, Any]:
        """Return the policy keys that this table sets, with their values."""
        values = {key: getattr(self, key) for key in PolicyTable.model_fields}
        return {key: value for key, value in values.items() if value is not None}


_UNIQUE = ("name", "api_key", "vault_path")


class AccountTable(PolicyTable):
    """`[[accounts]]`: one account, with its deviating policy keys."""

    name: Name
    api_key: ApiKey
    vault_path: VaultPath
    secret_field: FieldName = "api_secret"  # noqa: S105  # a field's name
    key_field: FieldName = "api_key"
    #: Name of the parent account; "" for none.
    managed_by: str = ""


@dataclass(frozen=True, kw_only=True)
class Location:
    """A table, and its location in the file for problems."""

    #: Its path, as in `TABLES`.
    table: str
    #: Its path with the index, if it is one of several.
    path: str
    #: Name of the account that an index refers to.
    note: str = ""

    def key(self, *names: str) -> str:
        """Return the location of a key of the table, or of the table itself."""
        return ".".join((self.path, *names)) + self.note


@dataclass(frozen=True, kw_only=True)
class Located:
    """A valid account's table and its location."""

    place: Location
    table: AccountTable


def policy_of(table: PolicyTable, default: Policy) -> Policy:
    """Build a policy: what the table sets, the rest from the default.

    `every` and `cron` replace each other.
    """
    given = table.given()
    if "every" in given or "cron" in given:
        default = replace(default, every=None, cron=None)
    return replace(default, **given)


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Settings that all accounts share: the issuer, and the prefix of paths in Vault."""

    #: Host of the Vonage API.
    issuer: str
    #: The mount, preceded by the namespace if there is one.
    mount: str
    pending_prefix: str

    @classmethod
    def of(cls, vonage: VonageSettings, vault: VaultSettings) -> Self:
        """Derive it from the two tables."""
        return cls(
            issuer=urlsplit(vonage.api_url).hostname or "",
            mount=f"{vault.namespace}/{vault.mount}".strip("/"),
            pending_prefix=vault.pending_prefix,
        )


def account_of(table: AccountTable, default: Policy, site: Placement) -> Account:
    """Build an account from its table."""
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


def policy_problems(place: Location, table: PolicyTable, policy: Policy) -> Iterator[ConfigProblem]:
    """Yield the problems of a policy that this table contributes to."""
    given = table.given()
    if policy.every is None:
        return
    every = format_duration(policy.every)
    if policy.grace >= policy.every and given.keys() & {"every", "grace"}:
        grace = format_duration(policy.grace)
        yield ConfigProblem(
            where=place.key("grace" if "grace" in given else "every"),
            what=f"grace ({grace}) is not less than every ({every}), so rotations would overlap",
        )
    if policy.max_age < policy.every and given.keys() & {"every", "max_age"}:
        max_age = format_duration(policy.max_age)
        yield ConfigProblem(
            where=place.key("max_age" if "max_age" in given else "every"),
            what=f"max_age ({max_age}) is less than every ({every}), "
            "so the account would always be overdue",
        )


def account_problems(
    accounts: Iterable[Located], parents: Mapping[str, object], vault: VaultSettings | None
) -> Iterator[ConfigProblem]:
    """Yield the problems between accounts.

    `parents` maps the name of every account of the file, valid or not, to its `managed_by`; `vault`
    is None where it is invalid.
    """
    seen: dict[tuple[str, str], Located] = {}
    for account in accounts:
        yield from _repeated(account, seen)
        yield from _fields(account)
        yield from _parent(account, parents)
        if vault is not None:
            path = account.table.vault_path
            yield from with_mount(account.place, path, vault.mount)
            yield from among_pending(account.place, path, vault.pending_prefix)


def _repeated(account: Located, seen: dict[tuple[str, str], Located]) -> Iterator[ConfigProblem]:
    for key in _UNIQUE:
        value: str = getattr(account.table, key)
        first = seen.setdefault((key, value), account)
        if first is not account:
            what = f"{value!r} is already that of {first.place.key()}"
            yield ConfigProblem(where=account.place.key(key), what=what)


def _fields(account: Located) -> Iterator[ConfigProblem]:
    if account.table.secret_field == account.table.key_field:
        where = account.place.key("secret_field")
        yield ConfigProblem(where=where, what="is the same field as key_field")


def _parent(account: Located, parents: Mapping[str, object]) -> Iterator[ConfigProblem]:
    name, parent = account.table.name, account.table.managed_by
    if not parent:
        return
    what = (
        f"{parent!r} is the account itself" if parent == name else parent_problem(parent, parents)
    )
    if what:
        hint = 'name another account of this file that has no parent itself, or "" for none'
        yield ConfigProblem(where=account.place.key("managed_by"), what=what, hint=hint)


def parent_problem(parent: str, parents: Mapping[str, object]) -> str | None:
    """Return why an account cannot be a parent, or None; `parents` as in `account_problems`."""
    if parent not in parents:
        return f"{parent!r} is not configured{did_you_mean(parent, parents)}"
    if parents[parent]:
        return f"{parent!r} is itself managed by another; Vonage has one level of subaccounts"
    return None


def with_mount(place: Location, path: str, mount: str) -> Iterator[ConfigProblem]:
    """Report a path in the form of policies, with the mount and `data` in front."""
    prefix = f"{mount}/data/"
    if path.startswith(prefix):
        yield ConfigProblem(
            where=place.key("vault_path"),
            what=f"{path!r} begins with the mount, which vault.mount names already",
            hint=f"write {path.removeprefix(prefix)}",
        )


def among_pending(place: Location, path: str, prefix: str) -> Iterator[ConfigProblem]:
    """Report a path inside the prefix where rotator writes and deletes."""
    if lies_within(path, prefix):
        yield ConfigProblem(
            where=place.key("vault_path"),
            what=f"{path!r} lies within vault.pending_prefix ({prefix!r}), "
            "where rotator writes and deletes",
        )


def lies_within(path: str, prefix: str) -> bool:
    """Return whether `path` is `prefix` or below it."""
    return f"{path}/".startswith(f"{prefix}/")
