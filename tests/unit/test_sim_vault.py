import http.client
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest

from rotator.sim import Exchange, Fault, Phase, VaultSimulator, World

PATH = "vonage/sms"
DATA, METADATA = f"/v1/secret/data/{PATH}", f"/v1/secret/metadata/{PATH}"
ONE, TWO, THREE = {"api_secret": "one"}, {"api_secret": "two"}, {"api_secret": "three"}
MISMATCH = "check-and-set parameter did not match the current version"
REQUIRED = "check-and-set parameter required for this call"
DENIED = "1 error occurred:\n\t* permission denied\n\n"


@dataclass
class Answer:
    """An answer, read to its end."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def document(self) -> Any:  # noqa: ANN401 - JSON
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def data(self) -> Any:  # noqa: ANN401 - JSON
        """What the envelope holds."""
        return self.document["data"]

    @property
    def refusal(self) -> tuple[int, list[str]]:
        """Status and errors."""
        return self.status, self.document["errors"]


@dataclass
class Clock:
    """A clock that a test sets."""

    now: int = 1_800_000_000_123_456_789

    def __call__(self) -> int:
        """Give the nanoseconds since the epoch."""
        return self.now

    def forward(self, seconds: float) -> None:
        """Let so much time pass."""
        self.now += int(seconds * 10**9)


def call(  # noqa: PLR0913 - a request has as many parts
    simulator: VaultSimulator,
    method: str,
    path: str,
    body: object = None,
    *,
    token: str | None = "root",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Make one request; a body that is no text is sent as JSON."""
    sent = {**(headers or {}), **({"X-Vault-Token": token} if token else {})}
    with closing(http.client.HTTPConnection(urlsplit(simulator.url).netloc, timeout=5)) as client:
        client.request(method, path, body if isinstance(body, str) else json.dumps(body), sent)
        response = client.getresponse()
        return Answer(response.status, response.headers, response.read())


def write(simulator: VaultSimulator, data: object, **options: object) -> Answer:
    """Write a version, with check-and-set if `cas` is given."""
    return call(simulator, "POST", DATA, {"options": options, "data": data})


@pytest.fixture
def clock() -> Clock:
    """Time stands still until the test moves it."""
    return Clock()


@pytest.fixture
def vault(clock: Clock) -> Iterator[VaultSimulator]:
    """An empty Vault with a mount of each KV version."""
    with VaultSimulator(mounts={"secret": 2, "kv1": 1, "secret/nested": 2}, clock=clock) as started:
        yield started


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


def test_health(vault: VaultSimulator) -> None:
    """Health needs no token; sealed is 503, and the caller may choose other statuses."""
    active = call(vault, "GET", "/v1/sys/health", token=None)
    head = call(vault, "HEAD", "/v1/sys/health?activecode=299", token=None)
    vault.sealed = True
    sealed = call(vault, "GET", "/v1/sys/health", token=None)
    chosen = call(vault, "GET", "/v1/sys/health?sealedcode=200", token=None)

    assert (active.status, active.document["sealed"]) == (200, False)
    assert (head.status, head.body) == (299, b"")
    assert (sealed.status, sealed.document["sealed"], chosen.status) == (503, True, 200)


def test_sealed_refuses_everything_else(vault: VaultSimulator) -> None:
    """A sealed Vault answers 503, and its seal status."""
    vault.sealed = True

    assert call(vault, "GET", DATA).refusal == (503, ["Vault is sealed"])
    assert call(vault, "GET", "/v1/sys/seal-status", token=None).document["sealed"] is True
    vault.sealed = False
    assert write(vault, ONE).status == 200


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


def test_root_looks_itself_up(vault: VaultSimulator) -> None:
    """The root token never expires and is not renewable."""
    data = call(vault, "GET", "/v1/auth/token/lookup-self").data

    assert (data["ttl"], data["expire_time"], data["renewable"]) == (0, None, False)
    assert (data["policies"], data["type"], data["id"]) == (["root"], "service", "root")
    assert call(vault, "POST", "/v1/auth/token/renew-self", {}).status == 400


