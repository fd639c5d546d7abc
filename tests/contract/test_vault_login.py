"""Every way into Vault, on each real server."""

import threading
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from rotator.errors import LoginFailed, StoreForbidden, TokenRefused
from rotator.model import Account, PendingEntry, SecretValue
from rotator.model.redaction import redact
from rotator.vault import AppRole, EnvToken, KvStore
from rotator.vault.transport import VaultRequest
from tests.contract.access import METHODS
from tests.contract.client import Client, link
from tests.contract.conftest import GRANTED, OpenAccess
from tests.contract.real import only_real
from tests.support.clock import FakeTimer

if TYPE_CHECKING:
    from tests.contract.real import Real

pytestmark = only_real

REVOKE = VaultRequest(
    operation="revoke",
    path="auth/token/revoke-self",
    purpose="revoking the token",
    send=lambda client: client.auth.token.revoke_self(),
    repeatable=False,
)
VALUE = SecretValue("Abcdefgh1")


@pytest.mark.parametrize("method", METHODS)
def test_each_way_leads_in(
    open_access: OpenAccess, account: Account, pending: PendingEntry, method: str
) -> None:
    """A login gives a token that may do what its policy grants, and is made once."""
    client = Client(open_access(method))
    client.store.check()
    staged = client.store.write_pending(account, client.store.read_pending(account), VALUE, pending)
    client.store.clear_pending(account, 1)

    assert staged.version == 1
    assert client.count("log-in 200") == 1


@pytest.mark.parametrize("method", METHODS)
def test_what_leads_in_is_never_shown(
    open_access: OpenAccess, account: Account, method: str
) -> None:
    """Token and credential are masked in whatever rotator says, as long as it has them."""
    access = open_access(method)
    client = Client(access)
    client.store.read_pending(account)
    # A certificate's key is never read by rotator.
    planted = [client.token] if method == "cert" else [client.token, access.content]
    shown = redact(" and ".join(planted))

    assert shown == " and ".join(["***"] * len(planted))


@pytest.mark.parametrize("method", METHODS)
def test_a_credential_that_is_refused_is_named(
    open_access: OpenAccess, account: Account, method: str
) -> None:
    """Vault's refusal says which method and which setting it is about, and shows no credential."""
    access = open_access(method)
    access.forbid()
    client = Client(access)
    with pytest.raises(LoginFailed, match=f"refuses the {method} login") as caught:
        client.store.read_pending(account)

    hint = caught.value.hint or ""
    assert "vault.auth" in hint or "vault.client_cert_file" in hint
    assert access.content not in caught.value.message + hint or not access.content
    assert caught.value.__context__ is None


@pytest.mark.parametrize("method", METHODS)
def test_a_revoked_token_is_replaced(
    server: "Real", open_access: OpenAccess, account: Account, method: str
) -> None:
    """A denial that a look-up of the token explains leads to one new login, unseen by the call."""
    client = Client(open_access(method))
    client.store.read_pending(account)
    first = client.token
    if method == "cert":
        # Of a simulator of its own, which its token has to be revoked by.
        client.connection.call(REVOKE)
    else:
        server.revoke_token(first)
    client.advance(60)
    client.store.read_pending(account)

    assert client.token != first
    assert client.count("log-in 200") == 2


def test_a_denial_by_policy_is_no_reason_to_log_in(
    open_access: OpenAccess, account: Account
) -> None:
    """However often the policy denies, the token stays."""
    client = Client(open_access("approle"))
    denied = replace(account, pending_path=f"elsewhere/{account.name}")
    for _ in range(5):
        client.advance(100)
        with pytest.raises(StoreForbidden) as caught:
            client.store.read_pending(denied)

        assert type(caught.value) is StoreForbidden
    assert client.count("log-in 200") == 1


def test_a_token_that_must_not_look_itself_up_is_kept(server: "Real", account: Account) -> None:
    """Without the default policy a look-up is denied too, in other words than a bad token is."""
    token = server.issue_token({"secret/data/x/*": ["read"]}, no_default_policy=True)
    store = KvStore(link(server.url, EnvToken(token)), "secret")
    with pytest.raises(StoreForbidden) as caught:
        store.read_pending(account)

    assert type(caught.value) is StoreForbidden


