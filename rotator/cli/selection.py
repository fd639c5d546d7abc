"""The accounts that a command works on: named one by one, by patterns, by their parent, or all."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Self

import typer

from rotator.cli.context import argument, completions, flag
from rotator.errors import ConfigError, UnknownAccount

if TYPE_CHECKING:
    from rotator.config import Settings
    from rotator.model import Account

#: The characters that make a pattern of a name; no account's name has one.
_WILDCARDS = frozenset("*?[")

Names = Annotated[list[str] | None, argument("accounts, or patterns such as 'sms-*'")]
ChosenNames = Annotated[list[str] | None, argument("only these, also by patterns such as 'sms-*'")]
AllOption = Annotated[bool, flag("--all", "every account, discovered ones included")]
ParentOption = Annotated[
    str | None,
    typer.Option(
        "--parent",
        metavar="NAME",
        help="the accounts that this one manages, and it itself",
        autocompletion=completions,
    ),
]


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which accounts are asked for on the command line; see `of`."""

    #: Names and patterns, in the order given.
    names: tuple[str, ...]
    #: Name of the parent; None where names or --all are given.
    parent: str | None

    @classmethod
    def of(
        cls, names: Iterable[str] | None, *, every: bool, parent: str | None, action: str
    ) -> Self:
        """Return what the options ask for; `action` is the command's verb, for the hint.

        Raises:
            ConfigError: nothing is asked for, or the options contradict each other.
        """
        names = tuple(names or ())
        options = {"names": bool(names), "--all": every, "--parent": parent is not None}
        given = [option for option, is_given in options.items() if is_given]
        if len(given) != 1:
            raise ConfigError(
                f"both {' and '.join(given[:2])} are given" if given else "no account is named",
                hint=f"name the accounts to {action}, or give --all or --parent",
            )
        return cls(names=names, parent=parent)

    @property
    def is_single(self) -> bool:
        """Whether it is one account by its name: such a command prints no list."""
        return len(self.names) == 1 and not _is_pattern(self.names[0])

    def accounts(self, settings: "Settings") -> "list[Account]":
        """Return the accounts, each once: as `chosen`, and a parent after those that it manages.

        Raises:
            UnknownAccount: a name is not configured, or nothing matches a pattern.
            ConfigError: the parent manages no account.
        """
        if self.parent is None:
            return chosen(settings, self.names)
        children = settings.children(self.parent)
        if not children:
            raise ConfigError(
                f"{self.parent} manages no account",
                hint=f"`managed_by` of an account names its parent; without --parent, "
                f"{self.parent} alone is meant",
            )
        return [*children, settings.account(self.parent)]


def chosen(settings: "Settings", names: Iterable[str] | None) -> "list[Account]":
    """Return the accounts of these names and patterns, each once; without names, all.

    They are in the order given, those of a pattern in the order of the configuration.

    Raises:
        UnknownAccount: a name is not configured, or nothing matches a pattern.
    """
    found = {account.name: account for name in names or () for account in _matching(settings, name)}
    return [*found.values()] or list(settings.accounts)


def _matching(settings: "Settings", name: str) -> "list[Account]":
    if not _is_pattern(name):
        return [settings.account(name)]
    found = [account for account in settings.accounts if fnmatchcase(account.name, name)]
    if not found:
        raise UnknownAccount(
            f"no account matches {name!r}",
            hint="`*` stands for any text and `?` for one character; see `rotator status`",
        )
    return found


def _is_pattern(name: str) -> bool:
    return not _WILDCARDS.isdisjoint(name)