def test_a_token_expires(vault: VaultSimulator, clock: Clock) -> None:
    """A look-up counts down, and after its time a token is as good as none."""
    token = vault.issue_token(ttl=60)
    clock.forward(20)
    data = call(vault, "GET", "/v1/auth/token/lookup-self", token=token).data
    clock.forward(40)

    assert (data["ttl"], data["creation_ttl"], data["renewable"]) == (40, 60, True)
    assert data["expire_time"] == "2027-01-15T08:01:00.123456789Z"
    assert call(vault, "GET", DATA, token=token).refusal == (403, ["permission denied"])


@pytest.mark.parametrize(("increment", "lease"), [(None, 60), ("90s", 90), (30, 30), ("2h", 100)])
def test_a_renewal_starts_anew_up_to_the_longest(
    vault: VaultSimulator, clock: Clock, increment: object, lease: int
) -> None:
    """A renewal grants the increment or the first time, but never beyond max_ttl."""
    token = vault.issue_token(ttl=60, max_ttl=120)
    clock.forward(20)

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
        ({"secret/data/vonage/*": {"create", "read"}}, [200, 403, 200, 403, 403]),
        ({f"secret/data/{PATH}": {"update", "delete"}}, [403, 200, 403, 204, 403]),
        ({"secret/data/+/sms": {"create", "update"}}, [200, 200, 403, 403, 403]),
        ({"secret/*": {"read"}, "secret/data/*": {"deny"}}, [403, 403, 403, 403, 403]),
        (
            {"secret/+/*": {"deny"}, "*": {"read"}, "secret/data/v*": {"read"}},
            [403, 403, 200, 403, 403],
        ),
        ({"secret/metadata/*": {"list"}}, [403, 403, 403, 403, 200]),
        ({"secret/metadata/vonage": {"list"}}, [403, 403, 403, 403, 200]),
    ],
)
def test_policies_are_enforced(
    vault: VaultSimulator, policies: dict[str, set[str]], expected: list[int]
) -> None:
    """The most specific pattern decides which of create, update, read, delete, list may be."""
    token = vault.issue_token(policies=policies)
    created = call(vault, "POST", DATA, {"data": ONE}, token=token)
    vault.write(PATH, ONE)
    others = [
        call(vault, method, path, {"data": TWO} if method == "POST" else None, token=token)
        for method, path in [
            ("POST", DATA),
            ("GET", DATA),
            ("DELETE", DATA),
            ("LIST", "/v1/secret/metadata/vonage"),
        ]
    ]

    answers = [created, *others]
    assert [answer.status for answer in answers] == expected
    assert all(answer.refusal == (403, [DENIED]) for answer in answers if answer.status == 403)


def test_an_ordinary_token_may_use_the_mounts(vault: VaultSimulator) -> None:
    """Without policies of its own an issued token may do everything on the mounts there are."""
    token = vault.issue_token()

    assert call(vault, "POST", DATA, {"data": ONE}, token=token).status == 200
    assert call(vault, "POST", "/v1/kv1/x", {"a": 1}, token=token).status == 204


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


def test_a_namespace_is_demanded() -> None:
    """With a namespace another one, or none, is not found."""
    with VaultSimulator(namespace="team") as simulator:
        simulator.write(PATH, ONE)
        statuses = [
            call(simulator, "GET", DATA, headers={"X-Vault-Namespace": name}).status
            for name in ("team", "team/", "other", "")
        ]
        health = call(simulator, "GET", "/v1/sys/health", token=None).status

    assert (statuses, health) == ([200, 200, 404, 404], 200)


def test_without_a_namespace_the_header_is_ignored(vault: VaultSimulator) -> None:
    """By default any namespace will do."""
    vault.write(PATH, ONE)

    assert call(vault, "GET", DATA, headers={"X-Vault-Namespace": "any"}).status == 200


def test_stale_reads_are_one_version_behind(vault: VaultSimulator) -> None:
    """So many reads are answered by a standby that does not know the newest version."""
    vault.write(PATH, ONE)
    vault.write(PATH, TWO)
    vault.stale_reads = 3
    stale = call(vault, "GET", DATA)
    newest = call(vault, "GET", f"{DATA}?version=2")
    first = call(vault, "GET", f"{DATA}?version=1")
    after = call(vault, "GET", DATA)

    assert (stale.data["data"], stale.data["metadata"]["version"]) == (ONE, 1)
    assert newest.refusal == (404, [])
    assert (first.data["data"], after.data["data"], vault.stale_reads) == (ONE, TWO, 0)


