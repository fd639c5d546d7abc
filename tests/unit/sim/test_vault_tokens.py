"""Tokens: looked up, renewed, revoked, and what each may do."""

from typing import Any

import pytest

from rotator.sim import VaultSimulator
from tests.support.clock import FakeClock
from tests.unit.sim.vault import DATA, DENIED, ONE, PATH, TWO, call


@pytest.mark.parametrize("token", [None, "wrong"])
def test_without_a_token_everything_is_403(vault: VaultSimulator, token: str | None) -> None:
    """A missing and an unknown token are answered alike."""
    for path in (DATA, "/v1/auth/token/lookup-self", "/v1/none/x", "/v1/sys/capabilities-self"):
        assert call(vault, "GET", path, token=token).refusal == (403, ["permission denied"])


def test_a_bearer_token_is_taken(vault: VaultSimulator) -> None:
    """The token may come as Authorization: Bearer."""
    headers = {"Authorization": "Bearer root"}

    answer = call(vault, "GET", "/v1/auth/token/lookup-self", token=None, headers=headers)

    assert answer.status == 200


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


@pytest.mark.parametrize(("increment", "lease"), [(None, 60), ("90s", 90), (30, 30), ("2h", 100)])
def test_a_renewal_starts_anew_up_to_the_longest(
    vault: VaultSimulator, clock: FakeClock, increment: object, lease: int
) -> None:
    """A renewal grants the increment or the first time, but never beyond max_ttl."""
    token = vault.issue_token(ttl=60, max_ttl=120)
    clock.advance(seconds=20)

    answer = call(vault, "POST", "/v1/auth/token/renew-self", {"increment": increment}, token=token)

    auth = answer.document["auth"]
    assert (auth["client_token"], auth["lease_duration"], auth["renewable"]) == (token, lease, True)
    assert call(vault, "GET", "/v1/auth/token/lookup-self", token=token).data["ttl"] == lease


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"renewable": False}, "lease is not renewable"),
        ({"type": "batch"}, "batch tokens cannot be renewed"),
    ],
)
def test_some_tokens_cannot_be_renewed(
    vault: VaultSimulator, options: dict[str, Any], text: str
) -> None:
    """A token that was issued so, or of the batch type, is refused with the reason."""
    token = vault.issue_token(ttl=60, **options)

    assert call(vault, "PUT", "/v1/auth/token/renew-self", {}, token=token).refusal == (400, [text])


def test_a_bad_increment_is_400(vault: VaultSimulator) -> None:
    """An increment is a duration."""
    token = vault.issue_token(ttl=60)

    answer = call(vault, "PUT", "/v1/auth/token/renew-self", {"increment": "x"}, token=token)

    assert answer.status == 400


def test_tokens_are_revoked(vault: VaultSimulator) -> None:
    """A token may revoke itself or be revoked; a batch token cannot."""
    own, others = vault.issue_token(), vault.issue_token()
    batch = vault.issue_token(type="batch")
    statuses = [
        call(vault, "POST", "/v1/auth/token/revoke-self", token=token).status
        for token in (own, batch)
    ]
    vault.revoke_token(others)

    assert statuses == [204, 400]
    for token in (own, others):
        assert call(vault, "GET", "/v1/auth/token/lookup-self", token=token).status == 403
    with pytest.raises(KeyError):
        vault.revoke_token(others)


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        ({"secret/data/vonage/*": {"create", "read"}}, [200, 403, 200, 403]),
        ({f"secret/data/{PATH}": {"update", "delete"}}, [403, 200, 403, 204]),
        ({"secret/data/+/sms": {"create", "update"}}, [200, 200, 403, 403]),
        ({"secret/*": {"read"}, "secret/data/*": {"deny"}}, [403, 403, 403, 403]),
        (
            {"secret/+/*": {"deny"}, "*": {"read"}, "secret/data/v*": {"read"}},
            [403, 403, 200, 403],
        ),
    ],
)
def test_policies_are_enforced(
    vault: VaultSimulator, policies: dict[str, set[str]], expected: list[int]
) -> None:
    """The most specific pattern decides which of create, update, read, delete may be."""
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
    root = call(vault, "POST", "/v1/sys/capabilities-self", {"path": "secret/data/x"})

    assert ordinary == {"secret/data/x": ["create", "update"], "secret/metadata/x": ["deny"]}
    assert root.data == {"secret/data/x": ["root"], "capabilities": ["root"]}
    assert root.document["capabilities"] == ["root"]
    assert call(vault, "POST", "/v1/sys/capabilities-self", {}).status == 400


@pytest.mark.parametrize(
    "options", [{"policies": {"secret/*": {"write"}}}, {"type": "recovery"}], ids=["word", "type"]
)
def test_a_token_is_checked(vault: VaultSimulator, options: dict[str, Any]) -> None:
    """Unknown capabilities and types cannot be issued."""
    with pytest.raises(ValueError, match=r"write|recovery"):
        vault.issue_token(**options)
