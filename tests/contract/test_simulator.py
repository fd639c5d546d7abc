"""The simulator's answers beside a real server's: the same statuses, errors and documents."""

import json
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.contract.server import ROOT

if TYPE_CHECKING:
    from tests.contract.server import Server, Simulated

#: Method, path, body and token. They build on each other.
Call = tuple[str, str, Any, str]
#: What no two servers have in common.
VOLATILE = frozenset(
    {
        *(
            "accessor",
            "client_token",
            "cluster_id",
            "cluster_name",
            "created_time",
            "creation_time",
        ),
        *("deletion_time", "expire_time", "id", "issue_time", "path", "policies", "request_id"),
        *("server_time_utc", "token_policies", "updated_time", "uuid", "version"),
    }
)
#: What OpenBao says of the build that it is.
BUILD = frozenset(
    {
        *("commit_date", "deprecation_status", "description", "plugin_version"),
        *("running_plugin_version", "running_sha256"),
    }
)
DATA = "secret/data/parity"


def as_root(method: str, path: str, body: Any = None) -> Call:  # noqa: ANN401  # any JSON
    """Return a call with the root token."""
    return (method, path, body, ROOT)


def versions(*numbers: object) -> dict[str, Any]:
    """Return a body that lists versions."""
    return {"versions": list(numbers)}


STORIES: dict[str, list[Call]] = {
    "an entry that never was": [
        as_root("GET", DATA),
        as_root("DELETE", DATA),
        as_root("POST", "secret/destroy/parity", versions(1)),
    ],
    "check-and-set": [
        as_root("POST", DATA, {"data": {"x": 1}}),
        *(
            as_root("POST", DATA, {"options": {"cas": cas}, "data": {"x": 2}})
            for cas in (0, 1, 99, "2", -1, None, "x")
        ),
        as_root("POST", DATA, {"options": None, "data": {}}),
        as_root("POST", DATA, {"data": None}),
        as_root("POST", DATA, {}),
        as_root("POST", DATA),
    ],
    "versions": [
        *(as_root("POST", DATA, {"data": {"x": number}}) for number in range(3)),
        *(as_root("GET", f"{DATA}?version={each}") for each in ("0", "1", "9", "-1", "")),
    ],
    "deletion": [
        *(as_root("POST", DATA, {"data": {"x": number}}) for number in range(3)),
        as_root("DELETE", DATA),
        as_root("GET", DATA),
        as_root("GET", f"{DATA}?version=2"),
        as_root("POST", "secret/destroy/parity", versions("1", 77)),
        as_root("GET", f"{DATA}?version=1"),
        *(
            as_root(method, "secret/destroy/parity", body)
            for method, body in (("POST", {}), ("GET", None))
        ),
    ],
    "deletion taken back": [
        as_root("POST", "secret/undelete/parity", versions(1)),
        *(as_root("POST", DATA, {"data": {"x": number}}) for number in range(3)),
        as_root("DELETE", DATA),
        as_root("POST", "secret/undelete/parity", versions("3", 77)),
        as_root("GET", DATA),
        as_root("POST", "secret/delete/parity", versions(1, 2)),
        as_root("GET", f"{DATA}?version=1"),
        as_root("POST", "secret/destroy/parity", versions(2)),
        as_root("POST", "secret/undelete/parity", versions(1, 2)),
        *(as_root("GET", f"{DATA}?version={each}") for each in (1, 2)),
        *(
            as_root(method, f"secret/{section}/parity", body)
            for section in ("undelete", "delete")
            for method, body in (("POST", {}), ("POST", versions()), ("GET", None))
        ),
        as_root("POST", "secret/delete/never", versions(1)),
    ],
    "metadata": [
        *(as_root(method, "secret/metadata/parity") for method in ("GET", "DELETE")),
        as_root("POST", DATA, {"data": {"x": 1}}),
        as_root("GET", "secret/metadata/parity"),
        as_root("POST", "secret/metadata/parity", {"delete_version_after": "soon"}),
        as_root("POST", "secret/metadata/parity", {"delete_version_after": "3h"}),
        as_root("GET", "secret/metadata/parity"),
        as_root("POST", DATA, {"data": {"x": 2}}),
        as_root("POST", "secret/metadata/parity", {"delete_version_after": "0s"}),
        as_root("POST", "secret/metadata/parity", {"max_versions": 2, "cas_required": True}),
        as_root("POST", DATA, {"data": {"x": 3}}),
        *(as_root("POST", DATA, {"options": {"cas": 2}, "data": {"x": 3}}) for _ in range(2)),
        as_root("POST", "secret/metadata/parity", {"custom_metadata": {"owner": "ann"}}),
        as_root("POST", "secret/metadata/parity", {"max_versions": "many"}),
        as_root("GET", "secret/metadata/parity"),
        as_root("GET", DATA),
        as_root("DELETE", DATA),
        as_root("GET", DATA),
        as_root("DELETE", "secret/metadata/parity"),
        *(as_root("GET", f"secret/{section}/parity") for section in ("metadata", "data")),
        as_root("POST", "secret/metadata/parity", {}),
        *(as_root("GET", f"secret/{section}/parity") for section in ("metadata", "data")),
        as_root("POST", DATA, {"data": {"x": 1}}),
    ],
    "a mount's configuration": [
        as_root("POST", "secret/config", {"delete_version_after": "soon"}),
        as_root("POST", "secret/config", {"delete_version_after": "2h", "max_versions": 3}),
        as_root("GET", "secret/config"),
        as_root("POST", DATA, {"data": {"x": 1}}),
        as_root("GET", "secret/metadata/parity"),
        as_root("POST", "secret/metadata/parity", {"delete_version_after": "3h"}),
        as_root("POST", DATA, {"data": {"x": 2}}),
        as_root("POST", "secret/config", {"cas_required": True}),
        as_root("POST", DATA, {"data": {"x": 2}}),
        as_root(
            "POST",
            "secret/config",
            {"delete_version_after": "0s", "max_versions": 0, "cas_required": False},
        ),
        as_root("GET", "secret/config"),
        as_root("DELETE", "secret/config"),
    ],
    "what is no path of it": [
        *(as_root("GET", f"secret/{each}") for each in ("data/", "config")),
        as_root("GET", "none/data/a"),
        as_root("POST", "none/data/a", {"data": {}}),
        as_root("DELETE", "none/data/a"),
        as_root("GET", "sys/nothing"),
    ],
    "bad tokens": [
        (method, path, body, token)
        for token in ("", "hvs.bad")
        for method, path, body in (
            ("GET", DATA, None),
            ("POST", DATA, {"data": {}}),
            ("GET", "none/x", None),
            ("GET", "auth/token/lookup-self", None),
            ("POST", "sys/capabilities-self", {"paths": [DATA]}),
            ("GET", "sys/internal/ui/mounts/secret", None),
        )
    ],
    "questions about the node and the token": [
        ("GET", "sys/health", None, ""),
        ("POST", "sys/health", None, ""),
        *(
            as_root("GET", f"sys/internal/ui/mounts/{each}")
            for each in ("secret", "secret/", "none", "secret/data/a")
        ),
        *(
            as_root("POST", "sys/capabilities-self", body)
            for body in ({"paths": [DATA, "none/x"]}, {"paths": [DATA]}, {})
        ),
        as_root("POST", "auth/token/renew-self", {}),
        as_root("POST", "auth/token/renew-self", {"increment": "x"}),
    ],
}
ORDINARY: list[tuple[str, str, Any]] = [
    ("GET", "auth/token/lookup-self", None),
    ("POST", "auth/token/renew-self", {}),
    ("POST", "auth/token/renew-self", {"increment": "30m"}),
    ("GET", DATA, None),
    ("POST", DATA, {"data": {}}),
    ("DELETE", DATA, None),
    ("GET", "secret/config", None),
    ("GET", "secret/data/elsewhere", None),
    ("GET", "none/data/x", None),
    ("POST", "sys/capabilities-self", {"paths": [DATA, "secret/data/elsewhere"]}),
    ("GET", "sys/internal/ui/mounts/secret", None),
    ("GET", "sys/internal/ui/mounts/none", None),
    ("POST", "auth/token/revoke-self", {}),
    ("GET", "auth/token/lookup-self", None),
]


