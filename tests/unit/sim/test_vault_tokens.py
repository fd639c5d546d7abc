"""Tokens: looked up, renewed, revoked, and what each may do."""

import pytest

from rotator.sim import VaultSimulator
from tests.support.clock import FakeClock
from tests.unit.sim.vault import DATA, DENIED, ONE, PATH, TWO, call


def test_root_looks_itself_up(vault: VaultSimulator) -> None:
    """The root token never expires and is not renewable."""
    data = call(vault, "GET", "/v1/auth/token/lookup-self").data

    assert (data["ttl"], data["expire_time"], data["renewable"]) == (0, None, False)
    assert (data["policies"], data["type"], data["id"]) == (["root"], "service", "root")
    assert call(vault, "POST", "/v1/auth/token/renew-self", {}).status == 400


def test_a_token_expires(vault: VaultSimulator, clock: FakeClock) -> None:
    """A look-up counts down, and after its time a token is as good as none."""
    token = vault.issue_token(ttl=60)
    clock.advance(seconds=20)
    data = call(vault, "GET", "/v1/auth/token/lookup-self", token=token).data
    clock.advance(seconds=40)

    assert (data["ttl"], data["creation_ttl"], data["renewable"]) == (40, 60, True)
    assert data["expire_time"] == "2026-11-23T07:29:00.123456789Z"
    assert call(vault, "GET", DATA, token=token).refusal == (403, ["permission denied"])


@pytest.mark.parametrize(
    ("increment", "lease"), [(None, 60), ("90s", 90), (30, 30), ("40d", 32 * 86400 - 20)]
)
def test_a_renewal_starts_anew_up_to_the_longest(
    vault: VaultSimulator, clock: FakeClock, increment: object, lease: int
) -> None:
    """A renewal grants the increment or the first span, but never a life of over 32 days."""
    token = vault.issue_token(ttl=60)
    clock.advance(seconds=20)

    answer = call(vault, "POST", "/v1/auth/token/renew-self", {"increment": increment}, token=token)

    auth = answer.document["auth"]
    assert (auth["client_token"], auth["lease_duration"], auth["renewable"]) == (token, lease, True)
    assert call(vault, "GET", "/v1/auth/token/lookup-self", token=token).data["ttl"] == lease


def test_a_bad_increment_is_400(vault: VaultSimulator) -> None:
    """An increment is a duration."""
    token = vault.issue_token(ttl=60)

    answer = call(vault, "PUT", "/v1/auth/token/renew-self", {"increment": "x"}, token=token)

    assert answer.status == 400


def test_tokens_are_revoked(vault: VaultSimulator) -> None:
    """A token may revoke itself or be revoked."""
    own, others = vault.issue_token(), vault.issue_token()
    answer = call(vault, "POST", "/v1/auth/token/revoke-self", token=own)
    vault.revoke_token(others)

    assert answer.status == 204
    for token in (own, others):
        assert call(vault, "GET", "/v1/auth/token/lookup-self", token=token).status == 403
    with pytest.raises(KeyError):
        vault.revoke_token(others)


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        ({"secret/data/vonage/*": {"create", "read"}}, [200, 403, 200, 403]),
        ({f"secret/data/{PATH}": {"update", "delete"}}, [403, 200, 403, 204]),
        ({"secret/*": {"read"}, "secret/data/*": {"delete"}}, [403, 403, 403, 204]),
    ],
)
def test_policies_are_enforced(
    vault: VaultSimulator, policies: dict[str, set[str]], expected: list[int]
) -> None:
    """The longest pattern decides which of create, update, read and delete are allowed."""
    token = vault.issue_token(policies=policies)
    created = call(vault, "POST", DATA, {"data": ONE}, token=token)
    vault.write(PATH, ONE)
    others = [
        call(vault, method, path, {"data": TWO} if method == "POST" else None, token=token)
        for method, path in [
            ("POST", DATA),
            ("GET", DATA),
            ("DELETE", DATA),
        ]
    ]

    answers = [created, *others]
    assert [answer.status for answer in answers] == expected
    assert all(answer.refusal == (403, [DENIED]) for answer in answers if answer.status == 403)


def test_an_ordinary_token_may_use_the_mounts(vault: VaultSimulator) -> None:
    """Without policies of its own an issued token may do everything on the mounts there are."""
    token = vault.issue_token()

    assert call(vault, "POST", DATA, {"data": ONE}, token=token).status == 200
    assert call(vault, "DELETE", "/v1/secret/nested/data/x", token=token).status == 204


def test_capabilities_are_told(vault: VaultSimulator) -> None:
    """capabilities-self answers per path what a policy grants; root is root."""
    token = vault.issue_token(policies={"secret/data/*": {"update", "create"}})
    body = {"paths": ["secret/data/x", "secret/metadata/x"]}

    ordinary = call(vault, "POST", "/v1/sys/capabilities-self", body, token=token).data
    root = call(vault, "POST", "/v1/sys/capabilities-self", {"paths": ["secret/data/x"]})

    assert ordinary == {"secret/data/x": ["create", "update"], "secret/metadata/x": ["deny"]}
    assert root.data == {"secret/data/x": ["root"], "capabilities": ["root"]}
    assert root.document["capabilities"] == ["root"]
    assert call(vault, "POST", "/v1/sys/capabilities-self", {}).status == 400


def test_a_policy_is_checked(vault: VaultSimulator) -> None:
    """A token with an unknown capability is not issued."""
    with pytest.raises(ValueError, match="write"):
        vault.issue_token(policies={"secret/*": {"write"}})


def test_a_login_issues_a_token(vault: VaultSimulator) -> None:
    """A credential that was allowed gets a token, another one is refused."""
    vault.allow_login("userpass/login/rotator", {"password": "open-sesame"}, ttl=60)
    path = "/v1/auth/userpass/login/rotator"
    answer = call(vault, "POST", path, {"password": "open-sesame"}, token=None)
    refused = call(vault, "POST", path, {"password": "other"}, token=None)

    auth = answer.document["auth"]
    assert (auth["lease_duration"], auth["orphan"], refused.status) == (60, True, 400)
    assert call(vault, "POST", DATA, {"data": ONE}, token=auth["client_token"]).status == 200
