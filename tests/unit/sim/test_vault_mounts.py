"""Mounts of either version, and the paths that they have and have not."""

import pytest

from rotator.sim import VaultSimulator
from tests.unit.sim.vault import DATA, DENIED, ONE, PATH, call


@pytest.mark.parametrize(
    ("method", "path", "text"),
    [
        ("GET", "/v1/secret/vonage/sms", "Invalid path for a versioned K/V"),
        ("POST", "/v1/secret/vonage/sms", "kv put"),
        ("GET", "/v1/secret/data", "Non-listing operations on the root"),
    ],
)
def test_a_version_1_path_is_404_with_a_warning(
    vault: VaultSimulator, method: str, path: str, text: str
) -> None:
    """A path that a version 2 mount does not have is explained in a warning."""
    answer = call(vault, method, path, {})

    assert answer.status == 404
    assert text in answer.document["warnings"][0]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", DATA),
        ("LIST", DATA),
        ("GET", f"/v1/secret/destroy/{PATH}"),
        ("DELETE", "/v1/secret/config"),
        ("GET", "/v1/auth/token/renew-self"),
        ("GET", "/v1/sys/capabilities-self"),
        ("POST", "/v1/sys/internal/ui/mounts/secret"),
        ("POST", "/v1/sys/health"),
        ("POST", "/v1/sys/seal-status"),
    ],
)
def test_other_methods_are_405(vault: VaultSimulator, method: str, path: str) -> None:
    """What a path does not know is unsupported."""
    assert call(vault, method, path, {}).status == 405


@pytest.mark.parametrize("path", ["/v1/secret/data/", "/v1/kv1/"])
def test_a_folder_cannot_be_written(vault: VaultSimulator, path: str) -> None:
    """A write to a path with a slash at its end is refused, a read finds nothing."""
    written = call(vault, "POST", path, {"data": ONE})

    assert written.refusal == (400, ["cannot write to a path ending in '/'"])
    assert call(vault, "GET", path).refusal == (404, [])


def test_a_version_1_mount_keeps_one_value(vault: VaultSimulator) -> None:
    """KV version 1 has no versions; a write answers 204 and a ttl sets the lease."""
    written = call(vault, "POST", "/v1/kv1/app/a", {"k": 1, "ttl": "1h"})
    read = call(vault, "GET", "/v1/kv1/app/a").document
    listed = call(vault, "LIST", "/v1/kv1/app").data
    deleted = call(vault, "DELETE", "/v1/kv1/app/a")

    assert (written.status, deleted.status) == (204, 204)
    assert (read["data"], read["lease_duration"]) == ({"k": 1, "ttl": "1h"}, 3600)
    assert listed == {"keys": ["a"]}
    assert call(vault, "GET", "/v1/kv1/app/a").refusal == (404, [])
    assert call(vault, "LIST", "/v1/kv1/app").refusal == (404, [])


def test_a_version_1_mount_takes_version_2_calls(vault: VaultSimulator) -> None:
    """A version 2 write to a version 1 mount succeeds with 204, as an entry data/x."""
    answer = call(vault, "POST", "/v1/kv1/data/x", {"data": ONE, "options": {"cas": 0}})

    assert (answer.status, answer.body) == (204, b"")
    assert vault.read("data/x", mount="kv1") == {"data": ONE, "options": {"cas": 0}}
    assert call(vault, "GET", "/v1/kv1/data/x").document["lease_duration"] == 2764800


def test_a_ttl_that_is_none_leaves_the_default_lease(vault: VaultSimulator) -> None:
    """A field of that name need not be a duration."""
    vault.write("x", {"ttl": "soon"}, mount="kv1")

    assert call(vault, "GET", "/v1/kv1/x").document["lease_duration"] == 2764800


def test_a_version_1_write_needs_fields(vault: VaultSimulator) -> None:
    """Nothing cannot be stored."""
    assert call(vault, "POST", "/v1/kv1/x", {}).refusal == (400, ["missing data fields"])


@pytest.mark.parametrize(
    ("path", "name", "version"),
    [
        ("secret/vonage", "secret/", "2"),
        ("kv1", "kv1/", "1"),
        ("secret/nested/x", "secret/nested/", "2"),
    ],
)
def test_a_mount_tells_its_version(
    vault: VaultSimulator, path: str, name: str, version: str
) -> None:
    """sys/internal/ui/mounts finds the mount of a path, also for an ordinary token."""
    answer = call(
        vault, "GET", f"/v1/sys/internal/ui/mounts/{path}", token=vault.issue_token()
    ).data

    assert (answer["path"], answer["type"], answer["options"]) == (name, "kv", {"version": version})


@pytest.mark.parametrize("path", ["none", "kv1"])
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
