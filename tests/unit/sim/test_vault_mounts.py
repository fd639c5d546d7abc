"""Mounts, and the paths that they have and have not."""

import pytest

from rotator.sim import VaultSimulator
from tests.unit.sim.vault import DATA, DENIED, PATH, call


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", DATA),
        ("GET", f"/v1/secret/destroy/{PATH}"),
        ("GET", "/v1/auth/token/renew-self"),
        ("GET", "/v1/sys/capabilities-self"),
        ("POST", "/v1/sys/internal/ui/mounts/secret"),
        ("POST", "/v1/sys/health"),
    ],
)
def test_other_methods_are_405(vault: VaultSimulator, method: str, path: str) -> None:
    """What a path does not know is unsupported."""
    assert call(vault, method, path, {}).status == 405


@pytest.mark.parametrize(
    ("path", "name"), [("secret/vonage", "secret/"), ("secret/nested/x", "secret/nested/")]
)
def test_a_mount_tells_its_version(vault: VaultSimulator, path: str, name: str) -> None:
    """sys/internal/ui/mounts finds the mount of a path, also for an ordinary token."""
    answer = call(
        vault, "GET", f"/v1/sys/internal/ui/mounts/{path}", token=vault.issue_token()
    ).data

    assert (answer["path"], answer["type"], answer["options"]) == (name, "kv", {"version": "2"})


@pytest.mark.parametrize("path", ["none", "secret/nested"])
def test_a_mount_out_of_reach_is_403(vault: VaultSimulator, path: str) -> None:
    """Unknown mounts and those without any permission cannot be told apart."""
    token = vault.issue_token(policies={"secret/data/*": {"read"}})

    status, (error,) = call(vault, "GET", f"/v1/sys/internal/ui/mounts/{path}", token=token).refusal

    assert status == 403
    assert f'grant access to path "{path}/"' in error


def test_an_unknown_mount_is_404_for_root_only(vault: VaultSimulator) -> None:
    """Root is told that nothing is mounted, an ordinary token is denied first."""
    root = call(vault, "GET", "/v1/none/data/x")
    ordinary = call(vault, "GET", "/v1/none/data/x", token=vault.issue_token())

    assert root.refusal == (
        404,
        ['no handler for route "none/data/x". route entry not found.'],
    )
    assert ordinary.refusal == (403, [DENIED])
    assert call(vault, "GET", "/other").status == 404
    assert call(vault, "GET", "/v1/secret/vonage/sms").status == 404
