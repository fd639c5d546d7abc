"""What others do to the store, and what a test may see of it."""

import pytest

from rotator.sim import VaultSimulator
from tests.unit.sim.vault import ONE, PATH, THREE, TWO, call


def test_an_outsiders_writes(vault: VaultSimulator) -> None:
    """An outsider writes without check-and-set, and cannot share its objects with the store."""
    given = {"list": [1]}
    version = vault.write(PATH, given)
    given["list"].append(2)
    read = vault.read(PATH) or {}
    read["list"].append(3)

    assert (version, vault.current_version(PATH), vault.read(PATH)) == (1, 1, {"list": [1]})


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
    """An unknown path is None and has no version."""
    assert (vault.read("none"), vault.versions("none"), vault.current_version("none")) == (
        None,
        [],
        0,
    )


def test_state_over_http(vault: VaultSimulator) -> None:
    """The simulator tells mounts, values and tokens."""
    vault.write(PATH, ONE)

    state = call(vault, "GET", "/_sim/state", token=None).document

    assert state["mounts"]["secret"]["keys"][PATH]["versions"][0]["data"] == ONE
    assert (state["sealed"], state["tokens"][0]["id"]) == (False, "root")