def test_a_stale_read_of_a_new_key_is_404(vault: VaultSimulator) -> None:
    """A standby may not know a key at all yet."""
    vault.write(PATH, ONE)
    vault.stale_reads = 1

    assert call(vault, "GET", DATA).refusal == (404, [])


def test_a_mount_may_be_initialising(vault: VaultSimulator) -> None:
    """So many calls are answered 400 by a mount that is not ready, and none is carried out."""
    vault.initialising = 1

    status, (error,) = write(vault, ONE).refusal

    assert status == 400
    assert error.startswith("Upgrading from non-versioned to versioned data.")
    assert vault.current_version(PATH) == 0
    assert write(vault, ONE).status == 200


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (500, ["1 error occurred:\n\t* internal error\n\n"]),
        (503, ["Vault is sealed"]),
        (403, [DENIED]),
        (412, ["required index state not present"]),
        (404, []),
    ],
)
def test_a_status_fault_speaks_as_vault_does(
    vault: VaultSimulator, status: int, expected: list[str]
) -> None:
    """A fault's answer is the one that Vault gives with that status."""
    vault.faults.add(Fault("status", status=status))

    assert write(vault, ONE).refusal == (status, expected)
    assert vault.current_version(PATH) == 0


def test_a_redirect_fault_has_no_errors(vault: VaultSimulator) -> None:
    """A standby redirects with a header and nothing else."""
    vault.faults.add(Fault("status", status=307, headers={"Location": "http://127.0.0.1:1/"}))

    answer = call(vault, "GET", DATA)

    assert (answer.status, answer.headers["Location"], answer.body) == (
        307,
        "http://127.0.0.1:1/",
        b"",
    )


def test_faults_and_exchanges_are_shared_with_the_other_simulator(vault: VaultSimulator) -> None:
    """An unanswered write took effect, is recorded, and observers saw both of its phases."""
    seen: list[Phase] = []

    def observe(phase: Phase, _exchange: Exchange) -> None:
        seen.append(phase)

    vault.observers.append(observe)
    vault.faults.add(Fault("drop-after", method="POST", path="^/v1/secret/data/"))
    with pytest.raises(http.client.RemoteDisconnected):
        write(vault, ONE, cas=0)

    assert vault.read(PATH) == ONE
    assert seen == ["before", "after"]
    assert [(each.path, each.api_key, each.fault) for each in vault.exchanges] == [
        (DATA, "", "drop-after")
    ]


def test_an_outsiders_writes(vault: VaultSimulator) -> None:
    """An outsider writes without check-and-set, and cannot share its objects with the store."""
    call(vault, "POST", "/v1/secret/config", {"cas_required": True})
    given = {"list": [1]}
    version = vault.write(PATH, given)
    given["list"].append(2)
    read = vault.read(PATH) or {}
    read["list"].append(3)

    assert (version, vault.current_version(PATH), vault.read(PATH)) == (1, 1, {"list": [1]})
    assert vault.write("x", ONE, mount="kv1") == 0


def test_an_outsiders_deletions(vault: VaultSimulator) -> None:
    """An outsider deletes the latest version and destroys others."""
    for data in (ONE, TWO, THREE):
        vault.write(PATH, data)
    vault.delete_latest(PATH)
    vault.destroy(PATH, [1])

    assert [vault.read(PATH, version=number) for number in (None, 1, 2)] == [None, None, TWO]
    assert [version.destroyed for version in vault.versions(PATH)] == [True, False, False]
    assert vault.versions(PATH)[2].deletion is not None
    with pytest.raises(KeyError):
        vault.delete_latest("none")


def test_what_is_not_there_reads_as_nothing(vault: VaultSimulator) -> None:
    """Unknown paths are None and no version; unknown mounts are errors."""
    assert (vault.read("none"), vault.versions("none"), vault.current_version("none")) == (
        None,
        [],
        0,
    )
    with pytest.raises(KeyError):
        vault.read(PATH, mount="none")
    with pytest.raises(TypeError, match="version 1"):
        vault.current_version(PATH, mount="kv1")
    with pytest.raises(ValueError, match="versions 1 and 2"):
        VaultSimulator(mounts={"secret": 3})


