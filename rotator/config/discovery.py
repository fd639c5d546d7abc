"""`[[discover]]`, and the accounts that it derives from a parent's subaccounts at Vonage."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from rotator.config import types
from rotator.config.accounts import (
    Placement,
    PolicyTable,
    entry_problems,
    lies_within,
    parent_problem,
)
from rotator.config.errors import ConfigProblem, InvalidValue, Location
from rotator.config.sections import VaultSettings
from rotator.config.types import (
    ACCOUNT_NAME,
    API_KEY,
    FieldName,
    OptionalFieldName,
    Patterns,
    form,
    written_as,
)
from rotator.model import Account, DiscoveredSubaccount, Policy


def _pattern(check: Callable[[str], str], text: str) -> str:
    """Check that a pattern contains the API key's placeholder and yields valid results."""
    if "{api_key}" not in text:
        raise InvalidValue("has no {api_key}, so that all subaccounts would share it")
    sample = text.replace("{api_key}", "abcd1234").replace("{parent}", "parent")
    if "{" in sample or "}" in sample:
        raise InvalidValue("has braces around something other than {api_key} or {parent}")
    checked = check(sample)
    # Slashes around a path are not part of it.
    start = sample.index(checked)
    return text.strip("/") if start or len(checked) < len(sample) else text


def _pattern_form(other: str) -> WithJsonSchema:
    """Return the form of a pattern: the placeholders, and `other` characters."""
    return form(rf"({other}|\{{parent\}})*\{{api_key\}}({other}|\{{(api_key|parent)\}})*")


VaultPattern = Annotated[
    str, AfterValidator(partial(_pattern, types.vault_path)), _pattern_form(r"[^{}?#%\\\x00-\x1f]")
]
NamePattern = Annotated[
    str,
    AfterValidator(
        partial(_pattern, partial(written_as, ACCOUNT_NAME, "does not give an account name"))
    ),
    _pattern_form("[a-z0-9._-]"),
]


class DiscoverTable(PolicyTable):
    """`[[discover]]`: the subaccounts of one parent, with their deviating policy keys."""

    #: Name of the account whose subaccounts are listed.
    parent: str
    #: Contains `{api_key}` for a subaccount's own key, and may contain `{parent}`.
    vault_path: VaultPattern
    name: NamePattern = "{api_key}"
    #: Patterns for API keys and Vonage's names, of which one must match.
    include: Patterns = ("*",)
    #: Likewise, of which none may match.
    exclude: Patterns = ()
    secret_field: FieldName = "api_secret"  # noqa: S105  # a field's name
    key_field: FieldName = "api_key"
    #: Field for the replaced value, until its secret is deleted; "" for none.
    previous_field: OptionalFieldName = ""

    def matches(self, found: DiscoveredSubaccount) -> bool:
        """Return whether a subaccount is to be managed."""
        if found.parent != self.parent or not re.fullmatch(API_KEY, found.api_key):
            return False
        texts = (found.api_key, found.title)

        def any_of(patterns: Iterable[str]) -> bool:
            return any(fnmatchcase(text, pattern) for text in texts for pattern in patterns)

        return any_of(self.include) and not any_of(self.exclude)

    def account(
        self, found: DiscoveredSubaccount, default: Policy, placement: Placement
    ) -> Account:
        """Build the managed account for a discovered subaccount."""
        return placement.account(
            self,
            default,
            name=self._filled(self.name, found).lower(),
            api_key=found.api_key,
            vault_path=self._filled(self.vault_path, found),
            secret_field=self.secret_field,
            key_field=self.key_field,
            previous_field=self.previous_field,
            managed_by=self.parent,
            discovered=True,
        )

    def _filled(self, pattern: str, found: DiscoveredSubaccount) -> str:
        return pattern.replace("{api_key}", found.api_key).replace("{parent}", self.parent)


def discover_problems(
    place: Location,
    table: DiscoverTable,
    parents: Mapping[str, object],
    vault: VaultSettings | None,
) -> Iterator[ConfigProblem]:
    """Yield the problems of a table, given the accounts and Vault's table."""
    yield from entry_problems(place, table, vault)
    if what := parent_problem(table.parent, parents):
        hint = "name an account of this file that has no parent itself"
        yield place.problem("parent", what, hint)


def accounts_of(
    found: Iterable[DiscoveredSubaccount],
    tables: Sequence[DiscoverTable],
    configured: Iterable[Account],
    default: Policy,
    placement: Placement,
) -> Iterator[Account]:
    """Yield the accounts that are managed because they were discovered, by their API keys.

    Accounts that are configured by name take precedence. An account with the name or path of an
    earlier one is left out. So is one whose path, which contains the parent's name, lies within the
    prefix of pending entries.
    """
    taken = list(configured)
    keys = {account.api_key for account in taken}
    names = {account.name for account in taken}
    paths = {account.vault_path for account in taken}
    for each in sorted(found, key=lambda each: each.api_key):
        table = next((table for table in tables if table.matches(each)), None)
        account = table.account(each, default, placement) if table else None
        if account is None or not re.fullmatch(ACCOUNT_NAME, account.name):
            continue
        if account.api_key in keys or account.name in names or account.vault_path in paths:
            continue
        if lies_within(account.vault_path, placement.pending_prefix):
            continue
        keys.add(account.api_key)
        names.add(account.name)
        paths.add(account.vault_path)
        yield account
