"""`[[discover]]`, and the accounts that it derives from a parent's subaccounts at Vonage."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from rotator.config import types
from rotator.config.accounts import (
    Location,
    Placement,
    PolicyTable,
    among_pending,
    lies_within,
    parent_problem,
    policy_of,
    with_mount,
)
from rotator.config.errors import ConfigProblem, InvalidValue
from rotator.config.sections import VaultSettings
from rotator.config.types import ACCOUNT_NAME, API_KEY, FieldName, written_as
from rotator.model import Account, DiscoveredSubaccount, Policy


def _pattern(check: Callable[[str], str], text: str) -> str:
    """Check that a pattern contains the api key's placeholder and yields valid results."""
    if "{api_key}" not in text:
        raise InvalidValue("has no {api_key}, so that all subaccounts would share it")
    sample = text.replace("{api_key}", "abcd1234").replace("{parent}", "parent")
    if "{" in sample or "}" in sample:
        raise InvalidValue("has braces around something else than {api_key} or {parent}")
    checked = check(sample)
    # Slashes around a path are not part of it.
    start = sample.index(checked)
    return text.strip("/") if start or len(checked) < len(sample) else text


def _patterns(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(text, str) for text in value):
        raise InvalidValue("is not a list of texts", hint='write ["*"] or ["prod-*", "abcd1234"]')
    return tuple(value)


VaultPattern = Annotated[str, AfterValidator(partial(_pattern, types.vault_path))]
NamePattern = Annotated[
    str,
    AfterValidator(partial(_pattern, partial(written_as, ACCOUNT_NAME, "gives no account name"))),
]
Patterns = Annotated[tuple[str, ...], BeforeValidator(_patterns)]


class DiscoverTable(PolicyTable):
    """`[[discover]]`: the subaccounts of one parent, with their deviating policy keys."""

    parent: str
    vault_path: VaultPattern
    name: NamePattern = "{api_key}"
    include: Patterns = ("*",)
    exclude: Patterns = ()
    secret_field: FieldName = "api_secret"  # noqa: S105  # a field's name
    key_field: FieldName = "api_key"


@dataclass(frozen=True, kw_only=True)
class Discover:
    """Rules for managing the subaccounts of one parent."""

    #: Name of the account whose subaccounts are listed.
    parent: str
    #: Contains `{api_key}` for a subaccount's own key, and may contain `{parent}`.
    name: str
    #: Likewise.
    vault_path: str
    #: Patterns for api keys and Vonage's names, of which one must match.
    include: tuple[str, ...]
    #: Likewise, of which none may match.
    exclude: tuple[str, ...]
    secret_field: str
    key_field: str
    policy: Policy

    def matches(self, found: DiscoveredSubaccount) -> bool:
        """Return whether a subaccount is to be managed."""
        if found.parent != self.parent or not re.fullmatch(API_KEY, found.api_key):
            return False
        texts = (found.api_key, found.title)

        def any_of(patterns: Iterable[str]) -> bool:
            return any(fnmatchcase(text, pattern) for text in texts for pattern in patterns)

        return any_of(self.include) and not any_of(self.exclude)

    def account(self, found: DiscoveredSubaccount, site: Placement) -> Account:
        """Build the managed account for a discovered subaccount."""
        name = self._filled(self.name, found).lower()
        return Account(
            name=name,
            api_key=found.api_key,
            issuer=site.issuer,
            mount=site.mount,
            vault_path=self._filled(self.vault_path, found),
            pending_path=f"{site.pending_prefix}/{name}",
            secret_field=self.secret_field,
            key_field=self.key_field,
            managed_by=self.parent,
            policy=self.policy,
            discovered=True,
        )

    def _filled(self, pattern: str, found: DiscoveredSubaccount) -> str:
        return pattern.replace("{api_key}", found.api_key).replace("{parent}", self.parent)


def discover_of(table: DiscoverTable, default: Policy) -> Discover:
    """Build a discovery rule from its table."""
    return Discover(
        parent=table.parent,
        name=table.name,
        vault_path=table.vault_path,
        include=table.include,
        exclude=table.exclude,
        secret_field=table.secret_field,
        key_field=table.key_field,
        policy=policy_of(table, default),
    )


def discover_problems(
    place: Location,
    table: DiscoverTable,
    parents: Mapping[str, object],
    vault: VaultSettings | None,
) -> Iterator[ConfigProblem]:
    """Yield the problems of a table, given the accounts and Vault's table."""
    if table.secret_field == table.key_field:
        yield ConfigProblem(where=place.key("secret_field"), what="is the same field as key_field")
    if what := parent_problem(table.parent, parents):
        hint = "name an account of this file that has no parent itself"
        yield ConfigProblem(where=place.key("parent"), what=what, hint=hint)
    if vault is not None:
        yield from with_mount(place, table.vault_path, vault.mount)
        yield from among_pending(place, table.vault_path, vault.pending_prefix)


def accounts_of(
    found: Iterable[DiscoveredSubaccount],
    tables: Iterable[Discover],
    configured: Iterable[Account],
    site: Placement,
) -> Iterator[Account]:
    """Yield the accounts that are managed because they were discovered, by their api keys.

    Accounts that are configured by name take precedence. An account with the name or path of an
    earlier one is left out. So is one whose path, which contains the parent's name, lies within the
    prefix of pending entries.
    """
    taken = list(configured)
    keys = {account.api_key for account in taken}
    names = {account.name for account in taken}
    paths = {account.vault_path for account in taken}
    tables = tuple(tables)
    for each in sorted(found, key=lambda each: each.api_key):
        table = next((table for table in tables if table.matches(each)), None)
        account = table.account(each, site) if table else None
        if account is None or not re.fullmatch(ACCOUNT_NAME, account.name):
            continue
        if account.api_key in keys or account.name in names or account.vault_path in paths:
            continue
        if lies_within(account.vault_path, site.pending_prefix):
            continue
        keys.add(account.api_key)
        names.add(account.name)
        paths.add(account.vault_path)
        yield account
