"""A key's versions: written with check-and-set, read, deleted and destroyed."""

import pytest

from rotator.sim import VaultSimulator
from tests.support.clock import FakeClock
from tests.unit.sim.vault import DATA, ONE, PATH, TWO, call, write

MISMATCH = "check-and-set parameter did not match the current version"


def test_a_write_answers_the_new_version(vault: VaultSimulator) -> None:
    """A write answers version and times, in nanoseconds, in Vault's envelope."""
    answer = write(vault, ONE)

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.document.keys() == {
        "request_id",
        "lease_id",
        "renewable",
        "lease_duration",
        "data",
        "wrap_info",
        "warnings",
        "auth",
    }
    assert answer.data == {
        "version": 1,
        "created_time": "2026-11-23T07:28:00.123456789Z",
        "deletion_time": "",
        "destroyed": False,
        "custom_metadata": None,
    }


def test_a_read_answers_data_and_metadata(vault: VaultSimulator) -> None:
    """The current version is read by default and any other by its number."""
    write(vault, ONE)
    second = write(vault, TWO)

    current = call(vault, "GET", DATA)
    first = call(vault, "GET", f"{DATA}?version=1")

    assert current.data == {"data": TWO, "metadata": second.data}
    assert (first.data["data"], first.data["metadata"]["version"]) == (ONE, 1)
    assert call(vault, "GET", f"{DATA}?version=0").data == current.data


@pytest.mark.parametrize("cas", [1, "1"])
def test_check_and_set_takes_the_current_version(vault: VaultSimulator, cas: object) -> None:
    """The current version as a number or a text lets a write through, any other does not."""
    write(vault, ONE, cas=0)

    assert write(vault, TWO, cas=2).refusal == (400, [MISMATCH])
    assert write(vault, TWO, cas=0).refusal == (400, [MISMATCH])
    assert write(vault, TWO, cas=cas).data["version"] == 2


def test_a_soft_deleted_key_needs_its_version(vault: VaultSimulator) -> None:
    """Deleting the latest version does not bring back check-and-set zero."""
    write(vault, ONE)
    call(vault, "DELETE", DATA)

    assert write(vault, TWO, cas=0).refusal == (400, [MISMATCH])
    assert write(vault, TWO, cas=1).data["version"] == 2


def test_a_refused_write_leaves_no_key(vault: VaultSimulator) -> None:
    """A check-and-set that fails creates nothing."""
    write(vault, ONE, cas=7)

    assert PATH not in vault.state()["mounts"]["secret"]["keys"]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("{", "failed to decode JSON input"),
        ([1], "failed to decode JSON input"),
        ({}, "no data provided"),
        ("null", "no data provided"),
        ({"data": "text"}, 'error converting input for field "data"'),
        ({"data": {}, "options": {"cas": "x"}}, "error parsing check-and-set parameter"),
        ({"data": {}, "options": {"cas": None}}, MISMATCH),
    ],
)
def test_a_write_that_does_not_fit_is_400(vault: VaultSimulator, body: object, text: str) -> None:
    """What cannot be written is refused with a reason, a null cas counts as zero."""
    vault.write(PATH, ONE)

    status, (error,) = call(vault, "POST", DATA, body).refusal

    assert status == 400
    assert error.startswith(text)


def test_only_ten_versions_are_kept(vault: VaultSimulator) -> None:
    """The eleventh version pushes out the first."""
    for number in range(11):
        write(vault, {"number": number})

    assert [version.version for version in vault.versions(PATH)] == [*range(2, 12)]
    assert vault.current_version(PATH) == 11
    assert call(vault, "GET", f"{DATA}?version=1").refusal == (404, [])


def test_a_deleted_version_is_404_with_its_metadata(vault: VaultSimulator) -> None:
    """A soft-deleted version tells when it was deleted, and others are as they were."""
    write(vault, ONE)
    write(vault, TWO)
    deleted = call(vault, "DELETE", DATA)
    gone = call(vault, "GET", DATA)

    assert (deleted.status, gone.status) == (204, 404)
    assert "errors" not in gone.document
    assert gone.data["data"] is None
    assert gone.data["metadata"]["deletion_time"] == "2026-11-23T07:28:00.123456789Z"
    assert call(vault, "GET", f"{DATA}?version=1").data["data"] == ONE


def test_a_destroyed_version_is_gone_for_good(vault: VaultSimulator) -> None:
    """Destroying removes the data, and a deletion does not change that."""
    write(vault, ONE)
    call(vault, "POST", f"/v1/secret/destroy/{PATH}", {"versions": [1]})
    call(vault, "DELETE", DATA)

    answer = call(vault, "GET", DATA)
    assert (answer.status, answer.data["data"]) == (404, None)
    assert answer.data["metadata"]["destroyed"] is True
    assert answer.data["metadata"]["deletion_time"] == ""


def test_versions_may_expire(vault: VaultSimulator, clock: FakeClock) -> None:
    """Where it is set for a key, a version that is written is deleted by itself after a while."""
    vault._mounts["secret"].key(PATH).delete_version_after = 30
    write(vault, ONE)
    clock.advance(seconds=29)
    before = call(vault, "GET", DATA).status
    clock.advance(seconds=1)

    assert (before, call(vault, "GET", DATA).status) == (200, 404)


def test_a_version_ends_when_the_key_says_so(vault: VaultSimulator) -> None:
    """What is written after `delete_version_after` was set says when it ends; nonsense is 400."""
    metadata = f"/v1/secret/metadata/{PATH}"
    refused = call(vault, "POST", metadata, {"delete_version_after": "soon"})
    done = call(vault, "POST", metadata, {"delete_version_after": "4s"})

    assert (refused.status, done.status) == (400, 204)
    assert write(vault, ONE).data["deletion_time"] == "2026-11-23T07:28:04.123456789Z"
