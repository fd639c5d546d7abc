"""What the store says of mounts, tokens and seals that keep it from working."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from rotator.errors import MountUnusable, StoreError, StoreForbidden, StoreSealed
from rotator.model import Account, CurrentEntry, Note, PendingEntry, SecretValue
from rotator.rotation.ports import StoredCurrent, StoredPending
from rotator.vault import EnvToken, FileToken, KvStore, VaultSession
from tests.contract.client import link
from tests.contract.real import only_real
from tests.contract.server import ROOT
from tests.contract.test_vault_policy import policy

if TYPE_CHECKING:
    from pathlib import Path

    from tests.contract.real import Real
    from tests.contract.server import Server

VALUE = SecretValue("Abcdefgh1")


def test_a_good_mount_passes(store: KvStore) -> None:
    """A mount of KV version 2 can be used."""
    store.check()


def test_a_mount_may_have_any_name(
    server: "Server", store_as: Callable[..., KvStore], account: Account, pending: PendingEntry
) -> None:
    """A mount with a slash in its name is used like any other, and nothing else is."""
    store = store_as(mount="team/kv")
    store.check()
    store.write_pending(account, store.read_pending(account), VALUE, pending)
    staged = store.read_pending(account)
    elsewhere = server.data(account.pending_path)
    store.clear_pending(account, 1)

    assert staged == StoredPending(version=1, entry=pending, value=VALUE)
    assert elsewhere is None
    assert store.read_pending(account) == StoredPending(version=1)


@only_real
def test_names_may_have_spaces(server: "Server", account: Account, pending: PendingEntry) -> None:
    """Vault takes them in mounts and paths, so they are named to it as they are."""
    store = KvStore(link(server.url, EnvToken(ROOT)), "team kv")
    spaced = replace(account, vault_path=f"sms team/{account.name}", pending_path="on the way/x")
    store.check()
    version = store.read_pending(spaced).version
    store.write_pending(spaced, StoredPending(version=version), VALUE, pending)
    found = server.call("GET", "team%20kv/metadata/on%20the%20way?list=true")

    assert store.read_pending(spaced).value == VALUE
    assert store.read_current(spaced) is None
    assert found == {"keys": ["x"]}


@only_real
def test_a_namespace_has_entries_of_its_own(
    server: "Real", account: Account, pending: PendingEntry
) -> None:
    """All of the store's calls go to the configured namespace, and none to another."""
    space = server.open_namespace(policy())
    source = EnvToken(space.token)
    store = KvStore(
        VaultSession(space.url, token_source=source, timeout=10, namespace=space.name), "secret"
    )
    store.check()
    store.write_pending(account, store.read_pending(account), VALUE, pending)
    staged = store.read_pending(account)
    outside = KvStore(VaultSession(space.url, token_source=source, timeout=10), "secret")

    assert staged.entry == pending
    assert server.data(account.pending_path) is None
    with pytest.raises(StoreError):
        outside.read_pending(account)


@only_real
def test_a_version_1_mount_is_refused(store_as: Callable[..., KvStore]) -> None:
    """A mount of KV version 1 is named as such, with a cure."""
    with pytest.raises(MountUnusable, match="version 1") as caught:
        store_as(mount="plain").check()

    assert "enable-versioning plain" in (caught.value.hint or "")


@only_real
def test_version_1_is_noticed_in_each_answer(
    store_as: Callable[..., KvStore], account: Account, pending: PendingEntry, note: Note
) -> None:
    """Without the check, too, nothing that a version 1 mount answers is taken for version 2's."""
    store = store_as(mount="plain")
    entry = CurrentEntry(version=1, note=None, intact=False, has_value=False)
    base = StoredCurrent(entry=entry, value=None, fields={})
    for call in (
        lambda: store.write_current(account, base, VALUE, note),
        lambda: store.read_current(account),
        lambda: store.read_version(account, 1),
        lambda: store.write_pending(account, StoredPending(version=0), VALUE, pending),
        lambda: store.read_pending(account),
    ):
        with pytest.raises(MountUnusable):
            call()


