"""Whatever comes back for whatever call: it is what was promised or a store error."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from rotator.errors import MountUnusable, StoreError, StoreForbidden, StoreUnavailable
from rotator.model import Account, Note, PendingEntry, SecretValue
from rotator.sim import Fault, VaultSimulator
from rotator.vault import EnvToken, KvStore, VaultSession

OLD, NEW = "Abcdefgh1", SecretValue("Zyxwvuts9")
READS = ["read-current", "read-version", "read-pending", "check"]
CALLS = [*READS, "write-current", "write-pending", "clear-pending"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(OLD),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["version", "errors", "api_secret", "rotator"]), inner)
        | st.fixed_dictionaries({}, optional={"data": inner, "metadata": inner, "errors": inner})
        | st.fixed_dictionaries({"value": inner, "rotation_id": inner, "listed": inner})
        | st.fixed_dictionaries({"type": inner, "path": inner, "options": inner})
    ),
    max_leaves=12,
)
ENVELOPE = st.fixed_dictionaries(
    {"data": JSON, "metadata": st.fixed_dictionaries({"version": st.just(1) | JSON})}
)


@pytest.fixture
def calls(
    vault: VaultSimulator,
    simulated_store: KvStore,
    account: Account,
    note: Note,
    pending: PendingEntry,
) -> Mapping[str, Callable[[], object]]:
    """Return every call that the store takes, ready to be made."""
    vault.write(account.vault_path, {"api_secret": OLD})
    store = simulated_store
    current, nothing = store.read_current(account), store.read_pending(account)
    assert current is not None
    return {
        "read-current": lambda: store.read_current(account),
        "read-version": lambda: store.read_version(account, 1),
        "write-current": lambda: store.write_current(account, current, NEW, note),
        "read-pending": lambda: store.read_pending(account),
        "write-pending": lambda: store.write_pending(account, nothing, NEW, pending),
        "clear-pending": lambda: store.clear_pending(account, 1),
        "check": store.check,
    }


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    "status", [400, 401, 403, 405, 412, 413, 429, 472, 473, 474, 500, 503, 530]
)
def test_each_status_is_a_store_error(
    vault: VaultSimulator,
    calls: Mapping[str, Callable[[], object]],
    name: str,
    status: int,
) -> None:
    """No status gets past the store as anything else, nor what the answer said."""
    body = {"errors": [NEW.reveal(), OLD]}
    vault.faults.add(Fault("status", status=status, times=None, body=body))
    with capture_logs() as logs, pytest.raises(StoreError) as caught:
        calls[name]()

    for secret in (NEW.reveal(), OLD, vault.token):
        assert secret not in f"{caught.value!r}{caught.value.hint}{logs}"


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("kind", ["drop-before", "drop-after", "garbage", "huge"])
def test_each_accident_is_unavailable(
    vault: VaultSimulator, calls: Mapping[str, Callable[[], object]], name: str, kind: str
) -> None:
    """Whatever happens on the way, the outcome is unknown and nothing else."""
    vault.faults.add(Fault(kind, times=None))
    with pytest.raises(StoreUnavailable) as caught:
        calls[name]()

    assert type(caught.value) is StoreUnavailable
    assert caught.value.__context__ is None


@pytest.mark.parametrize("name", [name for name in CALLS if name != "clear-pending"])
@pytest.mark.parametrize("kind", ["truncate", "empty"])
def test_each_lost_body_is_unavailable(
    vault: VaultSimulator, calls: Mapping[str, Callable[[], object]], name: str, kind: str
) -> None:
    """A success whose body is cut off or missing says nothing."""
    vault.faults.add(Fault(kind, times=None))

    with pytest.raises(StoreUnavailable):
        calls[name]()


@pytest.mark.parametrize("name", CALLS)
def test_each_call_waits_for_a_mount_that_starts(
    vault: VaultSimulator, calls: Mapping[str, Callable[[], object]], name: str
) -> None:
    """The 400 of a mount that is not ready yet is outlasted, by writes for as long as they may."""
    vault.initialising = 4

    calls[name]()


def _shown(call: Callable[[], object]) -> str:
    """Make a call; give what its error shows, if it raises one."""
    try:
        call()
    except StoreError as error:
        return f"{error!r}{error.hint}"
    return ""


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    document=JSON | st.fixed_dictionaries({"data": ENVELOPE | JSON}),
    name=st.sampled_from(CALLS),
    status=st.sampled_from([200, 404]),
)
def test_any_json_is_an_answer_or_a_store_error(
    vault: VaultSimulator,
    calls: Mapping[str, Callable[[], object]],
    document: object,
    name: str,
    status: int,
) -> None:
    """Whatever JSON comes back is read or refused, and no value of it is shown."""
    vault.faults.clear()
    vault.faults.add(Fault("status", status=status, body=json.dumps(document), times=None))

    assert OLD not in _shown(calls[name])


def test_the_check_falls_back_to_the_mounts_configuration(
    vault: VaultSimulator, simulated_store: KvStore
) -> None:
    """Where something denies the question about mounts, the mount itself is asked."""
    vault.faults.add(Fault("status", path="ui/mounts", status=403, body="denied"))
    simulated_store.check()

    assert [exchange.path for exchange in vault.exchanges] == [
        "/v1/sys/internal/ui/mounts/secret",
        "/v1/secret/config",
    ]


def test_the_fallback_recognises_version_1(vault: VaultSimulator, simulated_store: KvStore) -> None:
    """A mount that has no configuration of version 2 is refused."""
    vault.faults.add(Fault("status", path="ui/mounts", status=403))
    vault.faults.add(Fault("status", path="config", status=404, body={"errors": []}))

    with pytest.raises(MountUnusable):
        simulated_store.check()


def test_a_token_without_rights_is_not_called_invalid(vault: VaultSimulator) -> None:
    """A token that is good but may do nothing here is told from a bad one."""
    token = vault.issue_token(policies={"other/*": ["read"]})
    store = KvStore(VaultSession(vault.url, token_source=EnvToken(token), timeout=10), "secret")

    with pytest.raises(StoreForbidden, match="denies it to this token"):
        store.check()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"type": "kv", "options": None, "path": "secret/"}, "version 1"),
        ({"type": "generic", "options": {}, "path": "secret/"}, "version 1"),
        ({"type": "kv", "options": {"version": 2}, "path": "secret/"}, "version 1"),
        ({"type": "transit", "options": {}, "path": "secret/"}, "not a KV mount"),
        ({"type": ["kv"], "options": 5, "path": 5}, "does not answer as KV version 2"),
    ],
)
def test_the_check_names_what_the_mount_is(
    vault: VaultSimulator, simulated_store: KvStore, data: dict[str, Any], says: str
) -> None:
    """A mount that cannot be used is refused with what is wrong with it."""
    vault.faults.add(Fault("status", path="ui/mounts", status=200, body={"data": data}))

    with pytest.raises(MountUnusable, match=says):
        simulated_store.check()
