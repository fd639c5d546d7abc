"""The rules of a key and of its mount, and the list of keys."""

import pytest

from rotator.sim import VaultSimulator
from tests.unit.sim.clock import Clock
from tests.unit.sim.vault import DATA, METADATA, ONE, call, write


def test_metadata_is_shown(vault: VaultSimulator) -> None:
    """The metadata names every version and every rule of the key."""
    write(vault, ONE)
    call(
        vault,
        "POST",
        METADATA,
        {
            "max_versions": 5,
            "cas_required": True,
            "delete_version_after": "1h30m",
            "custom_metadata": {"owner": "sms"},
        },
    )

    assert call(vault, "GET", METADATA).data == {
        "cas_required": True,
        "created_time": "2027-01-15T08:00:00.123456789Z",
        "current_metadata_version": 1,
        "current_version": 1,
        "custom_metadata": {"owner": "sms"},
        "delete_version_after": "1h30m0s",
        "max_versions": 5,
        "metadata_cas_required": False,
        "oldest_version": 0,
        "updated_time": "2027-01-15T08:00:00.123456789Z",
        "versions": {
            "1": {
                "created_time": "2027-01-15T08:00:00.123456789Z",
                "deletion_time": "",
                "destroyed": False,
            }
        },
    }


@pytest.mark.parametrize(
    "custom",
    [
        {str(number): "x" for number in range(65)},
        {"k" * 129: "x"},
        {"k": "x" * 513},
        {"k": ""},
        {"k": None},
        {"k": "a\nb"},
    ],
)
def test_custom_metadata_has_limits(vault: VaultSimulator, custom: object) -> None:
    """What breaks a limit is refused and leaves no key."""
    status, (error,) = call(vault, "POST", METADATA, {"custom_metadata": custom}).refusal

    assert (status, "custom_metadata validation failed" in error) == (400, True)
    assert call(vault, "GET", METADATA).status == 404


@pytest.mark.parametrize(
    "body",
    [
        {"max_versions": "x"},
        {"cas_required": "x"},
        {"delete_version_after": "soon"},
        {"custom_metadata": "x"},
    ],
)
def test_rules_are_checked(vault: VaultSimulator, body: object) -> None:
    """A rule of the wrong type is refused."""
    status, (error,) = call(vault, "POST", METADATA, body).refusal

    assert (status, error.startswith("error converting input for field")) == (400, True)


def test_a_useless_rule_is_warned_about(vault: VaultSimulator) -> None:
    """A key cannot lift what the mount demands: 200 with a warning and not 204."""
    call(vault, "POST", "/v1/secret/config", {"cas_required": True})

    answer = call(vault, "POST", METADATA, {"cas_required": False})

    assert answer.status == 200
    assert "mandated by backend config" in answer.document["warnings"][0]


def test_the_mounts_rules_are_shown(vault: VaultSimulator) -> None:
    """GET config answers what POST config has set."""
    before = call(vault, "GET", "/v1/secret/config").data
    call(vault, "POST", "/v1/secret/config", {"max_versions": 3, "delete_version_after": 90})

    assert before == {
        "max_versions": 0,
        "cas_required": False,
        "delete_version_after": "0s",
        "metadata_cas_required": False,
    }
    assert call(vault, "GET", "/v1/secret/config").data == {
        "max_versions": 3,
        "cas_required": False,
        "delete_version_after": "1m30s",
        "metadata_cas_required": False,
    }


@pytest.mark.parametrize(("mount", "key", "lives"), [(60, 30, 30), (30, 60, 30), (0, 60, 60)])
def test_versions_may_expire(
    vault: VaultSimulator, clock: Clock, mount: int, key: int, lives: int
) -> None:
    """A new version is deleted after the shorter of the mount's and the key's time."""
    call(vault, "POST", "/v1/secret/config", {"delete_version_after": mount})
    call(vault, "POST", METADATA, {"delete_version_after": f"{key}s"})
    write(vault, ONE)
    clock.forward(lives - 1)
    before = call(vault, "GET", DATA).status
    clock.forward(1)

    assert (before, call(vault, "GET", DATA).status) == (200, 404)


def test_keys_are_listed(vault: VaultSimulator) -> None:
    """A list shows keys and folders of one level, with either way to ask for it."""
    for path in ("vonage/b", "vonage/a/x", "vonage/a/y", "vonage/a", "other"):
        vault.write(path, ONE)

    assert call(vault, "LIST", "/v1/secret/metadata/vonage").data == {"keys": ["a", "a/", "b"]}
    assert call(vault, "GET", "/v1/secret/metadata?list=true").data["keys"] == ["other", "vonage/"]
    assert call(vault, "LIST", "/v1/secret/metadata/none").refusal == (404, [])