def alike(value: Any) -> Any:  # noqa: ANN401  # any JSON
    """Return an answer without what no two servers have in common."""
    if isinstance(value, list):
        return [alike(each) for each in value]
    if isinstance(value, str):
        # A hint names the server's own command.
        return value.replace("OpenBao", "Vault").replace("bao kv", "vault kv")
    if not isinstance(value, dict):
        return value
    return {
        key: bool(each) if is_volatile(key, each) else alike(each)
        for key, each in value.items()
        if key not in BUILD
    }


def is_volatile(key: str, value: object) -> bool:
    """Whether only the presence of a value can be compared; an entry's version can be."""
    return key in VOLATILE and not (key == "version" and isinstance(value, int))


def answers(server: "Server", calls: list[Call]) -> list[str]:
    """Make the calls; give what came of each."""
    told = []
    with requests.Session() as session:
        session.trust_env = False
        for method, path, body, token in calls:
            headers = {"X-Vault-Token": token} if token else {}
            answer = session.request(
                method, f"{server.url}/v1/{path}", headers=headers, json=body, timeout=10
            )
            document = alike(answer.json()) if answer.content else None
            shown = json.dumps(document, sort_keys=True)
            told.append(f"{method} {path} {body}: {answer.status_code} {shown}")
    return told


@pytest.mark.parametrize("story", STORIES)
def test_the_simulator_answers_as_the_server_does(
    original: "Server", simulated: "Simulated", story: str
) -> None:
    """Each call of a story has the same status and the same document on both."""
    for server in (original, simulated):
        server.forget("parity")

    assert answers(simulated, STORIES[story]) == answers(original, STORIES[story])


def test_the_simulators_tokens_are_as_the_servers(
    original: "Server", simulated: "Simulated"
) -> None:
    """What a token may do and what is said of it is the same on both."""
    policies = {DATA: ["create", "read", "update"]}
    told = []
    for server in (original, simulated):
        server.forget("parity")
        token = server.issue_token(policies, ttl=3600)
        shown = answers(server, [(*call, token) for call in ORDINARY])
        # Counted in whole seconds, of which one may be over.
        told.append([line.replace('"ttl": 3599', '"ttl": 3600') for line in shown])

    assert told[1] == told[0]
