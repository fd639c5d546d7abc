"""Consumers: whether anything makes a deletion wait for them."""

from collections.abc import Iterator, Sequence

from rotator.application import Application
from rotator.config import Settings
from rotator.doctor.check import CheckResult, doubtful, fine
from rotator.doctor.summary import listed
from rotator.model.notification import waits_for_consumers

_WHY = "no gate and no `pushed` hook: after its grace the old secret is deleted, in use or not"
#: The page that shows which gate and which grace fit.
PAGE = "docs/consumers.md"


def unawaited(settings: Settings) -> list[str]:
    """Return the accounts, and the subaccounts to discover, whose consumers nothing waits for."""
    names = {account.name: account.name for account in settings.accounts}
    # A hook can name no discovered account, and no account has a pattern as its name.
    names |= {each.name: f"the subaccounts of {each.parent}" for each in settings.discover}
    return [who for name, who in names.items() if not waits_for_consumers(settings.hooks, name)]


def warning(names: Sequence[str]) -> str:
    """Return that nothing waits for the consumers of `names`, as one line."""
    return f"{listed(names)}: {_WHY}; see {PAGE}"


def checks(application: Application) -> Iterator[CheckResult]:
    """Check of every account whether a hook is called or asked before its old secret is deleted."""
    hooks = application.settings.hooks
    for account in application.settings.accounts:
        if waits_for_consumers(hooks, account.name):
            yield fine("consumers", account.name, "a hook is called before the old secret goes")
        else:
            yield doubtful("consumers", account.name, _WHY, f"choose one: {PAGE}")