def test_state_over_http(vault: VaultSimulator) -> None:
    """The simulator tells mounts, values and tokens."""
    vault.write(PATH, ONE)
    vault.write("x", TWO, mount="kv1")

    state = call(vault, "GET", "/_sim/state", token=None).document

    assert state["mounts"]["secret"]["keys"][PATH]["versions"][0]["data"] == ONE
    assert state["mounts"]["kv1"]["keys"]["x"] == TWO
    assert (state["sealed"], state["tokens"][0]["id"]) == (False, "root")


@pytest.fixture
def world() -> Iterator[World]:
    """Two primary accounts and one subaccount, known to both simulators."""
    with World.build() as built:
        yield built


def test_a_world_is_filled(world: World) -> None:
    """Each account has a compliant secret, the same at Vonage and in Vault."""
    assert [(account.name, account.managed_by) for account in world.accounts] == [
        ("account-1", ""),
        ("account-2", ""),
        ("account-1-sub-1", "account-1"),
    ]
    for account in world.accounts:
        assert re.fullmatch(r"(?=.*[a-z])(?=.*[A-Z])(?=.*\d)[A-Za-z0-9]{25}", account.api_secret)
        assert re.fullmatch(r"[0-9a-f]{8}", account.api_key)
        assert world.vault.read(account.vault_path) == {
            "api_key": account.api_key,
            "api_secret": account.api_secret,
            "note": "kept",
        }
    assert world.violations() == []


def test_a_world_describes_itself(world: World) -> None:
    """The description is what `rotator sim` prints."""
    description = json.loads(json.dumps(world.describe()))

    assert description.keys() == {"vonage_url", "vault_url", "vault_token", "accounts"}
    assert description["vonage_url"] == world.vonage.url
    assert description["accounts"][2] == {
        "name": "account-1-sub-1",
        "api_key": world.accounts[2].api_key,
        "api_secret": world.accounts[2].api_secret,
        "vault_path": "vonage/account-1-sub-1",
        "managed_by": "account-1",
    }


def test_a_world_writes_a_configuration(world: World) -> None:
    """The configuration is TOML with the names of the design, and holds no secret."""
    text = world.config('sqlite:////tmp/a "b".db', "/run/token", grace="0s", length=25)

    parsed = tomllib.loads(text)
    assert parsed["vonage"]["api_url"] == parsed["vonage"]["rest_url"] == world.vonage.url
    assert parsed["vault"]["address"] == world.vault.url
    assert parsed["vault"]["auth"] == {"method": "token", "token_file": "/run/token"}
    assert parsed["ledger"]["url"] == 'sqlite:////tmp/a "b".db'
    assert parsed["policy"] == {"grace": "0s", "length": 25}
    assert parsed["daemon"]["listen"] == ""
    assert parsed["accounts"][2] == {
        "name": "account-1-sub-1",
        "api_key": world.accounts[2].api_key,
        "vault_path": "vonage/account-1-sub-1",
        "managed_by": "account-1",
    }
    assert not any(account.api_secret in text for account in world.accounts)


def test_a_world_sees_violations(world: World) -> None:
    """A value in Vault that does not authenticate is named, and an account without secrets."""
    first, second, third = world.accounts
    world.vault.write(first.vault_path, {"api_secret": "wrong"})
    world.vonage.revoke(second.api_key, world.vonage.secrets(second.api_key)[0].id)
    world.vault.delete_latest(third.vault_path)

    assert world.violations() == [
        "account-1: the value in Vault (version 2) is refused",
        "account-2: the value in Vault (version 1) is refused",
        "account-1-sub-1: the value in Vault (version 1) is refused",
        "account-2: 0 secrets",
    ]


def test_a_world_has_its_own_shape() -> None:
    """Numbers, latencies, propagation and the age of secrets are chosen when it is built."""
    created_at = datetime.now(UTC).replace(microsecond=0) - timedelta(days=40)

    with World.build(1, 0, 0.1, 0.2, 30, created_at=created_at) as built:
        (account,) = built.accounts
        new = built.vonage.add_secret(account.api_key, "SecondSecret0002")

        assert (built.vonage.latency, built.vault.latency) == (0.1, 0.2)
        assert built.vonage.secrets(account.api_key)[1].created_at == created_at
        assert built.vonage.secrets(account.api_key)[0].id == new
        assert not built.vonage.authenticates(account.api_key, "SecondSecret0002")
        assert built.violations() == []
