"""Wrapped secret ids: unwrapped once, and an alarm where someone else was there before."""

from typing import TYPE_CHECKING

import pytest

from rotator.errors import WrappingSpent
from rotator.model import Account
from rotator.model.redaction import redact
from rotator.vault import AppRole
from tests.contract.access import Access
from tests.contract.client import Client
from tests.contract.conftest import OpenWay
from tests.contract.real import only_real

if TYPE_CHECKING:
    from tests.contract.real import Real

pytestmark = only_real


def wrapped(access: Access, wrapping: str) -> Access:
    """Return the same access, with the secret id wrapped."""
    access.file.write_text(wrapping)
    assert isinstance(access.way, AppRole)
    access.way._wrapped = True
    return access


def test_a_wrapped_secret_id_is_unwrapped_once(
    server: "Real", open_way: OpenWay, account: Account
) -> None:
    """What was unwrapped serves later logins too; another wrapping token is unwrapped anew."""
    access = open_way("approle")
    client = Client(wrapped(access, server.wrap_secret_id(access)))
    for _ in range(2):
        client.store.read_pending(account)
        server.revoke_token(client.token)
        client.advance(100)
    access.file.write_text(server.wrap_secret_id(access))
    client.store.read_pending(account)

    assert client.count("log-in 200") == 3
    assert client.count("unwrap-secret-id 200") == 2


def test_what_was_unwrapped_is_never_shown(
    server: "Real", open_way: OpenWay, account: Account
) -> None:
    """Neither the secret id nor what it was wrapped in."""
    access = open_way("approle")
    wrapping = server.wrap_secret_id(access)
    client = Client(wrapped(access, wrapping))
    client.store.read_pending(account)
    assert isinstance(access.way, AppRole)
    assert access.way._unwrapped
    secret_id = access.way._unwrapped[1].reveal()

    assert redact(f"{wrapping} {secret_id}") == "*** ***"


def test_a_wrapping_token_that_is_spent_is_an_alarm(
    server: "Real", open_way: OpenWay, account: Account
) -> None:
    """Whoever unwrapped it first has the secret id, and an operator has to know."""
    access = open_way("approle")
    wrapping = server.wrap_secret_id(access)
    server.call("POST", "sys/wrapping/unwrap", {"token": wrapping})
    client = Client(wrapped(access, wrapping))
    with pytest.raises(WrappingSpent, match="was used before") as caught:
        client.store.read_pending(account)

    assert "stolen" in (caught.value.hint or "")
    assert wrapping not in f"{caught.value!r}{caught.value.hint}"
    assert client.count("log-in 400") == 0


def test_something_else_that_was_wrapped_is_an_alarm(
    server: "Real", open_way: OpenWay, account: Account
) -> None:
    """A thief who unwraps the secret id may wrap another: it was not AppRole that wrapped it."""
    access = open_way("approle")
    client = Client(wrapped(access, server.wrap({"secret_id": access.content})))
    with pytest.raises(WrappingSpent, match="something else"):
        client.store.read_pending(account)

    assert client.calls == ["lookup-wrapping 200"]