def test_a_login_that_is_refused_after_a_denial_is_not_repeated(
    server: "Real", open_access: OpenAccess, account: Account
) -> None:
    """Where neither token nor credential is accepted, each call is told so after one login."""
    access = open_access("approle")
    client = Client(access)
    client.store.read_pending(account)
    server.revoke_token(client.token)
    access.forbid()
    client.advance(60)
    for _ in range(3):
        with pytest.raises(LoginFailed, match="refuses the approle login"):
            client.store.read_pending(account)

    assert client.count("log-in 400") == 1


def test_a_login_that_is_refused_is_refused_to_all(
    open_access: OpenAccess, account: Account
) -> None:
    """Many accounts make one login that fails: Vault locks out who fails too often."""
    access = open_access("userpass")
    access.file.write_text("wrong")
    client = Client(access)
    failures: list[LoginFailed] = []

    def read() -> None:
        try:
            client.store.read_pending(account)
        except LoginFailed as error:
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    read()
    access.file.write_text(access.content)
    read()
    client.advance(16)
    read()

    assert len(failures) == 10
    assert {failure.message for failure in failures} == {failures[0].message}
    assert client.calls == ["log-in 400", "log-in 200", "read-pending 404"]


def test_a_token_that_is_renewed_for_the_last_time_is_replaced(
    server: "Real", open_access: OpenAccess, account: Account
) -> None:
    """Where its greatest age cuts a renewal short, the next token is logged in for in time."""
    access = open_access("approle", ttl=600)
    client = Client(access)
    client.store.read_pending(account)
    first = client.token
    server.limit_tokens(access, 300)
    with capture_logs() as logs:
        client.advance(401)
        client.store.read_pending(account)
        cut = client.token
        client.advance(201)
        client.store.read_pending(account)

    assert cut == first
    assert client.token != first
    assert (client.count("renew-token 200"), client.count("log-in 200")) == (1, 2)
    events = {log["event"]: log for log in logs}
    assert 240 <= events["vault token renewed"]["seconds"] <= 300
    assert events["logged in to vault"]["method"] == "approle"
    assert not any(first in repr(log) or client.token in repr(log) for log in logs)


@pytest.mark.parametrize("method", METHODS)
def test_a_token_is_renewed_before_it_ends(
    open_access: OpenAccess, account: Account, method: str
) -> None:
    """With a third of its life left, the same token gets a full life again."""
    client = Client(open_access(method, ttl=600))
    client.store.read_pending(account)
    first = client.connection.token_expires_at
    client.advance(399)
    client.store.read_pending(account)
    early = client.count("renew-token 200")
    client.advance(2)
    token = client.token
    client.store.read_pending(account)
    renewed = client.connection.token_expires_at

    assert (early, client.count("renew-token 200")) == (0, 1)
    assert client.token == token
    assert first
    assert renewed
    assert 399 <= (renewed - first).total_seconds() <= 402
    assert client.connection.token_lifetime == timedelta(seconds=600)


@pytest.mark.parametrize("kind", ["batch", "service"])
def test_a_token_that_cannot_be_renewed_is_replaced_in_time(
    server: "Real", open_access: OpenAccess, account: Account, kind: str
) -> None:
    """A batch token, and one that Vault no longer prolongs, give way to a new login."""
    client = Client(open_access("approle", ttl=600, max_ttl=600, kind=kind))
    client.store.read_pending(account)
    first = client.token
    if kind == "service":
        # Unasked, it is as if its greatest age had come.
        server.revoke_token(first)
    client.advance(401)
    client.store.read_pending(account)

    assert client.token != first
    assert client.count("log-in 200") == 2


def test_an_idle_token_is_kept(open_access: OpenAccess, account: Account) -> None:
    """`keep_token` renews without a call, when it is time and not before."""
    client = Client(open_access("approle", ttl=600))
    kept = [client.connection.keep_token(), client.connection.keep_token()]
    client.advance(401)
    kept.append(client.connection.keep_token())

    assert kept == [True, False, True]
    assert client.calls == ["log-in 200", "renew-token 200"]
    assert client.store.read_pending(account).entry is None


def test_a_held_token_is_kept(server: "Real") -> None:
    """A token that was handed in is looked up once, and renewed when it is time."""
    clock = FakeTimer(1_000_000_000.0)
    token = server.issue_token(GRANTED, ttl=600)
    connection = link(server.url, EnvToken(token, clock=clock))
    assert connection.token_lifetime is None
    kept = [connection.keep_token(), connection.keep_token()]
    before, lifetime = connection.token_expires_at, connection.token_lifetime
    clock.now += 401
    kept.append(connection.keep_token())
    after = connection.token_expires_at

    assert kept == [True, False, True]
    assert before
    assert after
    assert lifetime == timedelta(seconds=600)
    # What went by before it was looked up counts, too.
    assert 399 <= (after - before).total_seconds() <= 460


