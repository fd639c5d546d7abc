"""A key's versions: written with check-and-set, read, deleted and destroyed."""

import pytest

from rotator.sim import VaultSimulator
from tests.unit.sim.vault import DATA, METADATA, ONE, PATH, THREE, TWO, call, write

MISMATCH = "check-and-set parameter did not match the current version"
REQUIRED = "check-and-set parameter required for this call"


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
        "created_time": "2027-01-15T08:00:00.123456789Z",
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


@pytest.mark.parametrize("path", [f"{DATA}?version=2", "/v1/secret/data/none", f"{METADATA}/none"])
def test_what_is_missing_is_404_without_errors(vault: VaultSimulator, path: str) -> None:
    """A key or version that never was is told by an empty list."""
    write(vault, ONE)

    assert call(vault, "GET", path).refusal == (404, [])


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


def test_a_key_without_metadata_starts_anew(vault: VaultSimulator) -> None:
    """After its metadata is deleted a key never existed."""
    write(vault, ONE)
    answer = call(vault, "DELETE", METADATA)

    assert answer.status == 204
    assert write(vault, TWO, cas=0).data["version"] == 1


def test_metadata_alone_takes_check_and_set_zero(vault: VaultSimulator) -> None:
    """A key that has metadata and no version yet is written with zero."""
    call(vault, "POST", METADATA, {"max_versions": 3})

    assert write(vault, ONE, cas=0).data["version"] == 1


@pytest.mark.parametrize("path", ["/v1/secret/config", METADATA], ids=["mount", "key"])
def test_check_and_set_may_be_required(vault: VaultSimulator, path: str) -> None:
    """The mount or the key may demand it for every write."""
    write(vault, ONE)
    call(vault, "POST", path, {"cas_required": True})

    assert write(vault, TWO).refusal == (400, [REQUIRED])
    assert write(vault, TWO, cas=1).status == 200


def test_a_refused_write_leaves_no_key(vault: VaultSimulator) -> None:
    """A check-and-set that fails creates nothing, metadata included."""
    write(vault, ONE, cas=7)

    assert call(vault, "GET", METADATA).status == 404


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

    metadata = call(vault, "GET", METADATA).data
    assert list(metadata["versions"]) == [str(number) for number in range(2, 12)]
    assert (metadata["oldest_version"], metadata["current_version"]) == (2, 11)
    assert call(vault, "GET", f"{DATA}?version=1").refusal == (404, [])


def test_a_key_may_keep_fewer_versions(vault: VaultSimulator) -> None:
    """A key's max_versions rules where the mount has none."""
    call(vault, "PUT", METADATA, {"max_versions": 2})
    for data in (ONE, TWO, THREE):
        write(vault, data)

    assert [version.data for version in vault.versions(PATH)] == [TWO, THREE]


def test_a_deleted_version_is_404_with_its_metadata(vault: VaultSimulator) -> None:
    """A soft-deleted version tells when it was deleted, and can be taken back."""
    write(vault, ONE)
    write(vault, TWO)
    deleted = call(vault, "POST", f"/v1/secret/delete/{PATH}", {"versions": [1]})
    gone = call(vault, "GET", f"{DATA}?version=1")
    undeleted = call(vault, "POST", f"/v1/secret/undelete/{PATH}", {"versions": ["1"]})

    assert (deleted.status, gone.status, undeleted.status) == (204, 404, 204)
    assert "errors" not in gone.document
    assert gone.data["data"] is None
    assert gone.data["metadata"]["deletion_time"] == "2027-01-15T08:00:00.123456789Z"
    assert call(vault, "GET", f"{DATA}?version=1").data["data"] == ONE


def test_a_destroyed_version_is_gone_for_good(vault: VaultSimulator) -> None:
    """Destroying removes the data, and neither undelete nor delete changes that."""
    write(vault, ONE)
    call(vault, "POST", f"/v1/secret/destroy/{PATH}", {"versions": [1]})
    call(vault, "POST", f"/v1/secret/undelete/{PATH}", {"versions": [1]})

    answer = call(vault, "GET", DATA)
    assert (answer.status, answer.data["data"]) == (404, None)
    assert answer.data["metadata"]["destroyed"] is True
    assert answer.data["metadata"]["deletion_time"] == ""


@pytest.mark.parametrize("operation", ["delete", "undelete", "destroy"])
def test_versions_must_be_named(vault: VaultSimulator, operation: str) -> None:
    """An empty list is refused; a key that is not there is no error."""
    path = f"/v1/secret/{operation}/{PATH}"

    status, (error,) = call(vault, "POST", path, {"versions": []}).refusal

    assert (status, error.lower()) == (400, "no version number provided")
    assert call(vault, "POST", path, {"versions": [1]}).status == 204
