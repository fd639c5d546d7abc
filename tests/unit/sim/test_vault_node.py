"""The state of a node: sealed, behind, or not ready."""

import http.client

import pytest

from rotator.sim import Exchange, Fault, Phase, VaultSimulator
from tests.unit.sim.vault import DATA, DENIED, ONE, PATH, TWO, call, write


def test_health(vault: VaultSimulator) -> None:
    """Health needs no token; sealed is 503."""
    active = call(vault, "GET", "/v1/sys/health", token=None)
    head = call(vault, "HEAD", "/v1/sys/health", token=None)
    vault.sealed = True
    sealed = call(vault, "GET", "/v1/sys/health", token=None)

    assert (active.status, active.document["sealed"]) == (200, False)
    assert (head.status, head.body) == (200, b"")
    assert (sealed.status, sealed.document["sealed"]) == (503, True)


def test_sealed_refuses_everything_else(vault: VaultSimulator) -> None:
    """A sealed Vault answers 503."""
    vault.sealed = True

    assert call(vault, "GET", DATA).refusal == (503, ["Vault is sealed"])
    vault.sealed = False
    assert write(vault, ONE).status == 200


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
