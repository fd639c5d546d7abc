"""README's policy: all that rotator needs, and nothing more."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rotator.errors import StoreForbidden
from rotator.model import Account, Note, PendingEntry, SecretValue
from rotator.vault import KvStore

if TYPE_CHECKING:
    from tests.contract.server import Server

README = Path(__file__).parents[2] / "README.md"
VALUE = SecretValue("Abcdefgh1")


def policy() -> dict[str, list[str]]:
    """Return the policy that README shows."""
    block = re.search(r"```hcl\n(.*?)```", README.read_text(), re.DOTALL)
    assert block
    rules = re.findall(r'path "([^"]+)" \{\s*capabilities = \[([^\]]*)\]', block[1])
    return {path: re.findall(r'"(\w+)"', granted) for path, granted in rules}


EACH = [
    (path, capability)
    for path, granted in policy().items()
    for capability in granted
    if path.startswith("secret/")
]
#: What a token may do with itself, which the policy `default` grants as well.
OWN = [path for path in policy() if not path.startswith("secret/")]


def rotate(store: KvStore, account: Account, pending: PendingEntry, note: Note) -> None:
    """Adopt another account, and do all of a rotation, staging twice as after a rejected value."""
    store.check()
    fresh = replace(account, vault_path=f"{account.vault_path}-adopted")
    store.write_current(fresh, store.read_base(fresh), VALUE, note)
    base = store.read_current(account)
    assert base is not None
    for _ in range(2):
        store.write_pending(account, store.read_pending(account), VALUE, pending)
    store.read_version(account, store.write_current(account, base, VALUE, note).version)
    store.clear_pending(account, 2)


def test_the_policy_is_enough(
    server: "Server",
    store_as: Callable[..., KvStore],
    account: Account,
    pending: PendingEntry,
    note: Note,
) -> None:
    """With README's policy a rotation does all that it has to."""
    server.write(account.vault_path, {"api_secret": "first"})
    rotate(store_as(server.issue_token(policy())), account, pending, note)

    assert server.data(account.pending_path) is None
    assert (server.data(account.vault_path) or {})["api_secret"] == VALUE.reveal()


@pytest.mark.parametrize(("path", "capability"), EACH)
def test_the_policy_grants_nothing_that_is_not_needed(  # noqa: PLR0913, PLR0917  # fixtures
    server: "Server",
    store_as: Callable[..., KvStore],
    account: Account,
    pending: PendingEntry,
    note: Note,
    path: str,
    capability: str,
) -> None:
    """Without any one of its capabilities a rotation is denied."""
    server.write(account.vault_path, {"api_secret": "first"})
    rules = policy()
    rules[path].remove(capability)
    token = server.issue_token({path: granted for path, granted in rules.items() if granted})
    with pytest.raises(StoreForbidden) as caught:
        rotate(store_as(token), account, pending, note)

    assert type(caught.value) is StoreForbidden