def test_a_token_is_looked_up(open_access: OpenAccess) -> None:
    """What Vault says of the token is told without the token."""
    client = Client(open_access("approle", ttl=600))
    standing = client.connection.look_up_token()

    assert standing.expires_at
    assert (standing.renewable, standing.kind, standing.creation_ttl) == (True, "service", 600)
    assert 540 <= standing.ttl <= 600
    assert client.token not in repr(standing)
    assert client.token not in repr(client.source.lifetime)


def test_threads_share_one_login(open_access: OpenAccess, account: Account) -> None:
    """Many threads that need a token at once make one login."""
    client = Client(open_access("approle"))
    threads = [threading.Thread(target=client.store.read_pending, args=[account]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert client.count("log-in 200") == 1
    assert client.count("read-pending 404") == 8


def test_a_token_for_few_requests_is_replaced_in_time(
    open_access: OpenAccess, account: Account
) -> None:
    """Its uses are counted, so that no request is denied for want of one."""
    client = Client(open_access("approle", uses=3))
    for _ in range(8):
        client.store.read_pending(account)

    assert client.calls == [
        *["log-in 200", *["read-pending 404"] * 3] * 2,
        *["log-in 200", *["read-pending 404"] * 2],
    ]


def test_threads_share_tokens_for_few_requests(open_access: OpenAccess, account: Account) -> None:
    """None of them is given the use that another has had."""
    client = Client(open_access("approle", uses=2))
    threads = [threading.Thread(target=client.store.read_pending, args=[account]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert client.count("read-pending 404") == 8
    assert client.count("log-in 200") == 4


@pytest.mark.parametrize("method", METHODS)
def test_a_token_that_was_logged_in_for_is_given_back(
    open_access: OpenAccess, account: Account, method: str
) -> None:
    """Nothing that could read the values is left behind; and only once."""
    access = open_access(method)
    client = Client(access)
    client.store.read_pending(account)
    token = client.token
    client.connection.close()
    client.connection.close()
    with pytest.raises(TokenRefused):
        KvStore(link(access.url, EnvToken(token), access.trust), "secret").read_pending(account)

    assert client.count("revoke-token 204") == 1


def test_a_token_that_was_replaced_is_given_back_once_nobody_uses_it(
    open_access: OpenAccess, account: Account
) -> None:
    """Requests with it may be under way for as long as one may take."""
    access = open_access("approle", ttl=600, max_ttl=600)
    client = Client(access)
    client.store.read_pending(account)
    first = client.token
    client.advance(401)
    assert client.source.lifetime
    client.source._lifetime = replace(client.source.lifetime, renewable=False)
    client.store.read_pending(account)
    early = client.connection.keep_token(), client.count("revoke-token 204")
    client.advance(11)
    client.connection.keep_token()

    assert client.token != first
    assert early == (False, 0)
    assert client.count("revoke-token 204") == 1


@pytest.mark.parametrize("kind", ["batch", "service"])
def test_what_cannot_be_given_back_is_left(
    open_access: OpenAccess, account: Account, kind: str
) -> None:
    """Vault cannot revoke a batch token; one that is used up is gone."""
    client = Client(open_access("approle", kind=kind, uses=0 if kind == "batch" else 1))
    client.store.read_pending(account)
    client.connection.close()

    assert client.calls == ["log-in 200", "read-pending 404"]


def test_a_token_that_was_handed_in_is_left_alone(server: "Real", account: Account) -> None:
    """Whoever issued it may use it elsewhere."""
    token = server.issue_token(GRANTED)
    for _ in range(2):
        connection = link(server.url, EnvToken(token))
        KvStore(connection, "secret").read_pending(account)
        connection.close()


def test_a_role_may_want_no_secret_id(
    server: "Real", open_access: OpenAccess, account: Account
) -> None:
    """With `bind_secret_id=false` the role id is all there is."""
    access = open_access("approle")
    server.want_no_secret_id(access)
    assert isinstance(access.auth_method, AppRole)
    role_id_file = str(access.auth_method._role_id)
    without = AppRole(role_id_file=role_id_file, secret_id_file="", mount=access.auth_method.mount)
    client = Client(replace(access, auth_method=without))
    client.store.read_pending(account)

    assert client.calls == ["log-in 200", "read-pending 404"]