def test_no_such_mount_as_root(store_as: Callable[..., KvStore], account: Account) -> None:
    """Where a token may see everything, a missing mount is called missing."""
    store = store_as(mount="nowhere")
    with pytest.raises(MountUnusable):
        store.check()
    with pytest.raises(MountUnusable):
        store.read_current(account)


def test_no_such_mount_to_an_ordinary_token(
    server: "Server", store_as: Callable[..., KvStore], account: Account
) -> None:
    """Vault denies a missing mount to an ordinary token, so both reasons are named."""
    token = server.issue_token({"secret/data/*": ["read"]})
    store = store_as(token, mount="nowhere")
    with pytest.raises(StoreForbidden, match="no mount nowhere, or denies it"):
        store.check()
    with pytest.raises(StoreForbidden):
        store.read_current(account)


def test_a_path_inside_a_mount_is_no_mount(store_as: Callable[..., KvStore]) -> None:
    """A mount that is spelled with part of a path is refused with the right spelling."""
    with pytest.raises(MountUnusable, match="inside the mount secret") as caught:
        store_as(mount="secret/vonage").check()

    assert 'vault.mount to "secret"' in (caught.value.hint or "")
    assert '"vonage/"' in (caught.value.hint or "")


@only_real
def test_a_path_inside_a_mount_is_noticed_in_each_answer(
    store_as: Callable[..., KvStore], account: Account
) -> None:
    """A read below a path inside a mount is no missing entry."""
    with pytest.raises(MountUnusable):
        store_as(mount="secret/vonage").read_current(account)


@pytest.mark.parametrize("token", ["", "hvs.Unknown"])
def test_a_bad_token_is_forbidden(
    store_as: Callable[..., KvStore], account: Account, token: str
) -> None:
    """A missing or unknown token is denied by check and calls alike, and never shown."""
    store = store_as(token)
    for call in (store.check, lambda: store.read_pending(account)):
        with pytest.raises(StoreForbidden) as caught:
            call()

        assert not token or token not in f"{caught.value!r}{caught.value.hint}"


def test_a_revoked_token_is_forbidden(
    server: "Server", store_as: Callable[..., KvStore], account: Account
) -> None:
    """A token that worked and was revoked is denied from then on."""
    token = server.issue_token({"secret/data/*": ["read"]})
    store = store_as(token)
    store.read_current(account)
    server.revoke_token(token)
    with pytest.raises(StoreForbidden, match="does not accept the token"):
        store.check()
    with pytest.raises(StoreForbidden):
        store.read_current(account)


def test_a_token_that_is_replaced_in_its_file_goes_on(
    server: "Server", account: Account, tmp_path: "Path"
) -> None:
    """Who keeps the token fresh in a file need not restart rotator."""
    file = tmp_path / "token"
    first = server.issue_token({"secret/data/*": ["read"]})
    file.write_text(first)
    connection = VaultSession(server.url, token_source=FileToken(str(file)), timeout=10)
    store = KvStore(connection, "secret")
    store.read_current(account)
    server.revoke_token(first)
    fresh = tmp_path / "fresh"
    fresh.write_text(server.issue_token({"secret/data/*": ["read"]}))
    fresh.replace(file)

    assert store.read_current(account) is None


def test_a_seal_in_between(
    server: "Server", store: KvStore, account: Account, pending: PendingEntry
) -> None:
    """Every call says that Vault is sealed, and all is as before once it is not."""
    staged = store.write_pending(account, store.read_pending(account), VALUE, pending)
    errors: list[StoreError] = []
    server.seal()
    try:
        for call in (
            store.check,
            lambda: store.read_current(account),
            lambda: store.read_version(account, 1),
            lambda: store.read_pending(account),
            lambda: store.write_pending(account, staged, VALUE, pending),
            lambda: store.clear_pending(account, 1),
        ):
            with pytest.raises(StoreSealed) as caught:
                call()
            errors.append(caught.value)
    finally:
        server.unseal()
    store.check()

    assert len(errors) == 6
    assert store.read_pending(account) == staged
